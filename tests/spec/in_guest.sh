#!/bin/sh
# Runs a VFIO client against a real kernel: boots KERNEL in QEMU (no KVM needed) with two edu devices and a pci-testdev
# behind a virtual IOMMU, binds them to vfio-pci, runs BINARY inside and exits with its status.
#
#   in_guest.sh KERNEL BINARY [ARGS...]
#
# BINARY must be linked statically. In ARGS, @edu, @edu2, @testdev stand for the devices' addresses, and @edu_group,
# @edu2_group, @testdev_group for their group numbers. The client finds the addresses in VFIO_TEST_EDU, VFIO_TEST_EDU2
# and VFIO_TEST_TESTDEV. Variables: QEMU (the emulator), GUEST_TIMEOUT (seconds, 600), GUEST_CPUS (1),
# GUEST_MEMORY (1G), GUEST_APPEND (more kernel parameters).
#
# The kernel parameter no_timer_check: on a busy machine the clock test at boot fails though the clock is fine.
set -eu
if [ $# -lt 2 ]; then
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
kernel=$1
binary=$2
shift 2
for tool in "${QEMU:=qemu-system-x86_64}" busybox cpio gzip; do
    command -v "$tool" >/dev/null || { echo "in_guest.sh: $tool is missing" >&2; exit 2; }
done
for file in "$kernel" "$binary"; do
    [ -r "$file" ] || { echo "in_guest.sh: cannot read $file" >&2; exit 2; }
done
for program in "$binary" "$(command -v busybox)"; do
    if ldd "$program" >/dev/null 2>&1; then
        echo "in_guest.sh: $program must be linked statically: the guest has no libraries" >&2
        exit 2
    fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 2' INT TERM
mkdir -p "$work/root/bin" "$work/root/proc" "$work/root/sys" "$work/root/dev" "$work/root/tmp"
cp "$(command -v busybox)" "$work/root/bin/busybox"
cp "$binary" "$work/root/bin/client"
chmod 755 "$work/root/bin/client"
: >"$work/root/args"
for arg in "$@"; do printf '%s\n' "$arg" >>"$work/root/args"; done

cat >"$work/root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
stty -F /dev/console -onlcr 2>/dev/null
group() { basename "$(readlink "/sys/bus/pci/devices/$1/iommu_group")"; }
export VFIO_TEST_EDU=0000:00:04.0 VFIO_TEST_EDU2=0000:00:05.0 VFIO_TEST_TESTDEV=0000:00:06.0
for device in $VFIO_TEST_EDU $VFIO_TEST_EDU2 $VFIO_TEST_TESTDEV; do
    echo vfio-pci >"/sys/bus/pci/devices/$device/driver_override"
    echo "$device" >/sys/bus/pci/drivers_probe
done
set --
while IFS= read -r arg; do
    case $arg in
    @edu) arg=$VFIO_TEST_EDU ;;
    @edu2) arg=$VFIO_TEST_EDU2 ;;
    @testdev) arg=$VFIO_TEST_TESTDEV ;;
    @edu_group) arg=$(group $VFIO_TEST_EDU) ;;
    @edu2_group) arg=$(group $VFIO_TEST_EDU2) ;;
    @testdev_group) arg=$(group $VFIO_TEST_TESTDEV) ;;
    esac
    set -- "$@" "$arg"
done </args
echo @@client-begins
/bin/client "$@" 2>&1 </dev/null
echo "@@client-status $?"
poweroff -f
INIT
chmod 755 "$work/root/init"
(cd "$work/root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd"

testdev=pci-testdev,addr=6,membar=65536
if "$QEMU" -device pci-testdev,help | grep -q membar-backed; then testdev=$testdev,membar-backed=on; fi
timeout "${GUEST_TIMEOUT:-600}" "$QEMU" -machine q35,kernel-irqchip=split -accel tcg -cpu max \
    -smp "${GUEST_CPUS:-1}" -m "${GUEST_MEMORY:-1G}" \
    -nographic -nodefaults -no-reboot -serial stdio -kernel "$kernel" -initrd "$work/initrd" \
    -append "console=ttyS0 intel_iommu=on no_timer_check loglevel=1 panic=-1 ${GUEST_APPEND:-}" \
    -device intel-iommu,intremap=on \
    -device edu,addr=4 -device edu,addr=5 -device "$testdev" \
    </dev/null 2>"$work/errors" | tr -d '\r' | tee "$work/console" |
    sed -u -n '/@@client-begins$/,/@@client-status /{/@@client-begins$/d;/@@client-status /{s///;s/[0-9]*$//;/^$/d;};p;}'
status=$(sed -n 's/.*@@client-status //p' "$work/console" | tail -n 1)
if [ -z "$status" ]; then
    echo "in_guest.sh: the guest ended without a result; its console and QEMU's messages follow" >&2
    tail -n 20 "$work/console" >&2
    head -n 5 "$work/errors" >&2
    exit 2
fi
exit "$status"
