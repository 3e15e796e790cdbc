#!/bin/bash
# Lifecycle commands on a bundle: create, start, state, kill, delete, exec and the rest. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/lib.sh"

bundle '["sleep", "1000"]'
expect create 0 '' oci create -b "$b" --pid-file "$tmp/pid" c1
expect create-again 1 'container with given ID already exists' oci create -b "$b" c1
expect state-created 0 '"status": "created"' oci state c1
expect state-bundle 0 "\"bundle\": \"$b\"" oci state c1
expect pid-file 0 "\"pid\": $(cat "$tmp/pid")," oci state c1
expect pid-alive 0 '' kill -0 "$(cat "$tmp/pid")"
expect exec-created 0 '^inside$' oci exec c1 echo inside
expect exec-created-orphan 0 '' oci exec c1 sh -c 'sleep 0.1 & exit 0'
expect exec-created-detached 0 '' oci exec -d --pid-file "$tmp/pid.e" c1 sh -c 'exit 3'
until_true sh -c "! kill -0 $(cat "$tmp/pid.e")"
expect ps-created 0 "^\[$(cat "$tmp/pid")\]$" oci ps -f json c1
expect pause-created 1 'container not running' oci pause c1
expect start 0 '' oci start c1
expect start-again 1 'cannot start an already running container' oci start c1
expect state-running 0 '"status": "running"' oci state c1
expect list 0 '^c1 .* running ' oci list
expect list-q 0 '^c1$' oci list -q
expect list-json 0 '^\[{"ociVersion":"1.*"id":"c1"' oci list --format json
expect list-format 1 'invalid format option' oci list -f xml
expect ps 0 '^root .* sleep$' oci ps c1
expect kill-0 0 '' oci kill c1 0
expect init-number 0 '^1 (sleep)' oci exec c1 cat /proc/1/stat
expect ps-json 0 "^\[$(cat "$tmp/pid")\]$" oci ps -f json c1
expect delete-running 1 'cannot delete container c1 that is not stopped: running' oci delete c1
expect exec 0 '^out$' oci exec c1 echo out
expect exec-status 7 '' oci exec c1 sh -c 'exit 7'
expect exec-signal 137 '' oci exec c1 sh -c 'kill -9 $$'
expect exec-not-found 255 'executable file not found in \$PATH' oci exec c1 no-such
expect exec-no-file 255 'no such file or directory' oci exec c1 /no/such
expect exec-no-command 255 'process args cannot be empty' oci exec c1
expect exec-user 0 '^uid=12 gid=34 groups=.*56' oci exec -u 12:34 -g 56 c1 id
expect exec-cwd 0 '^/tmp$' oci exec --cwd /tmp c1 pwd
expect exec-cwd-missing 255 'cannot enter the working directory /none' oci exec --cwd /none c1 pwd
expect exec-env 0 '^v$' oci exec -e K=v c1 sh -c 'echo $K'
expect exec-stdin 0 '^5$' sh -c "echo four | $oci exec c1 wc -c"
expect exec-big 0 '^3000000$' sh -c "head -c 3000000 /dev/zero | $oci exec c1 cat | wc -c"
expect exec-caps 0 '^CapBnd:.0000000020000420' sh -c "$oci exec c1 grep CapBnd /proc/self/status"
expect exec-cap 0 '^CapEff:.0000000020200420' oci exec -c CAP_SYS_ADMIN c1 grep CapEff /proc/self/status
expect exec-nnp 0 '^NoNewPrivs:.1' oci exec --no-new-privs c1 grep NoNewPrivs /proc/self/status
expect exec-ppid 0 '^PPid:.0$' oci exec c1 grep PPid /proc/self/status
echo '{"args":["sh","-c","echo $P; id -u"],"cwd":"/","env":["PATH=/bin","P=file"],"user":{"uid":9,"gid":9}}' >"$tmp/process"
expect exec-process 0 '^file$' oci exec --process "$tmp/process" c1
expect exec-process-user 0 '^9$' oci exec -p "$tmp/process" c1
expect exec-bad-process 255 'cannot open' oci exec --process /no/such c1
expect exec-tty-detached 255 'without setting console socket' oci exec -t -d c1 true
expect exec-detach 0 '' oci exec -d --pid-file "$tmp/epid" c1 sleep 500
expect exec-detach-alive 0 '' kill -0 "$(cat "$tmp/epid")"
kill -TERM "$(cat "$tmp/epid")"
expect exec-detach-signal 0 '' gone "$(cat "$tmp/epid")"
expect exec-preserve 0 '^three$' sh -c "echo three >$tmp/3; $oci exec --preserve-fds 1 c1 sh -c 'cat <&3' 3<$tmp/3"
expect exec-cap 0 '^CapInh 0000000000000000 CapPrm 00000000200004a0 CapAmb 0000000000000000 $' sh -c "$oci exec --cap CAP_SETUID c1 sh -c 'while read k v; do case \$k in CapInh:|CapPrm:|CapAmb:) echo -n \"\${k%:} \$v \";; esac; done </proc/self/status'"
many='import os, sys; [os.dup2(0, i) for i in range(3, 103)]; os.execvp(sys.argv[1], sys.argv[1:])'
expect exec-preserve-100 0 '^102$' python3 -c "$many" $oci exec --preserve-fds 100 c1 sh -c 'for i in /proc/self/fd/*; do echo ${i##*/}; done | grep 102'
expect preserve-closed 255 'is not open' sh -c "$oci exec --preserve-fds 5 c1 true 7>&- 6>&- 5>&- 4>&- 3>&-"
expect pause 0 '' oci pause c1
expect state-paused 0 '"status": "paused"' oci state c1
expect pause-again 1 'already paused' oci pause c1
expect exec-paused 255 'cannot exec in a paused container' oci exec c1 true
expect resume 0 '' oci resume c1
expect resume-again 1 'container not paused' oci resume c1
expect state-resumed 0 '"status": "running"' oci state c1
expect events-stats 0 '"type":"stats","id":"c1","data":{"cpu":{"usage":{"total":[1-9]' oci events --stats c1
expect events-bad 1 'duration interval' oci events --interval 0s c1
expect kill-bad 1 'unknown signal' oci kill c1 NOSUCH
expect kill-none 1 'container does not exist' oci kill nope
expect kill 0 '' oci kill c1 KILL
expect wait 0 '^137$' oci wait c1
expect state-stopped 0 '"status": "stopped"' oci state c1
expect stopped-pid 0 '"pid": 0,' oci state c1
expect kill-stopped 1 'container not running' oci kill c1 9
expect kill-all-stopped 0 '' oci kill --all c1 9
expect exec-stopped 255 'stopped' oci exec c1 true
expect start-stopped 1 'cannot start a container that has stopped' oci start c1
expect ps-stopped 0 '^UID' oci ps c1
expect ps-stopped-json 0 '^\[\]$' oci ps -f json c1
expect kill-0-stopped 1 'container not running' oci kill c1 0
expect events-stopped 1 'container not running' oci events --stats c1
expect delete 0 '' oci delete c1
expect delete-again 1 'container does not exist' oci delete c1
expect delete-force-none 0 '' oci delete --force c1
expect state-none 1 'container does not exist' oci state c1
expect start-none 1 'container does not exist' oci start c1

