"""Moves on interrupts: SET_IRQS in all its forms, real interrupts of edu devices, ioeventfds."""
from fuzz_processes import make_event
from fuzz_state import ERR, INTX, MSI, MSIX, REQ, given

NONE, BOOL, EVENTFD, MASK, UNMASK, TRIGGER = (1 << n for n in range(6))
HOSTILE_COUNTS = (0x7fffffff, 0xffffffff, 1000, 0x100)


def event_of(w, process):
    names = [n for n, t in process.files.items() if t.kind == "event"]
    return w.pick(names) if names and w.chance(0.7) else make_event(w, process)


def set_irqs(w, process, handle, flags, index, start, count, data="", more=""):
    words = f" data={data}" if data else ""
    w.say(process, f"ioctl {handle} VFIO_DEVICE_SET_IRQS flags={flags} index={index} "
                   f"start={start} count={count}{words}{more}")


def device_with_irqs(w):
    return w.pick([f for f in w.machine.every("device") if any(f[2].device.facts.irqs)])


@given(device_with_irqs)
def enable(w, process, handle, file):
    """Eventfds for INTx, MSI or MSI-X, as far as the device has them."""
    device = file.device
    if device.irq is not None and not w.chance(0.4):
        return False
    index = device.irq if device.irq is not None else w.pick(
        [i for i in (INTX, MSI, MSI, MSIX) if i < 3 and device.facts.irqs[i]])
    limit = len(device.vectors) if device.irq == MSI else device.facts.irqs[index]
    start = 0 if index != MSIX or w.chance(0.7) else w.random.randrange(limit)
    count = min(w.pick((1, 1, 2, 3)), limit - start)
    events = [event_of(w, process) for _ in range(count)]
    if count > 1 and w.chance(0.3):
        events[0] = "-1"
    if w.wrong():
        return enable_wrong(w, process, handle, index, start, events)
    set_irqs(w, process, handle, EVENTFD | TRIGGER, index, start, count, f"[{' '.join(events)}]")
    device.irq = index
    for at, event in enumerate(events):
        device.vectors[start + at] = process.files.get(event)


def enable_wrong(w, process, handle, index, start, events):
    data, flags, count, more = list(events), EVENTFD | TRIGGER, len(events), ""
    which = w.pick(["index", "count", "fd", "short", "words", "flags"])
    if which == "index":
        index = w.pick((5, 7, 0xffffffff))
    elif which == "count":
        count = w.pick(HOSTILE_COUNTS)
    elif which == "fd":
        data[-1] = w.number_of_wrong_file(process, ["event"]).replace("-1", "999")
    elif which == "short":
        more = f" argsz={20 + 4 * count - 1}"
    elif which == "words":
        more = w.pick((" argsz=19", " room=19", " room=20", " at=bad", " at=null"))
    else:
        flags = w.pick((EVENTFD, TRIGGER, EVENTFD | BOOL | TRIGGER, EVENTFD | TRIGGER | 64,
                        EVENTFD | TRIGGER | MASK, 0))
    set_irqs(w, process, handle, flags, index, start, count, f"[{' '.join(data)}]", more)


def disable(w):
    found = w.pick([f for f in w.machine.every("device") if f[2].device.irq is not None])
    if not found or w.chance(0.4):
        return False
    process, handle, file = found
    set_irqs(w, process, handle, NONE | TRIGGER, file.device.irq, 0, 0)
    file.device.irq, file.device.vectors, file.device.unmask_fd = None, {}, False


@given(lambda w: w.pick([f for f in w.machine.every("device") if f[2].device.irq is not None]))
def loop_back(w, process, handle, file):
    """The client triggers its own interrupts, and sees them."""
    device = file.device
    vector = w.pick(device.vectors)
    if w.chance(0.5):
        set_irqs(w, process, handle, NONE | TRIGGER, device.irq, vector, 1)
    else:
        set_irqs(w, process, handle, BOOL | TRIGGER, device.irq, vector, 1, f"u8:{w.pick((1, 1, 0))}")
    take_all(w, process, device)


def take_all(w, process, device):
    events = list(device.vectors.values()) + list(device.single.values())
    for name, thing in list(process.files.items()):
        if any(thing is event for event in events) and w.chance(0.7):
            w.say(process, f"take {name}")


@given(device_with_irqs)
def mask(w, process, handle, file):
    """Masking is INTx's alone."""
    device = file.device
    if device.irq != INTX and not w.chance(0.25):
        return False
    index = INTX if device.irq == INTX else w.random.randrange(5)
    action = w.pick((MASK, UNMASK))
    data, word = w.pick(((NONE, ""), (NONE, ""), (BOOL, "u8:1"), (BOOL, "u8:0"), (EVENTFD, "[-1]")))
    if data == EVENTFD and action == UNMASK and not device.unmask_fd and w.chance(0.7):
        event = event_of(w, process)
        # One that also is the trigger would signal itself for ever: who looks meanwhile sees it by chance.
        if any(process.files[event] is trigger for trigger in device.vectors.values()):
            return False
        word, device.unmask_fd = f"[{event}]", device.irq == INTX
    elif data == EVENTFD and action == UNMASK:
        device.unmask_fd = False
    count = 1 if w.chance(0.85) else w.pick((0, 2, 0xffffffff))
    set_irqs(w, process, handle, data | action, index, 0, count, word)


