# What the network's loads share; read before each, in its sandbox, with $BENCH_NET, $SECONDS_EACH. Each prints a line for each
# figure: its name and how much in a second. Servers are children, and end with the shell.
set -eu
DIR=$(mktemp -d /dev/shm/net.XXXXXX)
SERVER=
trap 'cd /; [ -z "$SERVER" ] || kill "$SERVER" 2>/dev/null; rm -rf "$DIR"' EXIT
cd "$DIR"

# served PORT COMMAND...: COMMAND in the background, until it listens.
served() {
    port=$1
    shift
    "$@" >"$DIR/.server" 2>&1 &
    SERVER=$!
    "$BENCH_NET" await 127.0.0.1 "$port" || {
        cat "$DIR/.server" >&2
        exit 1
    }
}
