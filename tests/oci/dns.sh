#!/bin/bash
# Docker's name server at 127.0.0.11 of the container's network namespace. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/lib.sh"
if ! ip netns add "dns$$" 2>/dev/null; then
    echo "SKIP network namespaces"
    exit 77
fi
server=
end() {
    [ -z "$server" ] || kill "$server"
    cleanup
    ip netns delete "dns$$"
}
trap end EXIT
ip -n "dns$$" link set lo up
# Its ports may be privileged to others: the stub is started inside.
ip netns exec "dns$$" python3 "$(dirname "$0")/dns_stub.py" >"$tmp/stub" & server=$!
until_true grep -q ready "$tmp/stub"
ln -s busybox "$b/rootfs/bin/nslookup"
join="l['namespaces'] = [n for n in l['namespaces'] if n['type'] != 'network'] + [{'type': 'network', 'path': '/run/netns/dns$$'}]"

printf 'search x\nnameserver 127.0.0.11\noptions ndots:0\n' >"$b/rootfs/etc/resolv.conf"
bundle '["nslookup", "-type=a", "web.example"]' "$join"
expect found 0 '192.0.2.53' oci run -b "$b" d1
bundle '["nslookup", "-type=a", "none.example"]' "$join"
expect absent 1 'NXDOMAIN' oci run -b "$b" d2
# Many at once: answers find who asked.
bundle '["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do nslookup -type=a n$i.example >/dev/shm/$i & done; wait; grep -h -A1 example /dev/shm/? | grep -c 192.0.2.53"]' "$join"
expect many 0 '^8$' oci run -b "$b" d3
# Over TCP: an answer that no datagram holds, and several questions in a connection. 16 bytes each address, 30 and 31 around.
ln -s busybox "$b/rootfs/bin/nc"
stub=$(dirname "$0")/dns_stub.py
python3 "$stub" ask large.example >"$b/rootfs/large"
python3 "$stub" ask a.example large.example none.example >"$b/rootfs/several"
bundle '["sh", "-c", "nc 127.0.0.11 53 </large | wc -c"]' "$join"
expect tcp-large 0 "^$((2 + 12 + 19 + 16 * 4000))\$" oci run -b "$b" t1
bundle '["sh", "-c", "nc 127.0.0.11 53 </several | wc -c"]' "$join"
expect tcp-several 0 "^$((2 + 12 + 15 + 16 + 2 + 12 + 19 + 64000 + 2 + 12 + 18))\$" oci run -b "$b" t2
bundle '["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do nc 127.0.0.11 53 </large >/dev/shm/$i & done; wait; cat /dev/shm/? | wc -c"]' "$join"
expect tcp-many 0 "^$((8 * (2 + 12 + 19 + 64000)))\$" oci run -b "$b" t3
bundle '["sh", "-c", "for i in $(seq 200); do nc 127.0.0.11 53 </several >/dev/shm/x || exit 1; done; wc -c </dev/shm/x"]' "$join"
expect tcp-ended 0 "^$((2 + 12 + 15 + 16 + 2 + 12 + 19 + 64000 + 2 + 12 + 18))\$" oci run -b "$b" t4
# The file Docker mounts, and an image's that names another server.
printf 'nameserver 127.0.0.53\n' >"$b/rootfs/etc/resolv.conf"
bundle '["nslookup", "-type=a", "web.example", "127.0.0.11"]' "$join"
expect not-named 1 '' oci run -b "$b" d5
printf 'nameserver 127.0.0.11\n' >"$tmp/resolv.conf"
bundle '["nslookup", "-type=a", "web.example"]' "$join" "m.append({'destination': '/etc/resolv.conf', 'type': 'bind', 'source': '$tmp/resolv.conf', 'options': ['rbind']})"
expect mounted 0 '192.0.2.53' oci run -b "$b" d6

# A server that has gone: the connection ends, without an answer.
kill "$server"; wait "$server" 2>/dev/null; server=
bundle '["sh", "-c", "nc 127.0.0.11 53 </large | wc -c"]' "$join"
printf 'nameserver 127.0.0.11\n' >"$b/rootfs/etc/resolv.conf"
expect tcp-refused 0 '^0$' oci run -b "$b" t5

finish
