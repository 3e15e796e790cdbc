export LC_ALL=C
printf 'b 2\na 1\nc 3\n' >in
cat in; tac in; sort in; sort -k2n in; uniq in; wc in; head -n1 in; tail -n1 in; cut -d' ' -f2 in; tr a-z A-Z <in; nl in
paste in in; join in in; comm in in; expand in; fold -w2 in; fmt in; od -c in | head -2; base64 in; md5sum in; sha256sum in; cksum in
basename /a/b.c .c; dirname /a/b; expr 6 \* 7; seq 3; factor 360; printf '%05d\n' 42; echo done; test -f in && echo yes
mkdir -p d/e; cp in d/e/; cp -r d d2; mv d2 d3; ls -1 d3/e; ln in hard; ln -s in soft; readlink soft; stat -c '%s %h %F' hard soft; rm hard soft
touch -d '2020-01-02 03:04:05 UTC' t; stat -c %Y t; chmod 640 t; stat -c %a t; truncate -s 100 t; stat -c %s t; dd if=/dev/zero of=z bs=1k count=3 2>/dev/null; wc -c <z
split -l1 in part; ls part*; cat part* | cmp - in && echo same; install -m 755 in inst; stat -c %a inst; mktemp -u XXXX | wc -c
rmdir d/e 2>/dev/null; echo $?; rm -r d d3; ls; true; false; echo $?; env -i A=b env; id -u; whoami; uname -s; uname -m; date -u -d @0; sleep 0.01; timeout 0.1 sleep 5; echo $?
du -s in | cut -f2; df . >/dev/null; echo $?; sync; nproc >/dev/null; tee o <in >/dev/null; cmp in o; shuf -n0 in; csplit -s in 2; ls xx*; tsort <<X
a b
X
mkfifo p; (echo via fifo >p &) ; cat p; realpath --relative-to=/ /usr/../bin >/dev/null; echo $?; pathchk in; yes | head -2; vdir in | wc -l; dir; numfmt --to=iec 2048
