mkdir p; cd p
cat >main.c <<'X'
#include <stdio.h>
#include "lib.h"
int main(void) { printf("%d %d\n", twice(21), thrice(5)); return 0; }
X
echo 'int twice(int); int thrice(int);' >lib.h
echo '#include "lib.h"
int twice(int x) { return 2 * x; }' >a.c
echo '#include "lib.h"
int thrice(int x) { return 3 * x; }' >b.c
printf 'CFLAGS=-O2 -Wall\nprog: main.o a.o b.o\n\t$(CC) -o $@ $^\nclean:\n\trm -f *.o prog\n' >Makefile
make -j2 2>&1 | sort; ./prog; make; make clean; ls
echo 'int main(void) { return *(volatile int *)0; }' >crash.c; gcc -o crash crash.c; ./crash; echo $?
echo 'error' >bad.c; gcc -c bad.c 2>/dev/null; echo $?; gcc -static -O1 -o sprog main.c a.c b.c && ./sprog
