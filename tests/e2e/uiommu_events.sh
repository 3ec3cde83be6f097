#!/usr/bin/env bash
# What clients of 2010 and 2011 hear of their devices by generic netlink, and what they answer.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need setpriv

chmod 711 "$WORK"
# with_api REVISION: the path of a topology with that revision.
with_api() {
  sed "s/\"api\": \"A6\"/\"api\": \"$1\"/; s#\"schema.json\"#\"$TOPOLOGIES/schema.json\"#" "$TOPOLOGIES/uiommu.json" \
    >"$WORK/$1.json"
  echo "$WORK/$1.json"
}
mkdir "$WORK/bin"
cp "$VFIOLAB" "$BUILD_DIR"/libvfiolab-preload.so "$BUILD_DIR"/examples/uiommu_events_* "$BUILD_DIR/e2e_netlink" "$WORK/bin"
chmod -R a+rX "$WORK/bin"
WRAPPER=(limited 60)
OPTIONS=()

# listen REVISION "ANSWER SUSPEND" SCRIPT: the script runs beside a program that listens; what that
# has printed is what remains.
listen() {
  "${WRAPPER[@]}" "$WORK/bin/vfiolab" run "${OPTIONS[@]}" -t "$(with_api "$1")" -- bash -euc '
    heard=$(mktemp)
    trap "rm -f $heard" EXIT
    $1 0000:01:00.0 $2 >$heard & listener=$!
    for i in $(seq 200); do if grep -q registered $heard; then break; fi; sleep 0.02; done
    error() { echo "$1" >/sys/class/vfio/vfio0/inject_error; }
    sleep_now() { echo "$1" >/sys/power/state; }
    unbind() { echo 0000:01:00.0 >/sys/bus/pci/drivers/vfio/unbind; }
    refused() { if "$@" 2>&1; then exit 1; fi; }
    eval "$3"
    unbind
    wait $listener
    cat $heard' bash "$WORK/bin/uiommu_events_$1" "$2" "$3"
}
hears() { # EXPECTED REVISION ANSWERS SCRIPT
  local heard
  heard=$(listen "$2" "$3" "$4" | tr '\n' ',') || { echo "$heard"; return 1; }
  same "$1" "$heard"
}

for revision in A5 A6 A-jun A-jul-15 A-jul; do
  check "$revision: who registers hears of the removal, which waits until the device is closed" \
    hears 'registered,REMOVE,' $revision '' true
  check "$revision: errors are recovered from, with a reset where the channel was frozen" \
    hears 'registered,ERROR_DETECTED 1,MMIO_ENABLED,ERROR_RESUME,ERROR_DETECTED 2,SLOT_RESET,ERROR_RESUME,REMOVE,' \
    $revision '2 0' 'error normal; error frozen'
  check "$revision: a sleep that is agreed to begins and ends" \
    hears 'registered,PM_SUSPEND,PM_RESUME,REMOVE,' $revision '2 0' 'sleep_now mem'
done
check "a device that needs a reset gets one" \
  hears 'registered,ERROR_DETECTED 1,SLOT_RESET,ERROR_RESUME,REMOVE,' A6 '3 0' 'error normal'
check "an error for good is not recovered from, nor one that the client cannot bear" \
  hears 'echo: write error: Input/output error,registered,ERROR_DETECTED 3,REMOVE,' A6 '2 0' \
  'refused error failure | sed "s/.*echo/echo/"'
check "a sleep that the client does not want is EINVAL" \
  hears 'echo: write error: Invalid argument,registered,PM_SUSPEND,PM_RESUME,REMOVE,' A6 '2 1' \
  'refused sleep_now freeze | sed "s/.*echo/echo/"'
check "/sys/power/state lists what it takes" \
  says '^freeze standby mem$' run_in uiommu cat /sys/power/state

