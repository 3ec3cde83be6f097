"""Moves on devices: what they tell of themselves, config space, BARs, resets, features.

Registers are read only where all machines agree: an edu's, as far as this trace wrote them or they
never change. What pci-testdev's memory BAR holds is never looked at: older QEMUs drop what is written.
"""
from fuzz_state import Memory, drop, given

INFO_SIZES = (16, 17, 20, 23, 24, 40, 64)
REGION_SIZES = (32, 32, 33, 39, 40, 48, 64, 128)
GET, SET, PROBE = 1 << 16, 1 << 17, 1 << 18
PM_STATE = 4            # PMCSR in the power management capability


def any_device(w, test=lambda device: True):
    return w.pick([f for f in w.machine.every("device") if test(f[2].device)])


def info(w):
    found = any_device(w)
    if not found:
        return False
    size = f" argsz={w.pick(INFO_SIZES)}" if w.chance(0.6) else ""
    w.say(found[0], f"ioctl {found[1]} VFIO_DEVICE_GET_INFO{w.spoiled(16, True) or size}")


def region_info(w):
    found = any_device(w)
    if not found:
        return False
    index = w.weighted([(w.random.randrange(9), 8), (w.pick((8, 9, 10, 0xffffffff)), 1.5)])
    size = f" argsz={w.pick(REGION_SIZES)}" if w.chance(0.6) else ""
    w.say(found[0], f"ioctl {found[1]} VFIO_DEVICE_GET_REGION_INFO index={index}"
                    f"{w.spoiled(32, True) or size}")


def irq_info(w):
    found = any_device(w)
    if not found:
        return False
    index = w.weighted([(w.random.randrange(5), 9), (w.pick((5, 6, 0xffffffff)), 1)])
    w.say(found[0], f"ioctl {found[1]} VFIO_DEVICE_GET_IRQ_INFO index={index}"
                    f"{w.spoiled(16, True)}")


@given(any_device)
def read_config(w, process, handle, file):
    size = file.device.facts.config
    if w.chance(0.12):
        at, count = w.pick(((size, 4), (size - 2, 4), (size - 1, 2), (0, size + 1), (0x2000, 1)))
    elif w.chance(0.15):
        at, count = w.pick((0, 0, 0x40, 0xff & size - 1, size - 64)), w.pick((0, 1, 64))
    else:
        spots = [0, 2, 4, 6, 8, 0xa, 0xc, 0xe, 0x10, 0x14, 0x18, 0x20, 0x24, 0x2c, 0x2e, 0x30, 0x34,
                 0x3c, 0x3d, *(cap + d for cap in file.device.facts.capabilities.values()
                               for d in (0, 2, 4, 8))]
        spots += [0x100, 0x140] if size > 256 else []
        at, count = w.pick(spots), w.pick(("u32", "u16", "u8", 4, 3, 8))
    more = w.pick((" at=bad", " at=null")) if w.chance(0.03) else ""
    w.say(process, f"pread {handle} 7:{at:#x} {count}{more}")


def config_writes(w, device):
    """(offset, bytes) that change nothing but what every client may change."""
    facts = device.facts
    writes = [(0x3c, "u8:0x5"), (0x0c, "u8:0x10"), (0x0d, "u8:0x40"), (0x00, "u32:0x12345678"),
              (0x08, "ones:4"), (0x2c, "ones:4"), (0x34, "u8:0x80"), (0x3d, "u8:2"),
              (0x0e, "u8:0xff"), (0x06, "u16:0xffff"), (0x30, "u32:0xfffff800")]
    writes += [(0x10 + 4 * bar, "u32:0xffffffff") for bar in range(6)]
    writes += [(0x10, "u16:0xffff"), (0x12, "u8:0xff")]
    cap = facts.capabilities.get("msi")
    if cap:
        writes += [(cap + 4, "u32:0xfee01000"), (cap + 2, "u16:1"), (cap + 2, "u16:0x70"),
                   (cap + 12, "u16:0x4041"), (cap, "u16:0")]
    if "msix" in facts.capabilities:
        writes += [(facts.capabilities["msix"] + 2, "u16:0x8000")]
    return writes


@given(any_device)
def write_config(w, process, handle, file):
    at, data = w.pick(config_writes(w, file.device))
    if w.chance(0.1):
        size = file.device.facts.config
        at, data = w.pick(((size, "u8:0"), (size - 2, "u32:0"), (0, "zero:300")))
        if at == 0 and size > 256:
            return False
    w.say(process, f"pwrite {handle} 7:{at:#x} {data}")
    if w.chance(0.6) and at < 0x100:
        w.say(process, f"pread {handle} 7:{at & ~3:#x} u32")


