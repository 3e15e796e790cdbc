# One stream over loopback, Mbit/s. iperf3's server takes a probe for a client: it is asked until it answers.
iperf3 -s >"$DIR/server" 2>&1 &
SERVER=$!
n=0
until iperf3 -c 127.0.0.1 -t "$SECONDS_EACH" -f m >"$DIR/out" 2>&1; do
    n=$((n + 1))
    [ $n -lt 100 ] || { cat "$DIR/out" "$DIR/server" >&2; exit 1; }
    sleep 0.1
done
awk '/receiver/ { print "iperf-loopback", $(NF - 2) }' "$DIR/out"
