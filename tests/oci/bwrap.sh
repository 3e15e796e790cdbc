#!/bin/bash
# bubblewrap's front end against bubblewrap itself: the same standard output and exit status for each command line.
# Arguments: runsc, platform.
set -u
. "$(dirname "$0")/lib.sh"
command -v bwrap >/dev/null || { echo "SKIP: bubblewrap is not installed"; exit 77; }
real=$(command -v bwrap)
$real --ro-bind / / true 2>/dev/null || { echo "SKIP: bubblewrap does not run here"; exit 77; }
mkdir "$tmp/bin" "$tmp/w" "$tmp/w/ro" "$tmp/w/rw" "$tmp/w/ro/sub"
echo inside >"$tmp/w/ro/file"
echo kept >"$tmp/w/rw/file"
chmod 755 "$tmp" "$tmp/w"
cat >"$tmp/bin/bwrap" <<S
#!/bin/sh
exec $1 --platform $2 --network=none bwrap "\$@"
S
chmod +x "$tmp/bin/bwrap"
ours=$tmp/bin/bwrap
cd "$tmp/w" || exit 1
# same NAME SCRIPT: run with \$B as either, in a shell of its own.
same() {
    timeout -s KILL 60 env B="$real" W="$tmp/w" bash -c "$2" >"$tmp/want" 2>"$tmp/want.err" </dev/null
    local want=$? got
    timeout -s KILL 60 env B="$ours" W="$tmp/w" bash -c "$2" >"$tmp/got" 2>"$tmp/got.err" </dev/null
    got=$?
    if [ "$want" -eq "$got" ] && cmp -s "$tmp/want" "$tmp/got"; then
        passed=$((passed + 1))
    else
        echo "FAIL $1: status $got, not $want; $(diff "$tmp/want" "$tmp/got" | head -8; head -c 300 "$tmp/got.err")"
        failed=$((failed + 1))
    fi
}
base='--ro-bind / / --dev /dev --proc /proc'
# Shaped as flatpak's: the parts of a file system bound, links, a home, data handed over by descriptors.
parts='--ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64 --symlink usr/bin /bin --symlink usr/sbin /sbin --ro-bind-try /etc /etc --ro-bind-try /nowhere /nowhere --proc /proc --dev /dev --tmpfs /tmp --dir /var --symlink ../tmp /var/tmp --dir /run/user/0 --setenv XDG_RUNTIME_DIR /run/user/0'

same true "\$B $base true"
same status "\$B $base sh -c 'exit 7'"
same signal "\$B $base sh -c 'kill -9 \$\$'"
same term "\$B $base sh -c 'kill -TERM \$\$'"
same no-such-program "\$B $base nosuch"
same not-executable "\$B $base /etc/passwd"
same no-command "\$B $base"
same unknown-option "\$B --foo true"
same too-few "\$B --setenv A"
same separator "\$B $base -- echo -- a"
same stdin "echo text | \$B $base cat"
same stderr "\$B $base sh -c 'echo out; echo err >&2' 2>&1"
same version "\$B --version"
same help-status "\$B --help >/dev/null"
same descriptors "exec 8<$tmp/w/ro/file; \$B $base sh -c 'cat <&8'"

