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
# The file Docker mounts, and an image's that names another server.
printf 'nameserver 127.0.0.53\n' >"$b/rootfs/etc/resolv.conf"
bundle '["nslookup", "-type=a", "web.example", "127.0.0.11"]' "$join"
expect not-named 1 '' oci run -b "$b" d5
printf 'nameserver 127.0.0.11\n' >"$tmp/resolv.conf"
bundle '["nslookup", "-type=a", "web.example"]' "$join" "m.append({'destination': '/etc/resolv.conf', 'type': 'bind', 'source': '$tmp/resolv.conf', 'options': ['rbind']})"
expect mounted 0 '192.0.2.53' oci run -b "$b" d6

finish
