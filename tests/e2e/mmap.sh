#!/usr/bin/env bash
# BARs that are memory can be mapped, and nothing else can.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need_root

mappable=not-mappable
if mappable; then mappable=mappable; fi

check "pci-testdev's BAR2 is $mappable, what cannot be mapped is EINVAL" \
  run_in two-groups "$BUILD_DIR/e2e_mmap" $mappable
[ $mappable = not-mappable ] ||
  check "a mapped BAR is memory for the DMA of another device" run_in two-groups "$BUILD_DIR/e2e_mmap" peer
start_serve two-groups
check "the same holds for a client of a session" run_session "$SESSION" "$BUILD_DIR/e2e_mmap" $mappable
check "and for the next one" run_session "$SESSION" "$BUILD_DIR/e2e_mmap" $mappable
before=$(descriptors_of "$SERVE_PID")
for _ in 1 2 3 4 5; do run_session "$SESSION" "$BUILD_DIR/e2e_mmap" $mappable >/dev/null || true; done
fewer() { [ "$(descriptors_of "$SERVE_PID")" -le $((before + 1)) ]; }
check "mappings leave no descriptor open in the daemon" wait_for 5 fewer
finish
