#!/usr/bin/env bash
# A topology that is wrong is refused with all that is wrong, before anything starts.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

vfiolab() { limited 30 "$VFIOLAB" "$@"; }
not_started() { [ ! -e "$WORK/started" ]; }

for topology in "$TOPOLOGIES"/*.json; do
  name=$(basename "$topology" .json)
  [ "$name" = schema ] && continue
  check "$name: check finds nothing wrong" vfiolab check -t "$topology"
  check "$name: show --json is JSON" sh -c '"$0" show -t "$1" --json | python3 -m json.tool' "$VFIOLAB" "$topology"
done

for topology in "$SOURCE_DIR"/tests/topology/invalid/*.json; do
  name=$(basename "$topology" .json)
  check "$name: check ends with 2" exits_with 2 vfiolab check -t "$topology"
  check "$name: run ends with 2 and starts nothing" \
    exits_with 2 vfiolab run -t "$topology" -- touch "$WORK/started"
done
check "no client of a wrong topology was started" not_started

cat >"$WORK/many.json" <<'JSON'
{
  "devices": [
    {"bdf": "0000:01:00.0", "model": "edo"},
    {"bdf": "0000:99", "model": "edu"},
    {"bdf": "0000:02:00.0", "model": "edu", "params": {"dma_mask_bits": 99}, "colour": "red"},
    {"bdf": "0000:02:00.0", "model": "edu"}
  ],
  "groups": [{"id": -1, "members": ["0000:03:00.0"]}]
}
JSON
check "four mistakes in one file: check ends with 2" exits_with 2 vfiolab check -t "$WORK/many.json"
for place in /devices/0/model /devices/1/bdf /devices/2/params/dma_mask_bits /devices/2/colour /groups/0/id; do
  check "check names $place" says "$place: " vfiolab check -t "$WORK/many.json"
  check "run names $place as well" says "$place: " vfiolab run -t "$WORK/many.json" -- true
done
check "errors go to standard error" same "" "$(vfiolab check -t "$WORK/many.json" 2>/dev/null)"
check "serve ends with 2" exits_with 2 vfiolab serve -t "$WORK/many.json" --session "e2e-bad-$$"
check "show ends with 2" exits_with 2 vfiolab show -t "$WORK/many.json"

check "a file that does not exist is named" says 'nowhere\.json' vfiolab check -t "$WORK/nowhere.json"
check "a file that does not exist is 2" exits_with 2 vfiolab check -t "$WORK/nowhere.json"
check "a directory is 2" exits_with 2 vfiolab check -t "$WORK"
mkfifo "$WORK/pipe"
check "a pipe is read like a file, or refused" \
  sh -c 'cat "$1" >"$2" & "$0" check -t "$2"; [ $? -lt 3 ]' "$VFIOLAB" "$TOPOLOGIES/edu.json" "$WORK/pipe"
check "/dev/zero is refused" exits_with 2 vfiolab check -t /dev/zero

: >"$WORK/empty.json"
printf '\xff\xfe\x00{' >"$WORK/binary.json"
head -c 3000000 /dev/zero | tr '\0' '[' >"$WORK/deep.json"
head -c 20000000 /dev/zero | tr '\0' ' ' >"$WORK/large.json"
{ printf '{"devices": [], "groups": [], "description": "'; head -c 10000000 /dev/zero | tr '\0' x; printf '"}'; } >"$WORK/long.json"
{ printf '{"groups": [], "devices": ['
  for i in $(seq 4200); do printf '{"bdf": "%x:%02x:%02x.0", "model": "edu"},' $((i / 8000)) $((i / 32 % 256)) $((i % 32)); done
  printf '{}]}'; } >"$WORK/crowd.json"
{ printf '{"devices": [], "groups": ['; head -c 2400000 /dev/zero | sed 's/\x00/{},/g'; printf '{}]}'; } >"$WORK/groups.json"
for name in empty binary deep large long crowd groups; do
  check "$name: check ends with 2 in time" exits_with 2 vfiolab check -t "$WORK/$name.json"
  check "$name: the message is not longer than a screen or two" \
    test "$(vfiolab check -t "$WORK/$name.json" 2>&1 | head -c 200000 | wc -c)" -lt 100000
done
sed 's/}$//' "$TOPOLOGIES/edu.json" >"$WORK/cut.json"
check "a file that is cut short is refused with line and column" \
  says 'cut\.json:[0-9]+:[0-9]+: ' vfiolab check -t "$WORK/cut.json"
finish