OPTIONS=(--in-process)
check "in process: another process has the errors, and is told how it goes on" \
  hears 'registered,ERROR_DETECTED 1,MMIO_ENABLED,ERROR_RESUME,ERROR_DETECTED 2,SLOT_RESET,ERROR_RESUME,REMOVE,' \
  A6 '2 0' 'error normal; error frozen'
check "in process: a client does not let another process put the machine to sleep" \
  hears 'echo: write error: Invalid argument,registered,PM_SUSPEND,PM_RESUME,REMOVE,' A-jul '2 1' \
  'refused sleep_now freeze | sed "s/.*echo/echo/"'
OPTIONS=()

netlink() { "${WRAPPER[@]}" "$WORK/bin/vfiolab" run "${@:2}" -t "$(with_api A6)" -- "$WORK/bin/e2e_netlink" "$1"; }
sentences() { # OPTIONS...
  check "$HOW: the family is found by its name and number, beside those of the kernel" netlink family "$@"
  check "$HOW: it is in the list of all families, once" netlink dump "$@"
  check "$HOW: blocking receives, poll and epoll wait for an event" netlink waiting "$@"
  check "$HOW: a signal ends a blocking receive, unless SA_RESTART says otherwise" netlink signals "$@"
  check "$HOW: a signal of the process goes to the thread that wants it" netlink threads "$@"
  check "$HOW: a message can be looked at, and is cut where there is no room" netlink peek "$@"
  check "$HOW: many messages at once are answered in their order" netlink batch "$@"
  check "$HOW: NETLINK_CAP_ACK and a full queue have their effects" netlink options "$@"
  check "$HOW: errors are recovered from, and a removal is heard of" netlink events "$@"
  check "$HOW: a socket outlives the process that registered" netlink fork "$@"
  check "$HOW: other sockets are left alone" netlink others "$@"
}
HOW="traced"; sentences
HOW="not traced"; sentences --no-trap
HOW="with --exact"; sentences --exact
HOW="in process"; sentences --in-process
if command -v python3 >/dev/null; then
  check "random messages and calls do not end the emulator" \
    run_in uiommu python3 "$SOURCE_DIR/tests/e2e/clients/netlink_storm.py" 3
  check "nor do they in the program that sends them" \
    here uiommu python3 "$SOURCE_DIR/tests/e2e/clients/netlink_storm.py" 3
fi
if [ -x "$BUILD_DIR/e2e_libnl_events" ]; then
  check "a program with libnl finds the family, registers and hears of a sleep" \
    run_in uiommu "$BUILD_DIR/e2e_libnl_events"
  check "in process, too" here uiommu "$BUILD_DIR/e2e_libnl_events"
fi
if command -v genl >/dev/null; then
  check "genl lists the family" says 'Name: VFIO' run_in uiommu genl ctrl list
  check "genl finds the family" says 'max attribs: 8' run_in uiommu genl ctrl get name VFIO
  check "genl lists the family in process" says 'Name: VFIO' here uiommu genl ctrl list
  check "and finds it" says 'max attribs: 8' here uiommu genl ctrl get name VFIO
fi
if command -v ip >/dev/null; then
  check "ip lists the host's links" same "$(ip -o link | cut -d: -f2)" "$(run_in uiommu ip -o link | cut -d: -f2)"
fi
check "without the interface of that time there is no such family" \
  exits_with 1 run_in edu "$WORK/bin/e2e_netlink" family

# As nobody, who has /dev/fuse.
if [ "$(id -u)" = 0 ]; then
  WRAPPER=(limited 60 unshare -m sh -c 'mknod "$0" c 10 229 2>/dev/null; chmod 666 "$0"; mount --bind "$0" /dev/fuse
    exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"' "$WORK/fuse")
  chmod a+r "$WORK"/*.json
  HOW="as nobody"; sentences
  check "as nobody: errors are recovered from" hears \
    'registered,ERROR_DETECTED 1,MMIO_ENABLED,ERROR_RESUME,REMOVE,' A-jul '2 0' 'error normal'
fi
finish
