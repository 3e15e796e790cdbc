#!/bin/bash
# What happens when something runs out or cannot be read: memory of a guest, of the cgroup, the disk, the image; and how soon a container
# that hangs is ended. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/lib.sh"
cgroup=/cvisor-resources-$$
[ -w /sys/fs/cgroup/memory ] || [ -w /sys/fs/cgroup/cgroup.procs ] || { echo "SKIP resources: no memory cgroup"; exit 77; }
cg="l['cgroupsPath'] = '$cgroup/s'; l['resources'] = {'memory': {'limit': 100000000}}"

# A guest that wants more than its cgroup has dies, and only it.
bundle '["sh", "-c", "x=x; while :; do x=$x$x; done; echo not reached"]' "$cg"
expect oom-init 137 '' oci run -b "$b" g
bundle '["sh", "-c", "sh -c \"x=xxxxxxxx; while :; do x=\\$x\\$x; done\"; echo status $?"]' "$cg"
expect oom-child 0 '^status 137$' oci run -b "$b" g
# What cannot be taken back from a guest (its files in memory) ends the sandbox, and `events` says so.
bundle '["sh", "-c", "sleep 1; dd if=/dev/zero of=/mnt/x bs=1M count=300; sleep 1000"]' "$cg" \
    'm.append({"destination": "/mnt", "type": "tmpfs", "source": "tmpfs"})'
oci run -d -b "$b" g >/dev/null 2>&1
expect oom-events 0 '"type":"oom","id":"g"' oci events --interval 1s g
expect oom-wait 0 '^137$' oci wait g
expect oom-state 0 '"status": "stopped"' oci state g
expect oom-delete 0 '' oci delete g
expect oom-cgroup 0 '^none$' sh -c "find /sys/fs/cgroup -path '*$cgroup/s' | grep . || echo none"

# The disk under the state directory is full: create fails and leaves nothing; what runs can be ended.
full=$tmp/full
mkdir "$full"
if mount -t tmpfs -o size=256k none "$full"; then
    bundle '["sleep", "1000"]'
    on_full="$1 --platform $2 --root $full/root"
    expect full-before 0 '' $on_full run -d -b "$b" one
    expect full-fill 1 'No space' dd if=/dev/zero of="$full/fill" bs=4k
    expect full-create 1 'No space left on device' $on_full create -b "$b" two
    expect full-state 1 'does not exist' $on_full state two
    expect full-running 0 '"status": "running"' $on_full state one
    expect full-exec 0 '^inside$' $on_full exec one echo inside
    expect full-kill 0 '' $on_full kill one KILL
    expect full-wait 0 '^137$' $on_full wait one
    expect full-delete 0 '' $on_full delete --force one
    expect full-empty 0 '^none$' sh -c "ls -A $full/root | grep . || echo none"
    umount "$full"
fi

# An image that is not there, not a directory, gone while it runs; a config.json that ends early.
bundle '["true"]' "c['root']['path'] = 'nothing'"
expect image-missing 1 'invalid rootfs .*nothing: No such file' oci run -b "$b" g
bundle '["true"]' "c['root']['path'] = 'config.json'"
expect image-file 1 'Not a directory' oci run -b "$b" g
bundle '["true"]'
truncate -s 100 "$b/config.json"
expect config-short 1 'config.json' oci run -b "$b" g
mkdir "$tmp/gone"
cp -a "$b/rootfs/bin" "$tmp/gone"
bundle '["sleep", "1000"]' "c['root']['path'] = '$tmp/gone'"
oci run -d -b "$b" g >/dev/null 2>&1 </dev/null
rm -r "$tmp/gone"
until_true sh -c "! $oci exec g /bin/true" # names are remembered for a moment
expect image-gone-exec 255 'no such file\|not found' oci exec g /bin/true
oci delete --force g
expect left 0 '^none$' sh -c "ls -A $root | grep . || echo none"

# Containers that hang are ended at once. soon: in milliseconds, the best of five, for the machine may be busy.
soon() {
    local best=100000 start end took
    for _ in 1 2 3 4 5; do
        oci run -d -b "$b" h >/dev/null 2>&1 </dev/null || return 1
        "$1"
        pid=$(oci state h | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')
        start=$(date +%s%N)
        if [ "$2" = kill ]; then
            oci kill h KILL
            while grep -q 'State:.[^ZX]' "/proc/$pid/status" 2>/dev/null; do :; done
        else
            oci delete --force h
        fi
        end=$(date +%s%N)
        took=$(((end - start) / 1000000))
        [ "$took" -lt "$best" ] && best=$took
        oci delete --force h
    done
    echo "$best ms"
}
nothing() { :; }
stop() { kill -STOP "$(oci state h | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')"; }
paused() { oci pause h; }
bundle '["sh", "-c", "trap \"\" TERM; for i in 1 2 3 4 5 6 7 8; do while :; do :; done & done; wait"]'
expect hang-busy-kill 0 ' ms$' soon nothing kill
hang_busy=$(cat "$tmp/out.expect")
expect hang-busy-delete 0 ' ms$' soon nothing delete
hang_busy="$hang_busy, $(cat "$tmp/out.expect")"
expect hang-stopped-kill 0 ' ms$' soon stop kill
hang_stopped=$(cat "$tmp/out.expect")
expect hang-stopped-delete 0 ' ms$' soon stop delete
hang_stopped="$hang_stopped, $(cat "$tmp/out.expect")"
expect hang-paused-delete 0 ' ms$' soon paused delete
echo "kill KILL and delete --force: busy $hang_busy; stopped $hang_stopped; paused $(cat "$tmp/out.expect")"
rmdir $(find /sys/fs/cgroup -depth -path "*$cgroup" 2>/dev/null) 2>/dev/null
finish
