"""Emulated PCI devices, an IOMMU and VFIO inside of this process.

    from vfiolab import Emulator, Topology

    kernel = Emulator(Topology({"0000:01:00.0": "edu"}))
    group = kernel.open("/dev/vfio/1")

Calls are like the system calls of the same names (vfiolab.h says what each does); one that fails
raises OSError with the errno of the kernel.
"""
import ctypes
import json
import os

from ._library import library as _library
from .model import BAR_MEMORY, BAR_POLLED, Bar, Model

__all__ = ["BAR_MEMORY", "BAR_POLLED", "Bar", "Emulator", "Fault", "Model", "Topology", "TopologyError"]


class TopologyError(ValueError):
    """What is wrong with a topology, line by line."""


class Topology:
    """Devices by their addresses, each in a group of its own unless `groups` says otherwise.

    A device is the name of a model, or a dictionary as in a topology file without its "bdf".
    """

    def __init__(self, devices, groups=None, **others):
        self.devices = {
            bdf: {"model": device} if isinstance(device, str) else dict(device)
            for bdf, device in devices.items()
        }
        if groups is None:
            groups = {number: [bdf] for number, bdf in enumerate(sorted(self.devices), start=1)}
        self.groups = groups
        self.others = others

    def to_json(self):
        return json.dumps(
            {
                "devices": [{"bdf": bdf, **device} for bdf, device in self.devices.items()],
                "groups": [{"id": number, "members": list(members)} for number, members in self.groups.items()],
                **self.others,
            }
        )


class Fault(ctypes.Structure):
    """A DMA that the IOMMU stopped: struct vfiolab_fault."""

    _fields_ = [
        ("when", ctypes.c_uint64),
        ("iova", ctypes.c_uint64),
        ("length", ctypes.c_uint64),
        ("is_write", ctypes.c_int),
        ("_device", ctypes.c_char * 32),
        ("_reason", ctypes.c_char * 32),
    ]
    device = property(lambda self: self._device.decode())
    reason = property(lambda self: self._reason.decode())

    def __repr__(self):
        access = "write" if self.is_write else "read"
        return f"<{self.device}: {access} of {self.length} bytes at {self.iova:#x}: {self.reason}>"


def _raise():
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code))


def _checked(value):
    if value < 0:
        _raise()
    return value


class Emulator:
    """An emulated host whose only client is this process; of one thread at a time.

    `topology` is a Topology, the text of one (which begins with "{"), or the path of a file. `models`
    are classes (vfiolab.Model) that it may name beside those that vfiolab has.
    """

    def __init__(self, topology, models=()):
        text = topology.to_json() if isinstance(topology, Topology) else str(topology)
        json_text, name = (text, "topology") if text.lstrip().startswith("{") else (None, text)
        errors = ctypes.c_void_p()
        self._models = [model.describe() for model in models]
        described = (ctypes.c_void_p * (len(self._models) + 1))(
            *[ctypes.addressof(model) for model in self._models], None
        )
        self._host = _library.vfiolab_create_with_models(
            None if json_text is None else json_text.encode(), name.encode(), described, ctypes.byref(errors)
        )
        if not self._host:
            reason = ctypes.string_at(errors.value).decode() if errors.value else ""
            _library.free(errors)
            raise TopologyError(reason)

    def close_host(self):
        """Closes all files and ends all mappings; the emulator cannot be used any more."""
        if self._host:
            _library.vfiolab_destroy(self._host)
            self._host = None

    __del__ = close_host

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close_host()

    def open(self, path, flags=os.O_RDWR):
        return _checked(_library.vfiolab_open(self._host, path.encode(), flags))

    def close(self, fd):
        _checked(_library.vfiolab_close(self._host, fd))

    def ioctl(self, fd, request, argument=None):
        """`argument` is a number, bytes (a string that is only read), a bytearray (which the call may
        change), or any object of ctypes."""
        if isinstance(argument, int):
            argument = ctypes.c_void_p(argument)
        elif isinstance(argument, bytearray):
            argument = ctypes.byref((ctypes.c_char * len(argument)).from_buffer(argument))
        elif argument is not None and not isinstance(argument, bytes):
            argument = ctypes.byref(argument)
        return _checked(_library.vfiolab_ioctl(self._host, fd, request, argument))

    def pread(self, fd, size, offset):
        data = ctypes.create_string_buffer(size)
        count = _checked(_library.vfiolab_pread(self._host, fd, data, size, offset))
        return data.raw[:count]

    def pwrite(self, fd, data, offset):
        return _checked(_library.vfiolab_pwrite(self._host, fd, bytes(data), len(data), offset))

    def read(self, fd, size):
        data = ctypes.create_string_buffer(size)
        count = _checked(_library.vfiolab_read(self._host, fd, data, size))
        return data.raw[:count]

    def write(self, fd, data):
        return _checked(_library.vfiolab_write(self._host, fd, bytes(data), len(data)))

    def mmap(self, fd, length, offset, protection=3, flags=1, address=None):
        """The address of the mapping; ctypes reads and writes there."""
        at = _library.vfiolab_mmap(self._host, address, length, protection, flags, fd, offset)
        if at is None or at == ctypes.c_void_p(-1).value:
            _raise()
        return at

    def munmap(self, address, length):
        _checked(_library.vfiolab_munmap(self._host, address, length))

    def read_file(self, path):
        """The text of a file of /sys."""
        fd = self.open(path, os.O_RDONLY)
        try:
            return self.read(fd, 4096).decode()
        finally:
            self.close(fd)

    def readlink(self, path):
        target = ctypes.create_string_buffer(4096)
        count = _checked(_library.vfiolab_readlink(self._host, path.encode(), target, 4096))
        return target.raw[:count].decode()

    def listdir(self, path):
        names = _library.vfiolab_list(self._host, path.encode())
        if not names:
            _raise()
        try:
            return ctypes.string_at(names).decode().split()
        finally:
            _library.free(names)

    @property
    def now(self):
        """Nanoseconds since the host was made."""
        return _library.vfiolab_now(self._host)

    def advance(self, nanoseconds):
        _library.vfiolab_advance(self._host, nanoseconds)

    @property
    def next_event(self):
        """Nanoseconds until something happens by itself; None: nothing will."""
        left = _library.vfiolab_next_event(self._host)
        return None if left == 2**64 - 1 else left

    @staticmethod
    def take_signals(eventfd):
        return _library.vfiolab_take_signals(eventfd)

    def take_faults(self):
        faults = []
        while True:
            fault = Fault()
            if _library.vfiolab_take_fault(self._host, ctypes.byref(fault)) == 0:
                return faults
            faults.append(fault)
