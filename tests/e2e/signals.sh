#!/usr/bin/env bash
# Signals: to a client in the middle of calls, and through the launcher.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

check "a client with an interval timer sees no wrong result" run_in edu "$BUILD_DIR/e2e_signals" 4
check "nor with --exact" \
  limited 60 "$VFIOLAB" run --exact -t "$TOPOLOGIES/edu.json" -- "$BUILD_DIR/e2e_signals" 4
check "nor does one that is not traced" \
  limited 60 "$VFIOLAB" run --no-trap -t "$TOPOLOGIES/edu.json" -- "$BUILD_DIR/e2e_signals" 4 untraced

# signal_reaches SIGNAL: sent to the launcher, it arrives at the client, whose status is run's.
signal_reaches() {
  local status=0 launcher
  rm -f "$WORK/ready"
  # A shell starts background jobs with SIGINT and SIGQUIT ignored.
  env --default-signal=INT,QUIT "$VFIOLAB" run -t "$TOPOLOGIES/edu.json" -- bash -c \
    'trap "exit 9" '"$1"'; touch "$0"; for i in {1..100}; do sleep 0.1; done' "$WORK/ready" &
  launcher=$!
  PROCESSES+=("$launcher")
  wait_for 15 test -e "$WORK/ready"
  kill -"$1" "$launcher"
  wait_for 10 gone "$launcher"
  wait "$launcher" || status=$?
  same 9 "$status"
}
for signal in INT TERM HUP USR1 USR2 QUIT; do
  check "SIG$signal to the launcher reaches the client" signal_reaches $signal
done

"$VFIOLAB" run -t "$TOPOLOGIES/edu.json" -- sh -c 'touch "$0"; exec sleep 30' "$WORK/plain" &
launcher=$!
PROCESSES+=("$launcher")
wait_for 15 test -e "$WORK/plain"
kill -TERM "$launcher"
status=0
wait "$launcher" || status=$?
check "a client without a handler dies of it, and run ends with 143" same 143 "$status"

check "the client starts with no signal blocked" \
  same 0000000000000000 "$(run_in edu grep SigBlk /proc/self/status | cut -f2)"
check "the client starts with the signals ignored that run was started with" \
  same "$(grep SigIgn /proc/self/status | cut -f2)" "$(run_in edu grep SigIgn /proc/self/status | cut -f2)"
finish
