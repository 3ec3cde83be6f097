#!/usr/bin/env bash
# run.sh RELEASE_DIR ASAN_DIR [NAME...]: all tests, or those whose name contains one of NAMEs.
set -uo pipefail
cd "$(dirname "$0")/.."
release=$1 asan=$2
shift 2
wanted=("$@")
passed=0 failed=0

# check NAME SECONDS COMMAND...: one test; its output is shown when it fails.
check() {
  local name=$1 limit=$2 log status start=$SECONDS
  shift 2
  if [ ${#wanted[@]} -gt 0 ]; then
    local hit=no word
    for word in "${wanted[@]}"; do [[ $name == *"$word"* ]] && hit=yes; done
    [ $hit = yes ] || return 0
  fi
  log=$(mktemp)
  timeout -k 5 "$limit" "$@" >"$log" 2>&1
  status=$?
  if [ $status -eq 0 ]; then
    passed=$((passed + 1))
    printf 'ok    %-34s %4ds  %s\n' "$name" $((SECONDS - start)) "$(summary "$log")"
  else
    failed=$((failed + 1))
    printf 'FAIL  %-34s %4ds  status %d\n' "$name" $((SECONDS - start)) $status
    sed 's/^/      | /' "$log" | tail -n 200
  fi
  rm -f "$log"
}

# What Catch2 and our scripts say of how much was checked.
summary() { grep -aE 'test case|checked' "$1" | tail -n 1 | cut -c1-80; }

spec() {  # the emulator's build directory; the clients are always the plain ones
  export VFIO_TEST_EDU=0000:01:00.0 VFIO_TEST_EDU2=0000:02:00.0 VFIO_TEST_TESTDEV=0000:03:00.0
  "$1/vfiolab" run -t tests/spec/topology.json -- "$release/spec_tests" '~[exact]' &&
    "$1/vfiolab" run --exact -t tests/spec/topology.json -- "$release/spec_tests"
}
# The same in the client's own process, whose clients are dynamic; docs/supported.md says what is not there.
spec_in_process() {
  export VFIO_TEST_EDU=0000:01:00.0 VFIO_TEST_EDU2=0000:02:00.0 VFIO_TEST_TESTDEV=0000:03:00.0
  "$release/vfiolab" run --in-process -t tests/spec/topology.json -- "$release/spec_tests_dynamic" '~[32-bit]'
}
schema() {
  local file
  for file in topologies/[!s]*.json topologies/s[!c]*.json tests/spec/topology.json tests/referee/machines/*/topology.json; do
    python3 -m jsonschema -i "$file" topologies/schema.json || return 1
    "$release/vfiolab" check -t "$file" || return 1
  done
}
export -f spec spec_in_process schema
export release asan

check architecture 60 tests/architecture/include_test.py .
check referee-tools 60 python3 tests/referee/fuzz_test.py
check player 60 bash -c '"$release/player" tests/referee/plain.trace | diff tests/referee/plain.trace -'
check golden-rows 60 tests/golden/rows_test.py
check unit 300 "$release/unit_tests"
check unit-sanitized 600 "$asan/unit_tests"
check library 120 "$release/library_tests"
check library-sanitized 120 "$asan/library_tests"
check library-installed 120 tests/library/installed.sh "$release"
check transport 120 "$release/transport_tests"
check topologies-and-schema 60 bash -c schema
check client-suite 180 bash -c 'spec "$release"'
check client-suite-sanitized 300 bash -c 'spec "$asan"'
check client-suite-in-process 60 bash -c spec_in_process
check golden-traces 300 tests/referee/referee.py --build "$release" --check
check golden-traces-in-process 120 tests/referee/referee.py --build "$release" --check-in-process
check modes-agree 120 python3 tests/referee/referee.py --build "$release" --modes 1 120
for script in tests/e2e/*.sh; do
  [ "$script" = tests/e2e/lib.sh ] && continue
  check "e2e-$(basename "$script" .sh)" 180 "$script" "$release" "$PWD"
done
check hostile-minute 480 tests/hostile/campaign.py "$release" "$asan" --minutes 1 --round 20
check guide 120 tests/guide/run.sh "$release" "$PWD"
check qemu-guest 180 tests/e2e/qemu_guest/run.sh build/cache vfio-pci,host=0000:01:00.0 \
  "$release/vfiolab" run -t topologies/edu.json --
check cuse-guest 1200 tests/cuse/in_guest.py --build "$release" --cache build/cache

echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
