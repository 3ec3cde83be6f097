"""Moves on client memory, DMA mappings, dirty tracking and DMA itself."""
from fuzz_state import MSI_WINDOW, Mapping, Memory, given

PAGE = 0x1000
READ, WRITE, VADDR = 1, 2, 4
DIRTY, ALL = 1, 2
ORDINARY = ("private", "shared", "memfd")
# An edu device reaches 28 bits; the page before and behind the MSI window are good, too.
LOW = range(0x100000, 0x180000, PAGE)
FAR = (0, 0xfedff000, 0xfef00000, 0x100000000, 0x7ffffff000, 0x40000000)
BAD_IOVA = (MSI_WINDOW[0], MSI_WINDOW[1] - 0xfff, 0x8000000000, 0xfffffffffffff000, 0x100800, 1)
BAD_SIZES = (0, 0x800, 0xfff, 0x1001, 0xfffffffffffff000, 0x8000000000)


def make_memory(w, process):
    name = w.name("m")
    size = w.weighted([(PAGE, 3), (2 * PAGE, 3), (4 * PAGE, 4), (16 * PAGE, 1), (0x200000, 0.3)])
    protection = w.weighted([("rw", 8), ("r", 1), ("none", 0.5)])
    kind = w.weighted([("private", 4), ("shared", 2), ("memfd", 2)])
    w.say(process, f"{name} = map {size:#x} {protection} {kind}")
    process.memory[name] = Memory(size, protection, kind)
    return name


def new_memory(w):
    if len(w.machine.every_memory(ORDINARY)) >= 10:
        return False
    make_memory(w, w.pick(w.machine.processes.values()))


def driven(w):
    """A container that has an IOMMU, or None."""
    return w.pick([f for f in w.machine.every("container") if f[2].model])


def memory_of(w, process, usable=True):
    """A memory of the process, made when there is none; usable means that it can be pinned."""
    names = [name for name, m in process.memory.items() if m.kind in ORDINARY
             and (not usable or (m.whole and m.protection != "none"))]
    if names and w.chance(0.85):
        return w.pick(names)
    name = make_memory(w, process)
    return name if not usable or process.memory[name].protection != "none" else None


def part_of(w, memory):
    """(offset, size) of whole pages."""
    pages = memory.size // PAGE
    size = w.pick([1, 1, 2, pages, pages])
    size = min(size, pages)
    return w.random.randrange(pages - size + 1) * PAGE, size * PAGE


def address(name, offset):
    return f"{name}+{offset:#x}" if offset else name


def free_iova(w, container, size):
    for _ in range(8):
        iova = w.pick(FAR) if w.chance(0.12) else w.pick(LOW)
        if container.free(iova, size):
            return iova
    return None


@given(driven)
def map_dma(w, process, handle, container):
    name = memory_of(w, process)
    if not name:
        return False
    memory = process.memory[name]
    offset, size = part_of(w, memory)
    iova = free_iova(w, container, size)
    if iova is None:
        return False
    flags = READ if memory.protection == "r" else w.pick((READ | WRITE,) * 4 + (READ, WRITE))
    if w.wrong():
        return map_wrong(w, process, handle, container, (flags, name, offset, iova, size))
    say_map(w, process, handle, flags, address(name, offset), iova, size)
    if not process.limited:
        container.maps[iova] = Mapping(iova, size, flags, memory, offset)


def say_map(w, process, handle, flags, vaddr, iova, size, more=""):
    w.say(process, f"ioctl {handle} VFIO_IOMMU_MAP_DMA flags={flags} vaddr={vaddr} "
                   f"iova={iova:#x} size={size:#x}{more}")


def map_wrong(w, process, handle, container, good):
    """One field of a good mapping is spoiled."""
    flags, name, offset, iova, size = good
    vaddr, more = address(name, offset), ""
    which = w.pick(["flags", "vaddr", "iova", "size", "words", "exists", "protection"])
    if which == "flags":
        flags = w.pick((0, 8, 11, 7, 5, 4, 0x80000003))
    elif which == "vaddr":
        vaddr = w.pick(["bad", f"{name}+{process.memory[name].size:#x}", f"{name}-0x1000",
                        f"{name}+0x800", f"{name}+1", "-0x1000"])
    elif which == "iova":
        iova = w.pick(BAD_IOVA)
    elif which == "size":
        size = w.pick(BAD_SIZES)
    elif which == "exists" and container.maps:
        there = w.pick(container.maps.values())
        iova = w.pick([there.iova, there.last - 0xfff])
    elif which == "protection" and process.memory[name].protection == "r":
        flags = READ | WRITE
    else:
        more = w.pick((" argsz=31", " room=31", " at=bad", " at=null", " argsz=0"))
    say_map(w, process, handle, flags, vaddr, iova, size, more)


