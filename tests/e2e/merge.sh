#!/usr/bin/env bash
# A driver of October 2011 to January 2012, compiled against each revision of the interface.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need python3

# with_api REVISION: the path of a topology with that revision.
with_api() {
  sed "s/\"api\": \"B1\"/\"api\": \"$1\"/; s#\"schema.json\"#\"$TOPOLOGIES/schema.json\"#" "$TOPOLOGIES/merge.json" \
    >"$WORK/$1.json"
  echo "$WORK/$1.json"
}
run_early() { limited 60 "$VFIOLAB" run -t "$(with_api "$1")" -- "${@:2}"; }
driver() { echo "$BUILD_DIR/examples/merge_driver_$1"; }
storm() { run_early "$1" python3 "$SOURCE_DIR/tests/e2e/clients/early_storm.py" 2; }

for revision in B0 B1 B2 B3; do
  check "$revision: a driver moves random bytes by DMA, with MSI-X and the line" \
    says "edu works" run_early $revision "$(driver $revision)" 0000:01:00.0
  check "$revision: and two devices whose groups are merged move them through one memory" \
    says "the groups are separate" run_early $revision "$(driver $revision)" 0000:01:00.0 0000:02:00.0
  check "$revision: random calls do not end the emulator" storm $revision
done
for revision in B0 B1; do
  check "$revision: a 32-bit program opens a device, asks about it and maps memory" \
    says "as it should be" run_early $revision "$BUILD_DIR/e2e_i386" $revision
done
check "and when nobody traces it" says "as it should be" \
  limited 60 "$VFIOLAB" run --no-trap -t "$(with_api B0)" -- "$BUILD_DIR/e2e_i386" B0
check "a group whose device a driver of the host has is not viable" \
  says "not bound to vfio" run_early B1 "$(driver B1)" 0000:03:00.0
check "October: an unknown ioctl is ENOSYS" \
  says "Function not implemented" run_early B0 python3 -c 'import fcntl; fcntl.ioctl(open("/dev/vfio/1"), 0x3bff)'
check "December: it is ENOTTY" \
  says "Inappropriate ioctl" run_early B2 python3 -c 'import fcntl; fcntl.ioctl(open("/dev/vfio/pci:1"), 0x3bff)'
check "a driver of another revision is refused" says "Function not implemented" run_early B1 "$(driver B0)" 0000:01:00.0
check "a client that is not traced reads and writes registers" \
  says "edu works" limited 60 "$VFIOLAB" run --no-trap -t "$(with_api B1)" -- "$(driver B1)" 0000:01:00.0

# What a user does in a shell.
session() { run_early "$1" bash -euc "$2"; }
check "/sys tells the number of a function's group, and shows no groups" session B1 '
  [ "$(cat /sys/bus/pci/devices/0000:01:00.0/iommu_group)" = 1 ]
  [ -z "$(ls /sys/kernel/iommu_groups)" ]
  [ ! -e /sys/bus/pci/drivers/vfio-pci ]; [ ! -e /dev/vfio/vfio ]
  [ "$(readlink -f /sys/class/vfio/1)" = /sys/devices/virtual/vfio/1 ]
  grep -q DEVNAME=vfio/1 /sys/class/vfio/1/uevent'
check "and since December the functions of each group" session B2 '
  [ "$(ls /dev/vfio | tr "\n" " ")" = "pci:1 pci:2 pci:3 " ]
  [ "$(basename "$(readlink -f /sys/devices/virtual/vfio/pci:2/devices/0000:02:00.0)")" = 0000:02:00.0 ]'
check "a function that is bound to vfio makes its group viable" session B1 '
  echo 0000:03:00.0 > /sys/bus/pci/drivers/edu/unbind
  echo 0000:03:00.0 > /sys/bus/pci/drivers/vfio/bind
  '"$(driver B1)"' 0000:03:00.0'
check "the node of a group goes and comes with its only function" session B1 '
  echo 1 > /sys/bus/pci/devices/0000:02:00.0/remove
  [ ! -e /dev/vfio/2 ]; [ ! -e /sys/class/vfio/2 ]
  echo 1 > /sys/bus/pci/rescan
  [ -e /dev/vfio/2 ]; [ -e /sys/class/vfio/2 ]'
check "unbinding waits until the IOMMU is not used any more" session B1 '
  python3 -c "
import fcntl, os, sys, time
group = os.open(\"/dev/vfio/1\", os.O_RDWR)
iommu = fcntl.ioctl(group, 0x3b67)
print(flush=True)
sys.stdin.read(1)" < <(sleep 0.5) > >(read -r; echo 0000:01:00.0 > /sys/bus/pci/drivers/vfio/unbind; touch '"$WORK"'/unbound) &
  holder=$!
  sleep 0.3; [ ! -e '"$WORK"'/unbound ]
  wait $holder
  for i in $(seq 50); do [ ! -e '"$WORK"'/unbound ] || break; sleep 0.1; done
  [ -e '"$WORK"'/unbound ]'
finish
