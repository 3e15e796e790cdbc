#!/usr/bin/env python3
"""runsc check against programs whose calls are known, calls that were seen, and files that are broken: check.py RUNSC"""
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
RUNSC = os.path.realpath(sys.argv[1])
WORK = tempfile.mkdtemp(prefix="cvisor-check-test-")
failures = 0


def check(what, ok, shown=""):
    global failures
    print(("ok   " if ok else "FAIL ") + what, flush=True)
    if not ok:
        failures += 1
        print("     %s" % str(shown)[:2000], flush=True)


def path(*names):
    return os.path.join(WORK, *names)


def cc(*args):
    subprocess.run(["cc", "-w"] + list(args), check=True)


def run(program, *options):
    r = subprocess.run([RUNSC, "check", *options, program], capture_output=True, timeout=150, stdin=subprocess.DEVNULL)
    return r.returncode, r.stdout, r.stderr


def report(program, *options):
    status, out, err = run(program, "--format", "json", *options)
    try:
        return status, json.loads(out)
    except ValueError:
        return status, {"calls": [], "problems": [], "notes": [], "unknown": {}, "files": [], "error": err}


def names(r):
    return {c["name"] for c in r["calls"]}


def test_known():
    want = {"getpid", "read", "getuid", "getgid", "geteuid", "sync", "vhangup", "exit"}
    for name, flags in (("static", ["-static"]), ("pie", ["-fPIE", "-static-pie"]), ("stripped", ["-static", "-s"])):
        program = path(name)
        cc("-O1", "-fno-inline", "-nostdlib", "-ffreestanding", *flags, "-o", program, os.path.join(HERE, "calls.c"))
        status, r = report(program)
        # Without any table of functions, who calls whom is not seen in so small a program.
        lost, unknown = ({"sync", "vhangup"}, 2) if name == "stripped" else (set(), 1)
        check("%s: the calls" % name, status == 0 and names(r) == want - lost, (status, names(r) ^ want, r))
        check("%s: what is not known is said" % name, r["unknown"]["count"] == unknown and r["no_such_call"]["count"] == 1, r["unknown"])
        check("%s: 32-bit calls" % name, any("int 0x80" in n for n in r["notes"]), r["notes"])
    check("where a call is made", [c["first"]["function"] for c in report(path("static"))[1]["calls"] if c["name"] == "getpid"] == ["plain"])
    status, out, _ = run(path("static"))
    check("as a table", status == 0 and b"getpid" in out and b"from_memory" in out, out)


def test_seen():
    """Calls that programs make are among those they can make."""
    log = path("log")
    for command in (["/bin/true"], ["/bin/ls", "-l", "/etc"], ["/bin/sh", "-c", "/bin/true; kill -0 $$; trap : USR1; kill -USR1 $$"],
                    ["/bin/cat", "/etc/passwd"], [sys.executable, "-c", "import threading; threading.Thread(target=print).start()"]):
        subprocess.run([RUNSC, "--network=none", "--platform=ptrace", "--strace-format=json", "--strace", "--log", log, "do", "--"] + command,
                       capture_output=True, stdin=subprocess.DEVNULL, timeout=100)
        calls = [json.loads(line) for line in open(log)]
        seen = {c["name"] for c in calls if c.get("pid") == 1 and "name" in c}
        os.unlink(log)
        status, r = report(os.path.realpath(command[0]))
        check("%s can make the %d calls it was seen to make" % (os.path.basename(command[0]), len(seen)),
              status == 0 and len(seen) > 5 and seen <= names(r), seen - names(r))


