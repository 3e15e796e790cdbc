"""Containers with terminals, over a console socket and from a terminal of the caller's. Arguments: runsc options, root, bundle."""
import array
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time

runsc, root, bundle = sys.argv[1].split(), sys.argv[2], sys.argv[3]
oci = runsc + ["--root", root]
failed = 0


def check(name, ok, seen=""):
    global failed
    if not ok:
        failed += 1
        print("FAIL", name, repr(seen))


def config(args, **process):
    path = os.path.join(bundle, "config.json")
    c = json.load(open(path))
    c["process"].update(args=args, terminal=True, **process)
    json.dump(c, open(path, "w"))


def listen(name):
    path = os.path.join(os.path.dirname(root), name)
    if os.path.exists(path):
        os.unlink(path)
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen(1)
    s.settimeout(20)
    return s, path


def receive(s):
    c, _ = s.accept()
    message, control, _, _ = c.recvmsg(256, socket.CMSG_SPACE(4))
    c.close()
    fds = array.array("i")
    fds.frombytes(control[0][2][:4])
    return fds[0], message


def read_until(fd, pattern, seconds=20):
    seen = b""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not re.search(pattern, seen):
        if select.select([fd], [], [], 0.2)[0]:
            try:
                data = os.read(fd, 4096)
            except OSError:
                break
            if not data:
                break
            seen += data
    return seen


def run(*args, **kw):
    return subprocess.run(oci + list(args), timeout=60, stdin=subprocess.DEVNULL, capture_output=True, **kw)


def resize(fd, rows, cols):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


# create with a console socket: size, resize, signals from keys, status, the end of the terminal.
config(["sh", "-c", "tty; stty size; trap 'stty size' WINCH; trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.1; done"],
       consoleSize={"height": 33, "width": 77})
s, path = listen("console.sock")
r = run("create", "-b", bundle, "--console-socket", path, "--pid-file", path + ".pid", "t1")
check("create", r.returncode == 0, r)
master, name = receive(s)
check("name", name.startswith(b"/dev/pts/"), name)
check("start", run("start", "t1").returncode == 0)
seen = read_until(master, rb"ready")
check("tty", b"/dev/pts/0" in seen, seen)
check("size", b"33 77" in seen, seen)
resize(master, 44, 88)
seen = read_until(master, rb"44 88")
check("winch", b"44 88" in seen, seen)
# exec with a terminal of its own, detached
s2, path2 = listen("exec.sock")
r = run("exec", "-t", "-d", "--console-socket", path2, "--pid-file", path + ".exec", "t1", "sh", "-c",
        "tty; trap 'stty size' WINCH; echo go; read x; echo got $x; while :; do sleep 0.1; done")
check("exec", r.returncode == 0, r)
exec_master, _ = receive(s2)
seen = read_until(exec_master, rb"go\r\n")
check("exec-tty", b"/dev/pts/1" in seen, seen)
os.write(exec_master, b"typed\r")
seen = read_until(exec_master, rb"got")
check("exec-read", b"typed\r\n" in seen, seen)
resize(exec_master, 12, 34)
seen = read_until(exec_master, rb"12 34")
check("exec-winch", b"12 34" in seen, seen)
os.write(exec_master, b"\x03")
pid = int(open(path + ".exec").read())
for _ in range(200):
    if not os.path.exists("/proc/%d" % pid) or open("/proc/%d/stat" % pid).read().split(")")[1].split()[0] == "Z":
        break
    time.sleep(0.05)
else:
    check("exec-interrupt", False)
seen = read_until(exec_master, rb"$^", 2)
os.close(exec_master)
os.write(master, b"\x03")
seen = read_until(master, rb"interrupted")
check("interrupt", b"interrupted" in seen, seen)
r = run("wait", "t1")
check("status", r.stdout == b"3\n", r)
os.close(master)
check("delete", run("delete", "t1").returncode == 0)

