#!/bin/bash
# Core files: what gdb and eu-readelf find in them, where they go, what keeps them from being written. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/../oci/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
for tool in gdb eu-readelf cc; do
    command -v $tool >/dev/null || { echo "SKIP no $tool"; exit 77; }
done
cc -O1 -g -fno-omit-frame-pointer -pthread -o "$tmp/crasher" "$here/crasher.c" || exit 1
mkdir "$tmp/cores"
do_="timeout -s KILL 60 $1 --platform $2 --network none"
newest() { ls -t "$tmp"/cores/* | head -1; }
with_gdb() { timeout -s KILL 60 gdb -nx -batch "$@" "$tmp/crasher" "$core" 2>&1; }

# The host's directory.
expect segv 139 '' $do_ --coredump-dir "$tmp/cores" do -- "$tmp/crasher" segv
core=$(newest)
expect signal 0 'Program terminated with signal SIGSEGV' with_gdb
expect frames 0 'in main (argc=' with_gdb -ex bt
expect frame 0 '^#0 .*dies (how=0x[0-9a-f]* "segv")' with_gdb -ex bt
expect three 0 '^\* 1 .*' with_gdb -ex 'info threads'
expect caller 0 'waits_in_call' with_gdb -ex 'thread apply all bt'
expect spinner 0 ' spins ()' with_gdb -ex 'thread apply all bt'
expect registers 0 '^rip .*<dies+' with_gdb -ex 'info registers'
expect address 0 'si_addr = 0x8' with_gdb -ex 'p $_siginfo._sifields._sigfault'
expect libraries 0 'libc.so.6' with_gdb -ex 'info sharedlibrary'
expect vectors 0 'v2_int64' with_gdb -ex 'p $xmm0'
expect notes 0 'fname: crasher, psargs: .*crasher segv' eu-readelf -n "$core"
expect readelf 0 'X86_XSTATE' eu-readelf -n "$core"
expect headers 0 'CORE (Core file)' eu-readelf -hl "$core"
for how in abort:6 ill:4 fpe:8 quit:3; do
    expect "$how" $((128 + ${how#*:})) '' $do_ --coredump-dir "$tmp/cores" do -- "$tmp/crasher" ${how%:*} 65536
    core=$(newest)
    expect "$how-gdb" 0 'terminated with signal' with_gdb
    expect "$how-stack" 0 'dies (' with_gdb -ex bt
    # 64 GiB were reserved: the file is that long, and takes little.
    expect "$how-sparse" 0 '' test "$(du -m "$core" | cut -f1)" -lt 8
    rm -f "$core"
done
expect limited 139 '' $do_ --coredump-dir "$tmp/cores" --coredump-limit 1 do -- "$tmp/crasher" segv
expect bad-limit 1 'coredump-limit' $do_ --coredump-dir "$tmp/cores" --coredump-limit 0 do -- true
expect no-directory 1 'cannot open directory' $do_ --coredump-dir "$tmp/none" do -- true

# Inside: names, limits, filters, who may be dumped.
cat >"$tmp/inside.py" <<'P'
import os, resource, signal, struct, sys
crasher, where = sys.argv[1], sys.argv[2]
os.makedirs(where)
os.chdir(where)
def crash(before=lambda: None, how="segv"):
    pid = os.fork()
    if pid == 0:
        before()
        os.execv(crasher, [crasher, how])
    status = os.waitpid(pid, 0)[1]
    found = sorted(os.listdir("."))
    sizes = {f: os.stat(f).st_size for f in found}
    for f in found:
        os.unlink(f)
    return pid, os.WTERMSIG(status), os.WCOREDUMP(status), found, sizes
def put(name, value):
    with open(name, "w") as f:
        f.write(value)
def limit(n):
    return lambda: resource.setrlimit(resource.RLIMIT_CORE, (n, n))
unlimited = limit(resource.RLIM_INFINITY)
_, sig, dumped, found, sizes = crash(unlimited)
assert (sig, dumped, found) == (11, True, ["core"]), (sig, dumped, found)
whole = sizes["core"]
assert crash(limit(0))[2:4] == (False, [])
_, sig, dumped, found, sizes = crash(limit(20000))
assert (dumped, found) == (False, ["core"]) and sizes["core"] < whole, (dumped, found, sizes)
put("/proc/sys/kernel/core_uses_pid", "1")
pid, _, dumped, found, _ = crash(unlimited)
assert found == ["core.%d" % pid], found
put("/proc/sys/kernel/core_pattern", "c-%e-%p-%s-%u-%%-%E\n")
assert open("/proc/sys/kernel/core_pattern").read() == "c-%e-%p-%s-%u-%%-%E\n"
pid, _, dumped, found, _ = crash(unlimited, "abort")
assert found == ["c-crasher-%d-6-0-%%-%s" % (pid, os.path.realpath(crasher).replace("/", "!"))], found
try:
    put("/proc/sys/kernel/core_pattern", "|/bin/cat")
    assert False
except OSError as e:
    assert e.errno == 22, e
put("/proc/sys/kernel/core_pattern", "core")
put("/proc/sys/kernel/core_uses_pid", "0")
def filtered():
    unlimited()
    put("/proc/self/coredump_filter", "0x10")
    assert open("/proc/self/coredump_filter").read() == "00000010\n"
_, _, dumped, found, sizes = crash(filtered)
assert dumped and sizes["core"] < whole / 10, (dumped, sizes, whole)
# A second name, a symbolic link, another's file: not written to.
put("other", "kept"), os.symlink("other", "core")
_, _, dumped, _, sizes = crash(unlimited)
assert not dumped and sizes["other"] == 4, (dumped, sizes)
put("other", "kept"), os.link("other", "core")
_, _, dumped, _, sizes = crash(unlimited)
assert not dumped and sizes["other"] == 4, (dumped, sizes)
# Not dumpable.
import ctypes
def undumpable():
    unlimited()
    ctypes.CDLL(None).prctl(4, 0)
    os.kill(os.getpid(), signal.SIGQUIT)
assert crash(undumpable)[1:4] == (3, False, [])
# Killed meanwhile: a large core ends at once.
import mmap
def large():
    unlimited()
    m = mmap.mmap(-1, 512 << 20)
    for i in range(0, len(m), 4096):
        m[i] = 1
    os.kill(os.getpid(), signal.SIGABRT)
pid = os.fork()
if pid == 0:
    large()
while not os.path.exists("core"):
    pass
os.kill(pid, signal.SIGKILL)
status = os.waitpid(pid, 0)[1]
assert os.WTERMSIG(status) == 6 and not os.WCOREDUMP(status), status
assert os.stat("core").st_blocks < (512 << 20) / 512
print("all well")
P
expect inside 0 'all well' $do_ do -- python3 "$tmp/inside.py" "$tmp/crasher" /tmp/here.$$
finish
