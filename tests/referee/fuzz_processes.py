"""Moves on processes and descriptors, and the end of a trace."""
from dataclasses import replace

from fuzz_state import Container, Event, Process, drop, given


def fork(w):
    if len(w.machine.processes) >= 3 or w.chance(0.5):
        return False
    fork_of(w, w.pick(w.machine.processes.values()))


def fork_of(w, parent):
    name = w.name("p")
    w.say(parent, f"fork {name}")
    child = Process(name)
    child.files, child.limited = dict(parent.files), parent.limited
    child.closed = list(parent.closed)
    for thing in child.files.values():
        thing.refs += 1
    for word, memory in parent.memory.items():
        # Private memory is a copy; DMA goes to the pages of the process that mapped it.
        child.memory[word] = replace(memory) if memory.kind == "private" else memory
        if memory.file:
            memory.file.refs += 1
    w.machine.processes[name] = child
    return child


def end(w):
    children = [p for p in w.machine.processes.values() if p.name != "main"]
    if not children or w.chance(0.5):
        return False
    process = w.pick(children)
    if w.chance(0.5):
        w.say(process, "exit")
    else:
        other = w.pick([p for p in w.machine.processes.values() if p is not process])
        w.say(other, f"kill {process.name}")
    forget(w, process)


def forget(w, process):
    """Pages of a process that is gone stay pinned, but nobody can look at them."""
    gone = list(process.memory.values())
    for _, _, container in w.machine.every("container"):
        for mapping in container.maps.values():
            if any(mapping.memory is memory for memory in gone):
                mapping.memory = None
    w.machine.end(process)


def hand_over(w):
    processes = list(w.machine.processes.values())
    givers = [p for p in processes if p.files]
    if len(processes) < 2 or not givers:
        return False
    giver = w.pick(givers)
    taker = w.pick([p for p in processes if p is not giver])
    name = w.pick(giver.files)
    given = w.name(name[0])
    w.say(giver, f"pass {name} {taker.name} {given}")
    w.keep(taker, given, giver.files[name])


def duplicate(w):
    found = w.pick([f for kind in ("container", "group", "device", "event")
                    for f in w.machine.every(kind)])
    if not found or len(found[0].files) > 24:
        return False
    process, name, thing = found
    copy = w.name(name[0])
    w.say(process, f"{copy} = dup {name}")
    w.keep(process, copy, thing)


def reopen(w):
    """Through /proc: of containers that is another one, of others an error."""
    kind = w.weighted([("container", 4), ("group", 1), ("device", 1)])
    found = w.file_of(kind)
    if not found or len(w.machine.every("container")) >= 4:
        return False
    process, name, _ = found
    if kind != "container":
        w.say(process, f"reopen {name}")
        return
    again = w.name("c")
    w.say(process, f"{again} = reopen {name}")
    w.keep(process, again, Container())


def close(w):
    kind = w.weighted([("container", 2), ("group", 2), ("device", 2), ("event", 1)])
    found = w.file_of(kind)
    if not found or (len(w.machine.every(kind)) < 2 and w.chance(0.7)):
        return False
    process, name, thing = found
    close_now(w, process, name, thing)


def close_now(w, process, name, thing):
    w.say(process, f"close {name}")
    del process.files[name]
    process.closed.append(name)
    drop(thing)


def new_event(w):
    if len(w.machine.every("event")) >= 8:
        return False
    process = w.pick(w.machine.processes.values())
    make_event(w, process)


def make_event(w, process):
    name = w.name("e")
    count = w.pick((0, 0, 0, 1, 5))
    w.say(process, f"{name} = eventfd {count}" if count else f"{name} = eventfd")
    w.keep(process, name, Event(count))
    return name


@given(lambda w: w.file_of("event"))
def use_event(w, process, name, _):
    w.say(process, w.weighted([(f"take {name}", 4), (f"signal {name} 1", 3),
                               (f"signal {name} 0xffffffffffffffff", 0.3)]))


def limit(w):
    """A child without the right to lock what it likes."""
    children = [p for p in w.machine.processes.values() if p.name != "main" and not p.limited]
    if not children or w.chance(0.6):
        return False
    process = w.pick(children)
    w.say(process, "drop CAP_IPC_LOCK")
    w.say(process, f"limit memlock {w.pick(('0', '0x2000', '0x8000'))}")
    process.limited = True


def closed_use(w):
    process = w.pick([p for p in w.machine.processes.values() if p.closed])
    if not process or w.chance(0.6):
        return False
    name = w.pick(process.closed)
    w.say(process, w.pick([f"close {name}", f"ioctl {name} VFIO_GET_API_VERSION", f"read {name} 8",
                           f"ioctl {name} VFIO_DEVICE_GET_INFO", f"x0 = dup {name}"]))


def finish(w):
    """Some traces take everything down by hand, in any order; the others just end."""
    if w.chance(0.7):
        return
    for process in list(w.machine.processes.values())[1:]:
        w.say(process, "exit")
        forget(w, process)
    main = w.machine.processes["main"]
    while main.files:
        name = w.pick(main.files)
        close_now(w, main, name, main.files[name])


MOVES = [(fork, 4), (end, 1.5), (hand_over, 4), (duplicate, 1.5), (reopen, 1), (close, 3), (new_event, 2),
         (use_event, 2), (limit, 0.7), (closed_use, 2)]