same parts "\$B $parts sh -c 'ls -d /*; readlink /bin /lib /var/tmp; stat -c \"%F %a %n\" / /tmp /var /run /run/user/0; echo \$XDG_RUNTIME_DIR'"
same usr-read-only "\$B $parts sh -c 'touch /usr/x 2>/dev/null; echo \$?; touch /x /tmp/x; echo \$?'"
# Ours has no core, and a console also without a terminal.
same dev "\$B $parts sh -c 'ls /dev | grep -v -x -e core -e console; ls -la /dev/fd /dev/stdin | wc -l; echo a >/dev/null; head -c 3 /dev/zero | od -c; stat -c %F /dev/shm /dev/pts'"
same proc "\$B $parts sh -c 'ls -d /proc/self /proc/1 /proc/mounts; grep NoNewPrivs /proc/self/status'"
same read-only "\$B $base --ro-bind \$W/ro /mnt sh -c 'cat /mnt/file; ls /mnt; touch /mnt/x 2>/dev/null; echo \$?'"
same bind "\$B $base --tmpfs /tmp --bind \$W/rw /tmp/rw sh -c 'cat /tmp/rw/file; echo new >/tmp/rw/new; cat /tmp/rw/new'; cat \$W/rw/new; rm \$W/rw/new"
same bind-file "\$B $parts --ro-bind \$W/ro/file /tmp/f sh -c 'cat /tmp/f; ls /tmp; echo x >/tmp/f' 2>/dev/null"
same bind-over "\$B $parts --bind \$W/rw /tmp/a --ro-bind \$W/ro /tmp/a/sub --tmpfs /tmp/a/sub/sub sh -c 'cat /tmp/a/file /tmp/a/sub/file; touch /tmp/a/sub/sub/x && ls /tmp/a/sub/sub'; rmdir \$W/rw/sub 2>/dev/null; ls \$W/rw"
same bind-missing "\$B $parts --bind /nosuch /x true"
same bind-try "\$B $parts --bind-try /nosuch /x --dev-bind-try /nosuch /x --ro-bind-try \$W/ro /y ls / /y"
same bind-fd "exec 5<\$W/ro; \$B $parts --ro-bind-fd 5 /tmp/fd cat /tmp/fd/file"
same dev-bind "\$B $parts --dev-bind \$W/rw /mnt sh -c 'cat /mnt/file'"
same dev-null "\$B --ro-bind / / --tmpfs /tmp --dev-bind /dev/null /tmp/null sh -c 'echo x >/tmp/null && cat /tmp/null; stat -c \"%F %t %T\" /tmp/null'"
same remount-ro "\$B $parts --tmpfs /mnt --dir /mnt/d --remount-ro /mnt sh -c 'ls /mnt; touch /mnt/x 2>/dev/null; echo \$?; touch /tmp/x && echo ok'"
same remount-root "\$B $parts --remount-ro / sh -c 'touch /x 2>/dev/null; echo \$?; touch /tmp/x; echo \$?'"
same tmpfs "\$B $base --tmpfs /tmp sh -c 'stat -c %a /tmp; echo a >/tmp/a; cat /tmp/a; ls /tmp'"
same tmpfs-perms "\$B $base --perms 1777 --tmpfs /tmp stat -c %a /tmp"
same tmpfs-size "\$B $base --size 1048576 --tmpfs /tmp sh -c 'df -k /tmp | tail -1 | tr -s \" \" | cut -d\" \" -f2; head -c 2000000 /dev/zero >/tmp/x 2>/dev/null; stat -c %s /tmp/x'"
same dir "\$B $parts --dir /a/b/c --perms 0700 --dir /a/d stat -c '%a %F %n' /a /a/b /a/b/c /a/d"
same file "\$B $parts --file 5 /tmp/f --perms 0640 --file 6 /tmp/g sh -c 'cat /tmp/f /tmp/g; stat -c %a /tmp/f /tmp/g' 5<<<five 6<<<six"
same data "\$B $parts --bind-data 5 /tmp/f --ro-bind-data 6 /tmp/g --perms 0444 --ro-bind-data 7 /tmp/h sh -c 'cat /tmp/f /tmp/g; stat -c %a /tmp/f /tmp/g /tmp/h; echo x >>/tmp/f; echo \$?; cat /tmp/f; (echo x >>/tmp/g) 2>/dev/null; echo \$?' 5<<<five 6<<<six 7<<<seven"
same symlink "\$B $parts --symlink some/where /tmp/l readlink /tmp/l"
same symlink-there "\$B $parts --symlink a /tmp/l --symlink a /tmp/l true"
same chmod "\$B $parts --dir /tmp/d --chmod 0123 /tmp/d stat -c %a /tmp/d"
same chmod-missing "\$B $parts --chmod 0123 /tmp/nothere true"

