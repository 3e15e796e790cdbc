# What programs read in /sys: the CPUs. How they are grouped is the machine's own affair: names only.
nproc
getconf _NPROCESSORS_ONLN
cd /sys/devices/system || exit 1
cat cpu/online
ls -d cpu/cpu0 node/node0 cpu/cpu0/topology
for f in core_id physical_package_id thread_siblings thread_siblings_list core_siblings core_siblings_list; do
    [ -s cpu/cpu0/topology/$f ] && cat cpu/cpu0/topology/$f >/dev/null && echo $f
done
stat -c '%F %s %a %u %g %b' cpu/online
stat -f -c %T cpu
dd if=cpu/online bs=1 skip=1 2>/dev/null
tail -c 2 cpu/online
cat cpu/cpu9999/online cpu/cpu00/topology cpu/nothing 2>&1
cat /sys/kernel/address_bits /sys/kernel/cpu_byteorder
stat -c '%F %a' /sys
for d in block bus class dev devices firmware fs kernel module power fs/cgroup kernel/security; do
    [ -d /sys/$d ] && echo $d
done
grep sysfs /proc/filesystems
python3 -c 'import os; print(os.cpu_count(), len(os.sched_getaffinity(0)))'
