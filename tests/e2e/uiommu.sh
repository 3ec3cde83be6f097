#!/usr/bin/env bash
# A driver of 2010 and 2011, compiled against each revision of the interface that it had.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need python3

# with_api REVISION: the path of a topology with that revision.
with_api() {
  sed "s/\"api\": \"A6\"/\"api\": \"$1\"/; s#\"schema.json\"#\"$TOPOLOGIES/schema.json\"#" "$TOPOLOGIES/uiommu.json" \
    >"$WORK/$1.json"
  echo "$WORK/$1.json"
}
run_early() { limited 60 "$VFIOLAB" run -t "$(with_api "$1")" -- "${@:2}"; }
driver() { echo "$BUILD_DIR/examples/uiommu_driver_$1"; }

gives_back() {
  run_early "$1" bash -euc '
    heard=$(mktemp)
    trap "rm -f $heard" EXIT
    $1 0000:01:00.0 until-removed >$heard & driver=$!
    for i in $(seq 200); do if grep -q "edu works" $heard; then break; fi; sleep 0.02; done
    echo 0000:01:00.0 >/sys/bus/pci/drivers/vfio/unbind
    [ ! -e /sys/class/vfio/vfio0 ]
    wait $driver
    grep "edu is given back" $heard' bash "$(driver "$1")"
}

for revision in A5 A6 A-jun A-jul-15 A-jul; do
  check "$revision: a driver moves random bytes by DMA, with MSI-X and the line" \
    says "edu works" run_early $revision "$(driver $revision)" 0000:01:00.0
  check "$revision: and gives the device back when a message says that it goes" gives_back $revision
  check "$revision: and with the line alone" \
    says "two interrupts by the line" run_early $revision "$(driver $revision)" 0000:02:00.0
done
for revision in A5 A6; do
  check "$revision: memory that the process unmaps takes its mapping along" \
    says "as it should be" run_early $revision "$BUILD_DIR/e2e_unmap" /dev/vfio1 goes
done
check "A-jun: it does not" says "as it should be" run_early A-jun "$BUILD_DIR/e2e_unmap" /dev/vfio1 stays
if mappable; then
  cat >"$WORK/testdev.json" <<'END'
{"name": "testdev", "api": "A6",
 "devices": [{"bdf": "0000:01:00.0", "model": "pci-testdev", "driver": "vfio", "params": {"membar": "64K"}}],
 "groups": [{"id": 1, "members": ["0000:01:00.0"]}]}
END
  moved() { limited 60 "$VFIOLAB" run "${@:3}" -t "$WORK/testdev.json" -- "$BUILD_DIR/e2e_moved" "$1" "$2"; }
  check "a mapping begins with the BAR's first page, whatever the offset" says "as it should be" moved bar /dev/vfio0
  check "so does one of registers" says "as it should be" run_early A6 "$BUILD_DIR/e2e_moved" registers /dev/vfio0
  check "of a client that nobody traces it is EINVAL" says "as it should be" moved untraced /dev/vfio0 --no-trap
fi
storm() { run_early "$1" python3 "$SOURCE_DIR/tests/e2e/clients/early_storm.py" 2; }
for revision in A5 A6 A-jun A-jul-15 A-jul; do
  check "$revision: random calls do not end the emulator" storm $revision
done
check "a driver of another revision gets EINVAL" says "Invalid argument" run_early A-jul "$(driver A5)" 0000:01:00.0
check "drivers of 2011 and of today work side by side" run_early A6 sh -c \
  "$(driver A6) 0000:01:00.0 & $EDU_DRIVER 0000:03:00.0 && wait \$!"

# What a user does in a shell.
session() { run_early A6 bash -euc "$1"; }
check "/sys/class/vfio has both devices and what they lock" session '
  [ "$(cat /sys/class/vfio/vfio0/locked_pages)" = 0 ]
  [ "$(basename "$(readlink -f /sys/class/vfio/vfio1/device)")" = 0000:02:00.0 ]
  grep -q DEVNAME=vfio0 /sys/class/vfio/vfio0/uevent'
check "a function comes to the driver, and leaves it" session '
  echo 0000:03:00.0 > /sys/bus/pci/drivers/vfio-pci/unbind
  echo > /sys/bus/pci/devices/0000:03:00.0/driver_override
  echo 0000:03:00.0 > /sys/bus/pci/drivers/vfio/bind
  [ -e /dev/vfio2 ]; [ -d /sys/bus/pci/drivers/vfio/0000:03:00.0/vfio/vfio2 ]
  echo 0000:03:00.0 > /sys/bus/pci/drivers/vfio/unbind
  [ ! -e /dev/vfio2 ]; [ ! -e /sys/class/vfio/vfio2 ]'
sed -i 's/"0000:03:00.0", "model": "edu"/"0000:03:00.0", "model": "pci-testdev"/' "$WORK/A6.json"
check "a driver learns of functions by new_id" limited 60 "$VFIOLAB" run -t "$WORK/A6.json" -- bash -euc '
  echo 0000:03:00.0 > /sys/bus/pci/drivers/vfio-pci/unbind
  echo > /sys/bus/pci/devices/0000:03:00.0/driver_override
  if echo 0000:03:00.0 > /sys/bus/pci/drivers/vfio/bind; then exit 1; fi
  echo 1b36 0005 > /sys/bus/pci/drivers/vfio/new_id
  [ -e /dev/vfio2 ]'
check "an unbind waits until the device is closed, and the node is gone before" session '
  exec 7<>/dev/vfio0
  echo 0000:01:00.0 > /sys/bus/pci/drivers/vfio/unbind 7>&- & writer=$!
  for i in $(seq 100); do [ -e /dev/vfio0 ] || break; sleep 0.05; done
  [ ! -e /dev/vfio0 ]; kill -0 $writer
  exec 7>&-
  wait $writer'
finish