same setenv "\$B $base --setenv A 'b c' --setenv A d --unsetenv HOME sh -c 'echo \"\$A\" \"\${HOME-none}\"'"
same clearenv "\$B $base --clearenv --setenv PATH /usr/bin:/bin env | sort"
same clearenv-order "\$B $base --setenv X 1 --clearenv --setenv Y 2 /usr/bin/env | sort"
same chdir "\$B $base --chdir /usr/lib sh -c 'pwd; echo \$PWD'"
same chdir-missing "\$B $base --chdir /nosuch true"
same cwd-kept "cd /usr/share; \$B $parts sh -c 'pwd; echo \$PWD'"
same cwd-home "cd \$W; \$B $parts --dir /home/me --setenv HOME /home/me sh -c 'pwd; echo \$PWD'"
same cwd-root "cd \$W; \$B $parts --setenv HOME /home/none sh -c 'pwd; echo \$PWD'"
same hostname "\$B $base --unshare-uts --hostname inner sh -c 'hostname'"
same hostname-own "\$B $base hostname"
same hostname-alone "\$B $base --hostname inner true"
same unshare-all "\$B $base --unshare-all sh -c 'ls /sys >/dev/null; cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d \" \"'"
same share-net "\$B $base --unshare-all --share-net true"
same as-pid-1 "\$B $base --unshare-pid --as-pid-1 sh -c 'echo \$\$'"
same pids "\$B --ro-bind / / --unshare-pid --as-pid-1 --proc /proc sh -c 'all=\$(ls /proc); echo \"\$all\" | grep -c \"^[0-9]*\$\"'"
same uid-alone "\$B $base --uid 5 true"
same uid "\$B $base --unshare-user --uid 1234 --gid 4321 sh -c 'id -u; id -g; grep CapEff /proc/self/status'"
same uid-files "\$B $parts --unshare-user --uid 1234 --gid 4321 --file 5 /tmp/f sh -c 'touch /tmp/x; stat -c \"%u %g %n\" / /tmp /tmp/f /tmp/x /run/user/0' 5<<<five"
same caps-none-user "\$B $base --unshare-user --cap-drop ALL grep Cap /proc/self/status"
same caps-none "\$B $base --cap-drop ALL grep -v CapBnd /proc/self/status | grep Cap"
same caps-one "\$B $base --cap-drop ALL --cap-add CAP_NET_RAW grep -E 'CapEff|CapPrm|CapInh|CapAmb' /proc/self/status"
same caps-bad "\$B $base --cap-add CAP_NOSUCH true"
same new-session "\$B $base --new-session sh -c 'exit 3'"
same die-with-parent "\$B $base --die-with-parent sh -c 'exit 4'"
same args "printf '%s\\0' --tmpfs /tmp --setenv A fromfd --dir /tmp/d >\$W/args; \$B $base --args 5 sh -c 'echo \$A; ls /tmp' 5<\$W/args"
same args-bad "printf '%s\\0' --bind /tmp >\$W/args; \$B $base --args 5 true 5<\$W/args"
same args-closed "\$B $base --args 77 true"
same lock "\$B $base --bind \$W/rw /mnt --lock-file /mnt/file sh -c 'exit 5'"
same lock-held "\$B $base --bind \$W/rw /mnt --lock-file /mnt/file sh -c 'echo up; sleep 3' | (read -r x; python3 -c \"import fcntl; f = open('\$W/rw/file', 'r+')
try: fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB); print('free')
except OSError: print('held')\")"
same lock-missing "\$B $base --lock-file /nosuch true"
same sync "mkfifo \$W/p; (exec 5>\$W/p; \$B $base --sync-fd 5 sh -c 'echo x >&5' 2>/dev/null; echo \$?) & cat \$W/p; wait; rm \$W/p"
same block "mkfifo \$W/p; (sleep 0.3; echo first; echo >\$W/p) & \$B $base --block-fd 5 echo second 5<>\$W/p; wait; rm \$W/p"
same info "\$B $base --unshare-all --info-fd 5 true 5>\$W/info; python3 -c \"import json; d = json.load(open('\$W/info')); print(sorted(d), all(isinstance(v, int) for v in d.values()))\""
same status-fd "\$B $base --json-status-fd 5 sh -c 'exit 9' 5>\$W/info; python3 -c \"import json; print([sorted(json.loads(x)) for x in open('\$W/info')], open('\$W/info').readlines()[-1])\""
# A filter that refuses mkdir with EACCES and lets the rest through.
python3 - "$tmp/w/filter" <<'P'
import struct, sys
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 83), (0x06, 0, 0, 0x00050000 | 13), (0x06, 0, 0, 0x7fff0000)]
open(sys.argv[1], "wb").write(b"".join(struct.pack("<HBBI", *c) for c in code))
P
same seccomp "\$B $base --tmpfs /tmp --seccomp 5 sh -c 'mkdir /tmp/d 2>/dev/null; echo \$?; touch /tmp/x; echo \$?; grep Seccomp: /proc/self/status' 5<\$W/filter"
same seccomp-bad "\$B $base --seccomp 5 true 5<\$W/ro/file"
same opt-order "\$B --tmpfs /tmp --ro-bind / / --proc /proc --dev /dev sh -c 'ls -d /usr'"
same gcc "\$B $parts --bind \$W/rw /tmp/w --chdir /tmp/w sh -c 'echo \"int main(void){return 42;}\" >t.c; gcc -o t t.c && ./t; echo \$?'; rm -f \$W/rw/t \$W/rw/t.c"
same python "\$B $parts --unshare-all python3 -c 'import os; print(sorted(os.listdir(\"/\")), os.getcwd())'"

