# Helpers of the end-to-end tests. A test is called as  NAME.sh BUILD_DIR SOURCE_DIR  and sources
# this file with its own arguments. It prints one sentence for everything it checks and ends with 0
# when all of them hold, 1 when one does not, 77 when this machine cannot tell.
BUILD_DIR=$(realpath "$1")
SOURCE_DIR=$(realpath "$2")
VFIOLAB=$BUILD_DIR/vfiolab
EDU_DRIVER=$BUILD_DIR/examples/edu_driver
TOPOLOGIES=$SOURCE_DIR/topologies
WORK=$(mktemp -d "${TMPDIR:-/tmp}/vfiolab-e2e.XXXXXX")
FAILURES=0
MOUNTS=()    # directories where something of ours may be mounted
PROCESSES=() # that we started in the background
SERVES=0

[ -x "$VFIOLAB" ] || { echo "$VFIOLAB is missing"; exit 1; }

# ---- Saying what holds ----

# check SENTENCE COMMAND...: the command succeeds.
check() {
  local sentence=$1
  shift
  if "$@" >"$WORK/check.out" 2>&1; then
    echo "ok: $sentence"
  else
    echo "FAILED: $sentence"
    sed 's/^/    /' "$WORK/check.out" | tail -n 40
    FAILURES=$((FAILURES + 1))
  fi
}

refuse() { ! "$@"; }

# same EXPECTED ACTUAL
same() {
  [ "$1" = "$2" ] && return 0
  diff <(printf '%s\n' "$1") <(printf '%s\n' "$2") | head -n 30
  return 1
}

# exits_with STATUS COMMAND...
exits_with() {
  local status=0 wanted=$1
  shift
  "$@" || status=$?
  [ "$status" = "$wanted" ] || { echo "exit status $status instead of $wanted"; return 1; }
}

# says PATTERN COMMAND...: whatever its status, its output has a line that matches.
says() {
  local pattern=$1
  shift
  "$@" >"$WORK/says.out" 2>&1 || true
  cat "$WORK/says.out"
  grep -Eq -- "$pattern" "$WORK/says.out" || { echo "no line matches: $pattern"; return 1; }
}

finish() {
  if [ "$FAILURES" = 0 ]; then exit 0; fi
  echo "$FAILURES failed"
  exit 1
}

skip() {
  echo "skipped: $*"
  exit 77
}

need_root() {
  [ "$(id -u)" = 0 ] || skip "this needs root"
}

# Regions can be mapped by FUSE passthrough, of Linux 6.9 and for root.
mappable() { [ "$(id -u)" = 0 ] && [ "$(printf '%s\n' 6.9 "$(uname -r)" | sort -V | head -n 1)" = 6.9 ]; }

need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || skip "$program is not installed"
  done
}

# ---- Running things ----

# An emulator that hangs must not hang the test.
limited() {
  local seconds=$1
  shift
  timeout -s KILL "$seconds" "$@"
}

# run_in TOPOLOGY COMMAND...: the topology is a name in topologies/ or a path.
run_in() {
  local topology=$1
  shift
  [ -f "$topology" ] || topology=$TOPOLOGIES/$topology.json
  limited 60 "$VFIOLAB" run -t "$topology" -- "$@"
}
# here TOPOLOGY COMMAND...: the same with the machine in the command's own process.
here() { limited 60 "$VFIOLAB" run --in-process -t "$TOPOLOGIES/$1.json" -- "${@:2}"; }

run_session() {
  local session=$1
  shift
  limited 60 "$VFIOLAB" run --session "$session" -- "$@"
}

# The same in the background; CLIENT_PID is the launcher, which ends within the test in any case.
start_client() {
  local session=$1
  shift
  "$VFIOLAB" run --session "$session" -- "$@" &
  CLIENT_PID=$!
  PROCESSES+=("$CLIENT_PID")
}
stop_client() {
  kill -TERM "$CLIENT_PID" 2>/dev/null || true
  wait "$CLIENT_PID" 2>/dev/null || true
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || { echo "waited in vain for: $*"; return 1; }
    sleep 0.05
  done
}

alive() { kill -0 "$1" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }
gone() { ! alive "$1"; }
mounted() { grep -q " $1 fuse" /proc/self/mountinfo; }
not_mounted() { ! grep -q " $1 " /proc/self/mountinfo; }

# Starts `serve` in the background: SERVE_PID, SESSION and MOUNT tell of it.
start_serve() {
  local topology=$1
  shift
  [ -f "$topology" ] || topology=$TOPOLOGIES/$topology.json
  SERVES=$((SERVES + 1))
  SESSION=e2e-$$-$SERVES
  MOUNT=$WORK/mount$SERVES
  mkdir -p "$MOUNT"
  MOUNTS+=("$MOUNT")
  "$VFIOLAB" serve -t "$topology" --mount "$MOUNT" --session "$SESSION" "$@" \
    >"$WORK/serve$SERVES.out" 2>&1 &
  SERVE_PID=$!
  PROCESSES+=("$SERVE_PID")
  wait_for 15 grep -q '^serving' "$WORK/serve$SERVES.out" || {
    cat "$WORK/serve$SERVES.out"
    exit 1
  }
}

stop_serve() {
  kill -TERM "$SERVE_PID" 2>/dev/null || true
  wait_for 15 gone "$SERVE_PID"
}

# ---- The state of a daemon ----

descriptors_of() { ls "/proc/$1/fd" | wc -l; }
threads_of() { ls "/proc/$1/task" | wc -l; }
resident_kib_of() { awk '/^VmRSS/ {print $2}' "/proc/$1/status"; }

# ---- Leaving nothing behind ----

# Ends a file system whose daemon does not answer: whoever waits for it goes on.
abort_connection() {
  local number
  number=$(awk -v mount="$1" '$5 == mount && / fuse/ {split($3, part, ":"); print part[2]}' \
    /proc/self/mountinfo | tail -n 1)
  [ -n "$number" ] || return 0
  unshare -m sh -c "mount -t fusectl none /mnt && echo 1 >/mnt/$number/abort" 2>/dev/null || true
}

clean_up() {
  local process directory running=()
  set +e
  # The number of one that has ended may be anybody's by now.
  for process in "${PROCESSES[@]}"; do
    grep -qs "^PPid:[[:space:]]*$$\$" "/proc/$process/status" && running+=("$process")
  done
  PROCESSES=("${running[@]}")
  for process in "${PROCESSES[@]}"; do kill -TERM "$process" 2>/dev/null; done
  for process in "${PROCESSES[@]}"; do wait_for 3 gone "$process" >/dev/null; done
  for directory in "${MOUNTS[@]}"; do
    mounted "$directory" && abort_connection "$directory"
  done
  for process in "${PROCESSES[@]}"; do kill -KILL "$process" 2>/dev/null; done
  for directory in "${MOUNTS[@]}"; do
    while grep -q " $directory " /proc/self/mountinfo; do
      umount -l "$directory" 2>/dev/null || fusermount3 -uz "$directory" 2>/dev/null || break
    done
  done
  for directory in "${MOUNTS[@]}"; do rmdir "$directory" 2>/dev/null; done
  rm -rf --one-file-system "$WORK"
}
trap clean_up EXIT
