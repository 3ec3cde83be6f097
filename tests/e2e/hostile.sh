#!/usr/bin/env bash
# Clients that do what no driver should leave the daemon as it was.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need_root

HOSTILE=$BUILD_DIR/e2e_hostile

start_serve two-groups
# The first clients of all kinds may make the daemon grow: what is learned once is kept.
run_session "$SESSION" "$EDU_DRIVER" 0000:01:00.0 >/dev/null
run_session "$SESSION" "$HOSTILE" opens 10000 >/dev/null || true
run_session "$SESSION" "$HOSTILE" storm 1 >/dev/null || true
sleep 1
descriptors=$(descriptors_of "$SERVE_PID")
threads=$(threads_of "$SERVE_PID")
resident=$(resident_kib_of "$SERVE_PID")

as_before() {
  local now
  now="$(descriptors_of "$SERVE_PID") descriptors, $(threads_of "$SERVE_PID") threads"
  echo "$now, before $descriptors descriptors, $threads threads"
  [ "$now" = "$descriptors descriptors, $threads threads" ]
}
small() {
  echo "$(resident_kib_of "$SERVE_PID") KiB, before $resident KiB"
  [ "$(resident_kib_of "$SERVE_PID")" -lt $((resident + 8192)) ]
}
idle() {
  local before after
  before=$(awk '{print $14 + $15}' "/proc/$SERVE_PID/stat")
  sleep 1
  after=$(awk '{print $14 + $15}' "/proc/$SERVE_PID/stat")
  echo "$((after - before)) ticks in a second"
  [ $((after - before)) -lt 20 ]
}
check_daemon() {
  check "$1: a fresh client drives edu" wait_for 10 run_session "$SESSION" "$EDU_DRIVER" 0000:01:00.0
  check "$1: the daemon has as many descriptors and threads as before" wait_for 5 as_before
  [ "$(descriptors_of "$SERVE_PID")" = "$descriptors" ] || as_before | sed 's/^/    /' || true
  check "$1: the daemon has not grown by 8 MiB" small
  check "$1: the daemon is idle" idle
}

check_daemon "one good client"

for i in 1 2 3 4 5; do
  start_client "$SESSION" "$HOSTILE" storm >"$WORK/storm" 2>&1
  wait_for 15 grep -q storm "$WORK/storm"
  sleep 0.$((i * 17 % 10))
  # The client itself, not the launcher.
  client=$(cat "/proc/$CLIENT_PID/task/$CLIENT_PID/children")
  kill -KILL $client
  wait "$CLIENT_PID" 2>/dev/null || true
done
check_daemon "killed in the middle of its calls"

for i in 1 2 3; do
  start_client "$SESSION" "$HOSTILE" storm >"$WORK/storm" 2>&1
  wait_for 15 grep -q storm "$WORK/storm"
  kill -KILL "$CLIENT_PID"
  wait "$CLIENT_PID" 2>/dev/null || true
done
check_daemon "launcher killed in the middle of calls"

check "a client forks and executes in the middle of its calls" run_session "$SESSION" "$HOSTILE" exec
check_daemon "forked and executed in the middle"

check "a client opens the container 10000 times" run_session "$SESSION" "$HOSTILE" opens 10000
check_daemon "10000 opens"

check "a client takes the descriptor of a device 30000 times" \
  run_session "$SESSION" "$HOSTILE" devices 30000
check_daemon "30000 descriptors of a device"

check "every ioctl with bad pointers fails" run_session "$SESSION" "$HOSTILE" pointers
check_daemon "bad pointers"

check "a client calls random ioctls" run_session "$SESSION" "$HOSTILE" fuzz 20000
check_daemon "random ioctls"

check "a client reads and writes everywhere" run_session "$SESSION" "$HOSTILE" regions
check_daemon "reads and writes everywhere"

for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
  start_client "$SESSION" "$EDU_DRIVER" 0000:01:00.0 >/dev/null 2>&1
done
for process in "${PROCESSES[@]}"; do
  [ "$process" = "$SERVE_PID" ] || wait "$process" 2>/dev/null || true
done
check_daemon "many clients at once for one group"
finish
