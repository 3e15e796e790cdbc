#!/bin/bash
# The jail as the host has it (runsc debug --posture) against what is promised: fails when it is weaker. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/../oci/lib.sh"

cat >"$tmp/posture.py" <<'P'
import json, sys
d = json.load(sys.stdin)
by_role = {"sentry": [], "guest": []}
for p in d["processes"]:
    by_role[p["role"]].append(p)
assert len(by_role["sentry"]) == 1 and len(by_role["guest"]) >= 1, "processes"
assert d["weaker"] == [], d["weaker"]
assert d["landlock"] == sys.argv[1], d["landlock"]
writable = 0x8800001f if int(sys.argv[2]) else 0x4
for p in d["processes"]:
    for name in ("mnt", "pid", "net", "ipc", "uts"):
        assert p["namespaces"][name]["own"], (p["role"], name)
    caps = {k: int(v, 16) for k, v in p["capabilities"].items()}
    for name in ("effective", "permitted", "bounding"):
        assert caps[name] & ~writable == 0, (p["role"], name, caps)
    assert caps["inheritable"] == caps["ambient"] == 0, (p["role"], caps)
    assert p["noNewPrivs"] and p["seccomp"]["mode"] == 2, p["role"]
    assert len(p["mounts"]) <= int(sys.argv[3]), p["mounts"]
for p in by_role["guest"]:
    assert p["name"] == by_role["sentry"][0]["name"] or int(p["capabilities"]["effective"], 16) == 0, p["capabilities"]
print("as promised,", " ".join(f'{p["role"]}: {p["seccomp"].get("calls")} calls' for p in d["processes"]))
P
# What this host has of Landlock.
landlock=$(python3 -c 'import ctypes; print("enforced" if ctypes.CDLL(None).syscall(444, 0, 0, 1) >= 3 else "")')
[ -n "$landlock" ] || { echo "SKIP: no Landlock on this host"; exit 77; }

bundle '["sh", "-c", "sleep 1000 & while :; do :; done"]'
oci create -b "$b" c1 && oci start c1
expect posture 0 'as promised' sh -c "$oci debug --posture --format json c1 | python3 $tmp/posture.py $landlock 0 2"
expect as-text 0 '^as promised' oci debug --posture c1
oci delete --force c1
bundle '["sleep", "1000"]' 'c["root"]["readonly"] = False'
oci create -b "$b" c2 && oci start c2
expect posture-writable 0 'as promised' sh -c "$oci debug --posture --format json c2 | python3 $tmp/posture.py $landlock 1 2"
oci delete --force c2
# The report tells the truth of a sandbox without its jail.
bundle '["sleep", "1000"]'
oci --unsafe-no-jail create -b "$b" c3 && oci start c3
expect no-jail 2 'WEAKER THAN PROMISED: process 1: it has no seccomp filter' oci debug --posture c3
expect no-jail-caps 2 'WEAKER THAN PROMISED: process 1: capabilities effective' oci debug --posture c3
expect no-jail-landlock 2 'WEAKER THAN PROMISED: process 1: Landlock is not in force' oci debug --posture c3
oci delete --force c3
# `do` by its process's number: a root with nothing in it but its own /proc.
$1 --platform "$2" --network=none do -- sh -c 'echo up >&3; exec sleep 1000' 3>"$tmp/up" </dev/null >/dev/null 2>&1 &
parent=$!
until_true test -s "$tmp/up"
pid=$(cat /proc/$parent/task/$parent/children)
expect do 0 '' sh -c "$1 debug --posture --format json --pid $pid | sed 's/\"landlock\":.*/\"landlock\": \"$landlock\",/' | python3 $tmp/posture.py $landlock 0 2"
expect do-root 0 '^    mounts        / tmpfs ro' $1 debug --posture --pid $pid
kill $pid
wait
finish
