#!/bin/bash
# Standard input, output and error as the host gave them: each line runs bare, then under runsc; what is seen must be the same. Arguments:
# runsc, platform.
set -u
runsc="$1 --network=none --platform $2"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
if $runsc do -- /bin/true 2>&1 | grep 'cannot run here'; then
    echo "SKIP $2"
    exit 77
fi
seq 9 >"$tmp/in"
failed=0
# same NAME 'SCRIPT': in it $R is empty or runsc do; f and o are files of its own.
same() {
    for R in '' "$runsc do --"; do
        mkdir "$tmp/w"
        (cd "$tmp/w" && seq 9 >f && : >o && export R && timeout -s KILL 60 bash -c "$2" 2>&1 </dev/null; echo "status $?"; cat "$tmp/w/o") \
            >"$tmp/out${R:+2}"
        rm -r "$tmp/w"
    done
    if ! cmp -s "$tmp/out" "$tmp/out2"; then
        echo "FAIL $1"
        diff "$tmp/out" "$tmp/out2"
        failed=1
    fi
}
py() {
    printf "\$R python3 -c '%s'" "$1"
}
same pipe-closed '$R yes | head -n 1; echo ${PIPESTATUS[*]}'
same input-shared '{ $R head -n 2; cat; } <f'
same input-shared-after '{ head -n 1; $R head -n 1; head -n 1; $R cat; } <f'
same output-shared '{ echo a; $R echo b; echo c; } >o'
same output-both '{ $R sh -c "echo a; echo b >&2; echo c"; echo d; } >o 2>&1'
same output-append 'echo x >o; $R sh -c "echo a; echo b" >>o; echo y >>o'
same append-flag "$(py 'import fcntl,os; print(fcntl.fcntl(1,fcntl.F_GETFL) & os.O_APPEND)') >>o"
same input-pread "$(py 'import os; print(os.pread(0,2,4), os.lseek(0,0,1), os.read(0,2), os.lseek(0,0,1), os.fstat(0).st_size)') <f"
same input-reopened '$R sh -c "cat /dev/stdin; cat /dev/stdin; cat" <f'
same input-reopened-seek "$(py 'import os; f = os.open("/dev/stdin", 0); print(os.read(f,3), os.lseek(f,0,1), os.lseek(f,-4,2), os.read(f,9), os.pread(f,2,1), os.lseek(0,0,1))') <f"
same output-reopened '$R sh -c "echo a; echo b >/dev/stdout; echo c >>/dev/stdout; echo d" >o'
same output-reopened-append '$R sh -c "echo b >>/dev/stdout; echo c >>/dev/stdout" >>o'
same input-mmap "$(py 'import mmap; print(mmap.mmap(0,0,prot=1)[:4])') <f"
same input-sendfile "{ $(py 'import os; print(os.sendfile(1,0,None,4), os.lseek(0,0,1))'); cat; } <f | cat"
same input-sendfile-last "{ $(py 'import os; os.sendfile(1,0,None,4)'); cat; } <f | cat"
same output-truncate "$(py 'import os; os.write(1,b"abcdef"); os.ftruncate(1,3); print(os.lseek(1,0,2))') >o"
same output-pwrite "$(py 'import os; os.write(1,b"abcdef"); os.pwrite(1,b"XY",1); os.write(1,b"!")') 1<>o"
same big-writes "$(py 'import os,sys; print(os.write(1,b"x"*300000), file=sys.stderr)') >o; cksum <o"
same big-writes-pipe "{ $(py 'import os,sys; print(os.write(1,b"x"*300000), file=sys.stderr)') | cksum; } 2>&1"
same epoll-file "$(py 'import select
try: select.epoll().register(0)
except PermissionError: print(1)') <f"
same seek-pipe "seq 3 | $(py 'import os
try: os.lseek(0,0,0)
except OSError as e: print(e)')"
same file-limit '(ulimit -Sf 1; $R sh -c "head -c 3000 /dev/zero 2>/dev/null; echo \$? >&2") >o; wc -c <o'
same cpu-limit '{ (ulimit -St 1; $R sh -c "while :; do :; done"); echo $?; } 2>/dev/null'
same memory-limit '(ulimit -Sv 200000; $R sh -c "ulimit -v"; $R python3 -c "bytearray(300 << 20)" 2>&1 | tail -n 1)'
same descriptor-limit '(ulimit -Sn 20; $R sh -c "ulimit -n")'
exit $failed
