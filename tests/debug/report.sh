#!/bin/bash
# --crash-report: what is told of crashed programs, also of ones made to confuse it. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/../oci/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
command -v cc >/dev/null || { echo "SKIP no cc"; exit 77; }
cc -O1 -g -pthread -o "$tmp/crasher" "$here/crasher.c" && cc -O1 -g -pthread -o "$tmp/hostile" "$here/hostile.c" || exit 1
do_="timeout -s KILL 60 $1 --platform $2 --network none --crash-report=$tmp/report"
shows() { # NAME PATTERN
    if grep -q -- "$2" "$tmp/report"; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAIL $1: no \"$2\" in:"; head -c 1500 "$tmp/report"
    fi
}
fresh() { : >"$tmp/report"; }

expect segv 139 '' $do_ do -- "$tmp/crasher" segv
shows head '^crash: process 1 (crasher), thread 1 of 3: SIGSEGV (11), code 1, address 0x8$'
shows registers '^  rip [0-9a-f]\{16\}  rsp [0-9a-f]\{16\}'
shows frame '^  #0 0x[0-9a-f]* in dies+0x[0-9a-f]* (/.*/crasher+0x[0-9a-f]*)$'
shows caller '^  #1 0x[0-9a-f]* in main+0x[0-9a-f]*'
shows outermost ' in _start+0x'
shows code '^  => 0x[0-9a-f]*  mov dword ptr \[8\], e[a-z]x$'
shows mapping '^  [0-9a-f]*-[0-9a-f]* r-x [0-9a-f]* /.*/crasher$'
shows calls 'clone3 = '
shows fault 'fault, signal 11, address 0x8'
for how in abort:6:SIGABRT ill:4:SIGILL fpe:8:SIGFPE; do
    IFS=: read -r word signo sig <<<"$how"
    fresh
    expect "$word" $((128 + signo)) '' $do_ do -- "$tmp/crasher" "$word"
    shows "$word-head" "$sig ($signo)"
    shows "$word-stack" ' in main+0x'
done
fresh
expect quit 131 '' $do_ do -- "$tmp/crasher" quit
expect no-report 1 '' grep -q crash "$tmp/report"
# On the log; with a core as well.
expect log 134 '#1 0x.* in ' timeout -s KILL 60 $1 --platform "$2" --network none --crash-report --coredump-dir "$tmp" do -- "$tmp/crasher" abort
expect core-too 0 '' sh -c "ls $tmp/core.crasher.*"
expect json 0 '' sh -c "timeout -s KILL 60 $1 --platform '$2' --network none --log-format json --log $tmp/log --crash-report do -- $tmp/hostile name
    python3 -c 'import json; [json.loads(l) for l in open(\"$tmp/log\")]'"

fresh
expect handler 134 '' $do_ do -- "$tmp/hostile" handler
shows from-handler ' in handler+0x'
shows below-handler ' in main+0x'
fresh
expect null 139 '' $do_ do -- "$tmp/hostile" null
shows null-code '=> 0x0000000000000000  no instruction: not readable'
shows null-caller ' in main+0x'
fresh
expect stack 139 '' $do_ do -- "$tmp/hostile" stack
shows stack-end '^end of crash report$'
fresh
expect name 134 '' $do_ do -- "$tmp/hostile" name
shows escaped '(\\x1b\[2J"\\x0a\\x5cx)'
for seed in $(seq 12); do
    fresh
    expect "broken-$seed" 132 '' $do_ do -- "$tmp/hostile" broken "$seed"
    shows "broken-$seed-end" '^end of crash report$'
    expect "broken-$seed-printable" 1 '' grep -q '[^ -~]' "$tmp/report"
done
fresh
expect many 0 '' $do_ do -- "$tmp/hostile" many
expect bounded 0 '' test "$(grep -c '^crash: ' "$tmp/report")" -eq 64
expect all-backtraces 0 '' test "$(grep -c '^  #1 ' "$tmp/report")" -eq 64
finish
