#!/usr/bin/env bash
# A daemon that is killed takes no client with it: they get errors, and a new daemon can start.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need_root

start_serve two-groups
start_client "$SESSION" "$BUILD_DIR/e2e_steady" 1 until-error >"$WORK/until-error" 2>&1
client=$CLIENT_PID
# Nothing but built-in commands: mmap of a file is answered by the daemon, so programs do not load.
start_client "$SESSION" bash -c 'exec 8<>/dev/vfio/2; touch "$0/open"
  until [ -e "$0/go" ]; do read -rt 0.05 <> <(:) || true; done
  read -r vendor </sys/bus/pci/devices/0000:01:00.0/vendor' "$WORK" >"$WORK/reader" 2>&1
reader=$CLIENT_PID
wait_for 15 test -e "$WORK/open"
wait_for 15 grep -q open "$WORK/until-error"
kill -KILL "$SERVE_PID"
wait "$SERVE_PID" 2>/dev/null || true
check "a client in the middle of ioctls gets an error and ends" wait_for 10 gone "$client"
check "the error is that of a lost connection" \
  grep -E 'ENOTCONN|ECONNABORTED|ENODEV|EIO' "$WORK/until-error"
touch "$WORK/go"
check "a client that looks into /sys afterwards gets an error and ends" wait_for 10 gone "$reader"
check "that error is that of a lost connection, too" \
  grep -E 'not connected|connection abort|Input/output' "$WORK/reader"
check "a new client of the dead session is refused" exits_with 125 run_session "$SESSION" true

killed=$SESSION
mkdir -p "$WORK/again"
MOUNTS+=("$WORK/again")
"$VFIOLAB" serve -t "$TOPOLOGIES/two-groups.json" --mount "$WORK/again" --session "$killed" \
  >"$WORK/again.out" 2>&1 &
PROCESSES+=($!)
check "a new serve takes the name of the dead one" wait_for 10 grep -q '^serving' "$WORK/again.out"
check "it has clients" run_session "$killed" "$EDU_DRIVER" 0000:01:00.0

# The directory that a session chose itself is stale after a kill.
name=e2e-$$-own
MOUNTS+=("/run/vfiolab/$name" "/run/vfiolab/$name")
own_serve() {
  : >"$WORK/own.out"
  "$VFIOLAB" serve -t "$TOPOLOGIES/edu.json" --session "$name" >"$WORK/own.out" 2>&1 &
  own=$!
  PROCESSES+=("$own")
  wait_for 10 grep -q '^serving' "$WORK/own.out"
}
own_serve
kill -KILL "$own"
wait "$own" 2>/dev/null || true
check "serve without --mount starts again after a kill" own_serve || true
cat "$WORK/own.out" >"$WORK/message"
if alive "$own"; then
  check "and has clients" run_session "$name" "$EDU_DRIVER" 0000:01:00.0
else
  check "or says what to do" grep -E 'umount|unmount' "$WORK/message"
fi
finish
