# util-linux's unshare and nsenter: a shell as process 1 of a pid namespace with its own /proc, names, and one that comes in later.
unshare -p -u -m -f true 2>/dev/null || exit 77
unshare -p -f --mount-proc sh -c 'echo "I am $$ of $PPID"; ls /proc > list; grep -c "^[0-9]*$" list; ps -o comm= -p 1; (exec sh -c "echo child \$PPID"); echo done'
unshare -p -f sh -c 'kill -TERM 1; kill -KILL 1; echo "still $$"; sleep 100 & exit 3'; echo "status $?"
unshare -p -f --kill-child sh -c 'sh -c "kill -9 \$\$"; echo "status $?"'
unshare -u sh -c 'hostname elsewhere; hostname; cat /proc/sys/kernel/hostname'
test "$(hostname)" != elsewhere && echo "names are apart"
mkfifo go end
unshare -p -u -f --mount-proc sh -c 'hostname inner; echo > go; read x < end' &
maker=$!
read x < go
init=$(cat /proc/$maker/task/$maker/children)
nsenter -t $init -p -m -u sh -c 'hostname; test $$ -gt 1 && kill -0 1 && echo "in, with parent $PPID"; ls -d /proc/1 /proc/self/ns/pid'
echo > end
wait $maker
echo "status $?"
