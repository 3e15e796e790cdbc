#!/bin/bash
# The sandbox against the host's own Linux stack over veth, in network namespaces of its own: peer.sh RUNSC PLATFORM.
# Each round: both ends serve and check each other (peer.py): pings, connections short and long, datagrams, IPv4 and IPv6.
runsc=$1 platform=$2
here=$(cd "$(dirname "$0")" && pwd)
flags="--platform $platform"
[ "$platform" = mpk ] && flags="$flags --unsafe-mpk"
for tool in ip python3 busybox; do
    command -v $tool >/dev/null || { echo "SKIP no $tool"; exit 77; }
done
box=cvbox$$ far=cvfar$$ tmp=$(mktemp -d)
cleanup() {
    for id in $($runsc $flags --root "$tmp/root" list -q 2>/dev/null); do
        $runsc $flags --root "$tmp/root" delete --force "$id" >/dev/null 2>&1
    done
    [ -n "$server" ] && kill "$server" 2>/dev/null
    ip netns del $box 2>/dev/null
    ip netns del $far 2>/dev/null
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
if ! ip netns add $box 2>/dev/null || ! ip -n $box link add cvprobe type veth peer name cvprobe2 2>/dev/null; then
    echo "SKIP no network namespaces or no veth here"
    exit 77
fi
if $runsc $flags do -- /bin/true 2>&1 | grep 'cannot run here'; then
    echo "SKIP $platform"
    exit 77
fi
ip netns del $box
passed=0 failed=0
result() { # NAME STATUS OUTPUT
    if [ "$2" -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $1: status $2"
    fi
    sed "s/^/$1: /" "$3"
}
# A pair of fresh namespaces, veth between them: $1 the MTU.
wire() {
    ip netns del $box 2>/dev/null
    ip netns del $far 2>/dev/null
    ip netns add $box && ip netns add $far || return 1
    ip -n $far link add far0 type veth peer name box0 netns $box || return 1
    ip -n $far link set far0 mtu "$1" up
    ip -n $box link set box0 mtu "$1" up
    ip -n $far link set lo up
    ip -n $far addr add 10.77.0.1/24 dev far0
    ip -n $far addr add fd77::1/64 dev far0 nodad
    ip -n $box addr add 10.77.0.2/24 dev box0
    ip -n $box addr add fd77::2/64 dev box0 nodad
    ip -n $box route add default via 10.77.0.1
}
mkdir -p "$tmp/b/rootfs" "$tmp/root"
$runsc spec --bundle "$tmp/b"
python3 - "$tmp/b/config.json" "/run/netns/$box" <<'P'
import json, sys
c = json.load(open(sys.argv[1]))
c["root"] = {"path": "/", "readonly": True}
c["process"]["terminal"] = False
for set in c["process"]["capabilities"].values():
    set.append("CAP_NET_RAW")
spaces = c["linux"]["namespaces"]
c["linux"]["namespaces"] = [n for n in spaces if n["type"] != "network"] + [{"type": "network", "path": sys.argv[2]}]
json.dump(c, open(sys.argv[1] + ".orig", "w"))
P
# round NAME MTU MEGABYTES: one sandbox.
round() {
    python3 - "$tmp/b/config.json" "$(command -v python3)" "$here/peer.py" "$3" "$2" "$LOSSY" <<'P'
import json, sys
path, python, peer, megabytes, mtu, lossy = sys.argv[1:]
c = json.load(open(path + ".orig"))
c["process"]["args"] = [python, peer, "both", "10.77.0.2", "fd77::2", "10.77.0.1", "fd77::1", megabytes, mtu]
if lossy:
    c["process"]["env"].append("LOSSY=1")
json.dump(c, open(path, "w"))
P
    ip netns exec $far timeout -s KILL 30 python3 "$here/peer.py" serve 10.77.0.1 fd77::1 &
    server=$!
    timeout -s KILL 30 $runsc $flags --root "$tmp/root" run --bundle "$tmp/b" "$1$$" >"$tmp/inside" 2>&1 </dev/null &
    inside=$!
    ip netns exec $far timeout -s KILL 30 python3 "$here/peer.py" check 10.77.0.2 fd77::2 "$3" "$2" >"$tmp/outside" 2>&1
    result "$1 from outside" $? "$tmp/outside"
    wait $inside
    result "$1 from inside" $? "$tmp/inside"
    wait $server
    server=
}
wire 1500 && round mtu1500 1500 "${MEGABYTES:-24}"
wire 1400 && round mtu1400 1400 "${MEGABYTES:-24}"
wire 9000 && round mtu9000 9000 "${MEGABYTES:-24}"
# One packet in a hundred is lost each way, 4 ms later the others.
lose() {
    ip netns exec $far tc qdisc add dev far0 root netem delay 4ms loss 1% 2>/dev/null && return 0
    ip netns exec $far nft -f - 2>/dev/null <<'N'
table inet loss {
    chain in { type filter hook input priority 0; numgen random mod 100 < 1 drop; }
    chain out { type filter hook output priority 0; numgen random mod 100 < 1 drop; }
}
N
}
if wire 1500 && lose; then
    LOSSY=1 round loss 1500 2
else
    echo "SKIP loss: neither netem nor nft here"
fi
# do: the host's side is a server beyond the private link and its address translation.
wire 1500
ip -n $far route add default via 10.77.0.2
ip netns exec $box timeout -s KILL 30 python3 "$here/peer.py" serve 10.77.0.2 - &
server=$!
ip netns exec $far timeout -s KILL 30 $runsc $flags --network=sandbox do -- python3 "$here/peer.py" check 10.77.0.2 - \
    "${MEGABYTES:-24}" 1500 >"$tmp/inside" 2>&1 </dev/null
result do $? "$tmp/inside"
wait $server
server=
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
