# shellcheck shell=bash
# Starting, watching and ending background processes, for scripts/cluster.
#
# Each has one file in $CLUSTER_DIR/run with its process id and its starting time. Both must fit before anything is ended: a
# number alone may belong to somebody else's program by now.

say() { printf '%s\n' "$*"; }
fail() {
  printf 'cluster: %s\n' "$*" >&2
  exit 1
}

# When the process started, in the kernel's ticks; nothing if it has ended.
born() {
  local stat
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
  stat=${stat##*) }              # the program's name stands in front, and may contain spaces
  [[ $stat != Z* ]] || return 0  # a zombie has ended, whatever its entry says
  cut -d ' ' -f 20 <<<"$stat"
}

alive() {
  local pid ticks=''
  [[ -f $CLUSTER_DIR/run/$1 ]] || return 1
  read -r pid ticks <"$CLUSTER_DIR/run/$1" || true
  [[ -n $ticks && $(born "$pid") == "$ticks" ]]
}

pid_of() { cut -d ' ' -f 1 "$CLUSTER_DIR/run/$1"; }

recorded() { (cd "$CLUSTER_DIR/run" 2>/dev/null && ls) || true; }

running() {
  local name
  for name in $(recorded); do
    if alive "$name"; then say "$name"; fi
  done
}

# start NAME COMMAND...: in a session of its own, so that Ctrl-C in this terminal doesn't reach it.
start() {
  local name=$1 pid
  shift
  setsid "$@" >>"$CLUSTER_DIR/log/$name.log" 2>&1 </dev/null &
  pid=$!
  say "$pid $(born "$pid")" >"$CLUSTER_DIR/run/$name"
}

# until_true SECONDS NAME COMMAND...: waits for a fact about a process, and no longer than the process lives.
until_true() {
  local deadline=$((SECONDS + $1)) name=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! alive "$name"; then
      tail -n 15 "$CLUSTER_DIR/log/$name.log" >&2
      fail "$name has ended; above is the end of $CLUSTER_DIR/log/$name.log"
    fi
    ((SECONDS < deadline)) || fail "$name is not ready in time, see $CLUSTER_DIR/log/$name.log"
    sleep 0.1
  done
}

# stop SIGNAL SECONDS NAME...: signals all at once, then waits for all of them.
stop() {
  local signal=$1 deadline=$((SECONDS + $2)) name
  shift 2
  for name; do
    if alive "$name"; then kill -s "$signal" "$(pid_of "$name")" || true; fi
  done
  for name; do
    while alive "$name" && ((SECONDS < deadline)); do sleep 0.1; done
    if alive "$name"; then
      say "$name did not end in time and was killed"
      kill -s KILL "$(pid_of "$name")" || true
      while alive "$name"; do sleep 0.1; done
    fi
    rm -f "$CLUSTER_DIR/run/$name"
  done
}

# taken PORT: does something listen there?
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# answers PORT PATH: is the HTTP answer a 200?
answers() {
  local line
  exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
  printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$2" >&3
  read -r -t 3 line <&3 || true
  exec 3>&-
  [[ $line == 'HTTP/1.1 200'* ]]
}
