#!/bin/bash
# What an ordinary user gets: do, run, create and the rest of a container's life. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/lib.sh"

uid=1234
if [ "$(id -u)" -ne 0 ]; then echo "SKIP: takes root, to become someone else"; exit 77; fi
if ! setpriv --reuid=$uid --regid=$uid --clear-groups unshare -Ur true 2>/dev/null; then
    echo "SKIP: ordinary users get no user namespace here"
    exit 77
fi
chmod 755 "$tmp"
mkdir "$tmp/bin" "$tmp/home" "$tmp/home/run"
cp "$1" "$tmp/bin/runsc" && chmod 755 "$tmp/bin/runsc"
chown -R $uid:$uid "$tmp/home" "$b"
chmod 755 "$b"
as() { (cd "$tmp/home" && XDG_RUNTIME_DIR=$tmp/home/run HOME=$tmp/home timeout -s KILL 60 setpriv --reuid=$uid --regid=$uid --clear-groups "$@"); }
u() { as "$tmp/bin/runsc" --platform "$platform" "$@"; }
platform=$2

expect do 7 '^uid=1234' u do sh -c 'id; exit 7'
expect do-none 0 '^lo$' u --network=none do sh -c 'tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " "'
expect do-sandbox 1 'takes root' u --network=sandbox do true
expect do-memory 0 '^there$' u do sh -c 'echo x >new && echo there'
expect do-memory-only 1 '' test -e "$tmp/home/new"
expect do-no-rights 0 '^refused$' u do sh -c 'cat /etc/shadow 2>/dev/null || echo refused'
expect do-volume 0 '' u do --volume "$tmp/home:/mnt" sh -c 'echo kept >/mnt/kept'
expect do-volume-kept 0 '^1234 kept$' sh -c "stat -c %u $tmp/home/kept | tr '\n' ' '; cat $tmp/home/kept"

# A bundle as `spec --rootless` has it: root inside is the user outside.
rm -f "$b/config.json"
expect spec 0 '' u spec --rootless --bundle "$b"
mv "$b/config.json" "$tmp/config.orig"
bundle '["sh", "-c", "id -u; stat -c %u /bin/busybox; echo x >/tmp/made; stat -c %u /tmp/made; exit 5"]' 'c["root"]["readonly"] = False'
expect run 5 '^0$' u run --bundle "$b" c1
expect run-made 0 '^1234$' stat -c %u "$b/rootfs/tmp/made"
bundle '["sleep", "1000"]'
expect create 0 '' u create --bundle "$b" --pid-file "$tmp/home/pid" c2
expect where 0 'c2' ls "$tmp/home/run/runsc"
expect start 0 '' u start c2
expect state 0 '"status": "running"' u state c2
expect exec 0 '^0$' u exec c2 id -u
expect list 0 'c2 .*running' u list
expect ps 0 'sleep' u ps c2
expect pause 0 '' u pause c2
expect paused 0 '"status": "paused"' u state c2
expect resume 0 '' u resume c2
expect debug 0 'nanosleep' u debug c2
expect posture 0 '^as promised' u debug --posture c2
# Its user namespace is its own, too, and it is nobody there to the host's root.
expect user-ns 0 '' sh -c "! [ /proc/$(cat "$tmp/home/pid")/ns/user -ef /proc/self/ns/user ]"
expect host-uid 0 "^$uid$" stat -c %u "/proc/$(cat "$tmp/home/pid")"
expect not-ours 1 'does not exist' oci state c2
expect kill 0 '' u kill c2 KILL
expect gone 0 '' gone "$(cat "$tmp/home/pid")"
expect delete 0 '' u delete c2
expect nothing-left 0 '^0$' sh -c "ls $tmp/home/run/runsc | wc -l"

# As the root of a user namespace that is not the host's, as under rootless podman.
bundle '["id", "-u"]' 'l["namespaces"] = [n for n in l["namespaces"] if n["type"] != "user"]' 'l.pop("uidMappings")' 'l.pop("gidMappings")' \
    'c["root"]["readonly"] = False' 'l["cgroupsPath"] = "/under-podman"'
rmdir "$b/rootfs/proc"
expect namespace-root 0 '^0$' as env USER=someone unshare -Ur "$tmp/bin/runsc" --platform "$platform" run --bundle "$b" c4
expect namespace-root-proc 0 '^directory$' stat -c %F "$b/rootfs/proc"

# Ids beside their own, by newuidmap and what /etc/subuid grants: in a mount namespace, the host's files stay as they are.
if command -v newuidmap >/dev/null; then
    bundle '["sh", "-c", "touch /tmp/of33; chown 33:33 /tmp/of33; stat -c %u:%g /tmp/of33"]' 'c["root"]["readonly"] = False' \
        'l["uidMappings"].append({"containerID": 1, "hostID": 200000, "size": 1000})' \
        'l["gidMappings"].append({"containerID": 1, "hostID": 200000, "size": 1000})' \
        'p["capabilities"] = {k: ["CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE"] for k in ("bounding", "effective", "permitted")}'
    cp /etc/passwd "$tmp/passwd" && echo "guest:x:$uid:$uid::/:/bin/sh" >>"$tmp/passwd"
    echo "guest:200000:1000" >"$tmp/subid"
    cat >"$tmp/mapped" <<M
mount --bind $tmp/passwd /etc/passwd && touch /etc/subuid /etc/subgid
mount --bind $tmp/subid /etc/subuid && mount --bind $tmp/subid /etc/subgid
cd $tmp/home && XDG_RUNTIME_DIR=$tmp/home/run exec setpriv --reuid=$uid --regid=$uid --clear-groups "\$@"
M
    if [ -e /etc/subuid ] && [ -e /etc/subgid ]; then
        expect mapped 0 '^33:33$' timeout -s KILL 60 unshare -m sh "$tmp/mapped" "$tmp/bin/runsc" --platform "$2" run --bundle "$b" c3
        expect mapped-outside 0 '^200032:200032$' stat -c %u:%g "$b/rootfs/tmp/of33"
        bundle '["true"]' 'l["uidMappings"].append({"containerID": 1, "hostID": 300000, "size": 1000})'
        expect not-granted 1 'newuidmap does not grant' timeout -s KILL 60 unshare -m sh "$tmp/mapped" "$tmp/bin/runsc" --platform "$2" run --bundle "$b" c3
    else
        echo "SKIP /etc/subuid is not there"
    fi
else
    echo "SKIP newuidmap"
fi
finish
