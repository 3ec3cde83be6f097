#!/usr/bin/env bash
# The tools with which people give devices to vfio-pci and back do so, on a machine that is running.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need dpdk-devbind.py driverctl
nic=0000:01:00.0 disk=0000:02:00.0

# One script inside, because what is bound lasts as long as the machine. Of driverctl's modprobe only that it finds
# the module matters, and that is this machine's own affair.
cat >"$WORK/inside.sh" <<'EOF'
nic=$1 disk=$2
bound() { basename "$(readlink "/sys/bus/pci/devices/$1/driver" || echo none)"; }
tell() { echo "$1: $(bound "$nic") $(bound "$disk") $(ls /dev/vfio | tr '\n' ' ')"; }
cd "$WORK"
mount --bind /bin/true "$(realpath /sbin/modprobe)"
devbind() { dpdk-devbind.py "$@" >"$WORK/devbind.out" 2>&1 || sed 's/^/devbind: /' "$WORK/devbind.out"; }
tell start
devbind --bind=vfio-pci "$nic"; tell "devbind --bind"
devbind --unbind "$nic"; tell "devbind --unbind"
devbind --bind=e1000e "$nic"; tell "devbind back"
driverctl --nosave set-override "$disk" vfio-pci; tell "driverctl set-override"
driverctl list-overrides
driverctl --nosave unset-override "$disk"; tell "driverctl unset-override"
echo "$disk" >/sys/bus/pci/drivers/nvme/unbind; tell "a shell's unbind"
echo "8086 10d3" >/sys/bus/pci/drivers/vfio-pci/new_id; tell "new_id of what has a driver"
echo "1b36 0010" >/sys/bus/pci/drivers/vfio-pci/new_id; tell "new_id"
EOF

expected="start: e1000e nvme vfio 
devbind --bind: vfio-pci nvme 1 vfio 
devbind --unbind: none nvme vfio 
devbind back: e1000e nvme vfio 
driverctl set-override: e1000e vfio-pci 2 vfio 
$disk vfio-pci
driverctl unset-override: e1000e nvme vfio 
a shell's unbind: e1000e none vfio 
new_id of what has a driver: e1000e none vfio 
new_id: e1000e vfio-pci 2 vfio "
export WORK
said=$("$VFIOLAB" run -t "$(dirname "$0")/drivers.json" -- bash "$WORK/inside.sh" "$nic" "$disk" 2>&1)
check "dpdk-devbind.py, driverctl and a shell bind and unbind" same "$expected" "$said"
said=$("$VFIOLAB" run --in-process -t "$(dirname "$0")/drivers.json" -- bash "$WORK/inside.sh" "$nic" "$disk" 2>&1)
check "so they do where each has a part of the machine" same "$expected" "$said"

# Whatever is written where, the machine stays whole.
seed=$RANDOM$RANDOM
check "5000 random writes into /sys (seed $seed) break nothing" limited 60 \
  "$VFIOLAB" run -t "$SOURCE_DIR/tests/referee/machines/variety/topology.json" -- \
  python3 "$SOURCE_DIR/tests/e2e/clients/sysfs_storm.py" "$seed" 5000

finish
