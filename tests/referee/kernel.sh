#!/usr/bin/env bash
# Obtains a kernel for the referee's guest.
# usage: kernel.sh debian|built CACHE_DIR
#   debian   Debian's packaged kernel 6.12, only unpacked
#   built    the newest kernel source that Debian packages, built with kernel.config (10-20 minutes)
# Leaves CACHE_DIR/KIND/{vmlinuz,version,modules/} and does nothing when they are there. modules/order
# names the modules to load, in order; it is empty when all is built in. A machine that has a kernel.config
# gets an image of its own, vmlinuz-MACHINE, built with that merged over the common one.
# Variables: KERNEL_JOBS (2).
# packages: apt bc bison busybox-static ccache cpio flex gcc kmod libc6-dev libelf-dev libssl-dev make xz-utils
set -Eeuo pipefail
trap 'echo "kernel.sh: line $LINENO failed" >&2' ERR

# The suites that have the kernel, best first. Packages are only unpacked, so one of another release will do.
readonly debian_suites=(trixie bookworm-backports)
readonly source_suites=(trixie-backports)
readonly wanted_modules=(vfio_iommu_type1 vfio_pci cuse)
export LC_ALL=C PATH=$PATH:/sbin:/usr/sbin

# shellcheck source=../../.ci/own_apt.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../.ci/own_apt.sh"

die() {
  echo "kernel.sh: $*" >&2
  exit 1
}

# Copies the module $3 of the unpacked tree $1 and what it depends on to the directory $2, uncompressed.
take_module() {
  local tree=$1 out=$2 name=${3//-/_} file dependency
  if grep -qx "$name.ko" "$out/order"; then return; fi
  # Files are named with - or _, as their authors liked it.
  file=$(find "$tree" -path '*/modules/*' -name "${name//_/[-_]}.ko*" -print -quit)
  if [[ -z $file ]]; then
    # Built in: there is nothing to load.
    if grep -q "/${name//_/[-_]}\.ko\$" "$tree"/{,usr/}lib/modules/*/modules.builtin 2>/dev/null; then return; fi
    return 1
  fi
  case $file in
    *.ko) cp "$file" "$out/$name.ko" ;;
    *.ko.xz) xz -dc "$file" >"$out/$name.ko" ;;
    *.ko.zst) zstd -qdc "$file" >"$out/$name.ko" ;;
    *) return 1 ;;
  esac
  for dependency in $(modinfo -F depends "$out/$name.ko" | tr , ' '); do
    take_module "$tree" "$out" "$dependency" || return 1
  done
  echo "$name.ko" >>"$out/order"
}

obtain_debian() {
  local out=$1 suite image module
  for suite in "${debian_suites[@]}"; do
    use_suite "$suite" || continue
    image=$(own_apt apt-cache depends linux-image-amd64 |
      awk '$1 == "Depends:" && $2 ~ /^linux-image-6\.12\./ && !found { print $2; found = 1 }')
    [[ -n $image ]] || continue
    unpack_package "$image" "$scratch/tree" || continue
    cp "$scratch"/tree/boot/vmlinuz-* "$out/vmlinuz"
    echo "${image#linux-image-}" >"$out/version"
    : >"$out/modules/order"
    for module in "${wanted_modules[@]}"; do
      take_module "$scratch/tree" "$out/modules" "$module" || [[ $module == cuse ]] || die "$image has no $module"
    done
    return
  done
  die "no suite has Debian's kernel 6.12"
}

# Builds an image from the tree $1 with the fragments $3... merged over its .config, and copies it to $2.
build_image() {
  local source=$1 image=$2
  shift 2
  (cd "$source" && scripts/kconfig/merge_config.sh -m .config "$@" >/dev/null)
  nice make -C "$source" -s olddefconfig
  check_config "$source/.config" "$@"
  nice make -C "$source" -s -j"${KERNEL_JOBS:-2}" CC="ccache gcc" KBUILD_BUILD_USER=referee KBUILD_BUILD_HOST=referee \
    bzImage >"$scratch/log" 2>&1 || {
    tail -n 30 "$scratch/log" >&2
    die "the kernel does not build"
  }
  cp "$source/arch/x86/boot/bzImage" "$image"
}

# Says which lines of the fragments $2... did not come true in the configuration $1: a name that is gone would be
# lost silently.
check_config() {
  local config=$1 line missing=()
  shift
  while read -r line; do
    grep -qxF "$line" "$config" || missing+=("$line")
  done < <(grep -hE '^(CONFIG_|# CONFIG_)' "$@")
  [[ ${#missing[@]} -eq 0 ]] || die "$* ask for what this kernel does not have: ${missing[*]}"
}

obtain_built() {
  local out=$1 suite package='' source=$scratch/source fragment machine
  for suite in "${source_suites[@]}"; do
    use_suite "$suite" || continue
    package=$(own_apt apt-cache depends linux-source | awk '$1 == "Depends:" && !found { print $2; found = 1 }')
    if [[ -n $package ]] && unpack_package "$package" "$scratch/tree"; then break; fi
    package=''
  done
  [[ -n $package ]] || die "no suite has the kernel's source"
  mkdir "$source"
  tar -xJf "$scratch/tree/usr/src/$package.tar.xz" -C "$source" --strip-components=1
  # Kconfig leaves no choice: all but s390 have line interrupts. The code is the same.
  sed -i '/^config VFIO_PCI_INTX$/,/^$/s/def_bool .*/bool "Line interrupts"/' "$source/drivers/vfio/pci/Kconfig"
  nice make -C "$source" -s tinyconfig
  build_image "$source" "$out/vmlinuz" "$here/kernel.config"
  for fragment in "$here"/machines/*/kernel.config; do
    machine=$(basename "$(dirname "$fragment")")
    build_image "$source" "$out/vmlinuz-$machine" "$fragment"
  done
  : >"$out/modules/order"
  kernel_release "$out/vmlinuz" >"$out/version"
}

# The release that the image $1 says of itself: the boot protocol's header has its offset at 0x20e.
kernel_release() {
  local offset text
  offset=$(od -An -tu2 -j $((0x20e)) -N2 "$1")
  # od, not head: a reader that ends early would end the writer with a signal.
  text=$(od -An -c -v -w1 -j $((offset + 0x200)) -N100 "$1" | tr -d ' ' | sed '/^$/,$d' | tr -d '\n')
  [[ -n $text ]] && echo "$text"
}

kind=${1:-}
[[ $# -eq 2 && ($kind == debian || $kind == built) ]] || die "usage: kernel.sh debian|built CACHE_DIR"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$2"
cache=$(cd "$2" && pwd)
if [[ -d $cache/$kind ]]; then exit 0; fi
scratch=$(mktemp -d "$cache/$kind.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
apt=$scratch/apt
mkdir -p "$scratch/out/modules"
"obtain_$kind" "$scratch/out"
mv -T "$scratch/out" "$cache/$kind" # whole or not at all