def test_libraries():
    os.makedirs(path("root", "opt", "lib"))
    open(path("lib.c"), "w").write("long syscall(long, ...); long f(void) { return syscall(41); } long unused(void) { return syscall(101); }\n"
                                   "extern long g(void); long (*unasked)(void) = unused;\n")
    open(path("main.c"), "w").write("long f(void); int main(void) { return f(); }\n")
    cc("-shared", "-fPIC", "-o", path("root", "opt", "lib", "libf.so"), path("lib.c"))
    cc("-o", path("root", "opt", "prog"), path("main.c"), "-L" + path("root", "opt", "lib"), "-lf", "-Wl,--enable-new-dtags",
       "-Wl,-rpath,$ORIGIN/lib", "-Wl,--unresolved-symbols=ignore-all")
    status, r = report(path("root", "opt", "prog"))
    check("a library by $ORIGIN", status == 0 and any(f.endswith("/opt/lib/libf.so") for f in r["files"]), r)
    check("its calls, by the number given to libc's syscall()", "socket" in names(r), names(r))
    check("but not those that nothing leads to", "ptrace" not in names(r), names(r))
    status, r = report("/opt/prog", "--root", path("root"))
    check("within a root nothing of the host's is found", status == 1 and any("libc.so.6" in p for p in r["problems"]) and
          any("loader" in p for p in r["problems"]) and "/opt/lib/libf.so" in r["files"], r)
    os.symlink("/opt/prog", path("root", "link"))
    check("links lead within the root", report("/link", "--root", path("root"))[0] == 1)
    os.unlink(path("root", "opt", "lib", "libf.so"))
    status, r = report(path("root", "opt", "prog"))
    check("a library that is missing", status == 1 and any("libf.so" in p for p in r["problems"]), r["problems"])
    open(path("script"), "w").write("#! /bin/sh -e\ntrue\n")
    status, r = report(path("script"))
    check("a script", status == 0 and any("script" in n for n in r["notes"]) and "execve" in names(r), r["notes"])


def patched(data, *changes):
    data = bytearray(data)
    for at, value in changes:
        data[at:at + len(value)] = value
    return bytes(data)


def test_others():
    data = open(path("static"), "rb").read()
    for name, text, words in (("32-bit", patched(data, (4, b"\1")), "32-bit"), ("another processor", patched(data, (18, b"\xb7\0")), "processor"),
                              ("an object", patched(data, (16, b"\1\0")), "neither"), ("a text", b"hello", "not an ELF"),
                              ("another system", patched(data, (7, b"\x09")), "Linux"), ("nothing", b"", "")):
        open(path("other"), "wb").write(text)
        status, r = report(path("other"))
        check("%s does not run" % name, status == 1 and r["problems"] and words in r["problems"][0], (status, r))
    check("a file that is not there", report(path("nowhere"))[0] == 1)
    for args in ([], ["--format", "xml", "/bin/true"], ["--nosuch"], ["--root", "/nonexistent", "x"]):
        r = subprocess.run([RUNSC, "check"] + args, capture_output=True)
        check("usage: %s" % " ".join(args), r.returncode == 2 and r.stderr.startswith(b"runsc: "), r)


def test_broken():
    """Small changes anywhere in files: an answer each time, never a death."""
    rnd = random.Random(1)
    files = [open(f, "rb").read() for f in (path("static"), path("pie"), "/bin/true")]
    bad = []
    for i in range(240):
        data = bytearray(rnd.choice(files))
        for _ in range(rnd.randint(1, 12)):
            at = rnd.randrange(64 + 56 * 12) if rnd.random() < 0.6 else rnd.randrange(len(data))
            value = rnd.choice([b"\0", b"\xff", b"\x7f", b"\x80" * 4, b"\xff" * 8, struct.pack("<Q", rnd.getrandbits(rnd.randint(1, 64)))])
            data[at:at + len(value)] = value
        data = data[:rnd.choice([len(data), len(data), rnd.randrange(len(data))])]
        open(path("broken"), "wb").write(data)
        status, out, err = run(path("broken"), "--format", "json")
        try:
            json.loads(out.decode("utf-8"))
        except ValueError:
            bad.append((i, status, err))
    check("broken files are answered", not bad, bad)


def test_hostile_names():
    data = open(path("root", "opt", "prog"), "rb").read()
    assert data.count(b"libf.so\0") == 1
    open(path("evil"), "wb").write(data.replace(b"libf.so\0", b'\x1b[2J"\xff<\0'))
    status, out, _ = run(path("evil"))
    check("hostile names in a table", status == 1 and b"\x1b" not in out and b"\xff" not in out, out)
    status, out, _ = run(path("evil"), "--format", "json")
    check("hostile names in JSON", status == 1 and b"\x1b" not in out and json.loads(out.decode("utf-8"))["problems"], out)


try:
    for test in (test_known, test_seen, test_libraries, test_others, test_broken, test_hostile_names):
        test()
finally:
    shutil.rmtree(WORK, ignore_errors=True)
sys.exit(1 if failures else 0)