# As an ordinary user.
chmod -R a+rX "$tmp/w" "$tmp/bin"
cp "$1" "$tmp/bin/runsc" && chmod 755 "$tmp/bin/runsc"
sed -i "s,exec $1 ,exec $tmp/bin/runsc ,;s,^exec,exec," "$ours"
user='setpriv --reuid=1234 --regid=1234 --clear-groups'
if $user "$real" --ro-bind / / true 2>/dev/null; then
    same user "$user \$B $base sh -c 'id -u; id -g; touch /etc/x 2>/dev/null; echo \$?; cat /etc/shadow 2>/dev/null; echo \$?'"
    same user-parts "$user \$B $parts --unshare-all --die-with-parent sh -c 'touch /tmp/x /x; stat -c \"%u %g %a %n\" / /tmp /tmp/x /var; exit 6'"
    same user-caps "$user \$B $base grep Cap /proc/self/status"
else
    echo "SKIP ordinary users: bubblewrap does not run for them here"
fi

# What is not there fails with its name.
for o in '--userns 3' '--pidns 3' '--userns2 3' '--exec-label x' '--file-label x' '--userns-block-fd 3'; do
    expect "refused $o" 1 "${o%% *} is not supported" "$ours" $o --ro-bind / / true
done
expect host-device 1 "the host's devices are not supported" "$ours" --dev-bind /dev/vda /x true
expect host-proc 1 "the host's /proc is not supported" "$ours" --bind /proc/sys /x true
expect two-filters 1 'more than one filter' sh -c "$ours $base --seccomp 5 --add-seccomp-fd 6 true 5<$tmp/w/filter 6<$tmp/w/filter"
expect no-userns 1 '' "$ours" --ro-bind / / --unshare-user --disable-userns unshare -U true
# Called by its name.
ln -s "$(realpath "$1")" "$tmp/bin/link" && mkdir "$tmp/named" && ln -s "$(realpath "$1")" "$tmp/named/bwrap"
expect by-name 3 '' "$tmp/named/bwrap" --unshare-all --ro-bind / / sh -c 'exit 3'
expect by-name-version 0 '^bubblewrap 0.8.0$' "$tmp/named/bwrap" --version
cd /
finish
