"""Moves on containers and groups."""
from fuzz_state import Container, Device, DeviceFile, Group, given

WRONG_TOKEN = "00112233-4455-6677-8899-aabbccddeeff"
INFO_SIZES = (16, 20, 24, 40, 55, 56, 72, 87, 88, 119, 120, 121, 136, 256)


def group_weights(w, names):
    return [(name, w.machine.facts[name].weight) for name in names]


def make_container(w, process):
    name, mode = w.name("c"), w.weighted([("rw", 8), ("ro", 1), ("wo", 1)])
    w.say(process, f"{name} = open /dev/vfio/vfio {mode}")
    w.keep(process, name, Container())
    return name


def open_container(w):
    if len(w.machine.every("container")) >= 4:
        return False
    make_container(w, w.pick(w.machine.processes.values()))


def make_group(w, process, name):
    handle = w.name("g")
    w.say(process, f"{handle} = open /dev/vfio/{{{name}.group}} rw")
    group = Group(w.machine, name)
    w.machine.open_groups[name] = group
    w.keep(process, handle, group)
    return handle


def open_group(w):
    process = w.pick(w.machine.processes.values())
    closed = [name for name in w.machine.groups if name not in w.machine.open_groups]
    if w.wrong() and w.machine.open_groups:
        taken = w.pick(w.machine.open_groups)
        w.say(process, f"open /dev/vfio/{w.pick([f'{{{taken}.group}}', '999', '-1'])} rw")
    elif closed and len(w.machine.open_groups) < 5:
        make_group(w, process, w.weighted(group_weights(w, closed)))
    else:
        return False


def join(w, process, handle, container):
    """SET_CONTAINER that succeeds."""
    w.say(process, f"ioctl {handle} VFIO_GROUP_SET_CONTAINER fd={container}")
    group = process.files[handle]
    group.container = process.files[container]
    group.container.groups.append(group)


def choose_model(w, process, container, model):
    w.say(process, f"ioctl {container} VFIO_SET_IOMMU {model}")
    process.files[container].model = model


def set_up(w):
    """A container, a group and its devices, ready for use. Now and then a step is left out."""
    closed = [name for name in w.machine.groups if name not in w.machine.open_groups]
    if not closed:
        return False
    process = w.pick(w.machine.processes.values())
    usable = [n for n, t in process.files.items() if t.kind == "container"
              and t.model and not any(not m.valid for m in t.maps.values())]
    container = w.pick(usable) if usable and w.chance(0.3) else make_container(w, process)
    handle = make_group(w, process, w.weighted(group_weights(w, closed)))
    if w.chance(0.05):
        return None
    join(w, process, handle, container)
    if not process.files[container].model:
        choose_model(w, process, container, w.weighted([(3, 5), (1, 1)]))
    for name in w.machine.members(process.files[handle].name):
        if w.chance(0.9):
            make_device(w, process, handle, name)


def token_for(w, name):
    """What is written behind the device's name: a token where one is needed, or may be given."""
    facts, machine = w.machine.facts[name], w.machine
    if facts.has_token and (machine.virtual_function_open() or w.chance(0.8)):
        machine.token_given = True
    elif not facts.physical:
        return ""
    return f" vf_token={machine.token}"


def can_open(w, name):
    return w.machine.token_given or not w.machine.facts[name].physical


def make_device(w, process, handle, name):
    """GET_DEVICE_FD that succeeds, but for a virtual function whose token nobody has given. What a trace
    before may have left in an edu is taken back."""
    file = w.name("d")
    w.say(process, f'{file} = ioctl {handle} VFIO_GROUP_GET_DEVICE_FD "{{{name}}}{token_for(w, name)}"')
    if not can_open(w, name):
        return None
    first = name not in w.machine.open_devices
    device = w.machine.open_devices.setdefault(name, Device(name, w.machine.facts[name]))
    w.keep(process, file, DeviceFile(w.machine, device, process.files[handle]))
    if device.facts.edu and first:
        w.say(process, f"pwrite {file} 0:0x20 u32:0")
        w.say(process, f"pwrite {file} 0:0x64 u32:0xffffffff")
    return file


@given(lambda w: w.file_of("group"))
def get_device(w, process, handle, group):
    mine = w.machine.members(group.name)
    ready = group.container and group.container.model
    if ready and not w.wrong() and len(w.machine.every("device")) < 8:
        make_device(w, process, handle, w.pick(mine))
        return None
    name = w.pick(mine)
    texts = ["0000:00:1f.0", "0000:ff:00.0", "", f"{{{name}}}x", "nonsense", f"{{{name}}} x"]
    texts.append("{%s}" % w.pick([n for n in w.machine.facts if n not in mine]))
    if not ready:
        texts += [f"{{{name}}}"] * 4
    if not w.machine.facts[name].has_token or w.machine.virtual_function_open():
        texts += [f"{{{name}}} vf_token={WRONG_TOKEN}"] * 2
    word = w.pick([f'"{w.pick(texts)}"'] * 5 + ["at=bad", "at=null"])
    w.say(process, f"ioctl {handle} VFIO_GROUP_GET_DEVICE_FD {word}")


