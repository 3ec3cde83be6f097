#!/usr/bin/env bash
# Whatever happens to a run, the host's /dev, /sys and mounts stay as they were, and nothing of the
# run outlives it.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need_root
need unshare

# In a copy of the mount namespace whose mounts propagate among each other, as on a desktop: what
# a run let out would be seen here, and what other programs mount meanwhile is not.
if [ -z "${E2E_OWN_NAMESPACE:-}" ]; then
  rmdir "$WORK"
  exec env E2E_OWN_NAMESPACE=1 unshare -m --propagation private \
    sh -c 'mount --make-rshared / && exec "$@"' sh "$0" "$@"
fi

# Every process of a run inherits this.
export E2E_MARK=vfiolab-e2e-$$

# Terminals, shared memory and the numbers of mounted devices come and go with other programs.
snapshot() {
  find /dev \( -path '/dev/pts/*' -o -path '/dev/shm/*' -o -path '/dev/mqueue/*' \) -prune \
    -o -printf '%p %y %M %l\n' 2>/dev/null | sort
  find /sys/bus/pci /sys/kernel/iommu_groups /sys/class/iommu /sys/devices /sys/module -xdev \
    -path '/sys/devices/virtual/bdi' -prune -o -printf '%p %y\n' 2>/dev/null | sort
  cut -d' ' -f3- /proc/self/mountinfo
  ls /run/vfiolab 2>/dev/null || true
  grep -o '[^ ]*vfiolab[^ ]*' /proc/net/unix || true
}

marked_processes() {
  local process
  for process in /proc/[0-9]*; do
    [ "$process" = "/proc/$$" ] && continue
    grep -qz "^E2E_CLIENT=$E2E_MARK\$" "$process/environ" 2>/dev/null && echo "${process#/proc/}"
  done
  return 0
}
no_marked_process() { [ -z "$(marked_processes)" ] || { ps -fp "$(marked_processes | paste -sd,)"; return 1; }; }

unchanged() { same "$before" "$(snapshot)"; }

# start_run COMMAND...: in the background; RUN_PID is the launcher. The command says when it is
# ready by a file, as it may be in any namespace.
start_run() {
  rm -f "$WORK/ready"
  E2E_CLIENT=$E2E_MARK "$VFIOLAB" run -t "$TOPOLOGIES/two-groups.json" -- "$@" >"$WORK/run.out" 2>&1 &
  RUN_PID=$!
  PROCESSES+=("$RUN_PID")
  wait_for 15 test -s "$WORK/ready"
}

before=$(snapshot)
check "two snapshots of the idle host are the same" unchanged

# The client holds a container and a group, and a child of its own beside it.
client='exec 7<>/dev/vfio/vfio 8<>/dev/vfio/1; sleep 600 & echo $$ >"$0"; wait'

start_run sh -c "$client" "$WORK/ready"
check "during a run the host is as before" unchanged
check "the host does not see the emulated group" test ! -e /dev/vfio/1
kill -TERM "$(cat "$WORK/ready")"
wait "$RUN_PID" 2>/dev/null || true
check "after a run the host is as before" unchanged
check "after a run none of its processes is left" no_marked_process

start_run sh -c "$client" "$WORK/ready"
kill -KILL "$(cat "$WORK/ready")"
wait "$RUN_PID" 2>/dev/null || true
check "after the client was killed the host is as before" unchanged
check "after the client was killed none of its processes is left" wait_for 5 no_marked_process

start_run sh -c "$client" "$WORK/ready"
kill -KILL "$RUN_PID"
wait "$RUN_PID" 2>/dev/null || true
check "after the launcher was killed the client ends" wait_for 5 gone "$(cat "$WORK/ready")"
check "after the launcher was killed the host is as before" unchanged
check "after the launcher was killed none of its processes is left" wait_for 5 no_marked_process
for process in $(marked_processes); do kill -KILL "$process"; done

run_in two-groups "$VFIOLAB" --version >/dev/null
check "after runs in a row the host is as before" unchanged
finish
