#!/usr/bin/env bash
# Clients that take more descriptors than the emulator has get an errno, and it goes on.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
need_root
need python3 prlimit

client() { run_session "$SESSION" python3 "$SOURCE_DIR/tests/e2e/clients/descriptors.py" "$@"; }

VFIOLAB_PLAIN=$VFIOLAB
# serve_with SOFT:HARD: under that limit of descriptors.
serve_with() {
  printf '#!/bin/sh\nexec prlimit --nofile=%s %s "$@"\n' "$1" "$VFIOLAB_PLAIN" >"$WORK/limited"
  chmod +x "$WORK/limited"
  VFIOLAB=$WORK/limited start_serve many-vectors
}

serve_with 64:4096
check "2048 triggers fit, as the emulator raises its own limit" says '^2048 triggers: ok' client fit
check "the client keeps the limit that it had" same "$(ulimit -Sn)" "$(run_session "$SESSION" bash -c 'ulimit -Sn')"
stop_serve

serve_with 200:200
check "2048 triggers are too many" says '^2048 triggers: Cannot allocate memory' client exhaust
check "so are ioeventfds" says '^ioeventfds: Cannot allocate memory ok' client exhaust
check "the emulator goes on" run_session "$SESSION" python3 -c 'open("/dev/vfio/4", "r+b", buffering=0).close()'
finish
