#!/usr/bin/env bash
# Builds Zydis as a static library: Debian has it as a shared one only, and what goes in front of a program's own
# libraries should bring none.
# usage: zydis.sh DIRECTORY
# Leaves DIRECTORY/{include,lib}, whole or not at all, and does nothing when it is there.
# packages: apt cmake g++ gcc gzip libzycore-dev ninja-build tar
set -euo pipefail

# shellcheck source=../../.ci/own_apt.sh disable=SC1091
. "$(dirname "${BASH_SOURCE[0]}")/../../.ci/own_apt.sh"

die() {
  echo "zydis.sh: $*" >&2
  exit 1
}

# A chain: where its caller asks how it went, nothing else stops at a failure.
build() {
  # shellcheck disable=SC1091
  cd "$scratch" && use_suite "$(. /etc/os-release && echo "$VERSION_CODENAME")" deb-src &&
    own_apt apt-get source --download-only zydis &&
    mkdir source && tar -xzf zydis_*.orig.tar.gz -C source --strip-components=1 &&
    cmake -S source -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
      -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_PREFIX="$out" -DZYAN_SYSTEM_ZYCORE=ON -DZYDIS_FEATURE_ENCODER=OFF \
      -DZYDIS_BUILD_TOOLS=OFF -DZYDIS_BUILD_EXAMPLES=OFF -DZYDIS_BUILD_DOXYGEN=OFF &&
    DESTDIR=$scratch/tree cmake --build build --target install
}

[[ $# -eq 1 ]] || die "usage: zydis.sh DIRECTORY"
out=$(realpath -m "$1")
if [[ -d $out ]]; then exit 0; fi
mkdir -p "$(dirname "$out")"
scratch=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
# shellcheck disable=SC2034 # of own_apt
apt=$scratch/apt
build >"$scratch/log" 2>&1 || {
  tail -n 20 "$scratch/log" >&2
  die "Zydis cannot be built from its source"
}
mv -T "$scratch/tree$out" "$out"
