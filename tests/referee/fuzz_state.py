"""What a generated trace has made so far: enough of VFIO's rules to know what would succeed."""
import functools
from dataclasses import dataclass

from fuzz_facts import DRIVERS, MACHINES

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

    def __init__(self, name, facts):
        self.name, self.facts, self.files = name, facts, 0
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
    def __init__(self, name, token):
        self.facts, self.drivers = MACHINES[name], DRIVERS[name]
        self.groups = list(dict.fromkeys(facts.group for facts in self.facts.values()))
        # Of its own for each trace: physical functions keep theirs. `token_given`: this one is it.
        self.token, self.token_given = token, False
        self.processes = {"main": Process("main")}
        self.open_groups, self.open_devices = {}, {}

    def members(self, group):
        return [name for name, facts in self.facts.items() if facts.group == group]

    def virtual_function_open(self):
        return any(device.facts.physical for device in self.open_devices.values())

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
