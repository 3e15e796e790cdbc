#!/bin/bash
# Many containers: one after another, which may leave nothing, and at once. Prints what it took. Arguments: runsc, platform; RUNS (1000),
# AT_ONCE (100).
set -u
. "$(dirname "$0")/lib.sh"
runs=${RUNS:-1000}
at_once=${AT_ONCE:-100}
cgroup=/cvisor-many-$$
now() { date +%s%N; }
# Cgroups the kernel still counts, descriptors open on the host, kernel objects: they may swing, not grow with the number of runs.
held() { awk '/^(memory|pids)/ { print $1, $3 }' /proc/cgroups; cut -f1 /proc/sys/fs/file-nr; ls /proc | grep -c '^[0-9]'; wc -l </proc/self/mountinfo; }
bundle '["true"]' "l['cgroupsPath'] = '$cgroup/one'"
for _ in $(seq 20); do oci run -b "$b" r; done
before=$(held | tr '\n' ' ')
start=$(now)
bad=0
for _ in $(seq "$runs"); do $oci run -b "$b" r </dev/null >/dev/null 2>&1 || bad=$((bad + 1)); done
end=$(now)
sleep 2 # the kernel frees cgroups by and by
echo "$runs runs of true: $(((end - start) / runs / 1000)) us each; before: $before after: $(held | tr '\n' ' ')"
expect runs-ended 0 '^0$' echo $bad
expect runs-state 0 '^none$' sh -c "ls -A $root | grep . || echo none"
expect runs-cgroup 0 '^none$' sh -c "find /sys/fs/cgroup -mindepth 3 -type d -path '*$cgroup/*' | grep . || echo none"

bundle '["sleep", "100000"]' "l['cgroupsPath'] = ''"
start=$(now)
for i in $(seq "$at_once"); do $oci run -d -b "$b" "m$i" </dev/null >/dev/null 2>&1 & done
wait
end=$(now)
expect at-once 0 "^$at_once\$" sh -c "$oci list | grep -c running"
pids=$($oci list | awk 'NR > 1 { print $2 }')
tree() { for p in "$@"; do echo "$p"; tree $(cat /proc/"$p"/task/*/children 2>/dev/null); done; }
all=$(tree $pids)
ticks() { for p in $all; do cut -d' ' -f14,15 /proc/"$p"/stat; done | awk '{ n += $1 + $2 } END { print n }'; }
t1=$(ticks)
sleep 10
t2=$(ticks)
pss=$(for p in $all; do cat /proc/"$p"/smaps_rollup 2>/dev/null; done | awk '/^Pss:/ { n += $2 } END { print n }')
echo "$at_once at once: $(((end - start) / 1000000)) ms to start; $((t2 - t1)) ticks of CPU in 10 s; $((pss / at_once)) KiB of PSS each"
start=$(now)
for i in $(seq "$at_once"); do $oci delete --force "m$i" </dev/null >/dev/null 2>&1 & done
wait
end=$(now)
echo "$at_once deleted: $(((end - start) / 1000000)) ms"
expect at-once-state 0 '^none$' sh -c "ls -A $root | grep . || echo none"
rmdir $(find /sys/fs/cgroup -depth -path "*$cgroup" 2>/dev/null) 2>/dev/null
finish
