"""What a generated trace has made so far: enough of VFIO's rules to know what would succeed."""
import functools
from dataclasses import dataclass, field

INTX, MSI, MSIX, ERR, REQ = range(5)


def given(find):
    """Makes a move of a function that needs what `find` picks: a process, a name, a thing. Where
    there is none the move cannot be made."""
    def decorate(move):
        @functools.wraps(move)
        def attempt(w):
            found = find(w)
            return move(w, *found) if found else False
        return attempt
    return decorate


@dataclass(frozen=True)
class Facts:
    """A device of machine `referee`, as a client can know it."""
    group: str
    bars: dict                  # index: (size, "memory" | "io")
    irqs: tuple                 # vectors of INTx, MSI and MSI-X
    config: int = 256
    edu: bool = False
    memory_bar: int = -1        # the BAR that is memory
    can_reset: bool = False
    bus_reset: bool = False
    capabilities: dict = field(default_factory=dict)
    weight: int = 1


EDU_BARS = {0: (0x100000, "memory")}
DEVICES = {
    "edu": Facts("edu", EDU_BARS, (1, 1, 0), edu=True, capabilities={"msi": 0x40}, weight=6),
    "edu2": Facts("edu2", EDU_BARS, (1, 1, 0), edu=True, capabilities={"msi": 0x40}, weight=4),
    "testdev": Facts("testdev", {0: (0x1000, "memory"), 1: (0x100, "io"), 2: (0x10000, "memory")},
                     (0, 0, 0), memory_bar=2, weight=4),
    "intx": Facts("intx", {0: (0x20000, "memory"), 1: (0x40, "io")}, (1, 0, 0), weight=2),
    "msix": Facts("msix", {0: (0x2000, "memory"), 1: (0x1000, "memory")}, (0, 0, 4),
                  capabilities={"msix": 0x40}, weight=2),
    "nic": Facts("nic", {0: (0x20000, "memory"), 1: (0x20000, "memory"), 2: (0x20, "io"),
                         3: (0x4000, "memory")}, (1, 1, 5), config=4096, can_reset=True,
                 bus_reset=True, capabilities={"msi": 0xd0, "msix": 0xa0, "pm": 0xc8, "exp": 0xe0}),
    "nvme": Facts("nvme", {0: (0x4000, "memory")}, (1, 0, 65), config=4096, can_reset=True,
                  bus_reset=True, capabilities={"msix": 0x40, "pm": 0x60, "exp": 0x80}),
    "shared1": Facts("shared1", EDU_BARS, (1, 1, 0), edu=True, bus_reset=True,
                     capabilities={"msi": 0x40}, weight=2),
    "shared2": Facts("shared1", {0: (0x1000, "memory"), 1: (0x100, "io"), 2: (0x1000, "memory")},
                     (0, 0, 0), memory_bar=2, bus_reset=True, weight=2),
}
APERTURE = (1 << 39) - 1
MSI_WINDOW = (0xfee00000, 0xfeefffff)


class Thing:
    """An open file; `refs` counts descriptors and mappings of all processes."""
    kind = "event"

    def __init__(self):
        self.refs = 0

    def released(self):
        """The last reference is gone."""


class Event(Thing):
    def __init__(self, count=0):
        super().__init__()
        self.count = count


@dataclass
class Mapping:
    iova: int
    size: int
    flags: int
    memory: object
    offset: int
    valid: bool = True

    @property
    def last(self):
        return self.iova + self.size - 1


class Container(Thing):
    kind = "container"

    def __init__(self):
        super().__init__()
        self.model = 0          # 1 or 3 once SET_IOMMU was done
        self.groups = []
        self.maps = {}
        self.tracking = False

    def leave(self, group):
        self.groups.remove(group)
        group.container = None
        if not self.groups:
            self.model, self.maps, self.tracking = 0, {}, False

    def overlaps(self, iova, size):
        return [m for m in self.maps.values() if m.iova <= iova + size - 1 and m.last >= iova]

    def free(self, iova, size):
        inside = iova + size - 1 <= APERTURE
        outside = iova > MSI_WINDOW[1] or iova + size - 1 < MSI_WINDOW[0]
        return inside and outside and not self.overlaps(iova, size)


class Group(Thing):
    """An opened group file: at most one of each group exists at a time."""
    kind = "group"

    def __init__(self, machine, name):
        super().__init__()
        self.machine, self.name, self.container = machine, name, None
        self.opens = 0          # of its devices

    def released(self):
        if self.container:
            self.container.leave(self)
        del self.machine.open_groups[self.name]


class Device:
    """A device while it is open; the last close forgets all of it."""

    def __init__(self, name):
        self.name, self.facts, self.files = name, DEVICES[name], 0
        self.irq, self.vectors = None, {}       # the enabled index, and eventfds by vector
        self.single = {}                        # eventfds of ERR and REQ
        self.unmask_fd = False
        self.command = 2
        self.buffer = []                        # ranges of an edu's buffer that DMA filled
        self.ioeventfds = []
        self.sleeping = False

    @property
    def memory_on(self):
        return bool(self.command & 2) and not self.sleeping


class DeviceFile(Thing):
    kind = "device"

    def __init__(self, machine, device, group):
        super().__init__()
        self.machine, self.device, self.group = machine, device, group
        device.files += 1
        group.refs += 1
        group.opens += 1

    def released(self):
        self.device.files -= 1
        if self.device.files == 0:
            del self.machine.open_devices[self.device.name]
        self.group.opens -= 1
        drop(self.group)


@dataclass
class Memory:
    size: int
    protection: str
    kind: str               # private, shared, memfd, or bar
    file: object = None     # the device file behind a bar
    offset: int = 0
    whole: bool = True      # nothing of it was unmapped or protected


class Process:
    def __init__(self, name):
        self.name, self.files, self.memory = name, {}, {}
        self.closed, self.gone = [], []
        self.limited = False


class Machine:
    def __init__(self):
        self.processes = {"main": Process("main")}
        self.open_groups, self.open_devices = {}, {}

    def every(self, kind):
        """(process, name, thing) of all descriptors of a kind, in the order they were made."""
        return [(process, name, thing) for process in self.processes.values()
                for name, thing in process.files.items() if thing.kind == kind]

    def every_memory(self, kinds):
        return [(process, name, memory) for process in self.processes.values()
                for name, memory in process.memory.items() if memory.kind in kinds]

    def end(self, process):
        del self.processes[process.name]
        for thing in list(process.files.values()):
            drop(thing)
        for memory in process.memory.values():
            if memory.file:
                drop(memory.file)


def drop(thing):
    thing.refs -= 1
    if thing.refs == 0:
        thing.released()
