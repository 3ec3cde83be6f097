#!/usr/bin/env bash
# Writes to `unbind` wait until the device is closed: for nothing else, and not beyond the writer's death.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need python3

# unbinds DEVICE...: in a machine of its own.
unbinds() {
  limited 60 "$VFIOLAB" run -t "$TOPOLOGIES/two-groups.json" -- \
    python3 "$SOURCE_DIR/tests/e2e/clients/unbind.py" "$@"
}
check "an unbind that waits holds up no other, and its writer can be killed" unbinds 0000:01:00.0 0000:02:00.0
check "a process that waits for itself can be killed" unbinds 0000:01:00.0
finish
