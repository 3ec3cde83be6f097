#!/usr/bin/env bash
# `run` runs every kind of client and ends as its client ends.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

check "the edu driver works under run" run_in edu "$EDU_DRIVER" 0000:01:00.0
check "a statically linked client works under run" run_in edu "$BUILD_DIR/static_client" 0000:01:00.0
check "a client without a C library works under run" run_in edu "$BUILD_DIR/raw_client" 0000:01:00.0 1
check "a client of many threads works under run" run_in edu "$BUILD_DIR/threads_client" 0000:01:00.0
check "the edu driver works behind a root port" run_in edu-behind-root-port "$EDU_DRIVER" 0000:01:00.0
check "the edu driver works beside another group" run_in two-groups "$EDU_DRIVER" 0000:01:00.0
check "the edu driver works in a group of three" run_in shared-group "$EDU_DRIVER" 0000:01:00.0

for status in 0 1 7 255; do
  check "a client that ends with $status makes run end with $status" \
    exits_with $status run_in edu sh -c "exit $status"
done
touch "$WORK/plain-file"
check "a client that is not executable makes run end with 126" \
  exits_with 126 run_in edu "$WORK/plain-file"
check "a client that does not exist makes run end with 127" \
  exits_with 127 run_in edu "$WORK/no-such-program"
check "the message names the client that does not exist" \
  says 'no-such-program.*No such file' run_in edu "$WORK/no-such-program"
for signal in TERM KILL SEGV; do
  check "a client that dies by SIG$signal makes run end with $((128 + $(kill -l $signal)))" \
    exits_with $((128 + $(kill -l $signal))) run_in edu sh -c "kill -$signal \$\$"
done

echo text >"$WORK/input"
check "standard input and output are the client's" \
  same text "$(run_in edu cat <"$WORK/input")"
check "the working directory is the client's" \
  same "$WORK" "$(cd "$WORK" && run_in edu pwd)"
check "arguments arrive as they are" \
  same "<a b> <-t> <--> <> [a,b] {}" "$(run_in edu printf '%s' '<a b> ' '<-t> ' '<--> ' '<>' ' ' '[a,b]' ' {}')"
check "an option that is none is refused" says "not expected: --bad" \
  limited 10 "$VFIOLAB" run --bad -t "$TOPOLOGIES/edu.json" -- true

run_in edu sh -c 'sleep 30 & echo $! >"$0"' "$WORK/left" || true
check "a process that the client leaves behind ends with run" gone "$(cat "$WORK/left")"
check "a trace of a run records its ioctls" \
  limited 60 "$VFIOLAB" run -t "$TOPOLOGIES/edu.json" --trace "$WORK/trace" -- "$EDU_DRIVER" 0000:01:00.0
check "the trace is not empty" test -s "$WORK/trace"
check "run inside run says what is wrong" \
  says 'already inside vfiolab run' run_in edu "$VFIOLAB" run -t "$TOPOLOGIES/edu.json" -- true
finish
