#!/usr/bin/env bash
# The machine where each process has a part of it: who has it alive, and how others reach it.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need python3 bash setsid

bdf=0000:01:00.0
devices=/sys/bus/pci/devices drivers=/sys/bus/pci/drivers/vfio-pci
client() { here edu python3 "$SOURCE_DIR/tests/e2e/clients/processes.py" "$@"; }

check "what one command changes, the next ones find" same "1 vfio,vfio,0x1234,1 vfio" "$(here edu sh -c '
  nodes() { echo $(ls /dev/vfio); }
  a=$(nodes); echo '$bdf' >'$drivers'/unbind; b=$(nodes); c=$(cat '$devices/$bdf'/vendor)
  echo '$bdf' >'$drivers'/bind; echo "$a,$b,$c,$(nodes)"')"
check "and a mode that one has set" says '^640 c$' here edu sh -c 'chmod 640 /dev/vfio/1; stat -c "%a %F" /dev/vfio/1 | cut -c-5'
for shell in bash sh; do
  check "$shell tells an error of what its echo writes" says '^refused$' here edu $shell -c \
    "echo 9999:01:00.0 >$drivers/unbind || echo refused"
done
check "so does a program that prints" exits_with 1 here edu sh -c "/bin/echo 9999:01:00.0 >$drivers/unbind"
check "what is printed arrives" same "no such group" "$(here edu bash -c "
  printf '%s' $bdf >$drivers/unbind; /usr/bin/printf '%s\n' $bdf | cat >$drivers/bind; echo $bdf >$drivers/unbind
  [ -e /dev/vfio/1 ] || echo no such group")"
look="cd $devices/$bdf; LC_ALL=C sort <uevent; wc -l <uevent; { read -r line; head -n 1; } <uevent; tail -c +2 vendor"
check "a program's input can be a file of the machine, as with FUSE" same "$(run_in edu bash -c "$look")" "$(here edu bash -c "$look")"
check "a process that has the container open lets its children use it" says "^everything worked$" here edu \
  bash -c "exec 5<>/dev/vfio/vfio; '$EDU_DRIVER' $bdf | grep -o 'everything worked'"

check "a child uses all that its parent has open, and the parent what the child opens" client inherit
check "a mapping of registers is as good in a child" client mapped
check "it goes where mremap puts it, and does not grow" client moved
check "an unbind waits for the process that has the device" client unbind
check "children of a server that forks have the machine in turn, and together" client server
check "a daemon has the machine when its parents are gone" client daemon
check "descriptors are as good over a socket, and under other numbers" client passed
check "files outlive the program that opened them, where others have them" says '^good$' client leaving
check "when the process with the machine dies, files are ENODEV, and the next one has a machine" \
  says "^vfiolab: the process that had the machine has gone" client orphan
check "what that says is seen by the program" client orphan
check "a program that closes all descriptors but its own keeps the machine" client closing
check "a process that ends gives its part back" client returned
seed=$RANDOM$RANDOM
check "processes that come, go and are killed leave the machine whole (seed $seed)" \
  here two-groups python3 "$SOURCE_DIR/tests/e2e/clients/processes_storm.py" 4 $seed
check "what a client leaves behind ends with run" same "gone" "$(here edu sh -c 'sleep 30 & echo $! >"$0"; setsid sleep 30 &
  echo $! >>"$0"' "$WORK/left"; for pid in $(cat "$WORK/left"); do kill -0 "$pid" 2>/dev/null && echo "$pid is there"; done; echo gone)"

# DPDK with two processes: the second one has its descriptors from the first, over a socket. The device is an inert
# one with the looks of a virtual function of an 82576, which is enough for its driver to take it.
dpdk() {
  local status=0 before
  mkdir "$WORK/pages"
  mount -t hugetlbfs -o pagesize=2M none "$WORK/pages"
  MOUNTS+=("$WORK/pages")
  before=$(cat /proc/sys/vm/nr_hugepages)
  echo 96 >/proc/sys/vm/nr_hugepages
  limited 60 "$VFIOLAB" run --in-process --trace "$WORK/trace" -t "$SOURCE_DIR/tests/e2e/dpdk/topology.json" -- bash -euc '
    both=(--file-prefix "vfiolab$$" -a '$bdf')
    mkfifo "$1/fifo"
    dpdk-testpmd --lcores 0@0,1@0 --huge-dir "$1/pages" -m 64 "${both[@]}" -- -i --total-num-mbufs=2048 <"$1/fifo" >"$1/first" 2>&1 &
    exec 7>"$1/fifo"
    for i in $(seq 200); do grep -q "testpmd>" "$1/first" && break; sleep 0.05; done
    dpdk-proc-info "${both[@]}" -- --show-port
    exec 7>&-
    wait' bash "$WORK" >"$WORK/said" 2>&1 || status=$?
  echo "$before" >/proc/sys/vm/nr_hugepages
  cat "$WORK/first" "$WORK/said"
  grep -q "===== Port 0 =====" "$WORK/said" && [ $status = 0 ] &&
    same 2 "$(grep -o 'tid=[0-9]* mmap' "$WORK/trace" | sort -u | wc -l)"
}
if [ "$(id -u)" = 0 ]; then
  need dpdk-testpmd dpdk-proc-info
  check "two processes of DPDK share a device" dpdk
fi
finish
