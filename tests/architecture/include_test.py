#!/usr/bin/env python3
"""Checks that folders include only what CMakeLists.txt lets them, and that files stay short.

usage: include_test.py SOURCE_DIR

Prints "file:line: what is wrong" for each offence and ends with 1 if there is one.
"""
import re
import sys
import tempfile
from pathlib import Path

MAX_LINES = 400
SOURCE_SUFFIXES = {".cpp", ".hpp", ".c", ".h"}
COUNTED_SUFFIXES = SOURCE_SUFFIXES | {".py", ".sh"}
CHECKED_TREES = ("emulator", "fake_devices")
COUNTED_TREES = ("emulator", "fake_devices", "tests", "examples")

# What CMakeLists.txt links without a line of vfiolab_folder().
EXTRA_FOLDERS = {"cli": ["launcher"], "library": ["in_process", "fake_devices", "plugins"],
                 "preload": ["lease", "fake_devices", "plugins"]}

# Libraries that belong to some folders alone.
OWNED_LIBRARIES = [
    (re.compile(r"fuse"), {"transport"}),
    (re.compile(r"boost/asio"), {"transport"}),
    (re.compile(r"Zydis/"), {"mmio"}),
    (re.compile(r"nlohmann/"), {"topology", "launcher", "cli"}),
]
# What must not be included even if CMakeLists.txt came to allow it.
FORBIDDEN = {("transport", "vfio"), ("fake_devices", "machine"), ("fake_devices", "vfio")}
# The only headers of its own that a device model may include, beside those of device/ and base/.
MODELS_OWN = {"fake_devices/models.hpp"}
MODELS_MAY = {"device", "base"}

FOLDER_LINE = re.compile(r"^\s*vfiolab_folder\(([^)]*)\)", re.MULTILINE)
INCLUDE_LINE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def read_folders(cmake_text):
    """The folders and, for each, everything it may include: itself and all that it depends on."""
    direct = dict(EXTRA_FOLDERS)
    for match in FOLDER_LINE.finditer(cmake_text):
        name, *dependencies = match.group(1).split()
        direct[name] = dependencies

    def reach(name, seen):
        if name not in seen:
            seen.add(name)
            for dependency in direct.get(name, []):
                reach(dependency, seen)
        return seen

    return {name: reach(name, set()) for name in direct}


def folder_of(path):
    """The folder that a source file belongs to: emulator/x/... is x, fake_devices/... is itself."""
    return path.parts[1] if path.parts[0] == "emulator" else path.parts[0]


def check_quoted(folder, header, folders):
    if "/" not in header:
        return f'"{header}" does not name its folder'
    target = header.split("/", 1)[0]
    if target not in folders:
        return f'"{header}" is in no folder of CMakeLists.txt'
    if target not in folders[folder] or (folder, target) in FORBIDDEN:
        return f"{folder}/ must not include {target}/"
    if folder == "fake_devices" and target not in MODELS_MAY and header not in MODELS_OWN:
        return f'a device model must not include "{header}"'
    return None


def check_angled(folder, header):
    for library, owners in OWNED_LIBRARIES:
        if library.match(header) and folder not in owners:
            return f"<{header}> belongs to {' and '.join(sorted(owners))} alone"
    return None


def check_file(source, path, folders):
    folder = folder_of(path)
    if folder not in folders:
        yield f"{path}:1: folder {folder} is missing in CMakeLists.txt"
        return
    for number, line in enumerate((source / path).read_text().splitlines(), 1):
        match = INCLUDE_LINE.match(line)
        if not match:
            continue
        quote, header = match.groups()
        wrong = check_quoted(folder, header, folders) if quote == '"' else check_angled(folder, header)
        if wrong:
            yield f"{path}:{number}: {wrong}"


def files_under(source, trees, suffixes):
    for tree in trees:
        for path in sorted((source / tree).rglob("*")):
            if path.is_file() and path.suffix in suffixes:
                yield path.relative_to(source)


def check(source):
    folders = read_folders((source / "CMakeLists.txt").read_text())
    offences = []
    for path in files_under(source, CHECKED_TREES, SOURCE_SUFFIXES):
        offences += check_file(source, path, folders)
    for path in files_under(source, COUNTED_TREES, COUNTED_SUFFIXES):
        lines = (source / path).read_text().count("\n")
        if lines > MAX_LINES:
            offences.append(f"{path}:{lines}: longer than {MAX_LINES} lines")
    return offences


PLANTED_CMAKE = """
vfiolab_folder(base)
vfiolab_folder(device base)
vfiolab_folder(fake_devices device)
vfiolab_folder(machine device)
vfiolab_folder(vfio machine)
vfiolab_folder(transport machine vfio)
vfiolab_folder(launcher transport vfio)
"""
# File, contents, and the offence that must be found in it; None where there is none.
PLANTED = [
    ("emulator/base/a.hpp", '#include "device/x.hpp"\n', ":1: base/ must not include device/"),
    ("emulator/vfio/a.cpp", '\n#include "base/x.hpp"\n#include "vfio/y.hpp"\n', None),
    ("emulator/transport/a.cpp", '\n# include "vfio/x.hpp"\n', ":2: transport/ must not include vfio/"),
    ("emulator/transport/b.cpp", "#include <fuse3/fuse.h>\n#include <boost/asio.hpp>\n", None),
    ("emulator/vfio/b.cpp", "#include <fuse_lowlevel.h>\n", ":1: <fuse_lowlevel.h> belongs to transport alone"),
    ("emulator/vfio/c.cpp", "#include <boost/asio/io_context.hpp>\n", ":1: <boost/asio/io_context.hpp>"),
    ("emulator/machine/a.cpp", "#include <nlohmann/json.hpp>\n", ":1: <nlohmann/json.hpp> belongs to"),
    ("emulator/machine/b.cpp", '#include "b.hpp"\n', ':1: "b.hpp" does not name its folder'),
    ("emulator/machine/c.cpp", '#include "nowhere/b.hpp"\n', ':1: "nowhere/b.hpp" is in no folder'),
    ("emulator/new/a.cpp", "", ":1: folder new is missing"),
    ("emulator/cli/main.cpp", '#include "launcher/x.hpp"\n', None),
    ("fake_devices/a.cpp", '#include "device/x.hpp"\n#include "fake_devices/models.hpp"\n', None),
    ("fake_devices/b.cpp", '#include "fake_devices/a.hpp"\n', ":1: a device model must not include"),
    ("fake_devices/c.cpp", '#include "machine/x.hpp"\n', ":1: fake_devices/ must not include machine/"),
    ("tests/unit/long.cpp", "\n" * (MAX_LINES + 1), ":401: longer than 400 lines"),
    ("tests/unit/full.cpp", "\n" * MAX_LINES, None),
]


def check_self():
    """Plants an offence of each kind and says which of them is missed, or found where none is."""
    failures = []
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory)
        (source / "CMakeLists.txt").write_text(PLANTED_CMAKE)
        for name, text, _ in PLANTED:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(text)
        found = check(source)
    for name, _, expected in PLANTED:
        mine = [offence for offence in found if offence.startswith(name + ":")]
        if expected is None and mine:
            failures.append(f"self-check: {mine[0]} is no offence")
        if expected is not None and (len(mine) != 1 or not mine[0].startswith(name + expected)):
            failures.append(f"self-check: {name}{expected} was not found, but {mine}")
    return failures


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    source = Path(sys.argv[1])
    offences = check_self() or check(source)
    print("\n".join(offences) if offences else "all includes are allowed, all files are short")
    sys.exit(1 if offences else 0)


if __name__ == "__main__":
    main()
