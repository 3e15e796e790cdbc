#!/bin/bash
# runsc gdbserver with a real gdb: threads, registers, memory, breakpoints, steps, signals, calls, exec, ends. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/../oci/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
for tool in gdb cc; do
    command -v $tool >/dev/null || { echo "SKIP no $tool"; exit 77; }
done
cc -O1 -g -fno-omit-frame-pointer -static -pthread -o "$b/rootfs/bin/debuggee" "$here/debuggee.c" || exit 1
oci="$oci --network none"
sock=$tmp/sock
start() { # a fresh container and a server for its first process
    bundle '["/bin/debuggee"]'
    oci delete --force c1 >/dev/null 2>&1
    : >"$tmp/out"
    oci create -b "$b" c1 >"$tmp/out" 2>&1 && oci start c1
    until_true grep -q ready "$tmp/out"
    serve
}
serve() {
    oci gdbserver --socket "$sock" c1 1 2>"$tmp/server" &
    server=$!
    until_true test -S "$sock"
}
# with_gdb COMMAND...: each as -ex, after connecting.
with_gdb() {
    args=()
    for c in "$@"; do args+=(-ex "$c"); done
    timeout -s KILL 60 gdb -nx -batch -ex 'set confirm off' -ex "target remote $sock" "${args[@]}" 2>&1
}
shows() { # NAME PATTERN: in the last transcript
    if grep -q -- "$2" "$tmp/gdb"; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAIL $1: no \"$2\" in:"; tail -c 1500 "$tmp/gdb"
    fi
}

start
with_gdb 'info threads' 'thread apply all bt 4' 'break often' 'continue' 'bt' 'info registers' 'p counter = 1000' 'continue' 'p counter' \
    'finish' 'stepi' 'stepi' 'next' 'p half' 'printf "= %s-base\n", $fs_base > 0 ? "true" : "no"' 'p $xmm0.v4_int32' 'p $st0' 'set var $rbx = $rbx + 1' 'set var $rbx = $rbx - 1' 'set var $xmm9.v2_int64[0] = 77' \
    'stepi' 'p $xmm9.v2_int64[0]' 'delete' 'p often(5)' 'info auxv' 'x/4xb $pc' 'p stop_now = 1' 'continue' >"$tmp/gdb"
shows threads '^  3 .*debuggee'
shows stack 'in main (argc='
shows breakpoint 'hit Breakpoint 1, often (n=n@entry=2)'
shows registers '^rip  *0x[0-9a-f]*  *0x[0-9a-f]* <often'
shows segments '= true-base'
shows memory '= 1002'
shows finish 'Value returned is'
shows double '= 0.5'
shows vector '= 77'
shows call '= 10[01][0-9]'
shows auxv 'AT_SYSINFO_EHDR'
shows exit 'exited with code 07'
expect server-ends 0 '' wait $server
expect ended 0 '"stopped"' oci state c1

# A signal: stopped for, passed on, its handler stepped into; a watchpoint by steps; an interrupt; detaching, which leaves it running.
start
with_gdb 'p handled = 100' 'continue' 'info program' 'p $_siginfo.si_signo' 'stepi' 'bt 2' 'break on_usr1' 'p handled = 99' 'continue' 'continue' 'bt 1' \
    'delete' 'break often' 'continue' 'delete' 'watch counter' 'continue' 'delete' 'detach' >"$tmp/gdb"
shows signal 'received signal SIGUSR1'
shows siginfo '= 10$'
shows handler 'on_usr1 (signo='
shows in-handler 'hit Breakpoint 1, on_usr1'
shows watch 'atchpoint 3: counter'
expect detached 0 '' wait $server
expect runs-on 0 '"running"' oci state c1
serve
with_gdb 'p $before = counter' 'continue' 'info threads' 'p counter - $before > 0' 'p $_exitcode' >"$tmp/gdb" &
until_true grep -q Continuing "$tmp/gdb"
sleep 2 # it must be in its continue; before that an interrupt ends the command it is in
kill -INT "$(pgrep -f "target remote $sock" | tail -1)"
wait $!
shows interrupt 'received signal SIGINT'
shows interrupted-after '= 1$'
wait $server
expect still-there 0 '"running"' oci state c1

# A debugger that vanishes leaves no breakpoint behind.
serve
with_gdb 'break often' 'continue' 'signal 0' 'python import os; os.kill(os.getpid(), 9)' >"$tmp/gdb"
wait $server
serve
with_gdb 'p $a = counter' 'x/i often' 'disassemble /r often,+1' >"$tmp/gdb"
shows no-break-left 'often'
expect no-int3 1 '' grep -q 'int3' "$tmp/gdb"
wait $server
expect lives 0 '"running"' oci state c1

# A new program in the same process; then killed.
serve
with_gdb 'p run_again = 1' 'catch exec' 'continue' 'info registers' 'delete' 'break main' 'continue' 'p argv[1]' 'delete' 'detach' >"$tmp/gdb"
shows exec 'exec.d .*debuggee'
shows new-main '"again"'
wait $server
serve
with_gdb 'kill' >"$tmp/gdb"
wait $server
until_true sh -c "$oci state c1 | grep -q stopped"
expect killed 0 '"stopped"' oci state c1

expect nobody 1 'no process 99' sh -c "$oci create -b $b c2 >/dev/null 2>&1; $oci start c2; $oci gdbserver --socket $sock c2 99"
expect one-way 1 'one of --socket' oci gdbserver c2 1
expect bad-number 1 'not a process' oci gdbserver --port 1 c2 x
finish
