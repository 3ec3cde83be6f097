#!/usr/bin/env bash
# The machine in the client's own process.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need python3 lspci bash gdb valgrind gcc

export TMPDIR=$WORK/tmp
mkdir "$TMPDIR"
both() { # TOPOLOGY COMMAND...: says the same as with FUSE
  same "$(run_in "$@")" "$(here "$@")"
}

check "a driver moves random bytes by DMA, with interrupts and mapped registers" \
  says "everything worked" here edu "$EDU_DRIVER" 0000:01:00.0
check "the command's status is that of run" exits_with 7 here edu sh -c 'exit 7'
check "a signal that ends it is told as by a shell" exits_with $((128 + 15)) here edu sh -c 'kill $$'
check "a signal to run reaches it" exits_with 9 bash -c '
  "$0" run --in-process -t "$1" -- sh -c "trap \"exit 9\" TERM; echo ready; while :; do sleep 0.05; done" >"$2" & run=$!
  for i in $(seq 100); do [ -s "$2" ] && break; sleep 0.05; done
  kill -TERM $run; wait $run' "$VFIOLAB" "$TOPOLOGIES/edu.json" "$WORK/ready"
check "a program that is not there is 127" exits_with 127 here edu no-such-program
check "a program that is linked statically is refused, with what to do" \
  says "without --in-process" here edu "$BUILD_DIR/static_client" 0000:01:00.0
check "and its status is 126" exits_with 126 here edu "$BUILD_DIR/static_client" 0000:01:00.0
check "the library in front of the C library needs no other" same "" "$(readelf -d "$BUILD_DIR/libvfiolab-preload.so" |
  sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | grep -v '^libc\.so\|^ld-linux' || true)"
check "what the C library does by itself reaches the machine" \
  says "as it should be" here two-groups "$BUILD_DIR/e2e_libc" nodes
[ "$(id -u)" != 0 ] ||
  check "as it does with FUSE" says "as it should be" run_in two-groups "$BUILD_DIR/e2e_libc"
check "lspci says the same as with FUSE" both edu lspci -vv
check "so does a shell that looks around" both two-groups bash -euc '
  cd /sys/bus/pci/devices; echo *; pwd; cat */vendor */config | od -An -tx1 | sha256sum
  readlink -f */iommu_group; ls /sys/kernel/iommu_groups /dev/vfio; ls -d /sys/bus/*/devices | grep pci'
check "and in the directories of both hosts" same "null,vfio,1234" "$(here edu bash -euc '
  cd /dev; a=$([ -c null ] && echo null); cd /; b=$(cat dev/null; ls dev/vfio | grep -x vfio); cd sys/bus
  c=$(cut -c3- pci/devices/0000:01:00.0/vendor); echo "$a,$b,$c"')"
walk='find /sys/bus/pci/ /sys/kernel/iommu_groups /dev/vfio | sort; du -a /sys/bus/pci/devices/0000:01:00.0/ | cut -f2 | sort
  grep -r . /sys/bus/pci/devices/0000:01:00.0/ 2>&1 | sort; find -L /sys/bus/pci/devices -maxdepth 2 | sort
  tar cf - -C /sys/bus/pci/devices/0000:01:00.0/ . 2>/dev/null | tar tf - | sort; cp /sys/bus/pci/devices/0000:01:00.0/config "$TMPDIR/config"
  sha1sum <"$TMPDIR/config"; rm "$TMPDIR/config"'
check "programs that walk through directories find the same, with the same contents" both edu bash -c "$walk"
check "--trace writes down what goes in and out" says "ioctl /dev/vfio/vfio 0x3b71" bash -euc '
  "$0" run --in-process --trace "$1" -t "$2" -- "$3" 0000:01:00.0 >&2; cat "$1"' "$VFIOLAB" "$WORK/trace" "$TOPOLOGIES/edu.json" "$EDU_DRIVER"
check "a shell drives a device by the container's ioctls in Python" says "^api 0 type1 1$" here edu python3 -c '
import fcntl, os
container = os.open("/dev/vfio/vfio", os.O_RDWR)
print("api", fcntl.ioctl(container, 0x3b64), "type1", fcntl.ioctl(container, 0x3b65, 1))'
check "programs below sh, env and timeout find it" says "everything worked" here edu \
  sh -c 'env A=b timeout 30 "$0" 0000:01:00.0' "$EDU_DRIVER"
for sanitizer in address thread; do
  gcc -g -fsanitize=$sanitizer -o "$WORK/edu_$sanitizer" "$SOURCE_DIR/examples/edu_driver.c"
  check "a program with -fsanitize=$sanitizer works" says "everything worked" here edu "$WORK/edu_$sanitizer" 0000:01:00.0
done
check "a program works in gdb" says "everything worked" here edu gdb -q -batch \
  -ex 'handle SIGSEGV nostop noprint pass' -ex run --args "$EDU_DRIVER" 0000:01:00.0
check "a program works in valgrind, with the registers as they are at each instruction" \
  says "everything worked" here edu valgrind -q --vex-iropt-register-updates=allregs-at-each-insn "$EDU_DRIVER" 0000:01:00.0
check "and so is one that another program starts" says "linked statically" here edu \
  sh -c '"$0" 0000:01:00.0' "$BUILD_DIR/static_client"
check "an unbind waits until the device is closed by another thread" says "^unbound$" here edu python3 -c '
import fcntl, os, struct, threading, time
container = os.open("/dev/vfio/vfio", os.O_RDWR)
group = os.open("/dev/vfio/1", os.O_RDWR)
fcntl.ioctl(group, 0x3b68, struct.pack("i", container))
fcntl.ioctl(container, 0x3b66, 1)
device = fcntl.ioctl(group, 0x3b6a, bytearray(b"0000:01:00.0\0"))
closed = []
def close():
    time.sleep(0.3); closed.append(1); os.close(device)
threading.Thread(target=close).start()
unbind = os.open("/sys/bus/pci/drivers/vfio-pci/unbind", os.O_WRONLY)
os.write(unbind, b"0000:01:00.0")
print("unbound" if closed else "too early")'
check "a machine of 2010 has its nodes and its driver" says "as it should be" here uiommu \
  "$BUILD_DIR/e2e_moved" registers /dev/vfio0
check "a handler that interrupts a call makes its own" here edu "$BUILD_DIR/e2e_handlers" interrupted
check "also where the call waits" here edu "$BUILD_DIR/e2e_handlers" waiting
check "sigaction and signal tell what was set" here edu "$BUILD_DIR/e2e_handlers" actions
check "a child by a system call that no library sees has what its parent has" here edu "$BUILD_DIR/e2e_handlers" raw-fork
check "memory that is unmapped takes its mapping along, in 2010" says "as it should be" here uiommu \
  "$BUILD_DIR/e2e_unmap" /dev/vfio0 goes
check "also where another process has the machine" says "as it should be" here uiommu \
  bash -c 'exec 5<>/dev/uiommu; "$0" /dev/vfio0 goes' "$BUILD_DIR/e2e_unmap"
check "a topology with mistakes is refused" exits_with 2 limited 10 "$VFIOLAB" run --in-process -t /dev/null -- true
check "nothing is left in TMPDIR" same "" "$(ls "$TMPDIR")"
finish
