#!/bin/bash
# Completion scripts and man pages, made of the command and option tables. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/lib.sh"

mkdir "$tmp/bin"
cat >"$tmp/bin/runsc" <<S
#!/bin/sh
exec $oci "\$@"
S
chmod +x "$tmp/bin/runsc"
PATH=$tmp/bin:$PATH
expect bash-script 0 'complete -F' oci completion bash
cp "$tmp/out.expect" "$tmp/runsc.bash"
expect bash-syntax 0 '' bash -n "$tmp/runsc.bash"
# complete WORD...: what bash would offer for the last one.
cat >"$tmp/complete" <<'C'
. "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_runsc
echo "${COMPREPLY[*]}"
C
complete() { (cd "$b" && bash "$tmp/complete" "$tmp/runsc.bash" runsc "$@"); }
expect commands 0 '^pause port-forward ps$' sh -c "$(declare -f complete); tmp=$tmp b=$b; complete p | tr ' ' '\n' | sort | xargs"
comp() { # NAME WANTED WORD...
    local name=$1 want=$2
    shift 2
    local got
    got=$(complete "$@" | tr ' ' '\n' | sort | xargs)
    if [ "$got" = "$want" ]; then
        passed=$((passed + 1))
    else
        echo "FAIL $name: \"$got\", not \"$want\""
        failed=$((failed + 1))
    fi
}
bundle '["sleep", "1000"]'
oci create -b "$b" c1 && oci create -b "$b" c2
comp global '--pcap' --pc
comp global-value 'mpk' --platform m
comp global-value-equals 'mpk' --platform = m
comp global-value-empty 'auto mpk notify ptrace systrap' --platform =
comp after-global 'kill' --platform mpk --debug ki
comp after-equals 'kill' --platform = mpk ki
comp flag 'run' --debug ru
comp ids 'c1 c2' kill ''
comp ids-of-all 'c1 c2' --debug delete --force c
comp signal 'SIGTERM' kill c1 SIGTER
comp option '--bundle' run --bu
comp option-letter 'rootfs' create -b root
comp directory 'rootfs' create --bundle root
comp directory-equals 'rootfs' create --bundle = root
comp format 'json' debug --format j
comp file 'config.json rootfs' --log ''
comp do-option '--volume' do --vo
comp do-command 'runsc' do -- runs
comp do-argument 'config.json' do cat con
comp help 'completion' help compl
comp shells 'zsh' completion z
comp end '' completion bash ''
# Every command of the help, every option shown in it: no second list.
for c in $($1 help | sed -n '/^commands/,/^$/s/^   \([a-z-]*\) .*/\1/p'); do
    case " $(complete '') " in *" $c "*) ;; *) echo "FAIL $c is not completed"; failed=$((failed + 1)) ;; esac
    for o in $($1 help "$c" | sed -n 's/^   \(--[a-z-]*\).*/\1/p'); do
        case " $(complete "$c" "$o") " in *" $o "*) ;; *) echo "FAIL $c $o is not completed"; failed=$((failed + 1)) ;; esac
    done
done
expect other-shell 1 'there are bash and zsh' oci completion fish

expect zsh-script 0 '^#compdef runsc$' oci completion zsh
cp "$tmp/out.expect" "$tmp/_runsc"
if command -v zsh >/dev/null; then
    expect zsh-syntax 0 '' zsh -n "$tmp/_runsc"
    # A shell of its own on a terminal of its own, asked to complete.
    cat >"$tmp/zsh.py" <<'P'
import os, pty, re, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "dumb"
    os.execvp("zsh", ["zsh", "-f", "-i"])
def until(text):
    seen, end = "", time.time() + 30
    while text not in seen and time.time() < end:
        if select.select([fd], [], [], 1)[0]:
            seen += os.read(fd, 65536).decode(errors="replace")
    return seen
os.write(fd, f"PS1='' ; fpath=({sys.argv[1]} $fpath); autoload -Uz compinit; compinit -u -d {sys.argv[1]}/dump; echo rea''dy\n".encode())
until("ready\r")
os.write(fd, b"runsc " + sys.argv[2].encode() + b"\t")
print(repr(until(sys.argv[3])))
P
    expect zsh-command 0 'uninstall' timeout 60 python3 "$tmp/zsh.py" "$tmp" uni uninstall
    expect zsh-option 0 'checkpoint\|console-socket' timeout 60 python3 "$tmp/zsh.py" "$tmp" 'create --cons' console-socket
    expect zsh-value 0 'systrap' timeout 60 python3 "$tmp/zsh.py" "$tmp" '--platform=sys' systrap
else
    echo "SKIP zsh"
fi

mkdir "$tmp/man"
expect man-pages 0 '' oci help --man-pages "$tmp/man"
expect man-count 0 "^$(($($1 help | sed -n '/^commands/,/^$/p' | grep -c '^   ') + 1))$" sh -c "ls $tmp/man | wc -l"
expect man-one 0 '^.TH RUNSC-DO 1' oci help --man do
expect man-main 0 'runsc\\-checkpoint\|runsc\\-do' oci help --man
expect man-nowhere 1 'cannot create' oci help --man-pages "$tmp/nowhere"
if command -v groff >/dev/null; then
    for page in "$tmp"/man/*.1; do
        expect "groff $(basename "$page")" 0 '^0$' sh -c "groff -ww -man -Tutf8 $page 2>&1 >/dev/null | wc -c"
    done
else
    echo "SKIP groff"
fi
command -v man >/dev/null && expect man-page 0 'run a command on the host' sh -c "MANPATH=$tmp/ man --warnings -l $tmp/man/runsc-do.1 2>&1 | cat"
finish
