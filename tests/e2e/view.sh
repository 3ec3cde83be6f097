#!/usr/bin/env bash
# A client sees the emulated PCI devices and IOMMU groups, and otherwise the host.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

inside() { run_in two-groups "$@"; }
lists() { same "$1" "$(inside ls "$2")"; }

check "only the emulated devices are on the PCI bus" lists $'0000:01:00.0\n0000:02:00.0' /sys/bus/pci/devices
check "only the emulated groups are IOMMU groups" lists $'1\n2' /sys/kernel/iommu_groups
check "/dev/vfio has the container and the two groups" lists $'1\n2\nvfio' /dev/vfio
check "vfio-pci is the driver of both" \
  says vfio-pci inside sh -c 'for d in /sys/bus/pci/devices/*; do
    [ "$(basename "$(readlink $d/driver)")" = vfio-pci ] || exit 1; echo vfio-pci; done'
check "each group leads to its device" \
  inside sh -c 'test -e /sys/kernel/iommu_groups/1/devices/0000:01:00.0/vendor &&
                test -e /sys/kernel/iommu_groups/2/devices/0000:02:00.0/vendor'
check "each device leads to its group" \
  same 2 "$(inside sh -c 'basename $(readlink /sys/bus/pci/devices/0000:02:00.0/iommu_group)')"
check "no link of the PCI bus is broken" \
  same "" "$(inside find /sys/bus/pci /sys/kernel/iommu_groups /sys/class/iommu /sys/class/vfio -xtype l 2>/dev/null)"
check "the host's PCI devices are not below /sys/devices" \
  inside sh -c 'for d in $(find /sys/devices -name "*:*:*.[0-7]" -path "*pci*"); do
    case $d in *0000:01:00.0|*0000:02:00.0) ;; *) echo $d; exit 1;; esac; done'
check "no file system of vfiolab is mounted besides those in the view" \
  refuse inside grep -E ' / (/mnt|/media|/srv|/sys/fs/fuse/connections) .*vfiolab' /proc/self/mountinfo

# The rest of /dev and /sys is the host's.
host_dev=$(cd /dev && ls -d -- * | grep -vxE 'vfio|iommu|uiommu')
check "/dev has the host's other entries" same "$host_dev" "$(inside sh -c 'cd /dev && ls -d -- *' | grep -vx vfio)"
check "/dev/null swallows and /dev/zero gives" \
  inside sh -c 'echo text >/dev/null && [ "$(head -c 4 /dev/zero | wc -c)" = 4 ]'
check "/dev/shm is the host's" \
  inside sh -c "echo shared >/dev/shm/vfiolab-e2e-$$ && [ \"\$(cat /dev/shm/vfiolab-e2e-$$)\" = shared ]"
check "what a client writes to /dev/shm the host reads" same shared "$(cat /dev/shm/vfiolab-e2e-$$; rm -f /dev/shm/vfiolab-e2e-$$)"
check "/dev/pts is the host's" inside sh -c 'test -c /dev/ptmx && ls /dev/pts >/dev/null && exec 3<>/dev/ptmx'
for path in /sys/class/net /sys/devices/system/cpu /sys/class/block /sys/kernel/mm; do
  [ -d $path ] || continue
  check "$path is the host's" same "$(ls $path)" "$(inside ls $path)"
done
check "network interfaces that are not below a PCI device are readable in /sys/class/net" \
  inside sh -c 'cat /sys/class/net/lo/mtu && for n in /sys/class/net/*; do
    case $(readlink $n) in */pci*) ;; *) cat $n/mtu || exit 1;; esac; done'
check "/sys/devices/system/cpu/online is readable" \
  same "$(cat /sys/devices/system/cpu/online)" "$(inside cat /sys/devices/system/cpu/online)"
check "/sys/devices/system and /sys/module are readable" \
  inside sh -c 'ls /sys/devices/system /sys/module >/dev/null'
run_in two-groups sh -c 'touch "$0" && sleep 30' "$WORK/ready" &
PROCESSES+=($!)
wait_for 15 test -e "$WORK/ready"
check "a second run beside has a machine of its own" run_in edu sh -c 'test ! -e /dev/vfio/2 && test -e /dev/vfio/1'
finish
