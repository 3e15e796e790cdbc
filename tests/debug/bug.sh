#!/bin/bash
# The kernel's own crash: its thread is sent SIGABRT, as a broken invariant (BUG) raises a signal there. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/../oci/lib.sh"
command -v addr2line >/dev/null || { echo "SKIP no addr2line"; exit 77; }

$1 --platform "$2" --network none --flight-recorder do -- sh -c 'echo ready; kill -0 $$; exec sleep 1000' >"$tmp/out" 2>"$tmp/err" &
cli=$!
until_true grep -q ready "$tmp/out"
sentry=$(pgrep -P $cli | head -1)
asleep() { # every thread of the sentry sleeps
    ! grep -h '^State:.*R' /proc/$sentry/task/*/status
}
until_true asleep
# The threads of tasks are the youngest.
python3 -c '
import ctypes, os, sys
pid = int(sys.argv[1])
tid = max(int(t) for t in os.listdir("/proc/%d/task" % pid))
sys.exit(ctypes.CDLL(None).syscall(234, pid, tid, 6) != 0)' "$sentry"
wait $cli
status=$?
expect status 0 '' test $status -eq 134
report() { grep -q -- "$1" "$tmp/err"; }
expect head 0 '' report 'the kernel crashed: signal 6 at +0x'
expect task 0 '' report 'task [0-9]* of process [0-9]* (sleep)'
expect registers 0 '' report 'rip [0-9a-f]* rsp [0-9a-f]*'
expect recorder 0 '' report 'kill(0x1, 0x0, ...)'
expect result 0 '' report 'kill = 0'
expect exec 0 '' report 'a new program'
expect sleeping 0 '' report 'sleeps'
addresses=$(sed -n 's/^stack: //p' "$tmp/err" | tr ' ' '\n' | sed 's/+//')
addr2line -f -e "$1" $addresses >"$tmp/names" 2>/dev/null
expect backtrace 0 '' grep -q '^serve_syscall$' "$tmp/names"
expect deep 0 '' grep -q 'nanosleep' "$tmp/names"
expect nothing-left 1 '' kill -0 "$sentry"
finish
