#!/usr/bin/env bash
# run.sh BUILD_DIR: prints what calls cost, as ratios taken in this one run.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1
bdf=0000:01:00.0
mount=$(mktemp -d)
trap 'umount "$mount" 2>/dev/null || true; rmdir "$mount"' EXIT

median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.2f", a / b}'; }
in_vfiolab() { timeout -k 2 120 "${place[@]}" "$build/vfiolab" run "${how[@]}" -t tests/bench/topology.json -- "$build/bench_client" "$@"; }
how=()

# compare TITLE CPU: the do-nothing server and vfiolab in turn, five times.
compare() {
  local title=$1 cpu=$2 null=() ours=()
  "${place[@]}" "$build/bench_null_server" "$mount" &
  sleep 0.3
  for _ in 1 2 3 4 5; do
    null+=("$("${client_place[@]}" "$build/bench_client" null "$mount/null" $cpu)")
    ours+=("$(in_vfiolab ioctl $bdf $cpu)")
  done
  umount "$mount"
  wait
  local n o
  n=$(printf '%s\n' "${null[@]}" | median)
  o=$(printf '%s\n' "${ours[@]}" | median)
  printf '%-46s null %7s ns  vfiolab %7s ns  ratio %s\n' "$title" "$n" "$o" "$(ratio "$o" "$n")"
}

echo "ioctl with a 32-byte payload, against a do-nothing libfuse server"
place=(taskset -c 0) client_place=(taskset -c 0)
compare "client and server on one CPU" ""
place=() client_place=()
compare "placed by the scheduler" ""
if [ "$(nproc)" -gt 1 ]; then
  compare "client pinned, server where it likes" 1
fi

echo
echo "pread of 4 bytes, on one CPU; traced clients ask the emulator of every file"
place=(taskset -c 0)
plain=$(taskset -c 0 "$build/bench_client" file README.md)
printf '%-46s %7s ns\n' "ordinary file, without vfiolab" "$plain"
for title in "" ", not traced"; do
  if [ -n "$title" ]; then how=(--no-trap); fi
  cost=$(in_vfiolab file README.md)
  printf '%-46s %7s ns  ratio %s\n' "ordinary file$title" "$cost" "$(ratio "$cost" "$plain")"
  cost=$(in_vfiolab config $bdf)
  printf '%-46s %7s ns\n' "config space$title" "$cost"
done
how=()

echo
echo "In the client's own process"
in_process() { "$build/vfiolab" run --in-process -t tests/bench/topology.json -- "$build/bench_client" "$@"; }
declare -A library
while read -r name nanoseconds; do library[$name]=$nanoseconds; done < <("$build/bench_library")
declare -A preloaded=([info]="$(in_process info $bdf)" [config]="$(in_process config $bdf)" [map]="$(in_process map $bdf 1 4096)")
declare -A title=([info]="GET_INFO" [config]="pread of config space" [map]="MAP_DMA + UNMAP_DMA of 4 KiB")
for what in info config map; do
  printf '%-46s %7s ns  library %7s ns\n' "run --in-process: ${title[$what]}" "${preloaded[$what]}" "${library[$what]}"
done
printf '%-46s %7s ns  ratio %s to a bare SIGSEGV handler\n' "a load of a mapped register" "${library[trap]}" \
  "$(ratio "${library[trap]}" "${library[bare-fault]}")"

echo '{"devices": [{"bdf": "'$bdf'", "model": "./bench_bell.so"}], "groups": [{"id": 1, "members": ["'$bdf'"]}]}' \
  >"$build/bench_bell.json"
printf '%-46s %7s ns\n' "a polled doorbell, until its device hears" \
  "$("$build/vfiolab" run --in-process -t "$build/bench_bell.json" -- "$build/bench_client" bell $bdf)"
ring() { "$build/vfiolab" run "$@" -t topologies/doorbell.json -- "$build/bench_client" doorbell $bdf; }
echoed=$("$build/bench_client" echo -)
rung=$(ring --in-process)
printf '%-46s %7s ns  ratio %s to two threads; over FUSE %s ns\n' "a polled doorbell, answered in memory" "$rung" \
  "$(ratio "$rung" "$echoed")" "$(ring)"

# peer NAME COMMAND...: what the same calls cost there, and how many times what they cost here.
peer() {
  local name=$1 what nanoseconds
  shift
  while read -r what nanoseconds; do
    printf '%-46s %7s ns  %s times that of run --in-process\n' "$name: ${title[$what]}" "$nanoseconds" \
      "$(ratio "$nanoseconds" "${preloaded[$what]}")"
  done < <("$@")
}
echo
if [ -f build/cache/built/vmlinuz ]; then
  peer "Linux in a guest (TCG)" tests/bench/guest.py build/cache/built "$build/bench_client_static"
else
  echo "Linux in a guest: not here; ./dev referee builds it"
fi
# A checkout of nutanix/libvfio-user, built there: meson setup build && ninja -C build
readonly libvfio_user_revision=efd091b
if [ -n "${LIBVFIO_USER:-}" ]; then
  revision=$(git -C "$LIBVFIO_USER" rev-parse --short=7 HEAD)
  [ "$revision" = $libvfio_user_revision ] || echo "libvfio-user: revision $revision, not $libvfio_user_revision"
  g++ -O2 -std=c++20 -w -Itests -I"$LIBVFIO_USER/include" tests/bench/vfio_user.cpp -o "$build/bench_vfio_user" \
    -L"$LIBVFIO_USER/build/lib" -lvfio-user -Wl,-rpath,"$LIBVFIO_USER/build/lib"
  peer "libvfio-user, on one CPU" taskset -c 0 "$build/bench_vfio_user"
else
  echo "libvfio-user: not here; LIBVFIO_USER=DIR names a built checkout of revision $libvfio_user_revision"
fi

echo
echo "MAP_DMA + UNMAP_DMA"
base=$(in_vfiolab map $bdf 1 4096)
printf '%-46s %7s ns\n' "4 KiB, 1 live mapping" "$base"
for case in "1 16777216" "1000 4096" "100000 4096" "1000000 4096"; do
  read -r live bytes <<<"$case"
  cost=$(in_vfiolab map $bdf "$live" "$bytes")
  printf '%-46s %7s ns  ratio %s\n' "$((bytes / 1024)) KiB, $live live mappings" "$cost" "$(ratio "$cost" "$base")"
done

echo
start=$(date +%s%N)
for _ in 1 2 3 4 5 6 7 8 9 10; do "$build/vfiolab" run -t topologies/edu.json -- true; done
echo "vfiolab run -- true: $((($(date +%s%N) - start) / 10000000)) ms"
# The parent of the client only keeps it; the emulator is its parent in turn.
"$build/vfiolab" run -t topologies/edu.json -- sh -c '
  emulator=$(sed -n "s/^PPid:\t//p" /proc/$PPID/status)
  grep VmHWM "/proc/$emulator/status"' |
  awk '{printf "the emulator with one device: %.1f MB at most\n", $2 / 1024}'
