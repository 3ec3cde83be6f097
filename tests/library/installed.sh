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

"$work/prefix/bin/vfiolab" models | grep -q edu
echo "checked 3 ways"
