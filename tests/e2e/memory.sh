#!/usr/bin/env bash
# DMA goes to the memory of the image that mapped it, or nowhere.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need_root

client() { run_session "$SESSION" "$BUILD_DIR/e2e_mm" "$@"; }
faults() { limited 10 cat "$MOUNT/faults" | wc -l; }
more_faults() { [ "$(faults)" -gt "$1" ] || { limited 10 cat "$MOUNT/faults"; return 1; }; }

start_serve edu
check "the edu driver leaves no fault" run_session "$SESSION" "$EDU_DRIVER" 0000:01:00.0
check "there are no faults" same 0 "$(faults)"

check "a transfer that a child started goes to the parent, who mapped the memory" client fork
check "DMA to shared memory is seen by all its mappings" client memfd
check "neither is a fault" same 0 "$(faults)"

before=$(faults)
check "DMA after the process executed another image touches nothing" client exec
check "it is a fault on record" more_faults "$before"
before=$(faults)
check "DMA after the process ended touches nothing" client exit
check "it is a fault on record" more_faults "$before"
before=$(faults)
check "DMA to memory that was unmapped does no harm" client munmap
check "it is a fault on record" more_faults "$before"
before=$(faults)
check "DMA to shared memory that was truncated does no harm" client truncate
check "it is a fault on record" more_faults "$before"
check "the daemon lives" alive "$SERVE_PID"
check "the device works for the next client" run_session "$SESSION" "$EDU_DRIVER" 0000:01:00.0
stop_serve

# Without a session the daemon is a thread of the launcher.
for way in fork memfd exec exit munmap truncate; do
  check "$way: the same holds for run without a session" run_in edu "$BUILD_DIR/e2e_mm" $way
done
finish
