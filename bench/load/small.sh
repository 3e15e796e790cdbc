# One connection: the time of a request and its answer; connections made and closed.
"$BENCH_NET" latency
"$BENCH_NET" connect
