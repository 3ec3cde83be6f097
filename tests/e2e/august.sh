#!/usr/bin/env bash
# A driver for the proposals of August 2011, on machines with either policy.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need python3

# with_policies POLICIES NAME COMMAND...
with_policies() {
  sed "s/\"policies\": {.*}/\"policies\": {$1}/; s#\"schema.json\"#\"$TOPOLOGIES/schema.json\"#" "$TOPOLOGIES/august.json" \
    >"$WORK/$2.json"
  limited 60 "$VFIOLAB" run -t "$WORK/$2.json" -- "${@:3}"
}
driver="$BUILD_DIR/examples/august_driver_A-aug"
for dma in group uiommu; do
  for regions in segmented descriptors; do
    check "two devices move random bytes: dma $dma, regions $regions" says "0000:02:00.0: 2048 bytes" \
      with_policies "\"dma\": \"$dma\", \"regions\": \"$regions\"" $dma-$regions "$driver" 0000:01:00.0 0000:02:00.0
    check "random calls do not end the emulator: dma $dma, regions $regions" \
      with_policies "\"dma\": \"$dma\", \"regions\": \"$regions\", \"exclusive_open\": false, \"owner_close\": \"reset-children\"" \
      storm python3 "$SOURCE_DIR/tests/e2e/clients/early_storm.py" 2
  done
done
if mappable; then
  check "the memory of each region can be mapped by the region's descriptor" says "as it should be" \
    with_policies '"regions": "descriptors"' mapped "$BUILD_DIR/e2e_moved" regions
fi
check "a group that is open cannot be opened again" says "Device or resource busy" \
  with_policies "" exclusive bash -c 'exec 7<>/dev/vfio/1; cat 8<>/dev/vfio/1'
check "a device that is not PCI has registers, and its group a number" says "3 0xc0b1e001" \
  with_policies "" platform python3 -c '
import fcntl, os
number = int(open("/sys/bus/platform/devices/fe000000.copier/iommu_group").read())
group = os.open(f"/dev/vfio/{number}", os.O_RDWR)
device = fcntl.ioctl(group, 0x40013b26, bytearray(b"fe000000.copier\0"))
print(number, hex(int.from_bytes(os.pread(device, 4, 0), "little")))'
finish
