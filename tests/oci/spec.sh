#!/bin/bash
# config.json: what each part of it does inside. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/lib.sh"
# inside NAME PATTERN SCRIPT CHANGE...: what the script prints in a container whose config the changes (Python) have changed.
inside() {
    name=$1 pattern=$2 script=$3
    shift 3
    bundle "[\"sh\", \"-c\", $(python3 -c 'import json, sys; print(json.dumps(sys.argv[1]))' "$script")]" "$@"
    expect "$name" 0 "$pattern" oci run -b "$b" s1
}
# refused NAME PATTERN CHANGE...: a config that is not taken.
refused() {
    name=$1 pattern=$2
    shift 2
    bundle '["true"]' "$@"
    expect "$name" 1 "$pattern" oci run -b "$b" s1
}

# process
inside user '^uid=7 gid=8 groups=.*9' id 'p["user"] = {"uid": 7, "gid": 8, "additionalGids": [9]}'
inside umask '^0027$' umask 'p["user"]["umask"] = 0o27'
inside cwd '^/tmp$' pwd 'p["cwd"] = "/tmp"'
inside cwd-missing '^/not/there$' pwd 'p["cwd"] = "/not/there"' 'c["root"]["readonly"] = False'
printf 'root:x:0:0::/root:/bin/sh\nseven:x:7:8::/home/seven:/bin/sh\nbad:line\n' >"$b/rootfs/etc/passwd"
inside home '^/home/seven$' 'echo "$HOME"' 'p["user"] = {"uid": 7, "gid": 8}'
inside home-empty '^/root$' 'echo "$HOME"' 'p["env"].append("HOME=")'
inside env-last '^/root three 1$' 'echo $HOME $ONE $(env | grep -c ONE)' 'p["env"] = ["HOME=/x", "ONE=two", "HOME=", "PATH=/bin", "ONE=three"]'
inside home-unknown '^/$' 'echo "$HOME"' 'p["user"] = {"uid": 9, "gid": 9}'
inside home-given '^/mine$' 'echo "$HOME"' 'p["env"].append("HOME=/mine")'
ln -sf /dev/zero "$b/rootfs/etc/passwd"
inside home-hostile '^/$' 'echo "$HOME"'
rm "$b/rootfs/etc/passwd"
refused cwd-relative 'Cwd must be an absolute path' 'p["cwd"] = "x"'
refused cwd-none 'working directory' 'p["cwd"] = "/nowhere"'
inside env '^v$' 'echo $K' 'p["env"].append("K=v")'
inside rlimit '^123$' 'ulimit -n' 'p["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 123, "hard": 200}]'
inside rlimit-enforced 'Too many open files' 'exec 3</etc 4</etc 5</etc; cat /dev/null; ls /proc/self/fd; true; exec 6</etc 7</etc; true' \
    'p["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 6, "hard": 6}]' 'p["args"][2] += " 2>&1"' \
    'p["args"] = ["sh", "-c", "(exec 3</etc; exec 4</etc; exec 5</etc; exec 7</etc; cat /bin/sh >/dev/null) 2>&1; true"]'
refused rlimit-bad 'invalid rlimit type: RLIMIT_X' 'p["rlimits"] = [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]'
refused rlimit-twice 'there twice' 'p["rlimits"] = [{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}] * 2'
inside caps-root 'CapEff:.0000000020000420' 'grep CapEff /proc/self/status'
inside caps-user 'CapEff:.0000000000000000' 'grep CapEff /proc/self/status' 'p["user"]["uid"] = 5'
inside caps-ambient 'CapEff:.0000000000000020' 'grep CapEff /proc/self/status' 'p["user"]["uid"] = 5' \
    '[p["capabilities"].__setitem__(s, ["CAP_KILL"]) for s in ("permitted", "inheritable", "bounding", "ambient", "effective")]'
