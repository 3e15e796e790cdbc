#!/bin/bash
# metric-server and top. Arguments: runsc, platform. promtool, where there is one, reads the metrics too.
set -u
. "$(dirname "$0")/lib.sh"
finish_server() { [ -z "${server:-}" ] || kill "$server" 2>/dev/null; }
trap 'finish_server; cleanup' EXIT

bundle '["sh", "-c", "while :; do test -e /nowhere; done"]'
expect top-none 1 'no container runs' oci top -b
oci create -b "$b" c1 && oci start c1
bundle '["sleep", "1000"]'
oci create -b "$b" c-2 && oci start c-2
oci stats --collect on c1

expect no-socket 1 'says where' oci metric-server
for bad in nowhere 127.0.0.1 127.0.0.1: 1.2.3.4.5:80 '[::1' 127.0.0.1:99999 example.org:80; do
    expect "address-$bad" 1 'invalid metric-socket' oci metric-server --metric-socket "$bad"
done
sock=$tmp/metrics.sock
$oci metric-server --metric-socket "$sock" & server=$!
until_true test -S "$sock"
cat >"$tmp/http.py" <<'P'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.settimeout(30)
try:
    s.sendall(sys.argv[2].encode().decode("unicode_escape").encode("latin1") * int(sys.argv[3] if len(sys.argv) > 3 else 1))
except BrokenPipeError:
    pass
text = b""
while True:
    try:
        part = s.recv(65536)
    except ConnectionResetError:
        break
    if not part:
        break
    text += part
head, _, body = text.partition(b"\r\n\r\n")
sys.stderr.write(head.decode() + "\n")
sys.stdout.write(body.decode())
if b"Content-Length: %d\r\n" % len(body) not in head and not sys.argv[2].startswith("HEAD"):
    sys.stderr.write("wrong length\n")
P
get() { timeout 40 python3 "$tmp/http.py" "$sock" "$@"; }
expect get 0 'HTTP/1.1 200 OK' get 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'
cp "$tmp/out.expect" "$tmp/metrics"
expect length 0 '' sh -c "! grep wrong $tmp/err.expect"
expect sandboxes 0 '^2$' sh -c "grep -c '^cvisor_up{sandbox=\"c[-12]*\"} 1$' $tmp/metrics"
expect memory 0 '' grep -q '^cvisor_memory_bytes{sandbox="c-2",owner="kernel tasks"} [1-9]' "$tmp/metrics"
expect mode 0 '^600$' stat -c %a "$sock"
expect query 0 '200 OK' get 'GET /metrics?x=1 HTTP/1.0\n\n'
expect head 0 '200 OK' get 'HEAD /metrics HTTP/1.1\r\n\r\n'
expect other-path 0 '404 Not Found' get 'GET /etc/passwd HTTP/1.1\r\n\r\n'
expect method 0 '405 Method Not Allowed' get 'POST /metrics HTTP/1.1\r\n\r\n'
expect nonsense 0 '400 Bad Request' get '\x16\x03\x01\r\n\r\n'
expect nul 0 '400 Bad Request' get 'GET /metrics\x00 HTTP/1.1\r\n\r\n'
expect too-large 0 '431 ' get 'GET /metrics HTTP/1.1\r\nx: ' 9000
# Who says nothing holds nobody up.
timeout 30 python3 -c "
import socket, time
l = [socket.socket(socket.AF_UNIX) for _ in range(4)]
[s.connect('$sock') for s in l]
time.sleep(25)" & silent=$!
expect beside-silent 0 '200 OK' get 'GET /metrics HTTP/1.1\r\n\r\n'
kill $silent
# The formats' rules: a family is in one piece, buckets grow, the last is the count.
cat >"$tmp/rules.py" <<'P'
import re, sys
types, families, buckets, counts = {}, [], {}, {}
for line in sys.stdin.read().splitlines():
    if line.startswith("# TYPE "):
        types[line.split()[2]] = line.split()[3]
        families.append(line.split()[2])
    if line.startswith("#"):
        continue
    m = re.fullmatch(r'([a-z_]+)\{((?:[a-z]+="(?:[^"\\]|\\.)*",?)+)\} ([0-9.e+-]+)', line)
    assert m, line
    assert m[1].startswith(families[-1]), line
    if types[families[-1]] == "counter":
        assert m[1].endswith("_total"), line
    if m[1].endswith("_bucket"):
        labels, le = m[2].rsplit(',le="', 1)
        last = buckets.setdefault(labels, [-1.0, -1])
        le = float(le[:-1])
        assert le > last[0] and int(m[3]) >= last[1], line
        buckets[labels] = [le, int(m[3])]
    if types[families[-1]] == "histogram" and m[1].endswith("_count"):
        counts[m[2]] = int(m[3])
