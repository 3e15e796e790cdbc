#!/bin/bash
# runsc debug: guest tasks, where they are, and kernel stacks. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/lib.sh"

bundle '["sh", "-c", "sleep 1000 & while :; do :; done"]'
oci create -b "$b" c1 && oci start c1
until_true sh -c "$oci debug c1 | grep -q 'sleep), uid 0: sleeping in .*nanosleep'"
cat >"$tmp/debug.py" <<'P'
import json, sys
d = json.load(sys.stdin)
tasks = {t["name"]: t for t in d["tasks"]}
spin, sleep = tasks["sh"], tasks["sleep"]
assert sleep["state"] == "sleeping" and sleep["syscall"] in ("nanosleep", "clock_nanosleep"), sleep
for t in d["tasks"]:
    assert "r-x" in t["mapping"] and "busybox" in t["mapping"], t["mapping"]
    assert int(t["registers"]["rip"], 16) > 0x10000
    low, high = (int(x, 16) for x in t["mapping"].split()[0].split("-"))
    assert low <= int(t["registers"]["rip"], 16) < high, t
assert spin["inGuest"] or spin["state"] != "sleeping", spin
stack = [f["function"] for f in sleep["stack"]]
assert stack[0].startswith(("host_", "mpk_")), stack
assert any(f.startswith(("sys_nanosleep", "sys_clock_nanosleep")) for f in stack) or "sleep" in sleep["waitChannel"], stack
print("tasks and stacks are there")
P
expect json 0 'are there' sh -c "$oci debug -f json c1 | python3 $tmp/debug.py"
expect text 0 'sleep), uid 0: sleeping in .*nanosleep' oci debug c1
# Looking changes nothing: a hundred times at a busy container.
expect again 0 '' sh -c "for i in \$(seq 50); do $oci debug c1 && $oci debug --posture c1; done >/dev/null"
expect goes-on 0 'still' oci exec c1 echo still
oci pause c1
expect paused 0 'task 1 of' oci debug c1
oci resume c1
expect format 1 'invalid format' oci debug -f xml c1
expect nothing 1 'takes an ID' oci debug
expect unknown 1 'does not exist' oci debug nothere
oci delete --force c1
finish
