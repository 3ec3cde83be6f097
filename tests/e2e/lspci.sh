#!/usr/bin/env bash
# The tools that look at the PCI bus find the emulated machine and nothing to complain about.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need lspci

# lspci_of TOPOLOGY ARGUMENTS...: what lspci prints, its complaints included; only that libkmod
# finds no modules is this machine's own affair.
lspci_of() {
  local topology=$1
  shift
  run_in "$topology" lspci "$@" 2>&1 | sed '/Unable to load libkmod resources/d'
}

devices_of() { lspci_of "$1" -D | cut -d' ' -f1; }
groups_of() { lspci_of "$1" -D -vvv -xxxx | awk '/^[0-9a-f]*:/ && / /{if (/\.[0-7] /) d=$1} /IOMMU group:/{print d, $3}'; }
# The lines of one device.
about() { lspci_of "$1" -s "$2" -vvv; }
no_complaint() {
  local text
  text=$(lspci_of "$1" -vvv -xxxx)
  ! grep -nE '!!!|lspci:|pcilib:|unknown header|rev ff|Unassigned|<unassigned>|access denied' <<<"$text"
}
no_device_line() { ! grep -E '^[0-9a-f]{4}:[0-9a-f]{2}' <<<"$1"; }

declare -A DEVICES=(
  [edu]=$'0000:01:00.0'
  [two-groups]=$'0000:01:00.0\n0000:02:00.0'
  [shared-group]=$'0000:01:00.0\n0000:01:01.0\n0000:01:02.0'
  [edu-behind-root-port]=$'0000:00:1c.0\n0000:01:00.0'
  [many-vectors]=$'0000:01:00.0\n0000:02:00.0\n0000:03:00.0\n0000:04:00.0'
)
declare -A GROUPS_OF=(
  [edu]=$'0000:01:00.0 1'
  [two-groups]=$'0000:01:00.0 1\n0000:02:00.0 2'
  [shared-group]=$'0000:01:00.0 1\n0000:01:01.0 1\n0000:01:02.0 1'
  [edu-behind-root-port]=$'0000:01:00.0 1'
  [many-vectors]=$'0000:01:00.0 1\n0000:02:00.0 2\n0000:03:00.0 3\n0000:04:00.0 4'
)

DEVICES[switch]=$(printf '0000:%s\n' 00:1c.0 00:1d.0 01:00.0 02:00.0 02:01.0 03:00.0 04:00.0 05:00.0 06:00.0 06:01.0 07:00.0 08:00.0)
GROUPS_OF[switch]=$(paste -d' ' <(echo "${DEVICES[switch]}") <(printf '%s\n' 0 1 2 3 4 5 6 7 8 9 8 9))
DEVICES[conventional]=$(printf '0000:%s\n' 00:1c.0 01:00.0 02:01.0 02:02.0 02:03.0 03:04.0 03:05.0)
GROUPS_OF[conventional]=$(paste -d' ' <(echo "${DEVICES[conventional]}") <(printf '%s\n' 0 1 1 1 1 1 1))

for topology in switch conventional; do
  check "$topology: lspci lists the bridges and what is behind them" \
    same "${DEVICES[$topology]}" "$(devices_of "$topology")"
  check "$topology: lspci -vvv -xxxx has nothing to complain about" no_complaint "$topology"
  check "$topology: lspci shows the group of each function" \
    same "${GROUPS_OF[$topology]}" "$(groups_of "$topology")"
done
check "lspci -t draws the switches" \
  says '1c\.0-\[01-04\]----00\.0-\[02-04\]--\+-00\.0-\[03\]----00\.0' lspci_of switch -tv
check "and bridges to conventional PCI" \
  says '1c\.0-\[01-03\]----00\.0-\[02-03\]--\+-01\.0' lspci_of conventional -tv
check "ports are what they are" says 'Express \(v2\) Upstream Port' about switch 01:00.0
check "with their access control" \
  says 'ACSCtl:.*SrcValid\+ TransBlk- ReqRedir\+ CmpltRedir\+ UpstreamFwd\+' about switch 02:00.0
check "or without" refuse says 'Access Control' about switch 06:00.0
check "pcieport has the ports, and not the bridge to conventional PCI" \
  same "0000:00:1c.0" "$(run_in conventional sh -c 'ls /sys/bus/pci/drivers/pcieport' | grep 0000)"
check "vfiolab check says where stated groups differ from the hierarchy" \
  says 'group 1 is several by the hierarchy' "$VFIOLAB" check -t "$TOPOLOGIES/shared-group.json"

for topology in edu two-groups shared-group edu-behind-root-port many-vectors; do
  check "$topology: lspci lists exactly the emulated devices" \
    same "${DEVICES[$topology]}" "$(devices_of "$topology")"
  check "$topology: lspci -vvv -xxxx has nothing to complain about" no_complaint "$topology"
  check "$topology: lspci shows the IOMMU group of each device" \
    same "${GROUPS_OF[$topology]}" "$(groups_of "$topology")"
  endpoints=$(wc -l <<<"${GROUPS_OF[$topology]}")
  check "$topology: lspci shows vfio-pci as the driver of each endpoint" \
    same "$endpoints" "$(lspci_of "$topology" -k | grep -c 'Kernel driver in use: vfio-pci$')"
  check "$topology: lspci -tv draws the tree without a complaint" \
    refuse says '!!!|lspci:|pcilib:' lspci_of "$topology" -tv
  check "$topology: lspci succeeds" run_in "$topology" lspci -vvv -xxxx
  if command -v dpdk-devbind.py >/dev/null; then
    check "$topology: dpdk-devbind.py --status succeeds" run_in "$topology" dpdk-devbind.py --status
    check "$topology: dpdk-devbind.py finds no network device, as there is none" \
      no_device_line "$(run_in "$topology" dpdk-devbind.py --status 2>/dev/null)"
  fi
done

check "edu is 1234:11e8 with one 64-bit MSI" \
  says 'MSI: Enable- Count=1/1 Maskable- 64bit\+' about edu 01:00.0
check "edu's BAR0 is 1 MiB of memory" \
  says 'Region 0: Memory at [0-9a-f]+ \(32-bit, non-prefetchable\).*\[size=1M\]' about edu 01:00.0
check "edu has an interrupt pin" says 'Interrupt: pin A' about edu 01:00.0
check "pci-testdev's BAR2 is 64 KiB, 64-bit and prefetchable" \
  says 'Region 2: Memory at [0-9a-f]+ \(64-bit, prefetchable\).*\[size=64K\]' about two-groups 02:00.0
check "pci-testdev's BAR1 is 256 I/O ports" \
  says 'Region 1: I/O ports at [0-9a-f]+.*\[size=256\]' about two-groups 02:00.0
check "the root port is a PCIe root port of pcieport" \
  says 'Express \(v2\) Root Port' about edu-behind-root-port 00:1c.0
check "lspci -t shows edu behind the root port" \
  says '1c\.0-\[01\]----00\.0' lspci_of edu-behind-root-port -tv
check "a device without MSI-X shows no MSI-X" \
  refuse says 'MSI-X' about many-vectors 01:00.0
for pair in 02:1 03:33 04:2048; do
  check "a device of ${pair#*:} vectors shows MSI-X Count=${pair#*:}" \
    says "MSI-X: Enable- Count=${pair#*:} Masked-" about many-vectors "${pair%:*}:00.0"
done
finish
