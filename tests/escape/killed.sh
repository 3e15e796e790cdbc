#!/bin/bash
# Guest processes killed from outside, as the host's OOM killer does. In guest code: that process has been killed, the sandbox goes on. In
# the kernel, which then may hold locks: the sandbox ends with a message. Arguments: runsc and its options.
set -u
tmp=$(mktemp -d)
runsc=("$@" --network=none)
trap 'exec 3>&-; rm -rf "$tmp"' EXIT
failed=0
for program in mawk pgrep; do command -v $program >/dev/null || { echo "SKIP: no $program"; exit 77; }; done
if "${runsc[@]}" do -- /bin/true 2>&1 | grep 'cannot run here'; then exit 77; fi

below() { for p in $(pgrep -P "$1"); do echo "$p"; below "$p"; done; }
# victim PID PROGRAM: the process below PID that has the program mapped; waits for it.
victim() {
    for _ in $(seq 600); do
        for p in $(below "$1"); do grep -q "/$2\$" "/proc/$p/maps" 2>/dev/null && { echo "$p"; return; }; done
        sleep 0.05
    done
    echo "FAIL: no process runs $2" >&2
    return 1
}
# asleep PID: all its threads wait in the host.
asleep() {
    for _ in $(seq 600); do
        grep -h '^State:' "/proc/$1"/task/*/status | grep -qv sleeping || return 0
        sleep 0.05
    done
}
ends() { # PID: its status, within 30 s
    for _ in $(seq 600); do kill -0 "$1" 2>/dev/null || { wait "$1"; return; }; sleep 0.05; done
    echo "FAIL: the sandbox goes on for ever"
    kill -9 "$1"
    return 255
}

"${runsc[@]}" do -- sh -c 'mawk "BEGIN { while (1) x++ }" & wait $!; echo "status $?, the sandbox goes on"' >"$tmp/out" 2>&1 </dev/null &
sandbox=$!
v=$(victim $sandbox mawk) && kill -9 "$v"
ends $sandbox
if grep -q 'status 137, the sandbox goes on' "$tmp/out"; then echo "ok: killed in guest code"; else echo "FAIL: in guest code"; cat "$tmp/out"; failed=1; fi

"${runsc[@]}" do -- sh -c 'sleep 1000; echo "FAIL: goes on, status $?"' >"$tmp/out" 2>&1 </dev/null &
sandbox=$!
v=$(victim $sandbox sleep) && asleep "$v" && others=$(below $sandbox) && kill -9 "$v"
ends $sandbox
status=$?
if [ $status != 0 ] && [ $status != 255 ] && grep -q 'a guest process died in the kernel' "$tmp/out" && ! grep -q FAIL "$tmp/out"; then
    echo "ok: killed in the kernel: status $status, $(cat "$tmp/out")"
else
    echo "FAIL: in the kernel: status $status"
    cat "$tmp/out"
    failed=1
fi
for p in $others; do [ -e "/proc/$p/exe" ] && { echo "FAIL: process $p is left"; failed=1; }; done
[ $failed = 0 ] && echo end
exit $failed
