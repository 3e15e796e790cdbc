#!/bin/bash
# What commands leave when they run at once or are killed: nothing that delete --force does not clean. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/lib.sh"
cgroup=/cvisor-faults-$$
config() { bundle "$1" "l['cgroupsPath'] = '$cgroup/sandbox'" "${@:2}"; }
processes() { pgrep -f -- "--root $root" | grep -vx "$$"; }
# clean NAME: no process, state directory or cgroup of ours is there any more.
clean() {
    expect "$1-process" 1 '' until_some
    expect "$1-state" 0 '^none$' sh -c "ls -A $root | grep . || echo none"
    expect "$1-cgroup" 0 '^none$' sh -c "find /sys/fs/cgroup -path '*$cgroup/sandbox*' 2>/dev/null | grep . || echo none"
}
# 1 when no process is left, after at most 5 s.
until_some() {
    for _ in $(seq 100); do processes >/dev/null || return 1; sleep 0.05; done
    processes
    return 0
}
# within MILLISECONDS COMMAND...
within() {
    local limit=$1 start end
    shift
    start=$(date +%s%N)
    "$@" || return 1
    end=$(date +%s%N)
    [ $(((end - start) / 1000000)) -le "$limit" ] || { echo "took $(((end - start) / 1000000)) ms"; return 1; }
}
limit=3000 # the machine may be busy; a quiet one takes 20 ms

# Two at once.
config '["sleep", "1000"]'
for i in 1 2 3 4 5; do
    (oci create -b "$b" two >"$tmp/two.a" 2>&1 </dev/null; echo $? >"$tmp/status.a") &
    (oci create -b "$b" two >"$tmp/two.b" 2>&1 </dev/null; echo $? >"$tmp/status.b") &
    wait
    expect two-creates-$i 0 '^0 1$' sh -c "sort $tmp/status.a $tmp/status.b | tr '\n' ' ' | sed 's/ $//'"
    (oci start two >/dev/null 2>&1) &
    (oci delete --force two >/dev/null 2>&1) &
    wait
    oci delete --force two
done
clean two

# The CLI is killed at any moment of each command.
step=0
for round in $(seq 8); do
    for command in create start run exec delete kill; do
        case $command in
        create | run) ;;
        start | delete) oci create -b "$b" k >/dev/null 2>&1 </dev/null ;;
        *) oci run -d -b "$b" k >/dev/null 2>&1 </dev/null ;;
        esac
        case $command in
        create | run) set -- $command -b "$b" k ;;
        exec) set -- exec -d k sleep 500 ;;
        delete) set -- delete --force k ;;
        kill) set -- kill k KILL ;;
        *) set -- $command k ;;
        esac
        $oci "$@" >/dev/null 2>&1 </dev/null &
        victim=$!
        sleep "0.00$((RANDOM % 10))$((RANDOM % 10))"
        [ $((round % 2)) -eq 0 ] && sleep "0.0$((RANDOM % 3))"
        kill -KILL $victim 2>/dev/null
        wait $victim 2>/dev/null
        step=$((step + 1))
        timeout -s KILL 20 $oci delete --force k >/dev/null 2>"$tmp/err.delete" </dev/null || { echo "FAIL delete after killed $command: $(cat "$tmp/err.delete")"; failed=$((failed + 1)); }
    done
done
clean killed

# The sentry dies, or does not answer.
oci run -d -b "$b" s >/dev/null 2>&1 </dev/null
pid=$(oci state s | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')
kill -KILL "$pid"
expect sentry-killed 0 '^137$' oci wait s
expect sentry-killed-state 0 '"status": "stopped"' oci state s
expect sentry-killed-delete 0 '' oci delete s
oci run -d -b "$b" s >/dev/null 2>&1 </dev/null
pid=$(oci state s | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')
kill -STOP "$pid"
expect sentry-stopped-state 0 '"status": "running"' oci state s
expect sentry-stopped-kill 0 '' within $limit oci kill s KILL
expect sentry-stopped-gone 0 '^137$' oci wait s
expect sentry-stopped-delete 0 '' within $limit oci delete --force s
oci run -d -b "$b" s >/dev/null 2>&1 </dev/null
oci pause s
expect paused-delete 0 '' within $limit oci delete --force s
config '["sh", "-c", "while :; do :; done & while :; do :; done"]'
oci run -d -b "$b" s >/dev/null 2>&1 </dev/null
expect busy-delete 0 '' within $limit oci delete --force s
config '["true"]' "c['hooks'] = {'createRuntime': [{'path': '/bin/sleep', 'args': ['sleep', '30']}]}"
$oci create -b "$b" s >/dev/null 2>&1 </dev/null &
until_true grep -q pidStart "$root/s/state.json"
until_true pgrep -P $! sleep # the hook runs
# The hook's process is not ours to end; the container is gone with its sandbox.
expect hook-kill 0 '' sh -c "kill -KILL $(pgrep -P $! sleep)"
wait
expect hook-delete 0 '' within $limit oci delete --force s
clean faults

# Many at once.
config '["sleep", "1000"]' 'l["cgroupsPath"] = ""'
for i in $(seq 12); do $oci run -d -b "$b" "m$i" >/dev/null 2>&1 </dev/null & done
wait
expect many 0 '^12$' sh -c "$oci list | grep -c running"
for i in $(seq 12); do $oci delete --force "m$i" >/dev/null 2>&1 </dev/null & done
wait
clean many
rmdir $(find /sys/fs/cgroup -depth -path "*$cgroup" 2>/dev/null) 2>/dev/null
finish
