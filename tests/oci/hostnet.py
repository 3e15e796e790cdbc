"""--network=host seen from both sides: `server` is the one to talk to, any other argument a case against it. Prints "passed"."""
import ctypes
import errno
import hashlib
import mmap
import os
import select
import signal
import socket
import struct
import sys
import threading

TCP, UDP = ("127.0.0.1", 7001), ("127.0.0.1", 7002)
BLOB = bytes(range(256)) * 4096 * 8  # 8 MiB


def check(ok, what):
    if not ok:
        sys.exit("FAIL " + what)


def fails(number, fn, *args):
    try:
        fn(*args)
    except OSError as e:
        check(e.errno == number, "%s: %s, not %s" % (fn, e, errno.errorcode[number]))
    else:
        sys.exit("FAIL %s: no %s" % (fn, errno.errorcode[number]))


def read_all(s):
    got = []
    while True:
        data = s.recv(1 << 17)
        if not data:
            return b"".join(got)
        got.append(data)


# ---- the other side ----

def serve_one(s):
    """A line says what is wanted: echo until the end, or as told."""
    with s:
        f = s.makefile("rb")
        want = f.readline().strip()
        if want == b"echo":
            data = f.read()
            s.sendall(data)
        elif want == b"hash":
            s.sendall(hashlib.sha256(f.read()).hexdigest().encode())
        elif want == b"blob":
            s.sendall(BLOB)
        elif want == b"reset":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif want == b"mirror":  # what comes goes back at once
            while data := f.read1(1 << 16):
                s.sendall(data)
        elif want == b"steps":  # a byte for each that comes
            while f.read(1):
                s.sendall(b"x")


def serve(s):
    try:
        serve_one(s)
    except ConnectionError:  # some cases end theirs in the middle
        pass


def serve_datagrams(u):
    while True:
        data, who = u.recvfrom(65536)
        u.sendto(data[::-1], who)


def server():
    s = socket.create_server(TCP)
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(UDP)
    threading.Thread(target=serve_datagrams, args=(u,), daemon=True).start()
    print("ready", flush=True)
    while True:
        c, _ = s.accept()
        threading.Thread(target=serve, args=(c,), daemon=True).start()


# ---- cases ----

def ask(want):
    s = socket.create_connection(TCP)
    s.sendall(want + b"\n")
    return s


def stream():
    with ask(b"echo") as s:
        check(s.getpeername() == TCP, "peer's name")
        s.sendall(b"hello")
        s.shutdown(socket.SHUT_WR)  # and still hears the answer
        check(read_all(s) == b"hello", "echo after shutdown")
    with ask(b"hash") as s:
        s.sendall(BLOB)
        s.shutdown(socket.SHUT_WR)
        check(read_all(s) == hashlib.sha256(BLOB).hexdigest().encode(), "8 MiB out")
    with ask(b"blob") as s:
        check(read_all(s) == BLOB, "8 MiB in")
    with ask(b"reset") as s:
        fails(errno.ECONNRESET, s.recv, 1)


def datagrams():
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for size in (0, 1, 1400, 65507):
        data = os.urandom(size)
        u.sendto(data, UDP)
        check(u.recvfrom(65536) == (data[::-1], UDP), "%d bytes" % size)
    fails(errno.EMSGSIZE, u.sendto, bytes(65508), UDP)
    u.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
    u.sendmsg([b"ab"], [(socket.IPPROTO_IP, 8, struct.pack("=i4s4s", 0, socket.inet_aton("127.0.0.1"), bytes(4)))], 0, UDP)
    data, control, flags, _ = u.recvmsg(1, 256)
    check(data == b"b" and flags == socket.MSG_TRUNC, "truncated")
    check(any(c[1] == 8 and c[2][8:] == socket.inet_aton("127.0.0.1") for c in control), "where to: %s" % control)


def refused():
    at = ("127.0.0.1", 7009)
    fails(errno.ECONNREFUSED, socket.create_connection, at)
    s = socket.socket()
    s.setblocking(False)
    check(s.connect_ex(at) in (errno.EINPROGRESS, errno.ECONNREFUSED), "connect")
    p = select.poll()
    p.register(s, select.POLLOUT)
    check(p.poll() == [(s.fileno(), select.POLLOUT | select.POLLERR | select.POLLHUP)], "poll after it")
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.connect(at)
    u.send(b"x")
    p = select.poll()
    p.register(u, select.POLLIN)
    check(p.poll()[0][1] & select.POLLERR, "poll after a refused datagram")
    fails(errno.ECONNREFUSED, u.recv, 1)


def ready():
    """Level and edge, several sockets at once, one more event for each byte that comes."""
    some = [ask(b"steps") for _ in range(20)]
    for how in (0, select.EPOLLET):
        e = select.epoll()
        for s in some:
            e.register(s, select.EPOLLIN | how)
        check(e.poll(0) == [], "nothing yet")
        for s in some:
            s.sendall(b"1")
            check([fd for fd, _ in e.poll()] == [s.fileno()], "the one that was written to")
            if how:  # not read: another byte is another edge
                check(e.poll(0) == [], "no edge")
                s.sendall(b"2")
                check([fd for fd, _ in e.poll()] == [s.fileno()], "the second edge")
                check(s.recv(2, socket.MSG_WAITALL) == b"xx", "both")
            else:
                check(e.poll(0) != [], "still")
                check(s.recv(9) == b"x", "one")
                check(e.poll(0) == [], "no more")
    for s in some:
        s.shutdown(socket.SHUT_WR)
    p = select.poll()
    p.register(some[0], select.POLLIN | select.POLLRDHUP)
    while p.poll() != [(some[0].fileno(), select.POLLIN | select.POLLRDHUP | select.POLLHUP)]:
        pass
    full = ask(b"mirror")  # nobody reads its answers: both ways fill up
    full.setblocking(False)
    sent = 0
    try:
        while True:
            sent += full.send(bytes(1 << 16))
    except BlockingIOError:
        pass
    p = select.poll()
    p.register(full, select.POLLIN)
    p.poll()
    full.setblocking(True)
    reader = threading.Thread(target=lambda: check(len(read_all(full)) == sent + 3, "what was sent is answered"))
    reader.start()
    full.sendall(b"end")  # once there is room
    full.shutdown(socket.SHUT_WR)
    reader.join()


