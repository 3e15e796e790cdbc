busybox sh -c 'seq 1 2000 | grep 7 | sort -rn | head -5; echo a b c | tr " " "\n" | wc -l; (echo x; exit 3) | cat; echo $?'
busybox sh -c 'f() { echo in $1; return 4; }; f one; echo $?; for i in 1 2 3; do echo $i; done | tail -1; cat <<X | tac
first
second
X'
busybox sh -c 'yes | head -1000 | wc -c; echo hello >t; cat t t >u; wc -c <u; rm t u; ls'
