#!/usr/bin/env bash
# run.sh BUILD_DIR SOURCE_DIR: builds the device of docs/write-a-device.md as the guide says, and
# drives it with the guide's own client.
set -euo pipefail
build=$(realpath "$1") source=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
guide=$source/docs/write-a-device.md

cp -r "$source/emulator" "$source/fake_devices" "$work"
"$source/tests/guide/extract.py" "$guide" >"$work/fake_devices/doubler.cpp"
"$source/tests/guide/extract.py" "$guide" json >"$work/doubler.json"
"$source/tests/guide/extract.py" "$guide" python >"$work/client.py"
sed -i 's/extern const Model kEdu;/extern const Model kDoubler;\n&/' "$work/fake_devices/models.hpp"
sed -i 's/kEdu, /kDoubler, kEdu, /' "$work/fake_devices/models.cpp"

flags=(-std=c++20 -Wall -Wextra -Werror -Wno-missing-field-initializers -I "$work/emulator" -I "$work")
for file in "$work"/fake_devices/*.cpp; do
  g++ "${flags[@]}" -c "$file" -o "$file.o"
done
libraries=()
for library in "$build"/libvfiolab_*.a; do
  [[ $library == *_fake_devices.a ]] || libraries+=("$library")
done
zydis=$(sed -n 's/^Zydis_DIR:PATH=//p' "$build/CMakeCache.txt")
read -ra system <<<"$(pkg-config --libs fuse3 libseccomp)"
g++ "${flags[@]}" -DVFIOLAB_VERSION='"guide"' "$work/emulator/cli/main.cpp" "$work"/fake_devices/*.o \
  -Wl,--start-group "${libraries[@]}" -Wl,--end-group "${system[@]}" -L "$zydis/../.." -lZydis -lfmt -pthread -o "$work/vfiolab"
output=$(timeout -k 2 30 "$work/vfiolab" run -t "$work/doubler.json" -- python3 "$work/client.py")
echo "the guide's client says: $output"
[ "$output" = 42 ]
echo "1 device of the guide checked"