inside caps-none 'CapBnd:.0000000000000000' 'grep CapBnd /proc/self/status' 'del p["capabilities"]'
inside no-new-privs 'NoNewPrivs:.1' 'grep NoNewPrivs /proc/self/status' 'p["noNewPrivileges"] = True'
inside oom-score '^345$' 'cat /proc/self/oom_score_adj' 'p["oomScoreAdj"] = 345'
refused oom-score-range 'oomScoreAdj is out of range' 'p["oomScoreAdj"] = 2000'
inside scheduler '^5$' 'cut -d" " -f19 /proc/self/stat' 'p["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}'
refused scheduler-fifo 'scheduler.policy SCHED_FIFO is not supported' 'p["scheduler"] = {"policy": "SCHED_FIFO", "priority": 5}'
inside io-priority 'ok' 'echo ok' 'p["ioPriority"] = {"class": "IOPRIO_CLASS_IDLE", "priority": 7}'
refused io-priority-bad 'ioPriority is not valid' 'p["ioPriority"] = {"class": "X", "priority": 7}'
refused no-args 'args must not be empty' 'p["args"] = []'
refused no-process 'process property must not be empty' 'del c["process"]'
refused version 'unsupported ociVersion 2.0' 'c["ociVersion"] = "2.0"'

# root, hostname
inside root-ro 'Read-only file system' 'touch /x 2>&1; true' 'c["root"]["readonly"] = True'
inside root-rw 'written' 'echo written >/tmp/w; cat /tmp/w' 'c["root"]["readonly"] = False'
expect root-rw-host 0 written cat "$b/rootfs/tmp/w"
inside root-overlay 'kept' 'rm /tmp/w; test -e /tmp/w || echo kept' 'c["root"]["readonly"] = False' 'c["annotations"] = {"dev.cvisor.flag.overlay": "true"}'
expect root-overlay-host 0 written cat "$b/rootfs/tmp/w"
refused root-none 'invalid rootfs' 'c["root"]["path"] = "nope"'
refused flag-unknown 'there is no such flag' 'c["annotations"] = {"dev.cvisor.flag.x": "1"}'
inside hostname '^hh$' hostname 'c["hostname"] = "hh"'
inside domainname '^dd$' 'cat /proc/sys/kernel/domainname' 'c["domainname"] = "dd"'

# mounts
echo file >"$tmp/file"
mkdir -p "$tmp/dir/sub" "$tmp/lower" "$tmp/upper" "$tmp/work"
echo data >"$tmp/dir/sub/data"
echo low >"$tmp/lower/low"
bind="m.append({'destination': '/mnt/d', 'type': 'bind', 'source': '$tmp/dir', 'options': ['rbind'"
inside bind '^data$' 'cat /mnt/d/sub/data; echo new >/mnt/d/new' "$bind, 'rw']})" 'c["root"]["readonly"] = True'
expect bind-host 0 new cat "$tmp/dir/new"
inside bind-ro 'Read-only' 'touch /mnt/d/x 2>&1; true' "$bind, 'ro']})"
inside bind-rro 'Read-only' 'touch /mnt/d/sub/x 2>&1; true' "$bind, 'rro']})"
inside bind-propagation 'rw' 'grep /mnt/d /proc/mounts' "$bind, 'rslave']})"
inside bind-noexec 'Permission denied' 'cp /bin/busybox /mnt/d/b 2>/dev/null; cat /bin/busybox >/mnt/d/b; /mnt/d/b true 2>&1; true' "$bind, 'noexec']})"
inside bind-file '^file$' 'cat /etc/new/f' "m.append({'destination': '/etc/new/f', 'source': '$tmp/file', 'options': ['bind']})"
refused bind-none 'mount source' "m.append({'destination': '/x', 'type': 'bind', 'source': '/no/such', 'options': ['bind']})"
inside tmpfs 'size=64k' 'grep " /t " /proc/mounts' "m.append({'destination': '/t', 'type': 'tmpfs', 'source': 'tmpfs', 'options': ['size=64k', 'mode=700', 'nosuid']})"
inside tmpfs-copy-up '^first tmpfs$' 'mkdir /var/new 2>/dev/null; cat /etc/first >/etc/second; echo $(cat /etc/second) tmpfs' "open('$b/rootfs/etc/first', 'w').write('first')" \
    "m.append({'destination': '/etc', 'type': 'tmpfs', 'source': 'tmpfs', 'options': ['tmpcopyup', 'rw', 'nosuid']})"