assert len(set(families)) == len(families)
assert counts and {k: v[1] for k, v in buckets.items()} == counts and all(v[0] == float("inf") for v in buckets.values())
print(True)
P
expect rules 0 '^True$' sh -c "python3 $tmp/rules.py <$tmp/metrics"
if command -v promtool >/dev/null; then
    expect promtool 0 '' sh -c "promtool check metrics <$tmp/metrics"
    expect promtool-one 0 '' sh -c "$oci export-metrics c1 | promtool check metrics"
fi
expect busy 1 'cannot listen' oci metric-server --metric-socket "$sock"
kill "$server"
wait "$server"
expect gone 0 '' test ! -e "$sock"
server=

expect top-which 1 'say which' oci top -b
expect top-no-tty 1 'no terminal' oci top c1
expect top-count 0 '' oci stats --collect off c1
expect top 0 '^CALL  *PER S' oci top -b -n 2 -d 1 c1
cp "$tmp/out.expect" "$tmp/top"
expect top-twice 0 '^2$' grep -c '^c1: 1 processes' "$tmp/top"
expect top-stat 0 '' grep -qE '^(newfstatat|stat|access|faccessat2?) +[1-9]' "$tmp/top"
expect top-memory 0 '' grep -q 'guest private pages [0-9.]*M  guest shared' "$tmp/top"
expect top-restores 0 '"counting":false' oci stats --format json c1
# A name with what a terminal obeys; the terminal is as it was after q and after a signal.
printf '#!/bin/sh\nwhile :; do sleep 1; done\n' >"$b/rootfs/bin/"$'a\033[31mb\x9bc'
chmod +x "$b/rootfs/bin/a"*
bundle '["sh", "-c", "exec /bin/a*"]'
oci create -b "$b" c3 && oci start c3
until_true sh -c "$oci top -b c3 | grep -q 'a.*31mb'"
expect top-escapes 0 'a?\[31mb' oci top -b c3
expect top-ascii 0 '' sh -c "! LC_ALL=C grep -a '[^ -~]' $tmp/out.expect"
cat >"$tmp/screen.py" <<'P'
import os, pty, signal, sys, termios, time
how, command = sys.argv[1], sys.argv[2:]
master, slave = pty.openpty()
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid()
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    os.execvp(command[0], command)
text = b""
while b"PER S" not in text:
    text += os.read(master, 65536)
assert termios.tcgetattr(slave) != before
os.write(master, b"q") if how == "q" else os.kill(pid, getattr(signal, how))
status = None
os.set_blocking(master, False)
while status is None:
    try:
        text += os.read(master, 65536)
    except BlockingIOError:
        time.sleep(0.02)
    done, wait = os.waitpid(pid, os.WNOHANG)
    if done:
        status = wait
try:
    text += os.read(master, 65536)
except BlockingIOError:
    pass
print(termios.tcgetattr(slave) == before and text.endswith(b"\x1b[?25h\x1b[?1049l") and os.waitstatus_to_exitcode(status) == 0)
P
for how in q SIGINT SIGTERM SIGHUP SIGQUIT; do
    expect "top-tty-$how" 0 '^True$' timeout 60 python3 "$tmp/screen.py" $how $oci top -d 100 c1
done
oci delete --force c1
oci delete --force c-2
oci delete --force c3
finish