def waits():
    """Blocking calls end by data, time, signals and each other's work."""
    l = socket.create_server(("127.0.0.1", 0))
    for _ in range(20):
        done = []
        both = [threading.Thread(target=lambda: done.append(l.accept()[0])) for _ in range(2)]
        for t in both:
            t.start()
        made = [socket.create_connection(l.getsockname()) for _ in range(2)]
        for t in both:
            t.join()
        check(len(done) == 2, "two connections for two that wait")
        for s in made + done:
            s.close()
    s = ask(b"steps")
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 50000))
    fails(errno.EAGAIN, s.recv, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))

    class Rang(Exception):
        pass

    def ring(*_):
        raise Rang

    signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        s.recv(1)
        sys.exit("FAIL recv ended")
    except Rang:
        pass
    if os.fork() == 0:
        s.sendall(b"1")
        os._exit(0)
    check(s.recv(1) == b"x", "a child wrote")
    os.wait()
    t = threading.Thread(target=lambda: check(s.recv(1) == b"", "shut down"))
    t.start()
    s.shutdown(socket.SHUT_RDWR)
    t.join()


def faults():
    """Memory that is not there: nothing of a stream is lost."""
    libc = ctypes.CDLL(None, use_errno=True)
    with ask(b"echo") as s:
        s.sendall(b"whole")
        s.shutdown(socket.SHUT_WR)
        select.select([s], [], [])
        check(libc.recv(s.fileno(), ctypes.c_void_p(8), 5, 0) == -1 and ctypes.get_errno() == errno.EFAULT, "EFAULT")
        check(select.select([s], [], [], 0)[0] == [s], "still readable")
        check(s.recv(2, socket.MSG_PEEK) + s.recv(2) + read_all(s) == b"whwhole", "all of it")
        check(libc.send(s.fileno(), ctypes.c_void_p(8), 5, 0) == -1, "send")
    room = mmap.mmap(-1, 160 << 10)  # it ends 40,000 bytes and some before what recv is told
    at = ctypes.addressof(ctypes.c_char.from_buffer(room))
    check(libc.mprotect(ctypes.c_void_p(at + (100 << 10)), 60 << 10, 0) == 0, "mprotect")
    with ask(b"blob") as s:
        got = b""
        for start in (0, 60 << 10, 99 << 10, 100 << 10):
            for _ in range(5):
                select.select([s], [], [])
                n = libc.recv(s.fileno(), ctypes.c_void_p(at + start), 50 << 10, 0)
                check(n >= 0 or ctypes.get_errno() == errno.EFAULT, "part of it: %d" % n)
                got += ctypes.string_at(at + start, max(n, 0))
        check(got + read_all(s) == BLOB, "8 MiB with faults")


def churn():
    """Descriptors of the host's come and go: no event reaches a later holder, none is left."""
    for _ in range(300):
        a, b = ask(b"steps"), ask(b"steps")
        a.sendall(b"1")
        b.sendall(b"1")
        a.close()
        check(b.recv(1) == b"x", "b")
        b.close()


def refusals():
    for family, kind, protocol in ((socket.AF_INET, socket.SOCK_RAW, 1), (socket.AF_INET6, socket.SOCK_RAW, 58),
                                   (socket.AF_PACKET, socket.SOCK_RAW, 0)):
        fails(errno.EPERM, socket.socket, family, kind, protocol)
    fails(errno.EPROTONOSUPPORT, socket.socket, socket.AF_INET, socket.SOCK_STREAM, 132)
    s = socket.socket()
    fails(errno.ENOPROTOOPT, s.setsockopt, socket.SOL_SOCKET, 36, 1)  # SO_MARK
    fails(errno.ENOPROTOOPT, s.setsockopt, socket.IPPROTO_TCP, 31, b"tls")  # TCP_ULP
    fails(errno.ENOPROTOOPT, s.setsockopt, socket.IPPROTO_TCP, 19, 1)  # TCP_REPAIR
    fails(errno.ENOPROTOOPT, s.setsockopt, socket.IPPROTO_IP, 19, 1)  # IP_TRANSPARENT
    s.bind(("127.0.0.1", 80))  # root's
    with socket.socket() as other:
        if os.fork() == 0:
            os.setuid(1000)
            try:
                other.bind(("127.0.0.1", 81))
            except PermissionError:
                os._exit(0)
            os._exit(1)
        check(os.waitpid(-1, 0)[1] == 0, "a port below 1024 takes a capability")
    fails(errno.EPERM, lambda: os.write(os.open("/proc/sys/net/ipv4/ip_forward", os.O_WRONLY), b"1"))
    local, peer = socket.socketpair()  # AF_UNIX stays ours
    local.send(b"u")
    check(peer.recv(1) == b"u", "AF_UNIX")


if sys.argv[1] == "server":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server()
globals()[sys.argv[1]]()
print("passed")
