#!/bin/bash
# same.py natively, in an empty network namespace, and in the sandbox: same.sh RUNSC PLATFORM.
here=$(cd "$(dirname "$0")" && pwd)
flags="--platform $2"
[ "$2" = mpk ] && flags="$flags --unsafe-mpk"
if ! unshare -n true 2>/dev/null || ! command -v python3 >/dev/null; then
    echo "SKIP no network namespaces or no python3"
    exit 77
fi
if $1 $flags do -- /bin/true 2>&1 | grep 'cannot run here'; then
    echo "SKIP $2"
    exit 77
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
timeout -s KILL 60 unshare -n sh -c "ip link set lo up; exec python3 '$here/same.py'" >"$tmp/native"
timeout -s KILL 60 $1 $flags --network=none do -- python3 "$here/same.py" >"$tmp/inside"
# --pcap: a section, an interface and the packets of a datagram to nobody and of its refusal
$1 $flags --network=none --pcap "$tmp/pcap" do -- python3 -c 'import socket; socket.socket(2, 2).sendto(b"pcap", ("127.0.0.1", 9))'
if [ "$(od -An -tx4 -N4 "$tmp/pcap")" != " 0a0d0d0a" ] || [ "$(grep -ac pcap "$tmp/pcap")" -lt 1 ]; then
    echo "FAIL --pcap: $(od -An -c "$tmp/pcap" | head -5)"
    exit 1
fi
[ "$(wc -l <"$tmp/native")" -gt 30 ] && diff "$tmp/native" "$tmp/inside" && echo "$(wc -l <"$tmp/native") lines the same"
