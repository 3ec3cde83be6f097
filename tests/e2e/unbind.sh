#!/usr/bin/env bash
# Writes to `unbind` wait until the device is closed: for nothing else, and not beyond the writer's death.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need python3

# unbinds TOPOLOGY WHAT DEVICE...: in a machine of its own.
unbinds() {
  limited 60 "$VFIOLAB" run -t "$1" -- python3 "$SOURCE_DIR/tests/e2e/clients/unbind.py" "${@:2}"
}
two_groups=$TOPOLOGIES/two-groups.json
variety=$SOURCE_DIR/tests/referee/machines/variety/topology.json
check "an unbind that waits holds up no other, and its writer can be killed" \
  unbinds "$two_groups" waits 0000:01:00.0 0000:02:00.0
check "a process that waits for itself can be killed" unbinds "$two_groups" alone 0000:01:00.0
# The same machine, where a driver of the host has the physical function.
cp -r "$(dirname "$variety")" "$WORK/hosted"
hosted=$WORK/hosted/topology.json
python3 - "$hosted" <<'PYTHON'
import json, pathlib, sys
topology = pathlib.Path(sys.argv[1])
machine = json.loads(topology.read_text())
next(d for d in machine["devices"] if d["bdf"] == "0000:01:00.0")["driver"] = "nvme"
topology.write_text(json.dumps(machine))
PYTHON
check "a virtual function may be open while the driver of its physical one comes" \
  unbinds "$hosted" functions 0000:01:00.0 0000:01:00.1
finish