expect tmpfs-copy-up-host 1 '' test -e "$b/rootfs/etc/second"
inside sysfs '^sysfs /sys sysfs ro' 'grep " /sys " /proc/mounts' "m.append({'destination': '/sys', 'type': 'sysfs', 'source': 'sysfs', 'options': ['ro']})"
inside cgroup-mount 'ok' 'ls -d /sys/fs/cgroup && echo ok' "m.append({'destination': '/sys/fs/cgroup', 'type': 'cgroup', 'source': 'cgroup', 'options': ['ro']})"
inside overlay '^low$' 'cat /o/low; echo up >/o/up' \
    "m.append({'destination': '/o', 'type': 'overlay', 'source': 'overlay', 'options': ['lowerdir=$tmp/lower', 'upperdir=$tmp/upper', 'workdir=$tmp/work']})"
expect overlay-upper 0 up cat "$tmp/upper/up"
refused mount-type 'mount type nosuchfs on /x is not supported' "m.append({'destination': '/x', 'type': 'nosuchfs', 'source': 'x'})"
mkdir "$tmp/owned"
touch "$tmp/owned/f"
chown 5:6 "$tmp/owned/f"
chmod 755 "$tmp" "$tmp/owned"
idmap="m.append({'destination': '/mnt/i', 'type': 'bind', 'source': '$tmp/owned', 'options': ['bind', 'idmap']})"
refused mount-idmap-none 'id mappings need both' "$idmap"
refused mount-idmap-tmpfs 'id mappings are for bind mounts' "m.append({'destination': '/t', 'type': 'tmpfs', 'source': 'tmpfs', 'options': ['ridmap']})"
inside mount-idmap '^1005:2006$' 'stat -c %u:%g /mnt/i/f' "$idmap" \
    "m[-1]['uidMappings'] = [{'containerID': 0, 'hostID': 1000, 'size': 100}]" "m[-1]['gidMappings'] = [{'containerID': 0, 'hostID': 2000, 'size': 100}]"
inside mount-idmap-userns '^5:6 0:0$' 'touch /mnt/i/new; echo $(stat -c %u:%g /mnt/i/f /mnt/i/new)' "$idmap" 'l["namespaces"].append({"type": "user"})' \
    'l["uidMappings"] = l["gidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 65536}]'
expect mount-idmap-host 0 '^0:0$' stat -c %u:%g "$tmp/owned/new"
inside mount-root '^/etc /t$' "while read a b c d e rest; do [ \$e = /t ] && echo \$d \$e; done </proc/self/mountinfo; true" "m.append({'destination': '/t', 'source': '/etc', 'options': ['bind']})"
inside mount-root-file '^/etc/hostname /etc/f$' "while read a b c d e rest; do [ \$e = /etc/f ] && echo \$d \$e; done </proc/self/mountinfo; true" "m.append({'destination': '/etc/f', 'source': '/etc/hostname', 'options': ['bind']})" 'c["root"]["readonly"] = False'
inside mount-root-guest '^/sys /tmp$' "mount --bind /proc/sys /tmp; while read a b c d e rest; do [ \$e = /tmp ] && echo \$d \$e; done </proc/self/mountinfo; true" \
    '[p["capabilities"][s].append("CAP_SYS_ADMIN") for s in ("bounding", "permitted", "effective")]'
ln -s /tmp/some/where/hosts "$b/rootfs/etc/hosts"
inside mount-dangling "^$(hostname)" 'cat /tmp/some/where/hosts' "m.append({'destination': '/etc/hosts', 'source': '/etc/hostname', 'options': ['bind']})"
rm -r "$b/rootfs/tmp/some"
ln -s ../tmp/some "$b/rootfs/etc/dangling"
inside mount-dangling-below "^$(hostname)" 'cat /tmp/some/x/hosts' "m.append({'destination': '/etc/dangling/x/hosts', 'source': '/etc/hostname', 'options': ['bind']})" 'c["root"]["readonly"] = False'
rm -r "$b/rootfs/tmp/some" "$b/rootfs/etc/hosts" "$b/rootfs/etc/dangling"
mkdir -p "$b/rootfs/mode"
chmod 3710 "$b/rootfs/mode"
inside tmpfs-mode '^3710 1777 444$' 'echo $(stat -c %a /mode /unmade /given)' 'c["root"]["readonly"] = False' \
    "m.extend({'destination': d, 'type': 'tmpfs', 'source': 'tmpfs', 'options': o} for d, o in (('/mode', []), ('/unmade', []), ('/given', ['mode=0444'])))"
