"""The machine of the hostile campaign: those of the referee, each in a segment of its own, and more."""
import json
import pathlib


def moved(bdf, segment):
    return f"{segment:04x}:" + bdf.split(":", 1)[1]


def read(source, name, segment, first_group):
    """The topology of a referee machine, moved: devices, bridges and groups."""
    folder = source / "tests/referee/machines" / name
    machine = json.loads((folder / "topology.json").read_text())
    for device in machine["devices"]:
        device["bdf"] = moved(device["bdf"], segment)
        if "physical_function" in device:
            device["physical_function"] = moved(device["physical_function"], segment)
        if "rom" in device:
            device["rom"] = str(folder / device["rom"])
        for key in ("config", "writable"):
            if key in device.get("params", {}):
                device["params"][key] = str(folder / device["params"][key])
    for bridge in machine["bridges"]:
        bridge["bdf"] = moved(bridge["bdf"], segment)
    for group in machine["groups"]:
        group["id"] += first_group
        group["members"] = [moved(bdf, segment) for bdf in group["members"]]
    return machine


def more_devices(segment, first_group):
    """Devices of our own models: most alone in their groups, others with two more behind a bridge."""
    models = [("edu", {}), ("pci-testdev", {"membar": "64K"}), ("scratch", {"msix_vectors": 33}),
              ("scratch", {"msix_vectors": 2048}), ("edu", {"dma_mask_bits": 40})]
    devices, bridges, groups = [], [], []
    for number in range(64):
        bus, shared = number + 1, number % 4 == 0
        if shared:
            bridges.append({"bdf": f"{segment:04x}:00:{number // 4 + 1:02x}.0", "secondary_bus": bus})
        members = []
        for slot in range(3 if shared else 1):
            model, params = models[(number + slot) % len(models)]
            devices.append({"bdf": f"{segment:04x}:{bus:02x}:{slot:02x}.0", "model": model, "params": params})
            members.append(devices[-1]["bdf"])
        groups.append({"id": first_group + number, "members": members})
    return {"devices": devices, "bridges": bridges, "groups": groups}


def make(source):
    """The topology, as its file has it."""
    machine = {"name": "hostile", "iommu": {"address_width": 48}, "devices": [], "bridges": [], "groups": []}
    source = pathlib.Path(source).resolve()
    for part in (read(source, "referee", 0, 0), read(source, "variety", 1, 100), more_devices(2, 200)):
        for key in ("devices", "bridges", "groups"):
            machine[key] += part[key]
    return machine


def functions(machine):
    """(group, address, role) of each device that vfio-pci has at the start. A virtual function ("vf") opens with its
    token alone, one beside a device with a driver of the host ("unviable") not at all."""
    group_of = {bdf: group["id"] for group in machine["groups"] for bdf in group["members"]}
    driver_of = {device["bdf"]: device.get("driver", "vfio-pci") for device in machine["devices"]}
    unviable = {group_of[bdf] for bdf, driver in driver_of.items() if driver not in ("vfio-pci", "pci-stub", None)}
    ours = [device for device in machine["devices"] if driver_of[device["bdf"]] == "vfio-pci"]
    for device in ours:
        group = group_of[device["bdf"]]
        role = "vf" if "physical_function" in device else "unviable" if group in unviable else "plain"
        yield group, device["bdf"], role
