#!/usr/bin/env bash
# Registers that are mapped: loads and stores have effects, one by one.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need_root
REGISTERS=$BUILD_DIR/e2e_registers

# A kernel without FUSE passthrough (before 6.9) cannot map anything.
if ! mappable; then
  check "registers cannot be mapped on this kernel" run_in edu "$REGISTERS" unmapped
  finish
fi

check "instructions, threads, processes and signals on mapped registers" \
  run_in edu "$REGISTERS" all
check "the same from a shell script" run_in edu sh -c 'timeout 60 "$0" all; exit $?' "$REGISTERS"
check "the same below setsid" run_in edu setsid -w "$REGISTERS" all
check "an instruction that is not known kills the client with SIGBUS" \
  exits_with $((128 + $(kill -l BUS))) run_in edu "$REGISTERS" unknown
check "with a message that names it" \
  says 'SIGBUS.*does not know .*d9 .*fld.*no instruction that is known' run_in edu "$REGISTERS" unknown
check "a process that is left behind ends with run" limited 20 "$VFIOLAB" run \
  -t "$TOPOLOGIES/edu.json" -- "$REGISTERS" left

without_trap() { limited 60 "$VFIOLAB" run -t "$TOPOLOGIES/edu.json" --no-trap -- "$@"; }
check "with --no-trap they cannot be mapped" without_trap "$REGISTERS" unmapped
check "with --no-trap a client can be traced by others" \
  same 0 "$(without_trap awk '/^TracerPid/ {print $2}' /proc/self/status)"

check "a client is traced where a device has registers" \
  refuse same 0 "$(run_in edu awk '/^TracerPid/ {print $2}' /proc/self/status)"

check "a client of many processes ends as it should" \
  same 200 "$(run_in edu bash -c 'for i in {1..200}; do (exit 0) && echo; done | wc -l')"
check "a client that stops itself can be continued" run_in edu bash -c '
  bash -c "kill -STOP \$\$; exit 7" & child=$!
  until grep -q "^State:.T\|^State:.t" /proc/$child/status; do sleep 0.05; done
  kill -CONT $child; wait $child; [ $? = 7 ]'

start_serve edu
check "the same holds for a client of a session" run_session "$SESSION" "$REGISTERS" all
check "and for the next one" run_session "$SESSION" "$REGISTERS" all
before=$(descriptors_of "$SERVE_PID")
for _ in 1 2 3; do run_session "$SESSION" "$REGISTERS" all >/dev/null || true; done
fewer() { [ "$(descriptors_of "$SERVE_PID")" -le $((before + 1)) ]; }
check "mapped registers leave no descriptor open in the daemon" wait_for 5 fewer

check "a load is a line of the trace" limited 60 "$VFIOLAB" run -t "$TOPOLOGIES/edu.json" \
  --trace "$WORK/trace" -- "$REGISTERS" time 3
check "with the device and the width" \
  grep -Eq 'tid=[0-9]+ load \[vfio-device 0000:01:00.0\] 0x0 4$' "$WORK/trace"

"$VFIOLAB" run -t "$TOPOLOGIES/edu.json" -- sh -c 'echo $$ >"$0"; exec "$1" time 100000000' \
  "$WORK/pid" "$REGISTERS" &
launcher=$!
PROCESSES+=("$launcher")
wait_for 15 test -s "$WORK/pid"
sleep 0.3
kill -KILL "$launcher"
check "a launcher that is killed takes a client along that uses registers" \
  wait_for 10 gone "$(cat "$WORK/pid")"
finish