inside dev-readonly '^1 2$' 'echo $(grep -c "^tmpfs /dev tmpfs ro" /proc/mounts) $(grep -c "^[^ ]* /dev/[ms][hq]" /proc/mounts); touch /dev/x 2>/dev/null && echo no' 'm[1]["options"].append("ro")' 'p["args"][2] += "; true"'
rm -rf "$b/rootfs/made"
inside tmpfs-mode-made '^1777$' 'stat -c %a /made/deep' "m.append({'destination': '/made/deep', 'type': 'tmpfs', 'source': 'tmpfs'})"
expect tmpfs-mode-host 0 '^755$' stat -c %a "$b/rootfs/made/deep"
refused tmpfs-option 'cannot mount' "m.append({'destination': '/t', 'type': 'tmpfs', 'source': 'tmpfs', 'options': ['nonsense=1']})"

# linux
inside masked-file '^0$' 'wc -c </etc/secret' 'l["maskedPaths"] = ["/etc/secret", "/no/such"]' "open('$b/rootfs/etc/secret', 'w').write('x')"
inside masked-dir '^0$' 'ls -A /etc | wc -l' 'l["maskedPaths"] = ["/etc"]'
inside masked-proc '^0$' 'wc -c </proc/uptime' 'l["maskedPaths"] = ["/proc/uptime"]'
inside readonly-path 'Read-only' 'touch /etc/x 2>&1; true' 'l["readonlyPaths"] = ["/etc", "/no/such"]' 'c["root"]["readonly"] = False'
inside readonly-proc 'Read-only' '(echo x >/proc/sys/kernel/hostname) 2>&1; true' 'l["readonlyPaths"] = ["/proc/sys"]'
inside sysctl '^dd.example$' 'cat /proc/sys/kernel/domainname' 'l["sysctl"] = {"kernel.domainname": "dd.example"}'
refused sysctl-unknown 'cannot set the sysctl kernel.nonsense' 'l["sysctl"] = {"kernel.nonsense": "1"}'
inside device 'crw-r-----.*7.*8.*1, *3' 'ls -ln /dev/mynull' \
    'l["devices"] = [{"path": "/dev/mynull", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 7, "gid": 8}]'
refused device-bad 'invalid device' 'l["devices"] = [{"path": "x", "type": "c"}]'
refused namespace-bad 'namespace nonsense does not exist' 'l["namespaces"].append({"type": "nonsense"})'
refused namespace-twice 'duplicated ns pid' 'l["namespaces"].append({"type": "pid"})'
refused namespace-pid-path 'joining the pid namespace' 'l["namespaces"] = [{"type": "pid", "path": "/proc/self/ns/pid"}]'
host='l["namespaces"] = [n for n in l["namespaces"] if n["type"] != "network"]'
unshare -n sleep 300 &
net=$!
until_true sh -c "[ \$(readlink /proc/$net/ns/net) != \$(readlink /proc/self/ns/net) ]"
inside namespace-net-path '^1$' 'grep -c : /proc/net/dev' "$host" "l['namespaces'].append({'type': 'network', 'path': '/proc/$net/ns/net'})"
kill $net
inside namespace-net-none '^1$' 'grep -c : /proc/net/dev' "$host"
inside userns '^0 0$' 'stat -c "%u %g" /bin/busybox' 'l["namespaces"].append({"type": "user"})' \
    'l["uidMappings"] = l["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 65536}]'
inside userns-map '^0 100000 50000 0 7 9$' 'echo $(cat /proc/self/uid_map /proc/1/gid_map)' 'l["namespaces"].append({"type": "user"})' 'c["root"]["readonly"] = False' \
    'l["uidMappings"] = [{"containerID": 0, "hostID": 100000, "size": 50000}]; l["gidMappings"] = [{"containerID": 0, "hostID": 7, "size": 9}]'
