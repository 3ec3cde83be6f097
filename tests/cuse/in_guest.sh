#!/bin/sh
# What the guest does (see in_guest.py): each step says its name and its status on the console.
export PATH=/bin:/lab/bin HOME=/tmp
MACHINES=/lab/machines

step() {
    local name=$1 status=0
    shift
    "$@" >/tmp/step 2>&1 </dev/null || status=$?
    read -r now rest </proc/uptime
    if [ $status -ne 0 ]; then
        echo "@@failed $now $name: status $status"
        tail -n 60 /tmp/step | while IFS= read -r line; do echo "    | $line"; done
    else
        echo "@@passed $now $name$(sed -n 's/^\(All tests passed\|test cases\)/: &/p' /tmp/step)"
    fi
}
in_view() { timeout -s KILL 60 vfiolab run --cuse -t /lab/spec.json -- "$@"; }
same() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }
until_true() {
    local i=0
    until "$@"; do
        i=$((i + 1))
        [ $i -lt 100 ] || { echo "waited in vain for: $*"; return 1; }
        sleep 0.1
    done
}

# In the view. $1: a device, $2: its group.
nodes() {
    local at=/sys/bus/pci/devices/$1 node=/dev/vfio/$2 number
    test -c /dev/vfio/vfio && test ! -e /dev/vfiolab || return 1
    same "$(stat -c %a /dev/vfio/vfio)" 666 || return 1
    for round in 1 2 3; do
        test -c $node || return 1
        same "$(stat -c %a $node)" 600 || return 1
        number=$(printf '%d:%d' 0x$(stat -c %t $node) 0x$(stat -c %T $node))
        same "$number" "$(cat /sys/class/vfio/$2/dev)" || return 1
        grep -qx "MAJOR=${number%:*}" /sys/class/vfio/$2/uevent || return 1
        echo $1 >$at/driver/unbind || return 1
        test ! -e $node || return 1
        # While a file of the group that was is open, too.
        echo $1 >/sys/bus/pci/drivers/vfio-pci/bind || return 1
        if [ $round = 1 ]; then exec 9<>$node; fi
    done
    exec 9<&-
}

# Nothing of ours is left on the host.
nothing_left() {
    same "$(ls /sys/class/cuse)" "" && test ! -e /dev/vfiolab && ! grep vfiolab /proc/mounts
}

served() {
    local pid
    mkdir -p /tmp/mount
    vfiolab serve --cuse -t /lab/spec.json --mount /tmp/mount --session one >/tmp/serve 2>&1 &
    pid=$!
    until_true grep -q ^serving /tmp/serve || { cat /tmp/serve; return 1; }
    test -c /tmp/mount/dev/vfio/vfio || return 1
    # A second emulator of the same machine, at the same time.
    in_view static_client 0000:01:00.0 || return 1
    vfiolab run --session one -- static_client 0000:01:00.0 || return 1
    vfiolab run --session one -- sh -c 'static_client 0000:01:00.0 & static_client 0000:02:00.0 && wait $!' || return 1
    kill -TERM $pid
    wait $pid || return 1
    until_true nothing_left
}

killed() {
    local pid
    vfiolab run --cuse -t /lab/spec.json -- sh -c 'exec 9<>/dev/vfio/1; touch /tmp/open; sleep 100' &
    pid=$!
    until_true test -e /tmp/open || return 1
    kill -KILL $pid
    until_true nothing_left
}

# A client that is killed in the middle of all takes its files with it.
client_killed() {
    in_view sh -c '
        for round in 1 2 3 4 5; do
            threads_client 0000:01:00.0 & sleep 0.2
            kill -KILL $!; wait $!
        done
        static_client 0000:01:00.0'
}

client_suite() {
    VFIO_TEST_EDU=0000:01:00.0 VFIO_TEST_EDU2=0000:02:00.0 VFIO_TEST_TESTDEV=0000:03:00.0 \
        timeout -s KILL 300 vfiolab run --cuse --exact -t /lab/spec.json -- spec_tests
}

traces() {
    local trace machine failed=0
    for trace in /lab/traces/*; do
        machine=$MACHINES/$(sed -n 's/^machine //p' $trace)
        timeout -s KILL 60 vfiolab run --cuse --exact -t $machine/topology.json -- \
            player -m $machine/devices -o /out $trace || { echo "$trace: status $?"; failed=1; }
    done
    return $failed
}

case ${1:-} in
    nodes) shift; nodes "$@"; exit ;;
esac
step "without the module run --cuse says what to do" sh -c '
    [ ! -e /modules/cuse.ko ] ||
        vfiolab run --cuse -t /lab/topologies/edu.json -- true 2>&1 | grep "modprobe cuse"'
while read -r module; do insmod "/modules/$module"; done </modules/order
step "the nodes are character devices with the numbers in /sys, and follow bind and unbind" \
    in_view sh /lab/in_guest.sh nodes 0000:01:00.0 1
step "an ordinary driver works" in_view edu_driver 0000:01:00.0
step "a client of many threads works" in_view threads_client 0000:01:00.0 4
step "a client that is killed leaves nothing open" client_killed
step "an emulator that ends leaves nothing on the host" until_true nothing_left
step "serve, two clients at once, and another emulator beside them" served
step "an emulator that is killed leaves nothing on the host" killed
step "the client-side suite" client_suite
step "traces" traces