@given(lambda w: w.file_of("group"))
def set_container(w, process, handle, group):
    free = [name for name, thing in process.files.items() if thing.kind == "container"
            and all(m.valid for m in thing.maps.values())]
    if free and not group.container and not w.wrong():
        join(w, process, handle, w.pick(free))
    elif group.container or w.chance(0.5):
        word = f"fd={w.number_of_wrong_file(process, ['container'])}"
        if group.container and free and w.chance(0.6):
            word = f"fd={w.pick(free)}"
        w.say(process, f"ioctl {handle} VFIO_GROUP_SET_CONTAINER {word}")
    else:
        w.say(process, f"ioctl {handle} VFIO_GROUP_SET_CONTAINER at={w.pick(['bad', 'null'])}")


@given(lambda w: w.file_of("group"))
def unset_container(w, process, handle, group):
    free = group.container and not group.opens
    if not free and not w.chance(0.3):
        return False
    w.say(process, f"ioctl {handle} VFIO_GROUP_UNSET_CONTAINER")
    if free:
        group.container.leave(group)


@given(lambda w: w.file_of("container"))
def set_iommu(w, process, handle, container):
    if container.groups and not container.model and not w.wrong():
        choose_model(w, process, handle, w.pick((3, 3, 1)))
    elif container.groups and not container.model:
        w.say(process, f"ioctl {handle} VFIO_SET_IOMMU {w.pick((0, 2, 4, 6, 8, 9, 10, -1))}")
    elif w.chance(0.3):
        w.say(process, f"ioctl {handle} VFIO_SET_IOMMU {w.pick((1, 3, 0))}")
    else:
        return False


@given(lambda w: w.file_of("container"))
def ask_container(w, process, handle, container):
    word = w.pick(["VFIO_GET_API_VERSION", "info", "info"]
                  + [f"VFIO_CHECK_EXTENSION {w.pick((*range(12), -1, 0x100000001))}"] * 3)
    if word == "info" and not container.model and not w.chance(0.3):
        return False
    if word == "info":
        size = f" argsz={w.pick(INFO_SIZES)}" if w.chance(0.8) else ""
        word = "VFIO_IOMMU_GET_INFO" + (w.spoiled(16, True) or size)
    w.say(process, f"ioctl {handle} {word}")


def ask_group(w):
    found = w.file_of("group")
    if not found:
        return False
    words = w.spoiled(8, True) or w.pick(["", "", " argsz=9", " argsz=64", " flags=0xff"])
    w.say(found[0], f"ioctl {found[1]} VFIO_GROUP_GET_STATUS{words}")


@given(lambda w: w.pick(w.machine.every("container") + w.machine.every("group")
                   + w.machine.every("device") + w.machine.every("event")))
def wrong_kind(w, process, handle, thing):
    """A command that is not for this kind of file; all of them change nothing."""
    commands = {"container": ["VFIO_GROUP_GET_STATUS", "VFIO_DEVICE_GET_INFO", "VFIO_IOMMU_ENABLE"],
                "group": ["VFIO_GET_API_VERSION", "VFIO_IOMMU_GET_INFO", "VFIO_DEVICE_RESET"],
                "device": ["VFIO_GET_API_VERSION", "VFIO_GROUP_GET_STATUS",
                           "VFIO_DEVICE_ATTACH_IOMMUFD_PT pt_id=1", "VFIO_DEVICE_QUERY_GFX_PLANE",
                           "VFIO_DEVICE_GET_GFX_DMABUF", "VFIO_DEVICE_DETACH_IOMMUFD_PT"],
                "event": ["VFIO_GET_API_VERSION", "VFIO_DEVICE_GET_INFO"]}[thing.kind]
    command = w.pick(commands + ["0x3b00", "0x3bff null", "0x3b7b bad", "0x40085a01 bad", "0xc0105a02 null"])
    w.say(process, f"ioctl {handle} {command}")


@given(lambda w: w.pick(w.machine.every("container") + w.machine.every("group")))
def plain_calls(w, process, handle, _):
    """read, write, lseek and mmap on files that have none of them, and closed descriptors."""
    target = w.pick([handle] * 4 + process.closed[-3:])
    w.say(process, w.pick([f"read {target} 8", f"write {target} u64:1", f"pread {target} 7:0 4",
                           f"read {target} 8 at=bad", f"write {target} u64:1 at=null",
                           f"m0 = mmap {target} 0 0x1000 rw shared", f"pwrite {target} 0 u32:1",
                           f"ioctl {target} VFIO_GET_API_VERSION"]))


MOVES = [(open_container, 2), (open_group, 3), (get_device, 4), (set_container, 4),
         (unset_container, 4), (set_iommu, 4), (ask_container, 5), (ask_group, 4),
         (wrong_kind, 3), (plain_calls, 2), (set_up, 3)]