@given(lambda w: w.file_of("device"))
def single(w, process, handle, file):
    """ERR and REQ: nobody but the client signals them here."""
    index, device = w.pick((ERR, REQ)), file.device
    if index not in device.single and not w.wrong():
        event = event_of(w, process)
        set_irqs(w, process, handle, EVENTFD | TRIGGER, index, 0, 1, f"[{event}]")
        device.single[index] = process.files[event]
        return
    data, count, word = w.pick(((NONE, 1, ""), (BOOL, 1, "u8:1"), (BOOL, 1, "u8:0"), (NONE, 0, ""),
                                (EVENTFD, 1, "[-1]"), (EVENTFD, 1, "[-2]"), (EVENTFD, 0, ""),
                                (NONE, 2, ""), (BOOL, 0, "")))
    set_irqs(w, process, handle, data | TRIGGER, index, 0, count, word)
    if (data, count) in ((NONE, 0), (EVENTFD, 1)) and word != "[-2]":
        device.single.pop(index, None)
    take_all(w, process, device)


@given(lambda w: w.file_of("device"))
def garbage(w, process, handle, _):
    """SET_IRQS with random fields, of which none can make an eventfd known."""
    flags = w.pick((0, 7, 0x38, 0x21, 0x22, 0x24, 0x40, 0x3f, 0x29, 0x31, 0x12, 0xa))
    index = w.pick((0, 1, 2, 3, 4, 5))
    start, count = w.pick(((0, 2), (1, 1), (0, 0xffffffff), (0xffffffff, 1), (3, 0), (100, 1)))
    set_irqs(w, process, handle, flags, index, start, count, w.pick(("", "zero:4", "[-1 -1]")))


@given(lambda w: w.pick([f for f in w.machine.every("device") if f[2].device.facts.edu
                    and f[2].device.memory_on and f[2].device.irq is not None]))
def interrupt(w, process, handle, file):
    """An interrupt of an edu from raising to acknowledging: nothing else happens in between, so
    that a level that stays up disturbs nobody."""
    device = file.device
    if device.irq == MSI and not device.command & 4:
        device.command |= 4
        w.say(process, f"pwrite {handle} 7:4 u16:{device.command:#x}")
    w.say(process, f"pwrite {handle} 0:0x60 u32:{w.pick((1, 2, 0x80, 0x101)):#x}")
    w.say(process, "settle")
    take_all(w, process, device)
    if device.irq == INTX:
        while_raised(w, process, handle, device)
    w.say(process, f"pread {handle} 0:0x24 u32")
    w.say(process, f"pwrite {handle} 0:0x64 u32:0xffffffff")
    if device.irq == INTX:
        set_irqs(w, process, handle, NONE | UNMASK, INTX, 0, 1)
    w.say(process, "settle")
    take_all(w, process, device)


def while_raised(w, process, handle, device):
    """INTx is level-triggered: what masking and the command register do to a level that is up."""
    what = w.pick(["", "unmask", "disable", "mask"])
    if what == "unmask":
        set_irqs(w, process, handle, NONE | UNMASK, INTX, 0, 1)
    elif what == "mask":
        set_irqs(w, process, handle, NONE | MASK, INTX, 0, 1)
    elif what == "disable":
        w.say(process, f"pwrite {handle} 7:4 u16:{device.command | 0x400:#x}")
        set_irqs(w, process, handle, NONE | UNMASK, INTX, 0, 1)
        w.say(process, f"pwrite {handle} 7:4 u16:{device.command & ~0x400:#x}")
        device.command &= ~0x400
    if what:
        w.say(process, "settle")
        take_all(w, process, device)


@given(lambda w: w.pick([f for f in w.machine.every("device")
                    if f[2].device.facts.edu or f[2].device.facts.memory_bar >= 0]))
def ioeventfd(w, process, handle, file):
    """An eventfd that writes: to an edu's liveness register, which can be read, or to memory."""
    device = file.device
    bar, size, at = max(device.facts.memory_bar, 0), 4, 4
    if not device.facts.edu:
        size, at = w.pick((1, 2, 4, 8)), w.random.randrange(16) * 0x40 + 0x20
    if w.wrong() or not device.memory_on:
        flags, offset, fd = w.pick(((3, f"{bar}:0x0", -1), (0, f"{bar}:0x0", -1),
                                    (16, f"{bar}:0x0", -1), (4, "7:0x0", -1), (4, f"{bar}:0x0", -2),
                                    (4, f"{bar}:0x100000", -1), (4, f"{bar}:0xfffff", -1),
                                    (4, f"{bar}:0x0", -1), (4, "3:0x0", -1), (4, f"{bar}:0x0", 999)))
        w.say(process, f"ioctl {handle} VFIO_DEVICE_IOEVENTFD flags={flags} offset={offset} "
                       f"data=1 fd={fd}{w.spoiled(28)}")
        return
    event = make_event(w, process)
    words = f"flags={size} offset={bar}:{at:#x} data=0x5a"
    if device.facts.edu:
        w.say(process, f"pwrite {handle} 0:0x4 u32:0")
    w.say(process, f"ioctl {handle} VFIO_DEVICE_IOEVENTFD {words} fd={event}")
    w.say(process, f"signal {event} 1")
    w.say(process, "settle")
    if device.facts.edu:
        w.say(process, f"pread {handle} 0:0x4 u32")
    if w.chance(0.7):
        w.say(process, f"ioctl {handle} VFIO_DEVICE_IOEVENTFD {words} fd=-1")
    else:
        # As a trigger it would be empty again at once in the kernel, and a moment later in vfiolab.
        del process.files[event]


MOVES = [(enable, 7), (disable, 2), (loop_back, 4), (mask, 3), (single, 3), (garbage, 4),
         (interrupt, 4), (ioeventfd, 2)]
