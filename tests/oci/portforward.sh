#!/bin/bash
# runsc port-forward, for every kind of network. Its ports are those of a network namespace of the test's own.
# Arguments: runsc, platform.
set -u
. "$(dirname "$0")/lib.sh"

ns=portforward$$
here=$(cd "$(dirname "$0")" && pwd)
forward=
if ! ip netns add $ns 2>/dev/null; then echo "SKIP: network namespaces"; exit 77; fi
end() {
    [ -z "$forward" ] || kill "$forward" 2>/dev/null
    cleanup
    ip netns delete $ns
}
trap end EXIT
ip -n $ns link set lo up
inside() { timeout -s KILL 300 ip netns exec $ns "$@"; }
r() { inside $oci "$@"; }
case_of() { inside python3 "$here/portforward.py" "$@"; }
ports='7001 7002 7003 7004 7005 7006 7107 7008 7009 7201:7001'

for network in none user sandbox; do
    # The host's own files are the container's: it needs python.
    bundle "[\"python3\", \"-B\", \"$here/portforward.py\", \"server\"]" 'c["root"] = {"path": "/", "readonly": True}'
    expect $network-create 0 '' r --network=$network create --bundle "$b" p1
    expect $network-early 1 'Connection refused' sh -c "timeout -s KILL 60 ip netns exec $ns $oci port-forward p1 7301:7001 >$tmp/early 2>$tmp/early.err & p=\$!
        until grep -q '::1' $tmp/early; do sleep 0.05; done
        ip netns exec $ns python3 -c 'import socket; s = socket.create_connection((\"127.0.0.1\", 7301)); s.recv(1)' 2>/dev/null
        kill \$p; cat $tmp/early.err; exit 1"
    expect $network-start 0 '' r start p1
    inside $oci port-forward p1 $ports >"$tmp/forward" 2>"$tmp/forward.err" & forward=$!
    expect $network-ready 0 '' until_true grep -q '^Forwarding from \[::1\]:7201 -> 7001$' "$tmp/forward"
    # Until the server in there listens, its ports are refused.
    until_true sh -c "ip netns exec $ns python3 $here/portforward.py ports"
    for case in ports refused echo upload download many reset pressure; do
        expect $network-$case 0 '^passed$' case_of $case
    done
    expect $network-told 0 "port 7008 of p1: Connection refused" cat "$tmp/forward.err"
    expect $network-delete 0 '' r delete --force p1
    expect $network-ends 0 '' wait $forward
    forward=
done
expect unknown 1 'does not exist' r port-forward p2 7001
expect no-port 1 'LOCAL:REMOTE is expected' r port-forward p1 x:7001
finish
