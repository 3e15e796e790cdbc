export LC_ALL=C
printf 'one two\nthree\tfour\n' >in
arch; b2sum in; base32 in; basenc --base16 in; sum in; sha1sum in; sha224sum in; sha384sum in; sha512sum in; md5sum -c <<X
$(md5sum in)
X
chgrp 0 in; chown 0:0 in; stat -c '%u %g' in; chmod u=rwx,go= in; stat -c %A in; chroot / /bin/echo chrooted; date -u -d '2001-02-03 04:05:06' '+%s %A'
dircolors -b | head -1; groups; id -un; id -G; id; hostid | wc -c; link in lnk; unlink lnk; ls; mknod null c 1 3; echo x >null; wc -c null; mknod fi p; test -p fi && echo fifo
nice -n 19 nice; nohup echo nohup 2>/dev/null; pr -t in; printenv HOME; ptx in; pwd | wc -l; shred -n1 -z in && wc -c in; stdbuf -oL echo buffered
unexpand -a in | wc -c; users | wc -l; who | wc -l; tty; echo $?; stty -a 2>&1 | head -1; printf '%s|%5.2f|%x\n' str 3.14159 255; seq -s, 5; seq 1 0.5 3
sleep 0.01 && echo slept; env -u HOME printenv HOME; echo $?; cut -c1-3 in >/dev/null; expr length hello; expr substr hello 2 3; [ 1 -lt 2 ] && echo less; test -d . -a -w . && echo dir
cp -a --sparse=always in sparse; cmp in sparse; cp -l in hard2; cp -s "$PWD/in" soft2; ls -l soft2 | cut -c1; mv -n in hard2; mv hard2 moved; ls -1 | wc -l; rm -f moved soft2; touch a b c; rm -- a b c; ls
mkdir -m 700 -p x/y/z; stat -c %a x/y/z; rmdir -p x/y/z; ls -d x 2>&1; dd if=/dev/zero bs=512 count=4 2>/dev/null | wc -c; head -c 5 /dev/zero | od -An -tx1; tail -c 3 sparse | wc -c; tac -s' ' <<X
a b c
X
kill -l 9; timeout -s INT 0.2 sleep 3; echo $?; timeout 5 true; echo $?; df -k . | wc -l; du -sk . | wc -l; sync .; nproc --all >/dev/null && echo nproc; getconf PAGE_SIZE; readlink -f /proc/self/cwd | wc -l; realpath . | wc -l