def unmapped(container, iova, size):
    """What UNMAP_DMA of the range removes, or None when it fails. Type 1 version 1 stops at a
    mapping that begins before the range, and takes one that ends behind it whole."""
    hit = sorted(container.overlaps(iova, size), key=lambda m: m.iova)
    if container.model == 1:
        return [] if hit and hit[0].iova < iova else hit
    bisected = any(m.iova < iova or m.last > iova + size - 1 for m in hit)
    return None if bisected else hit


@given(driven)
def unmap_dma(w, process, handle, container):
    if not container.maps or w.chance(0.15):
        return unmap_odd(w, process, handle, container)
    there = w.pick(container.maps.values())
    iova, size, more = there.iova, there.size, ""
    flags = w.weighted([(0, 5), (ALL, 0.7), (DIRTY, 1 if container.tracking else 0.2),
                        (VADDR, 1.5)])
    if flags == ALL:
        iova = size = 0
    elif w.wrong():
        iova, size, flags, more = unmap_wrong(w, iova, size, flags)
    if flags == DIRTY:
        more += dirty_words(w, process, size)
    w.say(process, f"ioctl {handle} VFIO_IOMMU_UNMAP_DMA flags={flags} iova={iova:#x} "
                   f"size={size:#x}{more}")
    if not more or flags == DIRTY and " at=" not in more and container.tracking:
        follow_unmap(container, iova, size, flags)


def unmap_wrong(w, iova, size, flags):
    which = w.pick(["size", "iova", "flags", "words", "half"])
    if which == "size":
        return iova, w.pick(BAD_SIZES), flags, ""
    if which == "iova":
        return w.pick(BAD_IOVA), size, flags, ""
    if which == "flags":
        return iova, size, w.pick((8, 3, 6, 5, 2, 0x100)), ""
    if which == "half":
        return iova + PAGE, max(size - PAGE, PAGE), flags, ""
    return iova, size, flags, w.pick((" argsz=23", " room=23", " at=bad", " at=null"))


def follow_unmap(container, iova, size, flags):
    """What the model knows after an unmap that may have failed."""
    if flags not in (0, DIRTY, ALL, VADDR) or (flags != ALL and (size <= 0 or size % PAGE)):
        return
    if iova % PAGE or iova + size > 1 << 64:
        return
    hit = list(container.maps.values()) if flags == ALL else unmapped(container, iova, size)
    if flags == VADDR:
        if hit and all(m.valid for m in hit):
            for mapping in hit:
                mapping.valid = False
    else:
        for mapping in hit or []:
            del container.maps[mapping.iova]


def unmap_odd(w, process, handle, container):
    """Where nothing is mapped, everything at once, or over several mappings."""
    iova, size = w.pick(((0x200000, PAGE), (LOW[0], 0x80000), (0, 0x100000), (LOW[0], 0x10000)))
    w.say(process, f"ioctl {handle} VFIO_IOMMU_UNMAP_DMA flags=0 iova={iova:#x} size={size:#x}")
    follow_unmap(container, iova, size, 0)


