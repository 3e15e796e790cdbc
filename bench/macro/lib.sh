# What the workloads share; read before each, in its sandbox. They set up in $DIR, a directory of their own in a tmpfs that goes
# away afterwards, and print a line for each timed part: its name and its milliseconds.
set -eu
QUICK=${QUICK:-}
DIR=$(mktemp -d /dev/shm/bench.XXXXXX)
trap 'cd /; rm -rf "$DIR"' EXIT
export HOME=$DIR LC_ALL=C
cd "$DIR"

# scaled FULL QUICK: how much to do.
scaled() {
    if [ "$QUICK" ]; then echo "$2"; else echo "$1"; fi
}

# timed NAME COMMAND...
timed() {
    name=$1
    shift
    start=$(date +%s%N)
    "$@" >"$DIR/.out" 2>&1 || {
        cat "$DIR/.out" >&2
        exit 1
    }
    end=$(date +%s%N)
    echo "$name $(((end - start) / 1000))e-3"
}

# repeat N COMMAND...
repeat() {
    n=$1
    shift
    while [ "$n" -gt 0 ]; do
        "$@"
        n=$((n - 1))
    done
}
