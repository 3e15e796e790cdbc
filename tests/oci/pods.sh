#!/bin/bash
# Pods: several containers in one sandbox, by the annotations of containerd and CRI-O. Arguments: runsc, platform.
set -u
if [ "$2" = mpk ]; then # also where the host has no protection keys
    wrapper=$(mktemp /tmp/pods.XXXXXX)
    printf '#!/bin/sh\nexec %s --unsafe-mpk "$@"\n' "$1" >"$wrapper"
    chmod +x "$wrapper"
    set -- "$wrapper" mpk
fi
. "$(dirname "$0")/lib.sh"
trap 'cleanup; rm -f "${wrapper:-}"' EXIT
if [ "$(id -u)" -ne 0 ]; then
    echo "SKIP not root"
    exit 77
fi
mkdir "$b/rootfs/vol"
for applet in mknod nc wc find; do ln -sf busybox "$b/rootfs/bin/$applet"; done

# pod BUNDLE-NAME ARGS-AS-JSON CHANGE...: a bundle with a root of its own, in $tmp/BUNDLE-NAME.
pod() {
    own=$tmp/$1
    shift
    rm -rf "$own"
    mkdir "$own"
    cp -a "$b/rootfs" "$own/rootfs"
    bundle "$@" "l['cgroupsPath'] = '/pods-test-$$/$(basename "$own")'" "c['root']['readonly'] = False"
    mv "$b/config.json" "$own/config.json"
    basename "$own" >"$own/rootfs/etc/whose"
}
network="l['namespaces'] = [n for n in l['namespaces'] if n['type'] != 'network'] + [{'type': 'network'}]"
sandbox_role="c['annotations'] = {'io.kubernetes.cri.container-type': 'sandbox', 'io.kubernetes.cri.sandbox-id': 'pause'}; c['hostname'] = 'podhost'; $network"
# role PID NAMES: a container of the sandbox `pause`, whose process is PID; NAMES are shared besides.
role() {
    cat <<P
c['annotations'] = {'io.kubernetes.cri.container-type': 'container', 'io.kubernetes.cri.sandbox-id': 'pause'}
c.pop('hostname', None)
$network
for n in l['namespaces']:
    if n['type'] in 'network uts ipc $2'.split(): n['path'] = '/proc/$1/ns/' + {'network': 'net'}.get(n['type'], n['type'])
P
}
volume="m.append({'destination': '/vol', 'type': 'bind', 'source': '$tmp/vol', 'options': ['rbind', 'rw']})"
file="m.append({'destination': '/etc/one', 'type': 'bind', 'source': '$tmp/one', 'options': ['bind', 'ro']})"
mkdir "$tmp/vol"
echo alone >"$tmp/one"
idle='["sh", "-c", "trap \"exit 9\" TERM; echo up; while :; do sleep 1000 & wait; done"]'
# started ID: created and running, its output in $tmp/ID.out, its host process in $tmp/ID.pid.
started() {
    oci create -b "$tmp/$1" --pid-file "$tmp/$1.pid" "$1" >"$tmp/$1.out" 2>&1 </dev/null && oci start "$1"
}
start_sandbox() {
    pod pause '["sh", "-c", "while :; do sleep 1000 & wait; done"]' "$sandbox_role" "$@"
    started pause || echo "FAIL the sandbox does not start"
    sandbox=$(cat "$tmp/pause.pid")
    settled pause
}
# settled ID: its shell has made its sleep, so that processes can be counted.
settled() { until_true sh -c "$oci ps $1 | grep -q sleep"; }
ended() { until_true sh -c "$oci state $1 | grep -q stopped"; }
pod_mounts() { grep " /proc/fs/" "/proc/$sandbox/mountinfo" | wc -l; }

start_sandbox
expect sandbox-only 0 '^0$' pod_mounts

