#!/usr/bin/env bash
# `serve` shows one emulated machine to many clients.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need_root

start_serve two-groups
check "outside, the mount shows the vendor of a device" \
  same 0x1234 "$(limited 10 cat "$MOUNT/sys/bus/pci/devices/0000:01:00.0/vendor")"
check "outside, the mount shows the container and the groups" \
  same $'1\n2\nvfio' "$(limited 10 ls "$MOUNT/dev/vfio")"
check "outside, there are no faults yet" same "" "$(limited 10 cat "$MOUNT/faults")"
check "every file of the tree can be read, but for the BARs" \
  limited 30 sh -c 'find "$0/sys" -type f -perm /444 ! -name "resource[0-5]*" -exec cat {} + >/dev/null' "$MOUNT"
check "the tree's root does not list what the emulator keeps for itself" \
  same $'dev\nfaults\nsys' "$(limited 10 ls -A "$MOUNT")"
check "a directory cannot be written to" refuse limited 10 touch "$MOUNT/new"

check "a client of the session drives edu" run_session "$SESSION" "$EDU_DRIVER" 0000:01:00.0
check "a second client after it does so too" run_session "$SESSION" "$EDU_DRIVER" 0000:01:00.0
check "a client's exit status is run's" exits_with 7 run_session "$SESSION" sh -c 'exit 7'
check "a client of the session sees the emulated devices" \
  same $'0000:01:00.0\n0000:02:00.0' "$(run_session "$SESSION" ls /sys/bus/pci/devices)"

# Two at once, on two groups: each waits until the other has its group open.
meet='exec 8<>/dev/vfio/$1; touch "$0/open$1"
      n=0; until [ -e "$0/open$2" ]; do sleep 0.05; n=$((n+1)); [ $n -lt 300 ] || exit 1; done'
start_client "$SESSION" bash -c "$meet" "$WORK" 1 2
check "two clients have two groups open at once (one)" run_session "$SESSION" bash -c "$meet" "$WORK" 2 1
check "two clients have two groups open at once (other)" wait "$CLIENT_PID"

rm -f "$WORK"/open*
start_client "$SESSION" bash -c 'exec 8<>/dev/vfio/1; touch "$0/open1"; exec sleep 30' "$WORK"
wait_for 15 test -e "$WORK/open1"
check "a group that another client has open is EBUSY" \
  says 'Device or resource busy' run_session "$SESSION" bash -c 'exec 8<>/dev/vfio/1'
check "the edu driver says so, too" \
  says 'another program has this group open' run_session "$SESSION" "$EDU_DRIVER" 0000:01:00.0
check "from outside it is EBUSY as well" \
  says 'Device or resource busy' limited 10 bash -c "exec 8<>$MOUNT/dev/vfio/1"
stop_client
check "after that client ended the group opens again" run_session "$SESSION" "$EDU_DRIVER" 0000:01:00.0

# Names of sessions.
mkdir -p "$WORK/other"
MOUNTS+=("$WORK/other")
check "a second serve of the same session is refused" exits_with 125 \
  limited 15 "$VFIOLAB" serve -t "$TOPOLOGIES/edu.json" --mount "$WORK/other" --session "$SESSION"
check "the refused one says that the session runs" says "session '$SESSION' already runs" \
  limited 15 "$VFIOLAB" serve -t "$TOPOLOGIES/edu.json" --mount "$WORK/other" --session "$SESSION"
check "the refused one leaves no mount" not_mounted "$WORK/other"
check "the first one goes on" run_session "$SESSION" "$EDU_DRIVER" 0000:01:00.0
check "a session that does not run is refused with 125" exits_with 125 run_session no-such-session true
check "the refusal names those that run" says "running: .*$SESSION" run_session no-such-session true
check "a name with a slash is refused" says 'no name for a session' \
  limited 15 "$VFIOLAB" serve -t "$TOPOLOGIES/edu.json" --mount "$WORK/other" --session ../e2e
check "a mount point that does not exist is refused with 125" exits_with 125 \
  limited 15 "$VFIOLAB" serve -t "$TOPOLOGIES/edu.json" --mount "$WORK/nowhere" --session e2e-nowhere-$$
check "run takes either a topology or a session" refuse limited 15 "$VFIOLAB" run -- true

# The end.
socket=/run/vfiolab/$SESSION.sock
check "a session has a socket" test -S "$socket"
kill -TERM "$SERVE_PID"
status=0
wait "$SERVE_PID" || status=$?
check "SIGTERM ends serve with 0" same 0 "$status"
check "SIGTERM unmounts" not_mounted "$MOUNT"
check "SIGTERM removes the socket" test ! -e "$socket"

start_serve edu
kill -INT "$SERVE_PID"
check "SIGINT ends serve" wait_for 10 gone "$SERVE_PID"
check "SIGINT unmounts" not_mounted "$MOUNT"

start_serve edu
umount "$MOUNT"
check "serve ends when its mount is unmounted by someone else" wait_for 10 gone "$SERVE_PID"

start_serve edu
start_client "$SESSION" bash -c 'exec 8<>/dev/vfio/1; touch "$0/held"; exec sleep 30' "$WORK"
wait_for 15 test -e "$WORK/held"
kill -TERM "$SERVE_PID"
check "SIGTERM ends serve although a client has a group open" wait_for 10 gone "$SERVE_PID"
check "SIGTERM unmounts although a client has a group open" not_mounted "$MOUNT"
stop_client

# Without --mount the session has a directory of its own.
SERVES=$((SERVES + 1))
name=e2e-$$-own
MOUNTS+=("/run/vfiolab/$name")
"$VFIOLAB" serve -t "$TOPOLOGIES/edu.json" --session "$name" >"$WORK/own.out" 2>&1 &
own=$!
PROCESSES+=("$own")
wait_for 15 grep -q '^serving' "$WORK/own.out"
check "serve without --mount has clients, too" run_session "$name" "$EDU_DRIVER" 0000:01:00.0
check "its refusal of the same name disturbs nobody" exits_with 125 \
  limited 15 "$VFIOLAB" serve -t "$TOPOLOGIES/edu.json" --session "$name"
check "after the refusal it still has clients" run_session "$name" "$EDU_DRIVER" 0000:01:00.0
kill -TERM "$own"
wait_for 10 gone "$own"
check "serve without --mount removes its directory" test ! -e "/run/vfiolab/$name"
finish
