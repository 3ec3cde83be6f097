#!/usr/bin/env bash
# Doorbells that are memory: the device hears of what a client stores there.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
DOORBELL=$BUILD_DIR/e2e_doorbell

check "in the client's process a device hears of each store" \
  says "everything was heard" here doorbell "$DOORBELL" rings
check "also of those of another process than the one that has the machine" \
  says "everything was heard" here doorbell python3 -c '
import os, subprocess, sys
held = os.open("/dev/vfio/vfio", os.O_RDWR)
sys.exit(subprocess.run(sys.argv[1:]).returncode)' "$DOORBELL" rings
check "and it is written down" says "memory 0000:01:00.0 BAR0[+]0x0 01000000" bash -euc '
  "$0" run --in-process --trace "$1" -t "$2" -- "$3" idle 0 >&2; cat "$1"' \
  "$VFIOLAB" "$WORK/trace" "$TOPOLOGIES/doorbell.json" "$DOORBELL"

ticks_of() { awk '{print $14 + $15}' "/proc/$1/stat"; }
idle() { # PID: uses less than a tenth of a CPU
  local before
  before=$(ticks_of "$1")
  sleep 2
  echo "$(($(ticks_of "$1") - before)) ticks in 2 s"
  [ $(($(ticks_of "$1") - before)) -lt 20 ]
}
here doorbell "$DOORBELL" idle 6 >"$WORK/mapped" 2>&1 &
PROCESSES+=("$!")
wait_for 10 grep -q mapped "$WORK/mapped"
sleep 1.5
check "doorbells that nobody rings cost their process little" idle "$(pgrep -xf "$DOORBELL idle 6" | tail -1)"

[ "$(id -u)" = 0 ] && mappable || finish
check "over FUSE a device hears of each store" says "everything was heard" run_in doorbell "$DOORBELL" rings
start_serve doorbell
check "so it does in a session" says "everything was heard" run_session "$SESSION" "$DOORBELL" rings
sleep 1.5
check "an emulator that nobody uses is idle" idle "$SERVE_PID"
finish