# ---- two containers: pid namespaces of their own, the rest shared; volumes, trees
pod c1 "$idle" "$(role "$sandbox" '')" "$volume" "$file" "p['rlimits'] = [{'type': 'RLIMIT_NOFILE', 'soft': 77, 'hard': 88}]"
pod c2 "$idle" "$(role "$sandbox" '')" "$volume" "p['user'] = {'uid': 12, 'gid': 34}"
expect create 0 '' oci create -b "$tmp/c1" --pid-file "$tmp/c1.pid" c1
expect state-created 0 '"status": "created"' oci state c1
expect pid 0 "\"pid\": $(cat "$tmp/c1.pid")," oci state c1
expect no-sandbox-of-its-own 0 'runsc-pod' cat "/proc/$(cat "$tmp/c1.pid")/comm"
expect exec-created 255 'not running' oci exec c1 true
expect kill-unknown 1 'does not exist' oci kill nosuch
expect same-id 1 'already exists' oci create -b "$tmp/c1" c1
expect start 0 '' oci start c1
expect start-again 1 'already running' oci start c1
expect second 0 '' started c2
settled c1
settled c2
expect state-running 0 '"status": "running"' oci state c1
expect own-tree 0 '^c1$' oci exec c1 cat /etc/whose
expect own-tree-2 0 '^c2$' oci exec c2 cat /etc/whose
expect sandbox-tree 0 '^pause$' oci exec pause cat /etc/whose
expect no-other-tree 0 '^0$' sh -c "$oci exec c1 find / -name 'c2*' 2>/dev/null | wc -l"
expect file-alone 0 '^alone$' oci exec c1 cat /etc/one
expect file-readonly 1 'Read-only' oci exec c1 sh -c 'echo x >/etc/one'
expect file-not-elsewhere 1 'No such file' oci exec c2 cat /etc/one
expect volume-write 0 '' oci exec c1 sh -c 'echo shared >/vol/x'
expect volume-read 0 '^shared$' oci exec c2 cat /vol/x
expect volume-outside 0 '^shared$' cat "$tmp/vol/x"
expect write-own-tree 0 '' oci exec c1 sh -c 'mkdir /new; echo 1 >/new/f; mv /new/f /new/g; ln /new/g /new/h; rm /new/h'
expect written-outside 0 '^1$' cat "$tmp/c1/rootfs/new/g"
expect init-number 0 '^1 (sh)' oci exec c1 cat /proc/1/stat
expect own-processes 0 '^2$' sh -c "$oci exec c1 sh -c 'cat /proc/[0-9]*/comm' | grep -c -e sh -e sleep"
expect ps 0 ' 1     0 .* sh$' oci ps c1
expect ps-json 0 "^\[$(cat "$tmp/c1.pid")\]$" oci ps -f json c1
expect ps-sandbox 0 '^3$' sh -c "$oci ps pause | wc -l"
expect sandbox-sees-its-own 0 '^1$' sh -c "$oci exec pause sh -c 'cat /proc/[0-9]*/comm' | grep -c sleep"
expect sandbox-signals-its-own 0 '^3$' sh -c "$oci exec pause sh -c 'for i in \$(seq 1 300); do kill -0 \$i 2>/dev/null && echo \$i; done' | wc -l"
expect uts-shared 0 '^podhost$' oci exec c1 hostname
expect rlimit 0 '^77$' oci exec c1 sh -c 'ulimit -n'
expect user 0 '^uid=12 gid=34' oci exec -u 12:34 c2 id
expect user-of-init 0 '^Uid:.12' oci exec c2 grep Uid /proc/1/status
expect exec-status 7 '' oci exec c1 sh -c 'exit 7'
expect exec-signal 137 '' oci exec c1 sh -c 'kill -9 $$'
expect exec-detached 0 '' oci exec -d --pid-file "$tmp/e.pid" c1 sleep 1000
expect ps-json-exec 0 "^\[$(cat "$tmp/c1.pid"),$(cat "$tmp/e.pid")\]$" oci ps -f json c1
expect ps-json-other 0 "^\[$(cat "$tmp/c2.pid")\]$" oci ps -f json c2
expect events 0 '"pids":{"current":3' oci events --stats c1
expect debug 1 'is in the sandbox of pause: ask for that one' oci debug c1
expect gdbserver 1 'is in the sandbox of pause' oci gdbserver --stdio c1 1
expect posture 0 '' oci debug --posture pause
expect network-shared 0 '^through$' sh -c "$oci exec -d c1 sh -c 'echo through | nc -l -p 77'
    $oci exec c2 sh -c 'until nc 127.0.0.1 77; do :; done'"

# ---- terminals are their container's
oci exec -d c1 sh -c 'exec 3<>/dev/ptmx; echo open >/vol/tty; while :; do sleep 1000; done'
until_true test -e "$tmp/vol/tty"
expect terminal 0 '^0$' oci exec c1 ls /dev/pts
expect terminal-of-others 0 '^ptmx$' oci exec c2 sh -c 'echo $(ls /dev/pts)'
oci exec -c CAP_MKNOD pause mknod /dev/t c 136 0
expect terminal-by-number 1 'rror' oci exec -c CAP_MKNOD pause cat /dev/t

