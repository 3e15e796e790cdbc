#!/bin/bash
# The network without root: the gateway's connections, datagrams, echo and names, its fence, its jail and its end. All
# of it between processes of this machine, in a network namespace of its own. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/lib.sh"

uid=1234
ns=usernet$$
server=
if [ "$(id -u)" -ne 0 ]; then echo "SKIP: takes root, to become someone else"; exit 77; fi
if ! setpriv --reuid=$uid --regid=$uid --clear-groups unshare -Ur true 2>/dev/null; then
    echo "SKIP: ordinary users get no user namespace here"
    exit 77
fi
if ! ip netns add $ns 2>/dev/null; then echo "SKIP: network namespaces"; exit 77; fi
end() {
    [ -z "$server" ] || kill "$server"
    cleanup
    ip netns delete $ns
}
trap end EXIT
ip -n $ns link set lo up
ip -n $ns address add 192.0.3.1/32 dev lo
if ! ip -n $ns address add fd01::1/128 dev lo 2>/dev/null; then echo "SKIP: the host has no IPv6"; exit 77; fi

chmod 755 "$tmp"
mkdir "$tmp/bin" "$tmp/home" "$tmp/home/run"
cp "$1" "$tmp/bin/runsc" && cp "$(dirname "$0")/usernet.py" "$tmp/bin/" && chmod 755 "$tmp/bin" "$tmp/bin/"*
chown -R $uid:$uid "$tmp/home" "$b"
chmod 755 "$b"
printf 'search example\noptions timeout:30\nnameserver 127.0.0.1\n' >"$tmp/resolv.conf"
# The namespace's own resolv.conf, for whoever is started in it.
cat >"$tmp/inside" <<'I'
mount --bind "$1/resolv.conf" /etc/resolv.conf || exit 77
shift
exec "$@"
I
inside() { timeout -s KILL 300 ip netns exec $ns unshare -m sh "$tmp/inside" "$tmp" "$@"; }
as() { (cd "$tmp/home" && XDG_RUNTIME_DIR=$tmp/home/run HOME=$tmp/home inside setpriv --reuid=$uid --regid=$uid --clear-groups "$@"); }
u() { as "$tmp/bin/runsc" --platform "$platform" "$@"; }
r() { inside "$tmp/bin/runsc" --platform "$platform" --network=user "$@"; }
platform=$2
# Processes that run this test's own copy of runsc: gateways look like others.
left() { for p in /proc/[0-9]*; do [ "$p/exe" -ef "$tmp/bin/runsc" ] && echo "$p"; done; }
nothing_left() { until_true sh -c "$(declare -f left); tmp=$tmp; [ -z \"\$(left)\" ]"; }

ip netns exec $ns python3 "$tmp/bin/usernet.py" server >"$tmp/server" & server=$!
until_true grep -q ready "$tmp/server"

for case in echo upload download half many errors fence reset pressure udp names; do
    expect $case 0 '^passed$' u do python3 "$tmp/bin/usernet.py" $case
done
expect loopback 0 '^passed$' u --host-loopback do python3 "$tmp/bin/usernet.py" loopback
expect none 0 '^lo$' u --network=none do sh -c 'tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " "'
expect resolv-conf 0 '^search example$' u do cat /etc/resolv.conf
expect bwrap 0 '^passed$' u bwrap --ro-bind / / --dev /dev --proc /proc python3 "$tmp/bin/usernet.py" echo
expect root 0 '^passed$' r do python3 "$tmp/bin/usernet.py" echo
expect forged 0 '^passed$' r do python3 "$tmp/bin/usernet.py" forged
expect ended 0 '' nothing_left

# Echo, where the host lets groups have ping sockets.
ln -s busybox "$b/rootfs/bin/ping"
if ip netns exec $ns sh -c 'echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range' 2>/dev/null; then
    for to in 192.0.3.1 fd01::1 100.96.0.2; do
        expect ping-$to 0 ' 0% packet loss' r do "$b/rootfs/bin/busybox" ping -c 2 -W 60 $to
    done
    expect ping-long 0 ' 0% packet loss' r do "$b/rootfs/bin/busybox" ping -c 1 -W 60 -s 5000 192.0.3.1
else
    echo "SKIP ping_group_range"
fi

# Containers have it when asked, and their gateway's process can do nothing else.
ln -s busybox "$b/rootfs/bin/nc"
rm -f "$b/config.json"
expect spec 0 '' u spec --rootless --bundle "$b"
mv "$b/config.json" "$tmp/config.orig"
bundle '["sh", "-c", "cat /etc/resolv.conf; echo hello | nc 192.0.3.1 7001"]'
expect run 0 '^hello$' u --network=user run --bundle "$b" c1
bundle '["sleep", "1000"]'
expect create 0 '' u --network=user create --bundle "$b" c2
expect start 0 '' u start c2
expect exec 0 '^again$' u exec c2 sh -c 'echo again | nc fd01::1 7001'
gateway=
for p in $(left); do
    # The one that is in the namespace the server is in.
    [ "$p/ns/net" -ef "/proc/$server/ns/net" ] && gateway=$p
done
for line in 'NoNewPrivs:.1' 'Seccomp:.2' 'CapEff:.0*' 'CapBnd:.0*'; do
    expect "jail-$line" 0 "^$line\$" cat "$gateway/status"
done
expect jail-files 0 '^0$' sh -c "ls $gateway/root | wc -l"
expect kill 0 '' u delete --force c2
expect ended-too 0 '' nothing_left
finish