# How a created container ends, with a process in it too.
expect create-2 0 '' oci create -b "$b" c2
expect exec-before-end 0 '' oci exec -d c2 sleep 1000
expect kill-created 0 '' oci kill c2 TERM
expect wait-created 0 '^143$' oci wait c2
expect delete-created 0 '' oci delete c2
expect create-3 0 '' oci create -b "$b" c3
expect delete-created-running 0 '' oci delete c3
expect create-4 0 '' oci create -b "$b" c4
expect start-4 0 '' oci start c4
expect delete-force 0 '' oci delete -f c4
expect nothing-left 2 '' ls "$root/c4"

# The foreground.
bundle '["sh", "-c", "echo out; echo err >&2; exit 5"]'
expect run 5 '^out$' oci run -b "$b" c5
expect run-removed 1 'does not exist' oci state c5
expect run-keep 5 'err' oci run --keep -b "$b" c5
expect run-kept 0 '"status": "stopped"' oci state c5
expect run-kept-wait 0 '^5$' oci wait c5
expect run-kept-delete 0 '' oci delete c5
bundle '["sh", "-c", "kill -SEGV $$; sleep 9"]'
expect run-pid1-own-signal 0 '' timeout 20 $oci run -b "$b" c5
bundle '["sleep", "1000"]'
expect run-detach 0 '' oci run -d -b "$b" --pid-file "$tmp/pid" c6
expect run-detached 0 '"status": "running"' oci state c6
expect kill-term-pid1 0 '' oci kill c6
expect pid1-ignores-term 0 '"status": "running"' oci state c6
kill -KILL "$(cat "$tmp/pid")"
expect killed-from-outside 0 '^137$' oci wait c6
expect killed-delete 0 '' oci delete c6
bundle '["sh", "-c", "trap \"exit 9\" TERM; echo ready; while :; do sleep 0.1; done"]'
oci run -d -b "$b" c7 >"$tmp/out" </dev/null
until_true grep -q ready "$tmp/out"
expect kill-trapped 0 '' oci kill c7 TERM
expect kill-trapped-wait 0 '^9$' oci wait c7
oci delete c7
bundle '["no-such"]'
expect create-not-found 1 'executable file not found in \$PATH' oci create -b "$b" c8
expect create-undone 1 'does not exist' oci state c8
bundle '["/etc"]'
expect create-directory 1 'is a directory' oci create -b "$b" c8
bundle '["true"]'
expect bad-id 1 'invalid container ID format' oci create -b "$b" 'a/b'
expect no-bundle 1 'No such file' oci create -b /no/such c8
expect bad-flag 1 'provided but not defined' oci create --frob c8
expect single-dash 0 '' oci run -bundle="$b" c8
expect systemd 1 'systemd' oci --systemd-cgroup run -b "$b" c8
expect help 0 'usage: runsc' oci create --help
expect log-json 1 '' oci --log "$tmp/log" --log-format json state nope
expect log-json-entry 0 '^{"level":"error","msg":"container does not exist","time":"2' cat "$tmp/log"
expect features 0 '"ociVersionMax": "1.2.0"' oci features
ln -s /etc "$root/link"
expect no-link 1 'link' oci state link
rm "$root/link"
expect run-listen-fds 0 '^1 1$' env LISTEN_FDS=1 sh -c "$oci run -b $(bundle '["sh", "-c", "echo $LISTEN_FDS $LISTEN_PID"]'; echo "$b") c9 3</dev/null"
# A container in the foreground takes commands too.
bundle '["sleep", "1000"]'
(oci run -b "$b" c9 >/dev/null 2>&1 </dev/null; echo $? >"$tmp/status.fg") &
until_true sh -c "$oci state c9 | grep -q running"
expect foreground-pause 0 '' timeout 20 $oci pause c9
expect foreground-resume 0 '' timeout 20 $oci resume c9
expect foreground-delete 0 '' timeout 20 $oci delete --force c9
wait
expect foreground-status 0 '^137$' cat "$tmp/status.fg"
finish