# The master's end: the shell is hung up.
config(["sh", "-c", "trap 'exit 5' HUP; echo ready; while :; do sleep 0.1; done"])
s, path = listen("console.sock")
check("hangup-create", run("run", "-d", "-b", bundle, "--console-socket", path, "t2").returncode == 0)
master, _ = receive(s)
read_until(master, rb"ready")
os.close(master)
r = run("wait", "t2")
check("hangup", r.stdout == b"5\n", r)
run("delete", "-f", "t2")

# Without a console socket.
r = run("create", "-b", bundle, "t3")
check("no-socket", r.returncode == 1 and b"without setting console socket" in r.stderr, r)
r = run("create", "-b", bundle, "--console-socket", "/no/such", "t3")
check("bad-socket", r.returncode == 1 and b"cannot connect to the socket" in r.stderr, r)
check("bad-socket-undone", run("state", "t3").returncode == 1)
# The foreground, our stdin no terminal: copied.
config(["sh", "-c", "tty; read x; echo got $x; exit 4"])
r = subprocess.run(oci + ["run", "-b", bundle, "t3"], input=b"line\n", capture_output=True, timeout=60)
check("relay", r.returncode == 4 and b"/dev/pts/0" in r.stdout and b"got line" in r.stdout, r)


def in_terminal(args):
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(args[0], args)
    return pid, fd


# The foreground, in a terminal.
pid, fd = in_terminal(oci + ["run", "-b", bundle, "t3"])
resize(fd, 20, 60)
seen = read_until(fd, rb"pts/0")
os.write(fd, b"hello\r")
seen += read_until(fd, rb"got hello")
check("terminal", b"got hello" in seen, seen)
check("terminal-status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4)
os.close(fd)
config(["sleep", "1000"])
s, path = listen("console.sock")
run("run", "-d", "-b", bundle, "--console-socket", path, "t4")
master, _ = receive(s)
pid, fd = in_terminal(oci + ["exec", "-t", "t4", "sh", "-c", "trap 'stty size; exit 6' WINCH; echo ready; while :; do sleep 0.1; done"])
read_until(fd, rb"ready")
resize(fd, 21, 61)
seen = read_until(fd, rb"21 61")
check("exec-terminal", b"21 61" in seen, seen)
check("exec-terminal-status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 6)
r = subprocess.run(oci + ["exec", "-t", "t4", "sh", "-c", "read x; echo got $x; tty"], input=b"piped\n", capture_output=True, timeout=60)
check("exec-relay", b"got piped" in r.stdout and b"/dev/pts/" in r.stdout, r)
run("delete", "-f", "t4")

# pidfd socket, and stopping `do` stops the guest.
c = json.load(open(os.path.join(bundle, "config.json")))
c["process"].update(terminal=False, args=["sleep", "1000"])
json.dump(c, open(os.path.join(bundle, "config.json"), "w"))
s, path = listen("pidfd.sock")
r = subprocess.run(oci + ["run", "-d", "-b", bundle, "--pidfd-socket", path, "t5"], timeout=60, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
pidfd, _ = receive(s)
signal.pidfd_send_signal(pidfd, signal.SIGKILL)
check("pidfd", run("wait", "t5").stdout == b"137\n")
run("delete", "t5")
p = subprocess.Popen(runsc + ["do", "--", "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"], stdout=subprocess.PIPE)
p.stdout.readline()
os.kill(p.pid, signal.SIGTSTP)
pid, status = os.waitpid(p.pid, os.WUNTRACED)
check("do-stops", os.WIFSTOPPED(status), status)
time.sleep(0.3)
fcntl.fcntl(p.stdout, fcntl.F_SETFL, os.O_NONBLOCK)
p.stdout.read()
time.sleep(0.4)
check("do-stopped", not p.stdout.read(), "it went on")
os.kill(p.pid, signal.SIGCONT)
check("do-continues", bool(read_until(p.stdout.fileno(), rb"\d")))
p.kill()
p.wait()
print("failed" if failed else "ok")
sys.exit(failed != 0)