refused userns-no-map 'no uid or gid mappings found' 'l["namespaces"].append({"type": "user"})'
refused map-no-userns "user namespace isn't" 'l["uidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}]'
refused time-offsets-none 'without a time namespace' 'l["timeOffsets"] = {"monotonic": {"secs": 5}}'
time='l["namespaces"].append({"type": "time"})'
inside time-offsets '^ok$' 'read up rest </proc/uptime; [ ${up%.*} -ge 900000000 ] && echo ok' "$time" 'l["timeOffsets"] = {"boottime": {"secs": 900000000, "nanosecs": 5}}'
refused time-offsets-bad 'timeOffsets.realtime is not valid' "$time" 'l["timeOffsets"] = {"realtime": {"secs": 5}}'
refused personality 'personality.domain LINUX32' 'l["personality"] = {"domain": "LINUX32"}'
inside personality-linux 'ok' 'echo ok' 'l["personality"] = {"domain": "LINUX"}'
inside seccomp-errno 'Function not implemented\|not implemented' 'mkdir /tmp/sd 2>&1; true' 'c["root"]["readonly"] = False' \
    'l["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}'
inside seccomp-allow '^fine$' 'echo fine; mkdir /tmp/sd2 2>&1 | grep -q permitted' 'c["root"]["readonly"] = False' \
    'l["seccomp"] = {"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [{"names": "read write open openat close stat fstat newfstatat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn ioctl pipe pipe2 dup dup2 getpid fork vfork clone clone3 execve exit exit_group wait4 fcntl uname getuid geteuid getgid getegid getppid arch_prctl set_tid_address set_robust_list rseq prlimit64 getrandom access readlink sendfile gettid tgkill sigaltstack poll readv writev getcwd umask prctl".split(), "action": "SCMP_ACT_ALLOW"}]}'
inside seccomp-args '^1 0$' 'sh -c "kill -0 1; echo \$?" >/tmp/a 2>/dev/null; kill -0 $$; echo $(cat /tmp/a) $?' 'c["root"]["readonly"] = False' \
    'l["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_GT"}]}]}' \
    'p["args"][2] = "sh -c \"kill -0 \\$\\$; echo \\$?\" >/tmp/a 2>/dev/null; kill -0 1; echo $(cat /tmp/a) $?"'
inside seccomp-listener-unused 'listenerPath has no effect' true 'l["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}'
refused seccomp-action 'action SCMP_ACT_NOTIFY is not supported' 'l["seccomp"] = {"defaultAction": "SCMP_ACT_NOTIFY"}'
[ -e /sys/kernel/security/apparmor ] || refused apparmor 'apparmorProfile: apparmor is not supported' 'p["apparmorProfile"] = "docker-default"'
[ -e /sys/fs/selinux/enforce ] || refused selinux 'selinuxLabel: selinux is not supported' 'p["selinuxLabel"] = "x:y:z:s0"'
inside sysctl-net '^7$' 'cat /proc/sys/net/ipv4/tcp_keepalive_probes' 'l["sysctl"] = {"net.ipv4.tcp_keepalive_probes": "7"}'
refused sysctl-net-host 'net.ipv4.tcp_keepalive_probes is not allowed without a network namespace' "$host" 'l["sysctl"] = {"net.ipv4.tcp_keepalive_probes": "7"}'
refused sysctl-ipc-host 'kernel.msgmax is not allowed without a ipc namespace' 'l["sysctl"] = {"kernel.msgmax": "8192"}' 'l["namespaces"] = [n for n in l["namespaces"] if n["type"] != "ipc"]'
refused sysctl-hostname 'kernel.hostname is not allowed' 'l["sysctl"] = {"kernel.hostname": "x"}'
refused sysctl-domainname 'kernel.domainname and domainname differ' 'l["sysctl"] = {"kernel.domainname": "x"}' 'c["domainname"] = "y"'
inside sysctl-net-unknown '^left$' 'echo left' 'l["sysctl"] = {"net.nonsense.x": "1"}'
for kind in '' 'l["namespaces"].append({"type": "cgroup"})'; do
    bundle '["true"]' "$kind"
    oci create --pid-file "$tmp/pid" -b "$b" s2 >/dev/null 2>&1 </dev/null
    spaces=$(readlink "/proc/$(cat "$tmp/pid")/ns/cgroup" /proc/self/ns/cgroup | uniq | wc -l)
    expect "cgroup-namespace-$spaces" 0 '' [ "$spaces" = "$([ -n "$kind" ] && echo 2 || echo 1)" ]
    oci delete --force s2 >/dev/null 2>&1
