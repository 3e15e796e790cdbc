#!/bin/bash
# --network=host: the guest's sockets are the host's. Both sides of each connection in a network namespace of this test's own, one
# inside, one outside; what is shown, what is refused, and the end. Arguments: runsc, platform.
set -u
if [ -z "${HOSTNET_OWN-}" ]; then
    HOSTNET_OWN=1 exec "$(dirname "$0")/../lib/own_netns.sh" "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
here=$(dirname "$(realpath "$0")")
case=$here/hostnet.py
r() { timeout -s KILL 120 $oci --network=host "$@"; }
server=
end() {
    [ -z "$server" ] || kill "$server" 2>/dev/null
    cleanup
}
trap end EXIT
# The highest number first: what is shown has the host's numbers.
ip link add hn1 index 77 type veth peer name hn0 index 55 || { echo "SKIP: veth"; exit 77; }
ip link set hn0 up; ip link set hn1 up
ip address add 192.0.2.9/24 dev hn0
ip route add 198.51.100.0/24 via 192.0.2.1

python3 "$case" server >"$tmp/server" & server=$!
until_true grep -q ready "$tmp/server"
for c in stream datagrams refused ready waits faults churn refusals; do
    expect "$c" 0 '^passed$' r do python3 "$case" "$c"
done
kill "$server"; wait "$server" 2>/dev/null; server=

# The same the other way round: the server is inside, the cases natively outside.
exec $oci --network=host do python3 "$case" server >"$tmp/inside" 2>&1 & server=$!
until_true grep -q ready "$tmp/inside"
for c in stream datagrams ready waits churn; do
    expect "inside-$c" 0 '^passed$' python3 "$case" "$c"
done
# When it is killed its connections end and its port is free.
exec 9<>/dev/tcp/127.0.0.1/7001
kill "$server"; wait "$server" 2>/dev/null; server=
expect connection-ended 0 '' sh -c 'cat <&9; true'
exec 9>&-
expect port-free 0 '^passed$' python3 -c 'import socket; socket.create_server(("127.0.0.1", 7001)); print("passed")'

# What is shown is the host's, and can't be changed from inside.
expect addresses 0 'hn0.*192.0.2.9/24' r do ip -o -4 address show
expect number 0 '^55: hn0' r do ip -o link show hn0
expect route 0 '^198.51.100.0/24 via 192.0.2.1 dev hn0' r do ip route
expect by-number 0 '^55$' r do python3 -c 'import socket; print(socket.if_nametoindex("hn0"))'
expect no-change 2 'not permitted' r do ip link set hn0 down
expect no-route 2 'not permitted' r do ip route add 203.0.113.0/24 dev hn0

# Containers: without a namespace of the config's the caller's, with one that; and only when asked.
ln -s busybox "$b/rootfs/bin/nc"
python3 "$case" server >"$tmp/server" & server=$!
until_true grep -q ready "$tmp/server"
others="l['namespaces'] = [n for n in l['namespaces'] if n['type'] != 'network']"
bundle '["sh", "-c", "echo echo | nc 127.0.0.1 7001 && echo connected"]' "$others"
expect container 0 '^connected$' r run -b "$b" h1
expect not-asked 1 '' oci run -b "$b" h2
bundle '["sh", "-c", "echo echo | nc 127.0.0.1 7001 && echo connected"]' "$others + [{'type': 'network'}]"
expect own-namespace 1 '' r run -b "$b" h3
bundle '["sh", "-c", "echo echo | nc 127.0.0.1 7001 && echo connected"]' "$others + [{'type': 'network', 'path': '/proc/$$/ns/net'}]"
expect by-path 0 '^connected$' r run -b "$b" h4
expect by-path-not-asked 1 'takes --network=host' oci run -b "$b" h5
expect pcap 1 'pcap' r --pcap "$tmp/p" do true
expect nothing-left 0 '^0$' sh -c "$oci list -q | wc -l"

finish