@given(any_device)
def command(w, process, handle, file):
    """The command register: memory on and off, bus master, INTx off."""
    device = file.device
    value = 0x2 if not device.memory_on and w.chance(0.7) else w.pick(
        (0x2, 0x6, 0x6, 0x402, 0x406, 0x0, 0x3, 0x7, 0xffff))
    w.say(process, f"pwrite {handle} 7:0x4 u16:{value:#x}")
    device.command = value
    if w.chance(0.5):
        w.say(process, f"pread {handle} 7:0x4 u16")


@given(lambda w: any_device(w, lambda device: "pm" in device.facts.capabilities))
def power(w, process, handle, file):
    """Sleeping and awakening by the power management capability."""
    at = file.device.facts.capabilities["pm"] + PM_STATE
    w.say(process, f"pwrite {handle} 7:{at:#x} u16:{w.pick((3, 3, 1, 2))}")
    w.say(process, f"pread {handle} 7:{at:#x} u16")
    w.say(process, f"pwrite {handle} 7:{at:#x} u16:0")
    w.say(process, f"pread {handle} 7:{at:#x} u16")


def wide_register(w, process, handle, at):
    """A register of eight bytes, whole and in parts. What it had from other traces is overwritten first."""
    w.say(process, f"pwrite {handle} 0:{at:#x} u64:{w.random.getrandbits(64):#x}")
    for _ in range(w.random.randrange(3)):
        bits = w.pick((8, 16, 32, 32, 64))
        part = w.random.randrange(8 * 8 // bits) * bits // 8
        w.say(process, f"pwrite {handle} 0:{at + part:#x} u{bits}:{w.random.getrandbits(bits):#x}")
    w.say(process, f"pread {handle} 0:{at:#x} u64")
    w.say(process, f"pread {handle} 0:{at + w.pick((0, 2, 4)):#x} {w.pick(('u8', 'u16', 'u32'))}")


@given(lambda w: any_device(w, lambda device: device.facts.edu))
def edu_registers(w, process, handle, file):
    if not file.device.memory_on:
        w.say(process, f"pread {handle} 0:0x0 u32")
        return None
    which = w.pick(["id", "liveness", "factorial", "status", "dma", "gap", "end", "beyond", "bad"])
    if which == "id":
        w.say(process, f"pread {handle} 0:0x0 u32")
    elif which == "liveness":
        w.say(process, f"pwrite {handle} 0:0x4 u32:{w.random.randrange(1 << 32):#x}")
        w.say(process, f"pread {handle} 0:0x4 u32")
    elif which == "factorial":
        w.say(process, f"pwrite {handle} 0:0x8 u32:{w.random.randrange(1, 12)}")
        w.say(process, f"until {handle} 0:0x20 u32 1 0")
        w.say(process, f"pread {handle} 0:0x8 u32")
    elif which == "status":
        w.say(process, f"pread {handle} 0:{w.pick((0x20, 0x24)):#x} u32")
    elif which == "dma":
        wide_register(w, process, handle, w.pick((0x80, 0x88, 0x90)))
    elif which == "gap":
        at = w.pick((0xc, 0x10, 0x28, 0x60, 0x64, 0x84, 0x8c, 0x94, 0x9c, 0xa0, 0x1000))
        w.say(process, f"pread {handle} 0:{at:#x} {w.pick(('u8', 'u16', 'u32'))}")
    elif which == "end":
        w.say(process, f"pread {handle} 0:0xffffc 8")
    elif which == "beyond":
        at, verb = w.pick(("0x100000", "0x100004", "0xffffffffff")), w.pick(("pread", "pwrite"))
        w.say(process, f"{verb} {handle} 0:{at} {'4' if verb == 'pread' else 'u32:0'}")
    else:
        w.say(process, w.pick((f"pread {handle} 0:0x0 4 at=bad", f"pwrite {handle} 0:0x4 u32:1 at=bad",
                               f"pread {handle} 0:0x0 0")))


@given(lambda w: any_device(w, lambda device: device.facts.memory_bar >= 0))
def memory_bar(w, process, handle, file):
    """Writes to a memory BAR, and reads that bring nothing."""
    device = file.device
    bar = device.facts.memory_bar
    size = device.facts.bars[bar][0]
    if w.chance(0.3):
        w.say(process, w.pick((f"pread {handle} {bar}:{size:#x} 4", f"pread {handle} {bar}:0x0 0",
                               f"pread {handle} {bar}:0x40 16 at=bad",
                               f"pwrite {handle} {bar}:{size:#x} u8:1")))
        return
    count = w.pick((1, 2, 4, 8, 16, 64))
    at = w.random.randrange(size // 64) * 64
    w.say(process, f"pwrite {handle} {bar}:{at:#x} {w.pick((f'seq:{count}', f'ones:{count}'))}")
    if w.chance(0.15):
        w.say(process, f"pwrite {handle} {bar}:{size - 4:#x} seq:8")


def some_place(w, device):
    """A region and an offset in it, mostly where something is."""
    bars = device.facts.bars
    if bars and w.chance(0.5):
        bar = w.pick(sorted(bars))
        size = bars[bar][0]
        return bar, w.pick((0, 0x10, size - 8, size - 4, size, size + 4))
    return w.pick((7, 7, 6, 8, 9)), w.pick((0, 4, 0x3c, 0xf8, 0xfc, 0x100, 0xff8, 0x1000))


def own_page(w, process, protection):
    """A buffer that no other move knows: what is read from registers of a replica says nothing."""
    memory = w.name("m")
    w.say(process, f"{memory} = map 0x1000 {protection}")
    return memory


@given(any_device)
def bad_buffer(w, process, handle, file):
    """A buffer that is not there, or not all of it, wherever the offset leads."""
    region, at = some_place(w, file.device)
    count = w.pick((1, 2, 4, 8, 16, 24))
    memory = own_page(w, process, w.pick(("rw", "rw", "r", "none")))
    buffer = w.pick(("bad", "null", f"{memory}+{0x1000 - w.pick((1, 2, 3, 4, 6, 8, 12)):#x}"))
    if w.chance(0.3):
        w.say(process, w.pick((f"read {handle} {count} at={buffer}", f"write {handle} zero:{count} at=bad")))
    else:
        w.say(process, f"pread {handle} {region}:{at:#x} {count} at={buffer}")


@given(any_device)
def parts(w, process, handle, file):
    """A buffer in parts: each is a read of its own."""
    region, at = some_place(w, file.device)
    sizes = [w.pick((0, 1, 2, 4, 4, 8)) for _ in range(w.random.randrange(1, 5))]
    buffer = w.pick((own_page(w, process, "rw"),) * 3 + ("bad",))
    where = f"read {handle}" if w.chance(0.3) else f"pread {handle} {region}:{at:#x}"
    w.say(process, f"{where} {sum(sizes)} parts={'+'.join(map(str, sizes))} at={buffer}")


@given(any_device)
def absent_region(w, process, handle, file):
    absent = [bar for bar in range(6) if bar not in file.device.facts.bars] + [6, 8, 9, 100]
    verb = w.pick(("pread", "pwrite"))
    w.say(process, f"{verb} {handle} {w.pick(absent)}:0x0 {'4' if verb == 'pread' else 'u32:0'}")


def map_bar(w):
    found = any_device(w)
    if not found or len(w.machine.every_memory(("bar",))) >= 4:
        return False
    process, handle, file = found
    bars = file.device.facts.bars
    good = [bar for bar, (size, kind) in bars.items() if kind == "memory" and size >= 0x1000]
    if not good:
        return False
    bar = w.pick(good)
    size = w.pick((0x1000, bars[bar][0]))
    if w.wrong():
        name, region, kind = "m0", f"{bar}:0x0", "shared"
        size, region, kind = w.pick(((size, region, "private"), (bars[bar][0] + 0x1000, region, kind),
                                     (0x1000, "7:0x0", kind), (0x1000, "6:0x0", kind),
                                     (0x1000, "9:0x0", kind), (0x1000, f"{bar}:{bars[bar][0]:#x}", kind),
                                     (0x1000, f"{bar}:0x800", kind)))
        w.say(process, f"{name} = mmap {handle} {region} {size:#x} rw {kind}")
        return
    name, protection = w.name("b"), w.pick(("rw", "rw", "r"))
    w.say(process, f"{name} = mmap {handle} {bar}:0x0 {size:#x} {protection} shared")
    file.refs += 1
    process.memory[name] = Memory(size, protection, "bar", file, bar)


@given(lambda w: w.pick(w.machine.every_memory(("bar",))))
def touch_bar(w, process, name, memory):
    device = memory.file.device
    if w.chance(0.15):
        w.say(process, f"unmap {name}")
        del process.memory[name]
        drop(memory.file)
    elif device.facts.edu:
        if memory.protection == "rw" and w.chance(0.5):
            w.say(process, f"store {name}+0x4 u32:{w.random.randrange(1 << 32):#x}")
            w.say(process, f"load {name}+0x4 u32")
        else:
            w.say(process, f"load {name} u32")
    elif memory.offset == device.facts.memory_bar:
        at = w.random.randrange(memory.size // 64) * 64
        w.say(process, f"store {name}+{at:#x} {w.pick(('u32:0xcafe', 'u64:1', 'seq:8'))}")
    else:
        return False


def reset(w):
    found = any_device(w)
    if not found or (found[2].device.facts.can_reset and w.chance(0.5)):
        return False
    w.say(found[0], f"ioctl {found[1]} VFIO_DEVICE_RESET")


@given(any_device)
def hot_reset(w, process, handle, file):
    if w.chance(0.6):
        size = w.pick((12, 12, 19, 20, 28, 36, 44, 128))
        w.say(process, f"ioctl {handle} VFIO_DEVICE_GET_PCI_HOT_RESET_INFO"
                       f"{w.spoiled(12) or f' argsz={size}'}")
        return
    groups = [n for n, t in process.files.items() if t.kind == "group"]
    mine = [n for n in groups if process.files[n] is file.group]
    given = w.pick([mine[:1]] * 4 + [groups[:2], ["-1"], [], [handle]])
    flags = w.pick(("", "", "", " flags=1"))
    count = len(given) if w.chance(0.85) else w.pick((0, 1, 2, 5, 0xffffffff))
    w.say(process, f"ioctl {handle} VFIO_DEVICE_PCI_HOT_RESET{flags} count={count} "
                   f"data=[{' '.join(given)}]")


@given(any_device)
def feature(w, process, handle, file):
    index = w.pick((0, 1, 2, 3, 3, 4, 5, 5, 6, 7, 8, 9, 10, 12, 13, 14, 0xffff))
    operation = w.pick((PROBE, PROBE | SET, PROBE | GET, PROBE | GET | SET, 0, GET, GET | SET))
    if w.chance(0.1):
        operation |= 1 << 19
    w.say(process, f"ioctl {handle} VFIO_DEVICE_FEATURE flags={operation | index:#x}"
                   f"{w.spoiled(8) or w.pick(('', ' data=zero:16'))}")


@given(lambda w: any_device(w, lambda device: device.facts.has_token))
def token(w, process, handle, _):
    """A physical function gets another token while it is open."""
    words = f" data=x:{w.machine.token.replace('-', '')}"
    spoil = w.pick((" argsz=23", " room=23", " at=bad")) if w.wrong() else ""
    w.say(process, f"ioctl {handle} VFIO_DEVICE_FEATURE flags={SET:#x}{words}{spoil}")
    if not spoil:
        w.machine.token_given = True


@given(any_device)
def dma_buf(w, process, handle, file):
    """A descriptor of a part of a BAR; it is closed at once."""
    bars = [(bar, size) for bar, (size, kind) in file.device.facts.bars.items() if kind == "memory"]
    bar, size = w.pick(bars)
    start = w.random.randrange(max(size // 0x1000, 1)) * 0x1000
    region, nonzero, count, length, more = bar, 0, 1, 0x1000, ""
    if w.wrong():
        which = w.pick(["region", "flags", "count", "length", "start", "words"])
        if which == "region":
            region = w.pick((5, 6, 7, 9, 0xffffffff))
        elif which == "flags":
            nonzero = w.pick((1, 0x80000000))
        elif which == "count":
            count = w.pick((0, 2, 3))
        elif which == "length":
            length = w.pick((0, 1, 0x800, 0x1001, size + 0x1000))
        elif which == "start":
            start = w.pick((1, 0x800, size, size - 0x800, 0xfffff000))
        else:
            more = w.pick((" argsz=23", " room=24", " at=bad", " argsz=8"))
    name = w.name("f")
    w.say(process, f"{name} = ioctl {handle} VFIO_DEVICE_FEATURE flags={GET | 11:#x} "
                   f"data=[{region} 0 {nonzero} {count} {start:#x} 0 {length:#x} 0]{more}")
    if (region, nonzero, count, length, more) == (bar, 0, 1, 0x1000, "") and start + length <= size:
        w.say(process, f"lseek {name} 0 {w.pick(('end', 'set'))}")
        w.say(process, f"close {name}")


@given(any_device)
def low_power(w, process, handle, _):
    entry, leave = SET | 3, SET | 5
    for flags in w.pick(((entry, leave), (entry, entry, leave), (leave,), (entry, PROBE | 5, leave))):
        w.say(process, f"ioctl {handle} VFIO_DEVICE_FEATURE flags={flags:#x}")


MOVES = [(info, 3), (region_info, 5), (irq_info, 4), (read_config, 6), (write_config, 4),
         (command, 3), (power, 0.7), (edu_registers, 4), (memory_bar, 4), (absent_region, 2), (bad_buffer, 3),
         (parts, 2),
         (map_bar, 3), (touch_bar, 4), (reset, 1), (hot_reset, 3), (feature, 4), (low_power, 0.7), (token, 1),
         (dma_buf, 2)]
