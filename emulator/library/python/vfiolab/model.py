"""Device models in Python, for prototypes: struct vfiolab_model of vfiolab/model.h."""
import ctypes
import traceback

BAR_IO, BAR_64BIT, BAR_PREFETCHABLE, BAR_MEMORY, BAR_UNMAPPABLE, BAR_POLLED = 1, 2, 4, 8, 16, 32
_ABI = 1

_p, _u8, _u16, _u32, _u64 = ctypes.c_void_p, ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64
_text, _size, _int, _unsigned = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_uint
_Due = ctypes.CFUNCTYPE(None, _p)


class _Calls(ctypes.Structure):
    _fields_ = [
        ("dma_read", ctypes.CFUNCTYPE(_int, _p, _u64, _p, _size)),
        ("dma_write", ctypes.CFUNCTYPE(_int, _p, _u64, _p, _size)),
        ("signal_msi", ctypes.CFUNCTYPE(None, _p, _unsigned)),
        ("msi_enabled", ctypes.CFUNCTYPE(_int, _p)),
        ("set_intx", ctypes.CFUNCTYPE(None, _p, _int)),
        ("after", ctypes.CFUNCTYPE(None, _p, _u64, _Due, _p)),
        ("guest_error", ctypes.CFUNCTYPE(None, _p, _text)),
        ("parameter", ctypes.CFUNCTYPE(_u64, _p, _text)),
        ("bar_memory", ctypes.CFUNCTYPE(_p, _p, _unsigned)),
    ]


class _Bar(ctypes.Structure):
    _fields_ = [("size", _u64), ("flags", _u32)]


class _Parameter(ctypes.Structure):
    _fields_ = [("name", _text), ("meaning", _text), ("fallback", _u64), ("min", _u64), ("max", _u64)]


class _Description(ctypes.Structure):
    _fields_ = [
        ("abi", _u32),
        ("name", _text),
        ("summary", _text),
        ("vendor_id", _u16),
        ("device_id", _u16),
        ("subsystem_vendor_id", _u16),
        ("subsystem_id", _u16),
        ("class_code", _u32),
        ("revision", _u8),
        ("interrupt_pin", _u8),
        ("express", _u8),
        ("msix_bar", _u8),
        ("msi_vectors", _u16),
        ("msix_vectors", _u16),
        ("bars", _Bar * 6),
        ("parameters", ctypes.POINTER(_Parameter)),
        ("parameter_count", _size),
        ("create", ctypes.CFUNCTYPE(_p, _p, ctypes.POINTER(_Calls), _p)),
        ("context", _p),
        ("destroy", ctypes.CFUNCTYPE(None, _p)),
        ("reset", ctypes.CFUNCTYPE(None, _p)),
        ("read", ctypes.CFUNCTYPE(None, _p, _unsigned, _u64, _p, _size)),
        ("write", ctypes.CFUNCTYPE(None, _p, _unsigned, _u64, _p, _size)),
    ]


def Bar(size, flags=0):
    """A BAR of registers, or with BAR_MEMORY of memory; with BAR_POLLED of memory whose changes write() hears of."""
    return _Bar(size, flags)


class Model:
    """A device. A class below this one is a model; the emulator makes an object of it for each device
    of a topology, and calls its read(), write() and reset().

        class Adder(vfiolab.Model):
            name, vendor_id, device_id = "adder", 0x1af4, 0x10ad
            bars = {0: vfiolab.Bar(32)}

            def read(self, bar, offset, size): return 42
            def write(self, bar, offset, value, size): self.set_intx(True)
    """

    name = None
    summary = ""
    vendor_id = device_id = subsystem_vendor_id = subsystem_id = 0
    class_code = 0x00FF00
    revision = interrupt_pin = msi_vectors = msix_vectors = 0
    msix_bar = 5
    express = False
    bars = {}
    parameters = {}  # name: (fallback, smallest, largest)

    def read(self, bar, offset, size):
        """The number that `size` bytes at `offset` hold."""
        return 0

    def write(self, bar, offset, value, size):
        pass

    def reset(self):
        pass

    # What a device may ask of the machine.

    def dma_read(self, iova, size):
        """The bytes there; None where the IOMMU stopped it."""
        data = ctypes.create_string_buffer(size)
        return data.raw if self._calls.dma_read(self._machine, iova, data, size) == 0 else None

    def dma_write(self, iova, data):
        """Whether the bytes were written."""
        return self._calls.dma_write(self._machine, iova, bytes(data), len(data)) == 0

    def signal_msi(self, vector=0):
        self._calls.signal_msi(self._machine, vector)

    @property
    def msi_enabled(self):
        return self._calls.msi_enabled(self._machine) != 0

    def set_intx(self, asserted):
        self._calls.set_intx(self._machine, 1 if asserted else 0)

    def after(self, nanoseconds, due):
        """Calls due() once, after that time of the machine's; a reset of the device cancels it."""
        callback = _Due(_guarded(lambda _: due()))
        self._due.append(callback)  # as long as the device: nobody says when one is cancelled
        self._calls.after(self._machine, nanoseconds, callback, None)

    def guest_error(self, what):
        self._calls.guest_error(self._machine, what.encode())

    def parameter(self, name):
        return self._calls.parameter(self._machine, name.encode())

    def memory(self, bar):
        """The bytes of a BAR with BAR_MEMORY, to be changed in place."""
        at = self._calls.bar_memory(self._machine, bar)
        return (ctypes.c_char * self.bars[bar].size).from_address(at)

    @classmethod
    def describe(cls):
        """What the emulator wants to know; it is to be kept as long as a host has such devices."""
        return _describe(cls)


def _guarded(function, otherwise=None):
    # An exception has no way through the emulator.
    def call(*arguments):
        try:
            return function(*arguments)
        except Exception:  # pylint: disable=broad-except
            traceback.print_exc()
            return otherwise

    return call


def _describe(model):
    devices = {}

    def create(_, calls, machine):
        device = model.__new__(model)
        device._calls, device._machine, device._due = calls.contents, machine, []
        number = len(devices) + 1
        devices[number] = device
        device.__init__()
        return number

    def read(number, bar, offset, to, size):
        value = devices[number].read(bar, offset, size)
        ctypes.memmove(to, (value & (256**size - 1)).to_bytes(size, "little"), size)

    def write(number, bar, offset, value_at, size):
        value = int.from_bytes(ctypes.string_at(value_at, size), "little")
        devices[number].write(bar, offset, value, size)

    types = dict(_Description._fields_)
    parameters = (_Parameter * len(model.parameters))(
        *[
            _Parameter(name.encode(), b"", fallback, least, most)
            for name, (fallback, least, most) in model.parameters.items()
        ]
    )
    described = _Description(
        abi=_ABI,
        name=model.name.encode(),
        summary=model.summary.encode(),
        express=1 if model.express else 0,
        parameters=parameters,
        parameter_count=len(parameters),
        create=types["create"](_guarded(create, 0)),
        destroy=types["destroy"](lambda number: devices.pop(number, None) and None),
        reset=types["reset"](_guarded(lambda number: devices[number].reset())),
        read=types["read"](_guarded(read)),
        write=types["write"](_guarded(write)),
        **{
            field: getattr(model, field)
            for field in (
                "vendor_id device_id subsystem_vendor_id subsystem_id class_code revision "
                "interrupt_pin msi_vectors msix_vectors msix_bar"
            ).split()
        },
    )
    for number, bar in model.bars.items():
        described.bars[number] = bar
    return described
