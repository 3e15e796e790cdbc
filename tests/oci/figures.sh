#!/bin/bash
# What a running container counted: stats, export-metrics. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/lib.sh"

bundle '["sleep", "1000"]'
oci create -b "$b" c1 && oci start c1
expect uncounted 0 'system calls are not counted' oci stats c1
expect memory 0 '^struct task  *[1-9]' oci stats c1
expect collect-bad 1 'invalid collect' oci stats --collect maybe c1
expect format-bad 1 'invalid format' oci stats --format xml c1
expect collect 0 '' oci stats --collect on c1
expect exec 0 '' oci exec c1 cat /bin/busybox
expect counted 0 '^openat  *[1-9]' oci stats c1
cat >"$tmp/figures.py" <<'P'
import json, sys
d = json.load(sys.stdin)
calls = {c["name"]: c for c in d["calls"]}
w = calls["openat"]
print(w["count"] > 0 and w["errors"] == 0 and 0 < w["max_ns"] <= w["total_ns"] and d["memory"]["page_bytes"] > 0)
P
expect json 0 '^True$' sh -c "$oci stats --format json c1 | python3 $tmp/figures.py"
# The text format's own rules: a TYPE before each name's lines, no name twice, values that are numbers.
cat >"$tmp/prometheus.py" <<'P'
import re, sys
types, seen, last = {}, set(), None
for line in sys.stdin.read().splitlines():
    if line.startswith("#"):
        _, what, name, text = line.split(" ", 3)
        if what == "TYPE":
            assert name not in types and text in ("counter", "gauge", "histogram"), line
            types[name] = text
        continue
    m = re.fullmatch(r'([a-z_]+)(\{[a-z]+="[^"\\]*"(?:,le="[^"\\]*")?\})? ([0-9.]+)', line)
    assert m and (m[1], m[2]) not in seen, line
    family = m[1] if m[1] in types else re.sub("_(bucket|sum|count)$", "", m[1])
    assert family in types and (family == m[1]) == (types[family] != "histogram"), line
    assert family == last or not any(name == m[1] for name, _ in seen), line
    float(m[3])
    last = family
    seen.add((m[1], m[2]))
print(("cvisor_syscalls_total", '{name="openat"}') in seen and ("cvisor_kernel_page_bytes", None) in seen)
P
expect prometheus 0 '^True$' sh -c "$oci export-metrics c1 | python3 $tmp/prometheus.py"
# How calls entered, on every platform: 4000 of dd's, a few of each thread are not counted yet.
expect dd 0 '' oci exec c1 dd if=/dev/zero of=/dev/null bs=1 count=2000
expect entered 0 '^True$' sh -c "$oci stats --format json c1 |
    python3 -c 'import json, sys; e = json.load(sys.stdin)[\"entries\"]; print(3900 < sum(e.values()) < 8000)'"
expect stop 0 '' oci stats --collect off c1
expect stopped-same 0 '' sh -c "$oci stats --format json c1 | sed 's/\"memory.*//;s/\"entries.*//;s/\"owners.*//' >$tmp/a; $oci exec c1 true
    $oci stats --format json c1 | sed 's/\"memory.*//;s/\"entries.*//;s/\"owners.*//' | diff - $tmp/a"
oci delete --force c1
expect no-container 1 'does not exist' oci stats c1
finish
