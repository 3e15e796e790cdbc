#!/bin/sh
# In the test machine: the parts named by the arguments, or all of them.
failed=0
runsc="/t/runsc --platform mpk"
compare="python3 /t/lib/compare.py --runsc /t/runsc --platform mpk --timeout 300"
[ $# = 0 ] && set -- hello auto platform escape patched abi apps node
grep -m1 -q -w ospke /proc/cpuinfo || { echo "FAIL: no protection keys"; exit 1; }

# Where this machine's Linux is older than the one we are like.
{ cat /t/abi/known_diffs.txt; echo "results mpk: Linux 6.12 takes a vector's address above user space for good until it is used"; } > /tmp/known

# What is said on the way is shown when it fails.
check() {
    name=$1
    shift
    "$@" > /tmp/check.out 2>&1 < /dev/null
    status=$?
    case $status in
    0) echo "ok $name" ;;
    *) echo "FAIL $name: status $status"; head -c 3000 /tmp/check.out; failed=1 ;;
    esac
}

# This emulation does not come to the end of code_changes by itself.
code_changes() { $runsc do -- /t/abi/abi_code_changes > /tmp/changes.out && grep -c yes /tmp/changes.out && ! grep NO /tmp/changes.out; }
abi() {
    [ "$1" = code_changes ] && { check abi.code_changes code_changes; return; }
    check "abi.$1" $compare --known /tmp/known --name "$1" -- "/t/abi/abi_$1"
}
app() { check "apps.$1" $compare --known /t/apps/known_diffs.txt --name "$1" -- sh "/t/apps/cases/$1.sh"; }

# The kernel's code as it lies in a guest process of runsc's: the attackers are told.
code_of() {
    for pid in $(pgrep -P "$1") $(pgrep -f 'runsc.*escape'); do
        sed -n 's/^\([0-9a-f]*-[0-9a-f]*\) r-xp .*runsc$/\1/p' /proc/$pid/maps 2>/dev/null
    done | head -1
}

# Prints a line for each attempt; must come to its end.
attack() {
    rm -f /tmp/hint
    mkfifo /tmp/hint
    timeout -s KILL 400 $runsc do -- "/t/escape_$1" > /tmp/attack.out 2>&1 < /tmp/hint &
    exec 3> /tmp/hint
    sleep 3
    code_of $! >&3
    exec 3>&-
    wait
    if grep -q '^end$' /tmp/attack.out && grep -q '^with keys' /tmp/attack.out && ! grep -qE 'FAIL|no kernel|not in this|none of' /tmp/attack.out; then
        echo "ok escape.$1: $(grep -c '^ok' /tmp/attack.out) attempts $(grep sites /tmp/attack.out)"
    else
        echo "FAIL escape.$1"
        head -c 3000 /tmp/attack.out
        failed=1
    fi
}

# All cases but those the emulation cannot do: see README.md.
platform() {
    MPK_KEYED=1 /t/mpk_test > /tmp/platform.out 2>&1
    for name in $(sed -n 's/^FAIL mpk \([a-z0-9_]*\).*/\1/p' /tmp/platform.out); do
        case $name in
        fault_noncanonical | fault_arith | interrupt_random) echo "not here: $name" ;;
        *) echo "FAIL platform.$name"; grep "$name" -B4 /tmp/platform.out; failed=1 ;;
        esac
    done
    grep -E '^mpk: [0-9]+ cases' /tmp/platform.out || failed=1
}

for part in "$@"; do
    case $part in
    hello) check hello $runsc do -- /bin/sh -c 'echo hello; ls / | wc -l' ;;
    auto) check auto sh -c 'for f in "" --unsafe-mpk; do
            /t/runsc $f do -- /t/escape_mpk_sigreturn > /tmp/auto.out; grep -q ^end /tmp/auto.out && ! grep "no kernel" /tmp/auto.out || exit 1
        done' ;;
    platform) platform ;;
    case:*) /t/mpk_test "${part#case:}" || failed=1 ;;
    abi) for f in /t/abi/abi_*; do abi "${f##*/abi_}"; done ;;
    abi:*) abi "${part#abi:}" ;;
    apps) for name in shell_pipeline text_tools coreutils python_basic sqlite bash_jobs; do app $name; done ;;
    app:*) app "${part#app:}" ;;
    patched) check escape.patched sh -c "$runsc do -- /t/escape_patched > /tmp/p.out; grep -q ^end /tmp/p.out && ! grep FAIL /tmp/p.out || { tail -3 /tmp/p.out; false; }" ;;
    escape) for f in /t/escape_mpk_*; do attack "${f##*/escape_}"; done ;;
    escape:*) attack "${part#escape:}" ;;
    node) check node $runsc do -- /bin/sh -c 'test "$(node -e "let a=0;for(let i=0;i<1e6;i++)a=a*31+i|0;console.log(a)")" = 2028822816' ;;
    esac
done
exit $failed
