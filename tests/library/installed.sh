#!/usr/bin/env bash
# The library where it is installed: found by CMake, by pkg-config and by Python.
#   installed.sh BUILD_DIR
set -euo pipefail
build=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" >/dev/null
cmake -S "$here/installed" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/cmake" >/dev/null
[ "$("$work/cmake/user")" = 0x1234 ]

export PKG_CONFIG_PATH
PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name vfiolab.pc)")
# shellcheck disable=SC2046
gcc -std=c11 -Wall -Werror -o "$work/user" "$here/installed/user.c" $(pkg-config --cflags --libs vfiolab)
[ "$(LD_LIBRARY_PATH=$(pkg-config --variable=libdir vfiolab) "$work/user")" = opened ]

libdir=$(pkg-config --variable=libdir vfiolab)
LD_LIBRARY_PATH=$libdir PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$work/prefix/lib/python3/dist-packages \
  pytest-3 -q -p no:cacheprovider "$here/../../examples/python"

"$work/prefix/bin/vfiolab" models | grep -q edu
# A model of somebody else, in a host that clients of all kinds see.
gcc -shared -fPIC -o "$work/adder.so" "$here/../../examples/plugin_adder.c" $(pkg-config --cflags vfiolab)
cat >"$work/adder.json" <<'END'
{"devices": [{"bdf": "0000:01:00.0", "model": "./adder.so"}], "groups": [{"id": 1, "members": ["0000:01:00.0"]}]}
END
"$work/prefix/bin/vfiolab" show -t "$work/adder.json" | grep -q adder.so
"$work/prefix/bin/vfiolab" run -t "$work/adder.json" -- grep -q 0x10ad /sys/bus/pci/devices/0000:01:00.0/device
# The README shows a test as it is.
awk '/^```cpp$/ {shown = 1; next} /^```$/ {shown = 0} shown' "$here/../../README.md" | diff - "$here/driver_test.cpp"
echo "checked 4 ways, and the README"