def dirty_words(w, process, size):
    """The fields of a bitmap that has room for `size` bytes of memory, with the memory for it."""
    name = next((n for n, m in process.memory.items()
                 if m.kind == "private" and m.protection == "rw" and m.whole), None)
    if not name:
        return w.pick((" bitmap.pgsize=0x1000 bitmap.size=8 bitmap.data=bad", " data=zero:24"))
    room = (size // PAGE + 63) // 64 * 8
    page, target = PAGE, name
    if w.chance(0.15):
        page, room, target = w.pick(((0x2000, room, name), (PAGE, 0, name), (PAGE, room, "bad"),
                                     (PAGE, 0x20000000, name), (PAGE, room - 1, name)))
    return f" bitmap.pgsize={page:#x} bitmap.size={room} bitmap.data={target}"


def restore_vaddr(w):
    lost = [(f, m) for f in w.machine.every("container") for m in f[2].maps.values() if not m.valid]
    if not lost:
        return False
    (process, handle, _), mapping = w.pick(lost)
    names = [n for n, m in process.memory.items() if m is mapping.memory] or [
        n for n, m in process.memory.items() if m.kind in ORDINARY and m.size >= mapping.size]
    if not names:
        return False
    size = mapping.size + (PAGE if w.chance(0.2) else 0)
    # The device keeps the pages it has: only the same memory may be given back.
    same = process.memory[names[0]] is mapping.memory
    vaddr = address(names[0], mapping.offset if same else 0)
    say_map(w, process, handle, VADDR, vaddr, mapping.iova, size)
    if size == mapping.size:
        mapping.valid, mapping.memory = True, mapping.memory if same else None


@given(driven)
def dirty(w, process, handle, container):
    flags = w.weighted([(1, 2), (2, 1), (4, 4 if container.tracking else 1), (8, 0.3), (0, 0.3),
                        (3, 0.3)])
    words, more = f"flags={flags}", w.spoiled(8)
    there = w.pick(container.maps.values())
    if flags == 4:
        if not there:
            return False
        size = there.size + (w.pick((PAGE, -PAGE, 1)) if w.chance(0.2) else 0)
        words += f" iova={there.iova:#x} size={size:#x}{dirty_words(w, process, max(size, PAGE))}"
    w.say(process, f"ioctl {handle} VFIO_IOMMU_DIRTY_PAGES {words}{more}")
    if not more and flags in (1, 2) and container.model == 3:
        container.tracking = flags == 1


@given(lambda w: w.pick(w.machine.every_memory(ORDINARY)))
def touch(w, process, name, memory):
    at = address(name, w.random.randrange(memory.size // 16) * 16)
    if w.chance(0.08):
        at = w.pick([f"{name}+{memory.size:#x}", f"{name}-1", "bad", "null"])
    if w.chance(0.5):
        w.say(process, f"load {at} {w.pick(('8', '16', 'u32', 'u64', 'u8'))}")
    else:
        w.say(process, f"store {at} {w.pick(('seq:16', 'u32:0xdeadbeef', 'ones:8', 'u8:7'))}")


def change(w):
    """Takes memory away from the client; what was mapped for DMA stays pinned."""
    found = w.pick([f for f in w.machine.every_memory(ORDINARY) if f[2].whole])
    if not found or w.chance(0.5):
        return False
    process, name, memory = found
    memory.whole = False
    if w.chance(0.5):
        w.say(process, f"protect {name} {w.pick(('none', 'r', 'rw'))}")
    elif memory.size > PAGE and w.chance(0.5):
        w.say(process, f"unmap {name} 0x1000 0x1000")
    else:
        w.say(process, f"unmap {name}")


def dma(w):
    """A whole transfer in, and perhaps out again: with what it needs, or without one thing."""
    files = [f for f in w.machine.every("device")
             if f[2].device.facts.edu and f[2].device.memory_on and f[2].group.container]
    if not files:
        return False
    process, handle, file = w.pick(files)
    device = file.device
    maps = [m for m in file.group.container.maps.values()
            if m.last < 1 << 28 and m.memory and m.memory.whole and m.valid]
    if not maps:
        return False
    if not device.command & 4:
        device.command |= 4
        w.say(process, f"pwrite {handle} 7:4 u16:{device.command:#x}")
    mapping, size = w.pick(maps), w.pick((4, 16, 64, 256, 2048))
    at = w.pick((0, 0x100, 0x7f0))       # older QEMUs end when a transfer fills the buffer
    iova = mapping.iova + w.pick((0, 0, mapping.size - size))
    device.buffer = [r for r in device.buffer if r[1] <= at or r[0] >= at + size]
    if mapping.flags & READ:
        w.say(process, f"dma {handle} in {iova:#x} {size} {at:#x}")
        device.buffer.append((at, at + size))
    outs = [m for m in maps if m.flags & WRITE]
    if outs and device.buffer and w.chance(0.8):
        start, end = w.pick(device.buffer)
        target = w.pick(outs)
        w.say(process, f"dma {handle} out {target.iova:#x} {end - start} {start:#x}")
        for name, memory in process.memory.items():
            if memory is target.memory:
                w.say(process, f"load {address(name, target.offset)} {min(end - start, 64)}")


MOVES = [(new_memory, 3), (map_dma, 14), (unmap_dma, 7), (restore_vaddr, 3), (dirty, 4), (touch, 5),
         (change, 2), (dma, 6)]