# ---- by container: pause, kill, signals to all
expect pause 0 '' oci pause c1
expect paused 0 '"status": "paused"' oci state c1
expect exec-paused 255 'paused container' oci exec c1 true
expect other-not-paused 0 '^c2$' oci exec c2 cat /etc/whose
expect resume 0 '' oci resume c1
expect resumed 0 '^c1$' oci exec c1 cat /etc/whose
expect delete-running 1 'not stopped: running' oci delete c1
until_true grep -q up "$tmp/c1.out"
expect kill-term 0 '' oci kill c1 TERM
expect ends 0 '' ended c1
expect waited-for 0 '^9$' oci wait c1
expect exec-ended 255 'has stopped' oci exec c1 true
expect kill-ended 1 'container not running' oci kill c1
expect exec-ended-with-it 0 '' gone "$(cat "$tmp/e.pid")"
expect delete 0 '' oci delete c1
expect deleted 1 'does not exist' oci state c1
expect other-goes-on 0 '^c2$' oci exec c2 cat /etc/whose
expect kill-kill 0 '' oci kill c2 KILL
expect ends-2 0 '' ended c2
expect delete-2 0 '' oci delete c2
expect no-mounts 0 '^0$' pod_mounts
expect no-descriptors 0 '^0$' sh -c "ls -l /proc/$sandbox/fd | grep -c -e '$tmp/c[12]/' -e '$tmp/vol' -e '$tmp/one'; true"

# ---- statuses by wait: the process of `run` is who stands for it
pod c3 '["sh", "-c", "cat; exit 5"]' "$(role "$sandbox" '')"
expect run-status 5 '^words$' sh -c "echo words | $oci run -b $tmp/c3 c3"
pod c3 '["sh", "-c", "kill -11 $$"]' "$(role "$sandbox" pid)"
expect run-signal 139 '' oci run -b "$tmp/c3" c3
pod c3 '["nosuch"]' "$(role "$sandbox" '')"
expect no-program 1 'executable file not found in \$PATH' oci run -b "$tmp/c3" c3
expect nothing-left 1 'does not exist' oci state c3
expect no-mounts-left 0 '^0$' pod_mounts

# ---- a shared pid namespace, and one of another container's; uts and ipc of its own
pod c4 "$idle" "$(role "$sandbox" pid)"
expect shared-pids 0 '' started c4
expect shared-sees 0 '^pause' sh -c "$oci exec c4 cat /proc/1/root/etc/whose"
expect shared-not-first 1 '' sh -c "$oci exec c4 sh -c 'readlink /proc/1/exe; cat /proc/1/cmdline' | grep 'trap'"
pod c5 "$idle" "$(role "$sandbox" '')"
started c5
pod c6 "$idle" "$(role "$sandbox" '')" "for n in l['namespaces']:
    if n['type'] == 'pid': n['path'] = '/proc/$(cat "$tmp/c5.pid")/ns/pid'
    if n['type'] in ('uts', 'ipc'): n.pop('path')
c['hostname'] = 'alone'"
expect joins-other 0 '' started c6
expect joined-sees 0 '^c5$' oci exec c6 cat /proc/1/root/etc/whose
expect own-uts 0 '^alone$' oci exec c6 hostname
expect uts-of-others 0 '^podhost$' oci exec c5 hostname
expect init-of-namespace 0 '' oci delete --force c5
expect guest-of-namespace 0 '' ended c6
expect delete-6 0 '' oci delete c6
expect forced 0 '' oci delete --force c4
expect forced-gone 0 '^3$' sh -c "$oci ps pause | wc -l"

# ---- who stands for it is killed
pod c7 '["sh", "-c", "trap \"\" TERM HUP; while :; do sleep 1000 & wait; done"]' "$(role "$sandbox" pid)"
started c7
kill -9 "$(cat "$tmp/c7.pid")"
expect holder-killed 0 '' ended c7
expect holder-killed-status 0 '^137$' oci wait c7
expect holder-killed-delete 0 '' oci delete c7
expect holder-killed-processes 0 '^3$' sh -c "$oci ps pause | wc -l"
expect holder-killed-mounts 0 '^0$' pod_mounts

# ---- a command is killed while it makes one: at whatever moment, nothing is left
pod k "$idle" "$(role "$sandbox" '')" "$volume" "$file"
for n in 01 02 03 04 05 06 08 10 13 16; do
    timeout -s KILL "0.$n" $oci create -b "$tmp/k" --pid-file "$tmp/k.pid" k >"$tmp/k.out" 2>&1 </dev/null
    expect "create-killed-$n" 0 '' oci delete --force k
    expect "create-killed-mounts-$n" 0 '^0$' pod_mounts
done
expect create-killed-processes 0 '^3$' sh -c "$oci ps pause | wc -l"

# ---- hooks
pod c8 "$idle" "$(role "$sandbox" '')" "c['hooks'] = {
    'createContainer': [{'path': '/bin/sh', 'args': ['sh', '-c', 'readlink /proc/self/ns/net >$tmp/hook']}],
    'startContainer': [{'path': '/bin/sh', 'args': ['sh', '-c', 'cat >/state']}],
    'poststop': [{'path': '/bin/sh', 'args': ['sh', '-c', 'echo after >>$tmp/hook']}]}"
