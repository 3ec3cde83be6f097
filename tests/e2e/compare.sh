#!/usr/bin/env bash
# `vfiolab compare` as a student uses it.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
scenarios="$SOURCE_DIR/examples/scenarios"
for scenario in "$scenarios"/*.json; do
  check "$(basename "$scenario") is played by all" says "^7.3" limited 60 "$VFIOLAB" compare "$scenario"
done
wrong() {  # FILE: what compare says of it, if it ends with 2
  local status=0
  "$VFIOLAB" compare "$1" || status=$?
  [ $status -eq 2 ]
}
echo '{"name": "x", "question": "?", "steps": [{}]}' >"$WORK/bad.json"
check "a scenario that is wrong ends with 2" wrong "$WORK/bad.json"
check "and tells where and what to do" says "/steps/0: .*give what is done" wrong "$WORK/bad.json"
check "a file that is not there, too" says "cannot be read" wrong "$WORK/none.json"
finish
