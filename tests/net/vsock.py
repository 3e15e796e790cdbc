"""AF_VSOCK inside the sandbox, where VMADDR_CID_LOCAL is. The host need not have it, so that what is right is
written here (vsock(7), and Linux's vsock_loopback)."""
import errno
import fcntl
import os
import select
import socket as S
import struct
import threading

LOCAL, ANY = 1, 0xffffffff


def fails(name, call):
    try:
        call()
    except OSError as e:
        assert e.errno == getattr(errno, name), (name, e)
        return
    raise AssertionError("no " + name)


def listener(kind, port=ANY, cid=LOCAL):
    s = S.socket(S.AF_VSOCK, kind)
    s.bind((cid, port))
    s.listen(4)
    return s, s.getsockname()[1]


def pair(kind):
    l, port = listener(kind)
    c = S.socket(S.AF_VSOCK, kind)
    c.connect((LOCAL, port))
    a, peer = l.accept()
    assert peer == (LOCAL, c.getsockname()[1]) == a.getpeername(), peer
    assert a.getsockname() == (LOCAL, port) == c.getpeername()
    assert c.getsockname()[0] == ANY
    l.close()
    return c, a


def names():
    s = S.socket(S.AF_VSOCK, S.SOCK_STREAM)
    assert s.getsockname() == (ANY, ANY)
    fails("ENOTCONN", s.getpeername)
    fails("EADDRNOTAVAIL", lambda: s.bind((77, 5000)))
    fails("EINVAL", lambda: s.listen(1))
    s.bind((ANY, 5000))
    assert s.getsockname() == (ANY, 5000)
    fails("EINVAL", lambda: s.bind((ANY, 5001)))
    fails("EADDRINUSE", lambda: S.socket(S.AF_VSOCK, S.SOCK_STREAM).bind((LOCAL, 5000)))
    fails("ECONNRESET", lambda: S.socket(S.AF_VSOCK, S.SOCK_STREAM).connect((LOCAL, 5000)))
    fails("ECONNRESET", lambda: S.socket(S.AF_VSOCK, S.SOCK_STREAM).connect((LOCAL, 4999)))
    fails("ENODEV", lambda: S.socket(S.AF_VSOCK, S.SOCK_STREAM).connect((2, 5000)))
    s.listen(1)
    fails("ECONNRESET", lambda: S.socket(S.AF_VSOCK, S.SOCK_SEQPACKET).connect((LOCAL, 5000)))
    fails("EINVAL", lambda: s.connect((LOCAL, 5000)))
    s.close()
    S.socket(S.AF_VSOCK, S.SOCK_STREAM).bind((LOCAL, 5000))
    fails("ENODEV", lambda: S.socket(S.AF_VSOCK, S.SOCK_DGRAM))
    fails("EPROTONOSUPPORT", lambda: S.socket(S.AF_VSOCK, S.SOCK_STREAM, 1))
    fails("ESOCKTNOSUPPORT", lambda: S.socket(S.AF_VSOCK, S.SOCK_RAW))


def streams():
    c, a = pair(S.SOCK_STREAM)
    big = os.urandom(3_000_000)
    sender = threading.Thread(target=lambda: (c.sendall(big), c.shutdown(S.SHUT_WR)))
    sender.start()
    got = bytearray()
    while True:
        data = a.recv(100_000)
        if not data:
            break
        got += data
    sender.join()
    assert bytes(got) == big
    a.sendall(b"answer")
    assert c.recv(100) == b"answer"
    fails("EISCONN", lambda: c.sendto(b"x", (LOCAL, 1234)))
    fails("EPIPE", lambda: c.send(b"x"))
    fails("EISCONN", lambda: c.connect((LOCAL, 5000)))
    a.close()
    assert c.recv(100) == b""
    s = S.socket(S.AF_VSOCK, S.SOCK_STREAM)
    fails("ENOTCONN", lambda: s.recv(1))
    fails("ENOTCONN", lambda: s.send(b"x"))
    fails("ENOTCONN", lambda: s.shutdown(S.SHUT_RD))
    fails("EOPNOTSUPP", lambda: s.sendto(b"x", (LOCAL, 1234)))
    # an end with data unread: the other one sees an end, too
    c, a = pair(S.SOCK_STREAM)
    c.send(b"unread")
    a.close()
    assert c.recv(10) == b""


def packets():
    c, a = pair(S.SOCK_SEQPACKET)
    for m in (b"one", b"three", b"x" * 60000):
        c.send(m)
    assert a.recv(100) == b"one"
    data, _, flags, _ = a.recvmsg(2)
    assert data == b"th" and flags & S.MSG_TRUNC
    assert a.recv(100_000) == b"x" * 60000
    # descriptors do not pass
    c.sendmsg([b"fd"], [(S.SOL_SOCKET, S.SCM_RIGHTS, struct.pack("i", 0))])
    assert a.recvmsg(10, 100)[:2] == (b"fd", [])
    c.close()
    assert a.recv(10) == b""


def waiting():
    l, port = listener(S.SOCK_STREAM)
    p = select.poll()
    p.register(l, select.POLLIN)
    assert p.poll(0) == []
    c = S.socket(S.AF_VSOCK, S.SOCK_STREAM)
    c.setblocking(False)
    assert c.connect_ex((LOCAL, port)) in (0, errno.EINPROGRESS)
    assert p.poll(20000) == [(l.fileno(), select.POLLIN)]
    a, _ = l.accept()
    q = select.poll()
    q.register(a, select.POLLIN | select.POLLRDHUP)
    assert q.poll(0) == []
    c.send(b"x")
    assert q.poll(20000)[0][1] == select.POLLIN
    fails("EAGAIN", lambda: c.recv(1))


def options():
    s = S.socket(S.AF_VSOCK, S.SOCK_STREAM)
    u64 = lambda n: s.getsockopt(40, n)
    assert (u64(0), u64(1), u64(2)) == (262144, 128, 262144)
    s.setsockopt(40, 2, 1 << 20)
    s.setsockopt(40, 0, 1 << 21)
    assert u64(0) == 1 << 20
    fails("EINVAL", lambda: s.setsockopt(40, 6, 5))  # a timeval
    fails("ENOPROTOOPT", lambda: s.setsockopt(40, 99, 1))
    fails("ENOPROTOOPT", lambda: s.getsockopt(41, 0))
    fd = os.open("/dev/vsock", os.O_RDONLY)
    assert struct.unpack("I", fcntl.ioctl(fd, 0x7b9, bytes(4)))[0] == LOCAL
    fails("ENOTTY", lambda: fcntl.ioctl(fd, 0x7ba, bytes(4)))
    assert "vsock" not in open("/proc/net/unix").read()


for test in (names, streams, packets, waiting, options):
    test()
    print(test.__name__, "ok")
