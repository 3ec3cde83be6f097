#!/usr/bin/env bash
# Boots a Linux guest in QEMU (TCG) that drives an edu device: registers, factorial, INTx, DMA.
# usage: run.sh CACHE_DIR DEVICE_OPTION [QEMU_WRAPPER...]
#   run.sh build/cache edu                              QEMU's own device, to prove the guest side
#   run.sh build/cache vfio-pci,host=0000:01:00.0 build/release/vfiolab run -t TOPOLOGY --
# Needs: qemu-system-x86 busybox-static cpio gcc libc6-dev; the kernel package is only unpacked.
set -euo pipefail

readonly boot_timeout_s=60
readonly memory=192M # below 256 MiB: edu's DMA addresses have 28 bits

die() {
  echo "run.sh: $*" >&2
  exit 1
}

# The concrete package behind a metapackage such as linux-image-cloud-amd64.
concrete_package() {
  apt-cache depends "$1" 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ {print $2; exit}'
}

# Leaves the package's .deb in the directory $2. Package lists that are missing or too old for the
# archive are renewed once.
download_package() {
  local name
  name=$(concrete_package "$1")
  if [[ -n $name ]] && (cd "$2" && apt-get download -qq -o APT::Sandbox::User=root "$name"); then
    return
  fi
  apt-get update -qq
  name=$(concrete_package "$1")
  [[ -n $name ]] && (cd "$2" && apt-get download -qq -o APT::Sandbox::User=root "$name")
}

# Writes module $2 of the unpacked tree $1 to the directory $3, uncompressed.
take_module() {
  local file
  file=$(find "$1" -path '*/modules/*' -name "$2.ko*" -print -quit)
  case $file in
    *.ko) cp "$file" "$3/$2.ko" ;;
    *.ko.xz) busybox xzcat "$file" >"$3/$2.ko" ;;
    *) return 1 ;;
  esac
}

# Fills the directory $1 with vmlinuz and the modules. The cloud kernel comes first: it is smaller,
# but not every release need have uio_pci_generic in it.
obtain_kernel() {
  local kernel_dir=$1 package scratch
  for package in linux-image-cloud-amd64 linux-image-amd64; do
    scratch=$work/$package
    mkdir -p "$scratch/keep"
    download_package "$package" "$scratch" || continue
    dpkg -x "$scratch"/*.deb "$scratch/tree"
    if take_module "$scratch/tree" uio "$scratch/keep" &&
      take_module "$scratch/tree" uio_pci_generic "$scratch/keep"; then
      cp "$scratch"/tree/boot/vmlinuz-* "$scratch/keep/vmlinuz"
      mkdir -p "${kernel_dir%/*}"
      rm -rf "$kernel_dir.new"
      cp -r "$scratch/keep" "$kernel_dir.new"
      mv -T "$kernel_dir.new" "$kernel_dir" # whole or not at all
      return
    fi
  done
  die "no kernel package with uio_pci_generic could be obtained"
}

# Builds the guest program and packs everything into the initramfs $2.
make_initramfs() {
  local kernel_dir=$1 initramfs=$2 root=$work/root
  mkdir -p "$root"/{bin,dev,proc,sys}
  cp /bin/busybox "$root/bin/"
  cp "$kernel_dir"/*.ko "$root/"
  install -m 755 "$here/init" "$root/init"
  gcc -std=c11 -O1 -Wall -Wextra -static -s -o "$root/bin/guest_edu" "$here/guest_edu.c"
  # Not compressed: that would not make the boot quicker.
  (cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) >"$initramfs"
}

# Runs the guest, with its serial line on the standard output.
boot() {
  local kernel=$1 initramfs=$2 device=$3
  shift 3
  timeout --kill-after=5 "$boot_timeout_s" "$@" qemu-system-x86_64 \
    -machine q35,sata=off,smbus=off,i8042=off -accel tcg -cpu max -m "$memory" \
    -nodefaults -no-user-config \
    -display none -serial stdio -no-reboot \
    -kernel "$kernel" -initrd "$initramfs" \
    -append "console=ttyS0 quiet panic=-1" \
    -device "$device" </dev/null
}

[[ $# -ge 2 ]] || die "usage: run.sh CACHE_DIR DEVICE_OPTION [QEMU_WRAPPER...]"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$1
device=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# shellcheck disable=SC1091
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
kernel_dir=$cache/guest-kernel-$release
[[ -d $kernel_dir ]] || obtain_kernel "$kernel_dir"
make_initramfs "$kernel_dir" "$work/initramfs"

status=0
boot "$kernel_dir/vmlinuz" "$work/initramfs" "$device" "$@" >"$work/guest.log" 2>&1 || status=$?
if [[ $status -eq 0 ]] && grep -q '^GUEST-OK' "$work/guest.log"; then
  echo "run.sh: the guest drove $device: $(grep -c '^ok ' "$work/guest.log") checks"
  exit 0
fi
cat "$work/guest.log"
die "failed with $device (QEMU's status $status; 124 is the timeout of $boot_timeout_s s)"
