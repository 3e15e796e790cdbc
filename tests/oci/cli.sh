#!/bin/sh
# The command line itself: exit statuses and one-line errors of do, run and the global options. Arguments: runsc, platform.
set -u
tmp=$(mktemp -d)
runsc="$1 --network=none --platform $2 --root $tmp/state"
trap 'rm -rf "$tmp"' EXIT
passed=0
failed=0
# expect NAME STATUS PATTERN COMMAND...: the status, and a pattern that standard error (or output) must hold; errors are one line.
expect() {
    name=$1 want=$2 pattern=$3
    shift 3
    out=$("$@" 2>"$tmp/err" </dev/null)
    got=$?
    if [ "$got" -ne "$want" ]; then
        echo "FAIL $name: status $got, not $want: $(cat "$tmp/err")"
        failed=$((failed + 1))
    elif ! { printf '%s\n' "$out"; cat "$tmp/err"; } | grep -q -- "$pattern"; then
        echo "FAIL $name: no \"$pattern\" in: $out $(cat "$tmp/err")"
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
}
if $runsc do -- /bin/true 2>&1 | grep 'cannot run here'; then
    echo "SKIP $2"
    exit 77
fi
expect true 0 '' $runsc do -- /bin/true
expect false 1 '' $runsc do /bin/false
expect status 42 '' $runsc do -- sh -c 'exit 42'
expect killed 137 '' $runsc do -- sh -c 'kill -9 $$'
expect terminated 143 '' $runsc do -- sh -c 'kill -TERM $$; sleep 5'
expect segv 139 '' $runsc do -- sh -c 'kill -SEGV $$'
expect not-found 127 'executable file not found in \$PATH' $runsc do -- no-such-program
expect no-file 127 'no such file or directory' $runsc do -- /no/such/program
expect directory 126 '' $runsc do -- /etc
expect not-executable 126 'permission denied' $runsc do -- /etc/passwd
expect no-command 1 'requires at least 1 argument' $runsc do
expect bad-option 1 'provided but not defined: -frobnicate' $runsc do --frobnicate x
expect bad-global 1 'provided but not defined: -frobnicate' $runsc --frobnicate do true
expect bad-platform 1 'unknown platform' $1 --platform nonsense do true
expect bad-command 1 'unknown command' $runsc frobnicate
expect no-rootfs 1 'cannot open directory' $runsc do --rootfs /no/such -- true
expect bad-cwd 1 'working directory' $runsc do --cwd /no/such -- true
expect cwd 0 '^/usr$' $runsc do --cwd /usr -- pwd
expect env 0 '^v$' $runsc do --env CV=v -- sh -c 'echo $CV'
expect version 0 'runsc version' $runsc --version
expect help 0 'usage' $runsc help
expect help-syscalls 0 'calls:' $runsc help syscalls
expect help-syscalls-csv 0 '^0,read,full,,""$' $runsc help syscalls --format=csv
expect help-syscalls-json 0 '^True$' sh -c "$runsc help syscalls --format json | python3 -c 'import json, sys
d = json.load(sys.stdin)
print(len(d[\"calls\"]) == d[\"counts\"][\"all\"] == sum(d[\"counts\"][l] for l in (\"full\", \"partial\", \"missing\")))'"
expect help-syscalls-csv-rows 0 '^True$' sh -c "$runsc help syscalls -f csv | python3 -c 'import csv, sys
rows = list(csv.reader(sys.stdin))
print(len(rows) > 300 and all(len(r) == 5 for r in rows))'"
expect help-syscalls-format 1 'invalid format xml' $runsc help syscalls --format xml
expect help-syscalls-argument 1 'no argument read' $runsc help syscalls read
expect strace 0 'openat(AT_FDCWD, "/etc/hostname", O_RDONLY' $runsc --strace do -- cat /etc/hostname
expect strace-json 0 '^True$' sh -c "$runsc --log $tmp/trace --strace --strace-format json do -- cat /etc/hostname >/dev/null; python3 -c 'import json
calls = [json.loads(l) for l in open(\"$tmp/trace\", encoding=\"ascii\")]
print(any(c.get(\"name\") == \"openat\" and c[\"comm\"] == \"cat\" and c[\"result\"] >= 0 for c in calls))'"
expect strace-filter 0 '^0$' sh -c "$runsc --strace-calls 'open*,!open' --strace-paths /etc do -- cat /etc/hostname 2>&1 >/dev/null | grep '^I' | grep -vc 'openat(AT_FDCWD, \"/etc/'; true"
expect strace-bad-call 1 'invalid --strace-calls' $runsc --strace-calls nosuchcall do -- true
expect strace-bad-format 1 'invalid strace-format' $runsc --strace-format xml do -- true
expect stats 0 '^openat  *[1-9]' $runsc --stats do -- cat /etc/hostname
expect stdin 0 '^hello$' sh -c "echo hello | $runsc do -- cat"
expect stdin-eof 0 '^0$' sh -c ": | $runsc do -- wc -c"
expect big-pipe 0 '^3000000$' sh -c "head -c 3000000 /dev/zero | $runsc do -- cat | wc -c"
expect closed-reader 0 '' sh -c "$runsc do -- yes | head -1"
echo volume-data >"$tmp/f"
expect volume 0 'volume-data' $runsc do --volume "$tmp:/mnt" -- cat /mnt/f
expect volume-write 0 '' $runsc do --volume "$tmp:/mnt" -- sh -c 'echo new >/mnt/g && mkdir /mnt/d && mv /mnt/g /mnt/d/h'
expect volume-written 0 '^new$' cat "$tmp/d/h"
expect volume-ro 0 'Read-only' $runsc do --volume "$tmp:/mnt:ro" -- sh -c 'echo x >/mnt/x; true'
expect network-none 0 '^lo$' $runsc do -- ls /proc/sys/net/ipv4/conf --ignore=all --ignore=default
expect network-mode 1 'sandbox, user, host or none' $1 --network=bridge do -- true
if [ -c /dev/net/tun ] && [ "$(id -u)" = 0 ]; then
    expect network-private 0 '^eth0$' $1 --network=sandbox --platform $2 do -- ls /proc/sys/net/ipv4/conf
fi
expect overlay 0 '' $runsc do -- sh -c "echo gone >$tmp/f2; rm $tmp/f; test -e $tmp/f2 && test ! -e $tmp/f"
expect host-untouched 0 'volume-data' cat "$tmp/f"
[ ! -e "$tmp/f2" ] || { echo "FAIL the overlay wrote to the host"; failed=$((failed + 1)); }
echo one >"$tmp/one"
ln -s one "$tmp/link"
expect file 0 '^one$' $runsc do --volume "$tmp/link:/etc/resolv.conf" -- cat /etc/resolv.conf
expect file-write 0 '^one$' $runsc do --volume "$tmp/one:/mnt/new/one" -- sh -c 'cat /mnt/new/one; echo two >>/mnt/new/one'
expect file-written 0 '^two$' cat "$tmp/one"
expect file-alone 0 '^new$' $runsc do --volume "$tmp/one:/mnt/x/new" -- ls -A /mnt/x
expect file-ro 2 'Read-only' $runsc do --volume "$tmp/one:/etc/hosts:ro" -- sh -c 'echo x >>/etc/hosts'
expect file-busy 1 'busy' $runsc do --volume "$tmp/one:/etc/hosts" -- rm /etc/hosts
expect file-missing 1 'mount source .*/missing: No such file' $runsc do --volume "$tmp/missing:/etc/hosts" -- true
expect file-on-directory 1 'Not a directory' $runsc do --volume "$tmp/one:/usr" -- true
expect sysfs 0 '^sysfs /sys sysfs ro,nosuid,nodev,noexec ' $runsc do -- grep ' /sys ' /proc/mounts
expect sysfs-type 0 '^sysfs$' $runsc do -- stat -f -c %T /sys
expect sysfs-ro 2 'Read-only' $runsc do -- sh -c 'echo 1 >/sys/devices/system/cpu/online'
expect sysfs-eacces 2 'Permission denied' $runsc do -- sh -c 'mount -t sysfs none /mnt && echo 1 >/mnt/devices/system/cpu/online'

mkdir -p "$tmp/b/rootfs/bin" "$tmp/b/rootfs/proc" "$tmp/b/rootfs/dev"
cp /bin/busybox "$tmp/b/rootfs/bin/sh"
bundle() { # args as JSON
    sed -e "s|\"args\": .*|\"args\": $1,|" -e 's/"terminal": true/"terminal": false/' "$tmp/b/config.json.orig" >"$tmp/b/config.json"
}
expect spec 0 '' $runsc spec --bundle "$tmp/b"
expect spec-again 1 'exists' $runsc spec --bundle "$tmp/b"
mv "$tmp/b/config.json" "$tmp/b/config.json.orig"
expect run-no-config 1 'config.json not found' $runsc run --bundle "$tmp/b" c1
bundle '["sh", "-c", "echo in container; exit 5"]'
expect run 5 'in container' $runsc run --bundle "$tmp/b" c1
bundle '["no-such"]'
expect run-not-found 1 'executable file not found in \$PATH' $runsc run --bundle "$tmp/b" c1
bundle '["/bin/no-such"]'
expect run-no-file 1 'no such file or directory' $runsc run --bundle "$tmp/b" c1
bundle '["sh", "-c", "hostname; id -u; cat /proc/1/comm"]'
expect run-hostname 0 '^runsc$' $runsc run --bundle "$tmp/b" c1
mkdir "$tmp/b/rootfs/sys" "$tmp/b/rootfs/etc"
touch "$tmp/b/rootfs/etc/hosts"
echo 'in the bundle' >"$tmp/b/hosts"
cp "$tmp/b/config.json.orig" "$tmp/b/plain"
sed 's|"mounts": \[|&{"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "ro"]}, \
{"destination": "/etc/hosts", "type": "bind", "source": "hosts", "options": ["rbind", "ro"]}, \
{"destination": "/etc/hostname", "type": "bind", "source": "/etc/hostname", "options": ["bind"]},|' "$tmp/b/plain" >"$tmp/b/config.json.orig"
bundle '["sh", "-c", "cat /sys/devices/system/cpu/cpu0/topology/core_id /etc/hosts; echo x >/etc/hosts"]'
touch "$tmp/b/rootfs/etc/hostname"
expect run-file 1 'in the bundle' $runsc run --bundle "$tmp/b" c1
expect run-file-ro 1 'Read-only' $runsc run --bundle "$tmp/b" c1
bundle '["sh", "-c", "cat /sys/devices/system/cpu/cpu0/topology/core_id"]'
expect run-sysfs 0 '^0$' $runsc run --bundle "$tmp/b" c1
cp "$tmp/b/plain" "$tmp/b/config.json.orig"
bundle '["sh"]'
expect run-bad-id 1 'invalid container ID' $runsc run --bundle "$tmp/b" ../x
expect run-no-id 1 'exactly 1 argument' $runsc run --bundle "$tmp/b"
echo '{"ociVersion": "1' >"$tmp/b/config.json"
expect run-malformed 1 'malformed' $runsc run --bundle "$tmp/b" c1
echo '{"ociVersion": "1.0.2"}' >"$tmp/b/config.json"
expect run-empty 1 'process' $runsc run --bundle "$tmp/b" c1
echo "[]" >"$tmp/b/config.json"
expect run-not-object 1 'malformed' $runsc run --bundle "$tmp/b" c1
bundle '["sh"]'
mv "$tmp/b/rootfs" "$tmp/b/gone"
expect run-no-rootfs 1 'rootfs' $runsc run --bundle "$tmp/b" c1
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
