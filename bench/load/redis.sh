# 50 clients; pipelined: 16 requests at a time.
served 6390 redis-server --port 6390 --save "" --appendonly no
ask() { # NAME REQUESTS FLAGS...
    name=$1 requests=$2
    shift 2
    redis-benchmark -p 6390 -c 50 -n "$requests" -t get,set --csv "$@" |
        tr -d '"' | awk -F, -v name="$name" '/^[GS]ET,/ { print "redis-" tolower($1) name, $2 }'
}
ask "" $((SECONDS_EACH * 20000))
ask -pipelined $((SECONDS_EACH * 150000)) -P 16
