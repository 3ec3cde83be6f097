#!/usr/bin/env bash
# A client whose memory never comes is told EFAULT after a while; the others do not notice it.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need_root

start_serve two-groups
limited 30 "$VFIOLAB" run --session "$SESSION" -- "$BUILD_DIR/e2e_userfault" ioctl >"$WORK/probe" 2>&1 || {
  [ $? = 77 ] && skip "$(cat "$WORK/probe")"
}
stop_serve

daemon_is_well() {
  alive "$SERVE_PID" || { echo "the daemon is gone"; return 1; }
  run_session "$SESSION" "$EDU_DRIVER" 0000:01:00.0
}
# What a client held back ends with it: threads that waited for it go.
as_few_threads() { [ "$(threads_of "$SERVE_PID")" -le $((threads + 1)) ]; }

as_few_descriptors() { [ "$(descriptors_of "$SERVE_PID")" -le $((descriptors + 1)) ]; }

idle() {
  local before after
  before=$(awk '{print $14 + $15}' "/proc/$SERVE_PID/stat")
  sleep 1
  after=$(awk '{print $14 + $15}' "/proc/$SERVE_PID/stat")
  [ $((after - before)) -lt 20 ]
}

for holder in "" other; do
  by=${holder:+, the userfaultfd held by another process}
  for call in ioctl device-fd dma pread second stack file descriptor; do
    case $call$holder in secondother | fileother | descriptorother) continue ;; esac
    start_serve two-groups
    run_session "$SESSION" "$EDU_DRIVER" 0000:01:00.0 >/dev/null
    threads=$(threads_of "$SERVE_PID")
    descriptors=$(descriptors_of "$SERVE_PID")
    keeper=
    if [ -n "$holder" ]; then
      rm -f "$WORK/keeper"
      "$BUILD_DIR/e2e_userfault" keep "$WORK/keeper" &
      keeper=$!
      PROCESSES+=("$keeper")
      wait_for 5 test -S "$WORK/keeper"
    fi
    argument=(${keeper:+"$WORK/keeper"})
    case $call in file | descriptor) argument=("$(mktemp -d -p "$WORK")") ;; esac
    start_client "$SESSION" "$BUILD_DIR/e2e_userfault" $call "${argument[@]}" >"$WORK/slow" 2>&1
    slow=$CLIENT_PID
    check "$call$by: another client gets thousands of answers meanwhile" \
      run_session "$SESSION" "$BUILD_DIR/e2e_steady" 2 1.5
    status=0
    wait "$slow" || status=$?
    if [ $call = dma ]; then
      check "$call$by: the client reads registers all the while" same 0 "$status"
      check "$call$by: the transfer is a fault on record" grep -q . <(limited 10 cat "$MOUNT/faults")
    elif [ $call = descriptor ]; then
      check "$call: the calls are refused at once" same 0 "$status"
    else
      check "$call$by: the call is EFAULT after about 2 s" same 0 "$status"
    fi
    [ "$status" = 0 ] || sed 's/^/    /' "$WORK/slow"
    if [ -n "$holder" ]; then
      check "$call$by: the daemon goes on while that memory is held back" \
        run_session "$SESSION" "$BUILD_DIR/e2e_steady" 2 1
      check "$call$by: the daemon is idle while that memory is held back" idle
      kill "$keeper"
    fi
    check "$call$by: the daemon is well afterwards" wait_for 10 daemon_is_well
    check "$call$by: no thread of the daemon is left waiting" wait_for 10 as_few_threads
    check "$call$by: no descriptor is left open" wait_for 5 as_few_descriptors
    check "$call$by: the daemon ends when it should" stop_serve
  done
done

# Slow twice in one call, but never so slow that it is given up.
start_serve two-groups
run_session "$SESSION" "$EDU_DRIVER" 0000:01:00.0 >/dev/null
threads=$(threads_of "$SERVE_PID")
check "calls whose arguments come late in two parts succeed" \
  run_session "$SESSION" "$BUILD_DIR/e2e_userfault" late
check "no thread of the daemon is left over from them" wait_for 10 as_few_threads
stop_serve

# Many of them at a time.
start_serve two-groups
start_client "$SESSION" "$BUILD_DIR/e2e_userfault" crowd 30 >"$WORK/slow" 2>&1
slow=$CLIENT_PID
sleep 0.3
check "with thirty slow processes another client gets thousands of answers" \
  run_session "$SESSION" "$BUILD_DIR/e2e_steady" 2 3
status=0
wait "$slow" || status=$?
check "each of the thirty gets EFAULT" same 0 "$status"
check "the daemon is well after all of them" daemon_is_well

# Killed while the daemon waits for its memory.
start_client "$SESSION" "$BUILD_DIR/e2e_userfault" ioctl >"$WORK/slow" 2>&1
sleep 0.5
kill -KILL "$CLIENT_PID"
wait "$CLIENT_PID" 2>/dev/null || true
check "the daemon is well soon after a slow client was killed" wait_for 10 daemon_is_well
stop_serve
start_serve two-groups
rm -f "$WORK/keeper"
"$BUILD_DIR/e2e_userfault" keep "$WORK/keeper" &
PROCESSES+=($!)
wait_for 5 test -S "$WORK/keeper"
run_session "$SESSION" "$BUILD_DIR/e2e_userfault" ioctl "$WORK/keeper" >/dev/null
check "the daemon ends although the memory of a client that is gone is still held back" stop_serve
start_serve two-groups
start_client "$SESSION" "$BUILD_DIR/e2e_userfault" ioctl >"$WORK/slow" 2>&1
sleep 0.5
kill -TERM "$SERVE_PID"
check "the daemon ends when it is told to while it waits for a slow client" wait_for 10 gone "$SERVE_PID"
finish
