#!/bin/bash
# vsock.py in the sandbox: vsock.sh RUNSC PLATFORM.
here=$(cd "$(dirname "$0")" && pwd)
flags="--platform $2"
[ "$2" = mpk ] && flags="$flags --unsafe-mpk"
if ! command -v python3 >/dev/null || $1 $flags --network=none do -- /bin/true 2>&1 | grep 'cannot run here'; then
    echo "SKIP $2"
    exit 77
fi
exec timeout -s KILL 100 $1 $flags --network=none do -- python3 "$here/vsock.py"