done
refused namespace-cgroup-path 'joining the cgroup namespace' 'l["namespaces"].append({"type": "cgroup", "path": "/proc/self/ns/cgroup"})'
for key in 'p["execCPUAffinity"] = {"final": "0"}' 'l["intelRdt"] = {"closID": "x"}' 'l["memoryPolicy"] = {"mode": "x"}' 'l["netDevices"] = {"eth0": {}}' \
    'l["resources"] = {"blockIO": {"weightDevice": [{"major": 1}]}}'; do
    refused "unsupported-$key" 'is not supported' "$key"
done
inside ineffective 'linux.mountLabel has no effect' true 'l["mountLabel"] = "x"'
inside unknown-deep 'linux.resources.memory.nonsense is unknown' true 'l["resources"] = {"memory": {"nonsense": 1}}'
inside unknown-mount 'mounts.nonsense is unknown' true 'm[0]["nonsense"] = 1'
inside unknown-warns 'linux.nonsense is unknown' 'true' 'l["nonsense"] = 1'

# cgroups
cg='l["cgroupsPath"] = "/cvisor-test-'$$'"'
if grep -qw cgroup2 /proc/mounts || grep -qw cgroup /proc/mounts; then
    bundle '["sleep", "100"]' "$cg" 'l["resources"] = {"memory": {"limit": 100000000}, "pids": {"limit": 500}, "cpu": {"shares": 512, "quota": 50000, "period": 100000}}'
    expect cgroup-create 0 '' oci run -d -b "$b" s2
    find_limit() { cat $(find /sys/fs/cgroup -path "*cvisor-test-$$*" -name "$1") /dev/null 2>/dev/null; }
    expect cgroup-memory 0 '^99999744$\|^100000000$' find_limit 'memory.limit_in_bytes'
    expect cgroup-pids 0 '^500$' find_limit 'pids.max'
    expect events-limit 0 '"limit":99999744\|"limit":100000000' oci events --stats s2
    expect update 0 '' oci update --memory 200m --pids-limit 600 s2
    expect updated 0 '^600$' find_limit 'pids.max'
    expect update-behind 0 '' oci update s2 --pids-limit 650
    expect updated-behind 0 '^650$' find_limit 'pids.max'
    expect update-json 0 '' sh -c "echo '{\"pids\": {\"limit\": 700}}' | $oci update -r - s2"
    expect updated-json 0 '^700$' find_limit 'pids.max'
    pod=$(find /sys/fs/cgroup -path "*cvisor-test-$$*" -name cpu.cfs_quota_us)
    if [ "$pod" ]; then # within a parent's half of a CPU
        bundle '["sleep", "100"]' "l['cgroupsPath'] = '/cvisor-test-$$/below'"
        expect cgroup-below 0 '' oci run -d -b "$b" s4
        expect update-quota-over 1 'cannot set cpu.cfs_quota_us' oci update --cpu-quota 60000 s4
        expect update-period 0 '' oci update --cpu-period 10000 --cpu-quota 3000 s4
        expect updated-period 0 '^3000 10000 $' sh -c "cat ${pod%/*}/below/cpu.cfs_quota_us ${pod%/*}/below/cpu.cfs_period_us | tr '\\n' ' '"
        expect cgroup-below-delete 0 '' oci delete --force s4
    fi
    expect update-bad 1 'invalid value for memory.limit' oci update --memory nonsense s2
    expect cgroup-delete 0 '' oci delete -f s2
    expect cgroup-gone 0 '^none$' sh -c "find /sys/fs/cgroup -path '*cvisor-test-$$*' | grep . || echo none"
fi

