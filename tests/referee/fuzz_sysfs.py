"""Moves on /sys: drivers of devices, resets, what is written there by mistake.

The kernel keeps what is written, for the next traces of its boot too: each move leaves all as it was.
"""
from fuzz_processes import close_now, fork_of
from fuzz_state import REQ, given

DRIVER = "/sys/bus/pci/drivers/vfio-pci"


def other_driver(w):
    return f"/sys/bus/pci/drivers/{w.pick((*w.machine.drivers, 'no-such-driver'))}"


def path(name, file):
    return f"/sys/bus/pci/devices/{{{name}}}/{file}"


def unused(w):
    """A device that can change drivers: nobody has it or its group open, and none depends on it."""
    return w.pick([name for name, facts in w.machine.facts.items()
                   if facts.group not in w.machine.open_groups and not facts.has_token])


def some_process(w):
    return w.pick(w.machine.processes.values())


def look(w):
    """What can be read of a device."""
    process, name = some_process(w), w.pick(w.machine.facts)
    files = ("vendor", "device", "class", "revision", "subsystem_vendor", "subsystem_device", "modalias",
             "driver_override", "reset_method", "sriov_numvfs", "reset", "remove")
    links = ("driver", "iommu_group", "subsystem", "physfn", "virtfn0")
    word = w.pick([f"cat {path(name, file)}" for file in files] + [f"link {path(name, link)}" for link in links])
    w.say(process, word)


def rebind(w):
    """Takes a device from vfio-pci and gives it back, by one way or another."""
    name = unused(w)
    if not name:
        return False
    process = some_process(w)
    w.say(process, f"echo {DRIVER}/unbind {{{name}}}")
    if w.chance(0.4):
        w.say(process, w.pick((f"echo {DRIVER}/unbind {{{name}}}", f"link {path(name, 'driver')}",
                               f"open /dev/vfio/{{{w.machine.facts[name].group}.group}} rw",
                               f"echo {other_driver(w)}/bind {{{name}}}")))
    if w.chance(0.4):
        w.say(process, f"echo {path(name, 'driver_override')} {w.pick(('no-such-driver', 'pci-stub'))}")
        w.say(process, f"echo {DRIVER}/bind {{{name}}}")
        w.say(process, f"cat {path(name, 'driver_override')}")
        w.say(process, f"echo {path(name, 'driver_override')} vfio-pci")
    w.say(process, w.pick((f"echo {DRIVER}/bind {{{name}}}", f"echo /sys/bus/pci/drivers_probe {{{name}}}")))
    if w.chance(0.3):
        w.say(process, f"link {path(name, 'driver')}")


def only_file(w):
    """(process, name, file) of a device that one descriptor of one process holds open, and its group too."""
    files = []
    for process, name, file in w.machine.every("device"):
        group = file.group
        handles = [n for n, thing in process.files.items() if thing is group]
        alone = file.refs == 1 and file.device.files == 1 and group.opens == 1
        if (alone and len(handles) == 1 and group.refs == 2 and not file.device.facts.has_token
                and REQ not in file.device.single):
            files.append((process, name, file))
    return w.pick(files)


@given(only_file)
def unbind_open(w, process, name, file):
    """Unbind waits until the device is closed; its group is gone then."""
    if len(w.machine.processes) >= 3 or w.chance(0.5):
        return False
    device, group = file.device.name, file.group
    handle = next(n for n, thing in process.files.items() if thing is group)
    child = fork_of(w, process)
    for copy in (name, handle):
        close_now(w, child, copy, file if copy == name else group)
    w.say(child, f"later echo {DRIVER}/unbind {{{device}}}")
    w.say(process, f"pread {name} 7:0x0 u32")
    close_now(w, process, name, file)
    w.say(process, f"finish {child.name}")
    w.say(process, f"ioctl {handle} VFIO_GROUP_GET_STATUS")
    close_now(w, process, handle, group)
    w.say(process, f"echo {DRIVER}/bind {{{device}}}")


def reset(w):
    process, name = some_process(w), w.pick(w.machine.facts)
    text = "1" if not w.wrong() else w.pick(("0", "2", "x", "1x", "0x1"))
    w.say(process, f"echo {path(name, 'reset')} {text}")


def reset_method(w):
    process, name = some_process(w), w.pick(w.machine.facts)
    if not w.machine.facts[name].can_reset:
        w.say(process, f"cat {path(name, 'reset_method')}")
        return
    w.say(process, f"echo {path(name, 'reset_method')} {w.pick(('flr', 'bus', 'x', 'pm'))}")
    w.say(process, f"cat {path(name, 'reset_method')}")
    w.say(process, f"echo {path(name, 'reset_method')} default")


def ids(w):
    """An id that no device has, given and taken back."""
    process, text = some_process(w), f'"ffff {w.random.randrange(1, 0xfff0):04x}"'
    words = [f"echo {DRIVER}/new_id {text}", f"echo {DRIVER}/remove_id {text}"]
    if w.wrong():
        words.insert(w.random.randrange(3), w.pick((f"echo {DRIVER}/new_id x", f"echo {DRIVER}/remove_id ffff",
                                                    f"echo {DRIVER}/remove_id {text}")))
    for word in words:
        w.say(process, word)


def mistake(w):
    """Writes that are refused and change nothing."""
    process, name = some_process(w), w.pick(w.machine.facts)
    w.say(process, w.pick((f"echo {DRIVER}/bind {{{name}}}", f"echo {DRIVER}/unbind 0000:00:1e.7",
                           f"echo {DRIVER}/bind x", f"echo {other_driver(w)}/unbind {{{name}}}",
                           f"echo /sys/bus/pci/drivers_probe {{{name}}}", "echo /sys/bus/pci/drivers_probe x",
                           f"echo {path(name, 'remove')} 0", "echo /sys/bus/pci/rescan 0",
                           f"echo {path(name, 'vendor')} 1", f"echo {path(name, 'sriov_numvfs')} x",
                           f"cat {DRIVER}/bind")))


MOVES = [(look, 2), (rebind, 1), (unbind_open, 1.5), (reset, 0.7), (reset_method, 0.5), (ids, 0.5), (mistake, 1)]
