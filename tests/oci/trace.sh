#!/bin/bash
# runsc trace on a running container, and --trace-out. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/lib.sh"
check="python3 $(dirname "$0")/events_check.py"

bundle '["sh", "-c", "while :; do cat /etc/motd >/dev/null; test -e /nowhere; done"]'
echo hello >"$b/rootfs/etc/motd"
expect no-container 1 'does not exist' oci trace c1
oci create -b "$b" c1 && oci start c1
expect format-bad 1 'invalid format' oci trace --format xml c1
expect calls-bad 1 'calls: ' oci trace --calls nosuchcall c1
# Several at once, each with its own choice; to a file and to standard output.
timeout -s KILL 50 $oci trace --calls openat,open --failed -o "$tmp/failed" c1 & a=$!
timeout -s KILL 50 $oci trace --format json --paths /etc c1 >"$tmp/json" & c=$!
until_true grep -q 'motd' "$tmp/json"
expect text-none 0 '' sh -c "! grep -v ENOENT $tmp/failed"
kill $c
wait $c 2>/dev/null
expect json 0 '^True$' python3 -c "
import json
lines = [json.loads(l) for l in open('$tmp/json').read().splitlines()[:-1]]
print(len(lines) > 0 and all('/etc/motd' in l['args'][0] + l['args'][1] and l['duration_ns'] >= 0 for l in lines))"
# A reader that stops reading: the container goes on, and says later how much is missing.
mkfifo "$tmp/fifo"
timeout -s KILL 50 $oci trace c1 >"$tmp/fifo" & d=$!
exec 5<"$tmp/fifo"
head -c 100 <&5 >/dev/null
oci stats --collect on c1
# More calls than all buffers on the way hold.
many() { [ "$(oci stats --format json c1 | python3 -c 'import json,sys; print(sum(c["count"] for c in json.load(sys.stdin)["calls"]) > 15000)')" = True ]; }
expect goes-on 0 '' until_true many
expect drops-said 0 'calls dropped' sh -c 'timeout 20 grep -m 1 -a dropped <&5'
exec 5<&-
until_true sh -c "! kill -0 $d 2>/dev/null"
# Attached to the end: it ends with the container.
timeout -s KILL 50 $oci trace -o "$tmp/end" c1 & e=$!
until_true test -s "$tmp/end"
expect delete 0 '' oci delete --force c1
wait $e
expect ended 0 '' test $? -eq 0
expect end-whole 0 '^$' tail -c 1 "$tmp/end"
kill $a 2>/dev/null

# --trace-out: whole; cut by a limit; of a container that was killed.
ln -s busybox "$b/rootfs/bin/mkfifo"
# A reader that surely sleeps when it is woken.
cat >"$b/rootfs/bin/script" <<'S'
mkfifo /tmp/f
for i in 1 2 3 4 5; do echo hi | cat; done
cat /tmp/f & pid=$!
until grep -q '^State:.S' /proc/$pid/status; do :; done
echo x >/tmp/f
wait
exit 3
S
bundle '["sh", "/bin/script"]' 'c["root"]["readonly"] = False'
out=$tmp/events.json
expect run 3 '' oci --trace-out "$out" run -b "$b" c2
expect events 0 'end trace ends' $check "$out" exit=12 fork=11 io=1
expect limited 3 '' oci --trace-out "$out" --trace-limit 20K run -b "$b" c2
expect limit-size 0 '' test "$(stat -c %s "$out")" -lt 21000
expect limit-events 0 'end trace limit reached' $check "$out"
expect limit-bad 1 'invalid trace-limit' oci --trace-out "$out" --trace-limit 1x run -b "$b" c2
expect no-dir 1 'cannot open --trace-out' oci --trace-out /nowhere/x run -b "$b" c2
bundle '["sh", "-c", "while :; do cat /etc/motd >/dev/null; done"]'
oci --trace-out "$out" --trace-limit 1M run -b "$b" c3 >/dev/null 2>&1 & r=$!
until_true sh -c "test \$(stat -c %s $out) -gt 100000"
cp "$out" "$tmp/cut.json"
expect cut 0 '^events' $check "$tmp/cut.json"
kill -9 "$(oci state c3 | python3 -c 'import json,sys; print(json.load(sys.stdin)["pid"])')"
wait $r
expect killed 0 'end trace cut short' $check "$out"
expect killed-json 0 '' python3 -c "import json; json.load(open('$out'))"
oci delete --force c3
finish