frozen=$(awk -F: '$2 == "freezer" { print "/sys/fs/cgroup/freezer" }' /proc/self/cgroup)
frozen=${frozen:-/sys/fs/cgroup}/cvisor-frozen-$$
if mkdir "$frozen" 2>/dev/null; then
    { echo FROZEN >"$frozen/freezer.state" || echo 1 >"$frozen/cgroup.freeze"; } 2>/dev/null
    refused cgroup-frozen "container's cgroup unexpectedly frozen" "l['cgroupsPath'] = '/cvisor-frozen-$$'"
    expect cgroup-frozen-left 0 '' rmdir "$frozen"
    expect cgroup-frozen-others 1 '' sh -c "find /sys/fs/cgroup -name cvisor-frozen-$$ | grep ."
fi

# hooks
hook() { printf "{'path': '/bin/sh', 'args': ['sh', '-c', '%s']}" "$1"; }
log="cat >>$tmp/hooks; echo >>$tmp/hooks"
bundle '["sh", "-c", "cat /etc/started"]' 'c["root"]["readonly"] = False' "c['hooks'] = {k: [$(hook "echo \$K >>$tmp/hooks; $log")] for k in ('prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop')}" \
    "[c['hooks'][k][0].update(env=['PATH=/bin:/usr/bin', 'K=' + k]) for k in c['hooks']]" \
    "c['hooks']['startContainer'] = [{'path': '/bin/sh', 'args': ['sh', '-c', 'cat >/etc/started; exit 0'], 'env': ['PATH=/bin']}]"
expect hooks 0 '"status":"created","pid":1' oci run -b "$b" s3
expect hooks-order 0 '^prestart createRuntime createContainer poststart poststop $' sh -c "grep -v status $tmp/hooks | tr '\n' ' ' | tr -s ' '"
expect hooks-state 0 '"id":"s3","status":"creating","pid":[1-9]' cat "$tmp/hooks"
bundle '["sh", "-c", "cat /etc/inherited"]' 'c["root"]["readonly"] = False' 'p["env"].append("COLOUR=inside")' \
    "c['hooks'] = {'prestart': [{'path': '/bin/sh', 'args': ['sh', '-c', 'test \"\$COLOUR\" = outside']}], 'startContainer': [{'path': '/bin/sh', 'args': ['sh', '-c', 'echo \$COLOUR >/etc/inherited']}]}"
COLOUR=outside expect hooks-env 0 '^inside$' oci run -b "$b" s3
echo hooked >"$tmp/hooked"
bundle '["cat", "/etc/hooked"]' "c['hooks'] = {'createContainer': [$(hook "touch etc/hooked; mount --bind $tmp/hooked etc/hooked")]}"
expect hooks-mount 0 '^hooked$' oci run -b "$b" s3
expect hooks-mount-private 1 '' grep hooked /proc/self/mountinfo
bundle '["true"]' "c['hooks'] = {'startContainer': [{'path': '/bin/busybox', 'args': ['cat', '/no/such']}]}"
expect hook-argv 1 'stdout and stderr: cat: .*/no/such' oci run -b "$b" s3
expect hooks-stopped 0 '"status":"stopped","bundle"' cat "$tmp/hooks"
for k in prestart createRuntime createContainer; do
    bundle '["true"]' "c['hooks'] = {'$k': [$(hook 'echo sorry >&2; exit 3')]}"
    expect hook-fails-$k 1 "error running $k hook #0: .*exit status 3.*sorry" oci run -b "$b" s3
done
bundle '["true"]' "c['hooks'] = {'startContainer': [{'path': '/bin/sh', 'args': ['sh', '-c', 'exit 4']}]}"
expect hook-fails-startContainer 1 'startContainer hook .*exit status 4' oci run -b "$b" s3
bundle '["true"]' "c['hooks'] = {'poststart': [$(hook 'exit 3')], 'poststop': [$(hook 'exit 3')]}"
expect hook-fails-late 0 'poststart hook #0' oci run -b "$b" s3
bundle '["true"]' "c['hooks'] = {'prestart': [dict($(hook 'sleep 60'), timeout=1)]}"
expect hook-timeout 1 'its time of 1 s is up' oci run -b "$b" s3
expect hook-nothing-left 1 'does not exist' oci state s3
finish
