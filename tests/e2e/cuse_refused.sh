#!/usr/bin/env bash
# Where /dev/cuse is missing, --cuse says so and what to do. That it works is tests/cuse.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need_root

# A /dev without cuse, whatever this machine has.
without_cuse() {
  limited 60 unshare -m sh -c 'mount -t tmpfs dev /mnt && mkdir /mnt/shm && mknod /mnt/null c 1 3 &&
    mknod /mnt/fuse c 10 229 && mount --move /mnt /dev && exec "$@"' - "$@"
}
count_mounts() { grep -c vfiolab /proc/self/mountinfo || true; }

before=$(count_mounts)
check "run --cuse without /dev/cuse ends with 125" \
  exits_with 125 without_cuse "$VFIOLAB" run --cuse -t "$TOPOLOGIES/edu.json" -- true
check "it names the file, the errno and the remedy" \
  says '/dev/cuse.*ENOENT.*modprobe cuse' without_cuse "$VFIOLAB" run --cuse -t "$TOPOLOGIES/edu.json" -- true
check "without --cuse it runs there" \
  without_cuse "$VFIOLAB" run -t "$TOPOLOGIES/edu.json" -- true
mkdir -p "$WORK/mount"
check "serve --cuse is refused, too" \
  says 'modprobe cuse' without_cuse "$VFIOLAB" serve --cuse -t "$TOPOLOGIES/edu.json" --mount "$WORK/mount" --session e2e-cuse-$$
check "--cuse of a client of a session is refused: the session decides" \
  says 'excludes' limited 60 "$VFIOLAB" run --cuse --session nobody -- true
check "nothing is left mounted" same "$before" "$(count_mounts)"
finish
