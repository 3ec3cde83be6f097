"""Tests of a driver in Python: pytest examples/python."""
import ctypes
import os
import random
import struct

import pytest
import vfiolab

# linux/vfio.h
SET_IOMMU, GROUP_SET_CONTAINER, GROUP_GET_DEVICE_FD = 0x3B66, 0x3B68, 0x3B6A
DEVICE_SET_IRQS, DEVICE_RESET, IOMMU_MAP_DMA = 0x3B6E, 0x3B6F, 0x3B71
TYPE1V2, CONFIG = 3, 7 << 40
EDU = "0000:01:00.0"


class Device:
    """A device that is opened by VFIO."""

    def __init__(self, kernel, bdf=EDU, group=1):
        self.kernel = kernel
        self.container = kernel.open("/dev/vfio/vfio")
        group = kernel.open(f"/dev/vfio/{group}")
        kernel.ioctl(group, GROUP_SET_CONTAINER, ctypes.c_int(self.container))
        kernel.ioctl(self.container, SET_IOMMU, TYPE1V2)
        self.fd = kernel.ioctl(group, GROUP_GET_DEVICE_FD, bdf.encode())
        kernel.pwrite(self.fd, struct.pack("<H", 6), CONFIG + 4)  # memory, bus mastering

    def load(self, offset):
        return struct.unpack("<I", self.kernel.pread(self.fd, 4, offset))[0]

    def store(self, offset, value):
        self.kernel.pwrite(self.fd, struct.pack("<I", value), offset)

    def map(self, memory, iova):
        argument = struct.pack("<IIQQQ", 32, 3, ctypes.addressof(memory), iova, len(memory))
        self.kernel.ioctl(self.container, IOMMU_MAP_DMA, argument)

    def interrupt(self, index):
        eventfd = os.eventfd(0, os.EFD_NONBLOCK)
        self.kernel.ioctl(self.fd, DEVICE_SET_IRQS, struct.pack("<IIIIIi", 24, 0x24, index, 0, 1, eventfd))
        return eventfd


@pytest.fixture
def edu():
    with vfiolab.Emulator(vfiolab.Topology({EDU: "edu"})) as kernel:
        yield Device(kernel)


def page_aligned(size):
    room = ctypes.create_string_buffer(size + 4096)
    memory = (ctypes.c_char * size).from_buffer(room, -ctypes.addressof(room) % 4096)
    memory.room = room
    return memory


def test_factorial(edu):
    edu.store(0x08, 6)
    while edu.load(0x20) & 1:
        edu.kernel.advance(1000)
    assert edu.load(0x08) == 720


def test_dma_and_interrupt(edu):
    memory = page_aligned(8192)
    memory[:1024] = data = random.randbytes(1024)
    edu.map(memory, 0x100000)
    done = edu.interrupt(0)
    for source, target, command in ((0x100000, 0x40000, 5), (0x40000, 0x101000, 7)):
        edu.store(0x80, source), edu.store(0x88, target), edu.store(0x90, 1024), edu.store(0x98, command)
        edu.kernel.advance(10**9)
        assert edu.kernel.take_signals(done) == 1
        edu.store(0x64, 0x100)
        edu.kernel.ioctl(edu.fd, DEVICE_SET_IRQS, struct.pack("<IIIIIB", 21, 0x12, 0, 0, 1, 1))  # unmask
    assert memory[4096:5120] == data


def test_a_dma_that_the_iommu_stops(edu):
    edu.store(0x80, 0x100000), edu.store(0x88, 0x40000), edu.store(0x90, 64), edu.store(0x98, 1)
    edu.kernel.advance(10**9)
    (fault,) = edu.kernel.take_faults()
    assert (fault.device, fault.iova, fault.is_write) == (EDU, 0x100000, 0)


def test_errors_are_those_of_the_kernel(edu):
    with pytest.raises(OSError) as error:
        edu.kernel.open("/dev/vfio/1")
    assert error.value.errno == 16  # EBUSY


def test_sysfs(edu):
    assert edu.kernel.read_file(f"/sys/bus/pci/devices/{EDU}/device") == "0x11e8\n"
    assert edu.kernel.readlink(f"/sys/bus/pci/devices/{EDU}/iommu_group").endswith("/1")
    assert edu.kernel.listdir("/dev/vfio") == ["1", "vfio"]


def test_a_topology_with_mistakes():
    with pytest.raises(vfiolab.TopologyError, match="edo"):
        vfiolab.Emulator(vfiolab.Topology({EDU: "edo"}))


class Doubler(vfiolab.Model):
    """Doubles a number some time after it was written, and sends a message."""

    name, vendor_id, device_id, msi_vectors, express = "doubler", 0x1AF4, 0x10AE, 1, True
    bars = {0: vfiolab.Bar(16), 2: vfiolab.Bar(4096, vfiolab.BAR_MEMORY)}
    parameters = {"delay": (1000, 1, 10**9)}

    def __init__(self):
        self.value = 0

    def reset(self):
        self.value = 0

    def read(self, bar, offset, size):
        return self.value if offset == 0 else 0

    def write(self, bar, offset, value, size):
        def due():
            self.value = 2 * value
            self.memory(2)[0:4] = struct.pack("<I", self.value)
            self.signal_msi()

        if offset == 0:
            self.after(self.parameter("delay"), due)


def test_a_model_in_python():
    machine = vfiolab.Topology({EDU: {"model": "doubler", "params": {"delay": 5000}}})
    with vfiolab.Emulator(machine, models=[Doubler]) as kernel:
        device = Device(kernel)
        done = device.interrupt(1)
        device.store(0, 21)
        kernel.advance(4999)
        assert (device.load(0), kernel.take_signals(done)) == (0, 0)
        kernel.advance(1)
        assert (device.load(0), kernel.take_signals(done)) == (42, 1)
        assert kernel.pread(device.fd, 4, 2 << 40) == struct.pack("<I", 42)
        kernel.ioctl(device.fd, DEVICE_RESET)
        assert device.load(0) == 0
