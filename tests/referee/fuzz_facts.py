"""The machines' devices, as a client can know them."""
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Facts:
    group: str
    bars: dict                  # index: (size, "memory" | "io")
    irqs: tuple                 # vectors of INTx, MSI and MSI-X
    config: int = 256
    edu: bool = False
    memory_bar: int = -1        # the BAR that is memory
    can_reset: bool = False
    capabilities: dict = field(default_factory=dict)
    weight: int = 1
    physical: str = ""          # the device whose virtual function it is
    has_token: bool = False     # it has virtual functions


EDU_BARS = {0: (0x100000, "memory")}
NVME_BARS = {0: (0x4000, "memory")}

REFEREE = {
    "edu": Facts("edu", EDU_BARS, (1, 1, 0), edu=True, capabilities={"msi": 0x40}, weight=6),
    "edu2": Facts("edu2", EDU_BARS, (1, 1, 0), edu=True, capabilities={"msi": 0x40}, weight=4),
    "testdev": Facts("testdev", {0: (0x1000, "memory"), 1: (0x100, "io"), 2: (0x10000, "memory")},
                     (0, 0, 0), memory_bar=2, weight=4),
    "intx": Facts("intx", {0: (0x20000, "memory"), 1: (0x40, "io")}, (1, 0, 0), weight=2),
    "msix": Facts("msix", {0: (0x2000, "memory"), 1: (0x1000, "memory")}, (0, 0, 4),
                  capabilities={"msix": 0x40}, weight=2),
    "nic": Facts("nic", {0: (0x20000, "memory"), 1: (0x20000, "memory"), 2: (0x20, "io"),
                         3: (0x4000, "memory")}, (1, 1, 5), config=4096, can_reset=True,
                 capabilities={"msi": 0xd0, "msix": 0xa0, "pm": 0xc8, "exp": 0xe0}),
    "nvme": Facts("nvme", NVME_BARS, (1, 0, 65), config=4096, can_reset=True,
                  capabilities={"msix": 0x40, "pm": 0x60, "exp": 0x80}),
    "shared1": Facts("shared1", EDU_BARS, (1, 1, 0), edu=True, capabilities={"msi": 0x40}, weight=2),
    "shared2": Facts("shared1", {0: (0x1000, "memory"), 1: (0x100, "io"), 2: (0x1000, "memory")},
                     (0, 0, 0), memory_bar=2, weight=2),
}
# Registers of vga, rng, pf, its virtual functions and small are those of the real thing: they are left alone.
VARIETY = {
    "msi": Facts("msi", EDU_BARS, (0, 1, 0), edu=True, capabilities={"msi": 0x40}, weight=6),
    "vga": Facts("vga", {0: (0x1000000, "memory"), 2: (0x1000, "memory")}, (0, 0, 0), memory_bar=0, weight=2),
    "rng": Facts("rng", {1: (0x1000, "memory"), 4: (0x4000, "memory")}, (0, 0, 2),
                 capabilities={"msix": 0x98}, weight=2),
    "pf": Facts("pf", NVME_BARS, (0, 0, 7), config=4096, capabilities={"msix": 0x40, "exp": 0x80},
                has_token=True, weight=4),
    "vf1": Facts("vf1", NVME_BARS, (0, 0, 1), config=4096, can_reset=True, physical="pf",
                 capabilities={"msix": 0x40, "exp": 0x80}, weight=3),
    "vf2": Facts("vf2", NVME_BARS, (0, 0, 1), config=4096, can_reset=True, physical="pf",
                 capabilities={"msix": 0x40, "exp": 0x80}, weight=3),
    "beside": Facts("beside", EDU_BARS, (0, 1, 0), edu=True, capabilities={"msi": 0x40}, weight=3),
    "small": Facts("small", {0: (16, "memory")}, (0, 0, 0), can_reset=True),
}
MACHINES = {"referee": REFEREE, "variety": VARIETY}
# Drivers beside vfio-pci that are there on both sides.
DRIVERS = {"referee": (), "variety": ("pci-stub",)}