expect hooks 0 '' started c8
expect hook-namespace 0 "$(readlink "/proc/$sandbox/ns/net" | tr -d 'a-z:[]')" cat "$tmp/hook"
expect hook-inside 0 '"id":"c8"' cat "$tmp/c8/rootfs/state"
oci delete --force c8
expect hook-after 0 '^after$' cat "$tmp/hook"

# ---- refused by name
pod alone "$idle" "$network"
started alone
pod c9 "$idle" "$(role "$sandbox" '')" "l['sysctl'] = {'net.ipv4.ip_forward': '0'}"
expect no-sysctl 1 'linux.sysctl of a container in a pod' oci create -b "$tmp/c9" c9
pod c9 "$idle" "$(role "$(cat "$tmp/alone.pid")" '')"
expect no-other-namespace 1 'is not that of the pod.s sandbox pause' oci create -b "$tmp/c9" c9
pod c9 "$idle" "$(role "$sandbox" '')" "$network"
expect no-own-network 1 'cannot have a network of its own' oci create -b "$tmp/c9" c9
pod c9 "$idle" "$(role "$sandbox" '')" "[n.update(path='/proc/self/ns/pid') for n in l['namespaces'] if n['type'] == 'pid']"
expect no-other-pids 1 'nor that of one of its containers' oci create -b "$tmp/c9" c9
pod c9 "$idle" "$(role "$sandbox" '')" "c['annotations']['io.kubernetes.cri.sandbox-id'] = 'nosuch'"
expect no-sandbox 1 "the pod's sandbox nosuch: container does not exist" oci create -b "$tmp/c9" c9
pod c9 "$idle" "[n.update(path='/proc/self/ns/pid') for n in l['namespaces'] if n['type'] == 'pid']"
expect not-in-a-pod 1 'outside of a pod' oci create -b "$tmp/c9" c9
pod c9 "$idle" "c['annotations'] = {'io.kubernetes.cri-o.ContainerType': 'container', 'io.kubernetes.cri-o.SandboxID': 'alone'}"
expect no-pod 1 "sandbox alone cannot take containers" oci create -b "$tmp/c9" c9
oci delete --force alone
expect none-refused-is-left 1 'does not exist' oci state c9

# ---- what is not a request of ours
printf 'junk' >"$tmp/junk"
python3 - "$root/pause/control.sock" <<'P'
import socket, struct, sys
for op in (16, 17, 18, 4):
    for payload in (b"", b"\0" * 3, b"\xff" * 64, struct.pack("<I", 3) + b"c1\0" + b"\xff" * 4000, b"c1"):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        s.connect(sys.argv[1])
        s.sendall(struct.pack("<4I", 0x43565331, op, len(payload), 0) + payload)
        s.recv(64)
P
expect junk 0 '^pause$' oci exec pause cat /etc/whose

# ---- the sandbox's end is everybody's
pod d1 "$idle" "$(role "$sandbox" '')"
pod d2 "$idle" "$(role "$sandbox" pid)"
pod d3 "$idle" "$(role "$sandbox" '')"
started d1
started d2
oci create -b "$tmp/d3" --pid-file "$tmp/d3.pid" d3 >/dev/null 2>&1 </dev/null
kill -9 "$sandbox"
for id in d1 d2 d3; do
    expect "sandbox-killed-$id" 0 '' ended "$id"
    expect "sandbox-killed-process-$id" 0 '' gone "$(cat "$tmp/$id.pid")"
done
expect sandbox-killed-delete 0 '' oci delete pause
expect sandbox-killed-delete-d1 0 '' oci delete d1
expect sandbox-killed-delete-d2 0 '' oci delete --force d2
expect sandbox-killed-delete-d3 0 '' oci delete d3
start_sandbox
pod d1 "$idle" "$(role "$sandbox" '')"
started d1
expect sandbox-deleted 0 '' oci delete --force pause
expect sandbox-deleted-d1 0 '' ended d1
expect not-running 1 'container not running' oci kill d1 KILL
pod d9 "$idle" "c['annotations'] = {'io.kubernetes.cri.container-type': 'container', 'io.kubernetes.cri.sandbox-id': 'pause'}"
expect sandbox-gone 1 "sandbox pause: container does not exist" oci create -b "$tmp/d9" d9
expect sandbox-deleted-delete 0 '' oci delete d1
expect nothing 0 '^0$' sh -c "ls $root | wc -l"
expect no-cgroups 0 '^0$' sh -c "find /sys/fs/cgroup -path '*/pods-test-$$/*' -type d | wc -l"
find /sys/fs/cgroup -depth -name "pods-test-$$" -exec rmdir {} \; 2>/dev/null
finish
