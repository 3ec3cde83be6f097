#!/usr/bin/env bash
# Platform devices: a driver drives one, sysfs shows them, and their driver can change.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

COPIER_DRIVER=$BUILD_DIR/examples/copier_driver
inside() { run_in platform sh -c "$*"; }
device=fe000000.copier

check "a driver moves bytes by DMA, takes both interrupts and shares memory" \
  says "everything worked" run_in platform "$COPIER_DRIVER" $device
check "and does without mapped registers" \
  says "everything worked" limited 60 "$VFIOLAB" run --no-trap -t "$TOPOLOGIES/platform.json" -- \
  "$COPIER_DRIVER" $device
start_serve platform
check "the same holds for a client of a session" run_session "$SESSION" "$COPIER_DRIVER" $device
check "and for the next one" run_session "$SESSION" "$COPIER_DRIVER" $device
stop_serve

check "only the emulated devices are on the platform bus" \
  same $'fe000000.copier\nfe100000.copier' "$(inside ls /sys/bus/platform/devices)"
check "a device leads to its group and back" inside \
  "[ \$(basename \$(readlink /sys/bus/platform/devices/$device/iommu_group)) = 1 ] &&
   grep -q ^OF_COMPATIBLE_0=vfiolab,copier\\\$ /sys/kernel/iommu_groups/1/devices/$device/uevent"
check "no link of the platform bus is broken" \
  same "" "$(inside find /sys/bus/platform /sys/devices/platform /sys/class/vfio-dev -xtype l)"
check "vfio-platform gives its device back, and its group goes with it" inside \
  "echo $device >/sys/bus/platform/drivers/vfio-platform/unbind && [ ! -e /dev/vfio/1 ] &&
   [ ! -e /sys/bus/platform/devices/$device/driver ]"
check "without an override vfio-platform takes nothing" inside \
  "cd /sys/bus/platform; echo $device >drivers/vfio-platform/unbind
   echo >devices/$device/driver_override; ! echo $device >drivers/vfio-platform/bind"
check "with one it does, and the driver works again" says "everything worked" inside \
  "cd /sys/bus/platform; echo $device >drivers/vfio-platform/unbind
   echo vfio-platform >devices/$device/driver_override && echo $device >drivers_probe &&
   $COPIER_DRIVER $device"
if [ -d /sys/bus/platform ]; then
  check "without platform devices the platform bus is the host's" \
    same "$(ls /sys/bus/platform/devices)" "$(run_in edu ls /sys/bus/platform/devices)"
fi

topology=$WORK/faulty.json
cat >"$topology" <<'JSON'
{"devices": [], "platform": [{"name": "fe000000.copier", "model": "copier", "reset": false}],
 "groups": [{"id": 1, "members": ["fe000000.copier"]}]}
JSON
check "a device that cannot be reset is none for vfio-platform" \
  same vfio "$(run_in "$topology" ls /dev/vfio)"
finish
