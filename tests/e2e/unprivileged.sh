#!/usr/bin/env bash
# Without root vfiolab works as far as it can, and says which privilege is missing where it cannot.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need_root
need setpriv unshare

chmod 711 "$WORK"
mkdir "$WORK/bin"
cp "$VFIOLAB" "$EDU_DRIVER" "$BUILD_DIR/e2e_mmap" "$BUILD_DIR/e2e_mm" "$BUILD_DIR/libvfiolab-preload.so" "$TOPOLOGIES/two-groups.json" "$WORK/bin"
chmod -R a+rX "$WORK/bin"
cd "$WORK/bin"
nobody() { limited 30 setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
run="./vfiolab run -t two-groups.json --"

# /dev/fuse of root alone.
private_fuse() {
  unshare -m sh -c 'mknod "$0" c 10 229 2>/dev/null; chmod "$1" "$0"; mount --bind "$0" /dev/fuse; shift
    exec "$@"' "$WORK/fuse" "$@"
}
without_fuse() { private_fuse 600 setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
check "as nobody, without access to /dev/fuse, the machine lives in the program's process" \
  says 'done: everything worked' without_fuse $run ./edu_driver 0000:01:00.0
check "run says so, and why" says '/dev/fuse cannot be opened \(EACCES\): the machine lives in' without_fuse $run true
exact="./vfiolab run --exact -t two-groups.json --"
check "where that is not what was asked for, run ends with 125" exits_with 125 without_fuse $exact true
check "and the message names /dev/fuse and what to do" \
  says '/dev/fuse cannot be opened \(EACCES\).*read and write access' without_fuse $exact true
check "check and show take no privileges" nobody ./vfiolab check -t two-groups.json

check "as nobody, with access to /dev/fuse, the edu driver works" \
  private_fuse 666 setpriv --reuid=65534 --regid=65534 --clear-groups $run ./edu_driver 0000:01:00.0
check "the client is nobody there as well" \
  same 65534 "$(private_fuse 666 setpriv --reuid=65534 --regid=65534 --clear-groups $run id -u)"
check "BARs cannot be mapped then, and do not say so" \
  private_fuse 666 setpriv --reuid=65534 --regid=65534 --clear-groups $run ./e2e_mmap not-mappable
for way in memfd fork exec truncate; do
  check "DMA works the same: $way" \
    private_fuse 666 setpriv --reuid=65534 --regid=65534 --clear-groups $run ./e2e_mm $way
done

check "as root of a user namespace the edu driver works" unshare -Urm $run ./edu_driver 0000:01:00.0
check "BARs cannot be mapped there, and do not say so" unshare -Urm $run ./e2e_mmap not-mappable
check "a client's status is passed on there as well" exits_with 7 unshare -Urm $run sh -c 'exit 7'
check "DMA to shared memory works there" unshare -Urm $run ./e2e_mm memfd
check "DMA to truncated shared memory does no harm there" unshare -Urm $run ./e2e_mm truncate

# Neither CAP_SYS_ADMIN nor user namespaces.
neither='echo 0 >/proc/sys/user/max_user_namespaces
  exec setpriv --bounding-set=-all --inh-caps=-all "$@"'
check "without CAP_SYS_ADMIN and user namespaces the machine lives in the program's process" \
  says 'done: everything worked' unshare -Urm sh -c "$neither" sh $run ./edu_driver 0000:01:00.0
check "where that is not what was asked for, run ends with 125" \
  exits_with 125 unshare -Urm sh -c "$neither" sh $exact true
check "and the message names both" says 'CAP_SYS_ADMIN or user namespaces' \
  unshare -Urm sh -c "$neither" sh $exact true
finish
