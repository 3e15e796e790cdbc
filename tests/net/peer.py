"""One end of the tests against a real peer; ADDR6 "-": IPv4 only. peer.py serve ADDR4 ADDR6: answers until told to quit;
peer.py check ADDR4 ADDR6 MEGABYTES MTU: talks to the other end and says what was wrong; peer.py both MY4 MY6 ADDR4 ADDR6
MEGABYTES MTU: serves, then checks."""
import hashlib, os, select, socket, struct, sys, threading, time

TCP, UDP, QUIT = 7001, 7002, 7003
BLOCK = hashlib.sha256(b"cvisor").digest() * 2048


def families(addr4, addr6):
    return [(socket.AF_INET, addr4)] + ([(socket.AF_INET6, addr6)] if addr6 != "-" else [])


def read_all(c, n=None):
    data, h = 0, hashlib.sha256()
    while n is None or data < n:
        b = c.recv(1 << 17 if n is None else min(1 << 17, n - data))
        if not b:
            break
        h.update(b)
        data += len(b)
    return data, h.digest()


def expected(n):
    h = hashlib.sha256()
    for _ in range(n // len(BLOCK)):
        h.update(BLOCK)
    h.update(BLOCK[: n % len(BLOCK)])
    return h.digest()


def send_all(c, n):
    for _ in range(n // len(BLOCK)):
        c.sendall(BLOCK)
    c.sendall(BLOCK[: n % len(BLOCK)])


def stream(c):
    with c:
        c.settimeout(30)
        kind, n = struct.unpack("!cQ", c.recv(9, socket.MSG_WAITALL))
        if kind == b"d":
            send_all(c, n)
        else:
            c.sendall(read_all(c, n)[1])


def serve(addr4, addr6):
    done = threading.Event()
    for family, addr in families(addr4, addr6):
        l = socket.socket(family)
        l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        l.bind((addr, TCP))
        l.listen(64)
        u = socket.socket(family, socket.SOCK_DGRAM)
        u.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        u.bind((addr, UDP))

        def accept(l=l):
            while True:
                c, _ = l.accept()
                threading.Thread(target=stream, args=(c,), daemon=True).start()

        def echo(u=u):
            while True:
                try:
                    d, a = u.recvfrom(65536)
                    u.sendto(d, a)
                except OSError:
                    pass

        threading.Thread(target=accept, daemon=True).start()
        threading.Thread(target=echo, daemon=True).start()
    q = socket.socket()
    q.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    q.bind((addr4, QUIT))
    q.listen(4)

    def wait():
        q.accept()
        done.set()

    threading.Thread(target=wait, daemon=True).start()
    return done


def connect(family, addr, port):
    for _ in range(200):
        c = socket.socket(family)
        c.settimeout(30)
        try:
            c.connect((addr, port))
            return c
        except OSError:
            c.close()
            time.sleep(0.05)
    raise OSError("no connection to %s %d" % (addr, port))


def check_tcp(family, addr, n):
    start = time.time()
    with connect(family, addr, TCP) as c:
        c.sendall(struct.pack("!cQ", b"d", n))
        got, h = read_all(c)
        assert (got, h) == (n, expected(n)), "download: %d of %d" % (got, n)
    middle = time.time()
    with connect(family, addr, TCP) as c:
        c.sendall(struct.pack("!cQ", b"u", n))
        send_all(c, n)
        assert c.recv(32, socket.MSG_WAITALL) == expected(n), "upload"
    end = time.time()
    return "tcp %.0f down %.0f up Mbit/s" % (n * 8e-6 / (middle - start), n * 8e-6 / (end - middle))


def check_short(family, addr):
    for n in (0, 1, 1447, 1448, 1449, 9000, 65535):
        with connect(family, addr, TCP) as c:
            c.sendall(struct.pack("!cQ", b"d", n))
            assert read_all(c) == (n, expected(n)), "short %d" % n


def check_udp(family, addr, mtu, lossy):
    u = socket.socket(family, socket.SOCK_DGRAM)
    u.settimeout(1 if lossy else 5)
    u.connect((addr, UDP))
    for size in [1, 2, 500, mtu - 48, mtu - 28, mtu, 4000, 20000, 60000] + [100 + i for i in range(100)]:
        d = (BLOCK * 2)[:size]
        for _ in range(20 if lossy else 1):
            try:
                u.send(d)
                if u.recv(65536) == d:
                    break
            except (TimeoutError, ConnectionError, PermissionError):
                pass  # lost, maybe by the sender's own filter
        else:
            raise AssertionError("udp of %d" % size)


def csum(b):
    s = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    s = (s >> 16) + (s & 0xFFFF)
    return ~(s + (s >> 16)) & 0xFFFF


def check_ping(family, addr, lossy):
    v4 = family == socket.AF_INET
    s = socket.socket(family, socket.SOCK_RAW, 1 if v4 else 58)
    for seq, size in enumerate((8, 56, 1400, 4000)):
        body = (BLOCK * 2)[:size]
        p = struct.pack("!BBHHH", 8 if v4 else 128, 0, 0, os.getpid() & 0xFFFF, seq) + body
        if v4:
            p = p[:2] + struct.pack("!H", csum(p)) + p[4:]
        end = time.time() + (10 if lossy else 5)
        answered = False
        while not answered and time.time() < end:
            try:
                s.sendto(p, (addr, 0))
            except PermissionError:
                continue  # lost by our own filter
            while select.select([s], [], [], 0.5)[0]:
                d = s.recv(65536)[20 if v4 else 0 :]
                if d[0] == (0 if v4 else 129) and d[4:] == p[4:]:
                    answered = True
                    break
        assert answered, "ping of %d" % size


def check(addr4, addr6, megabytes, mtu):
    n, lossy, bad = int(megabytes) << 20, "LOSSY" in os.environ, 0
    for family, addr in families(addr4, addr6):
        name = "ipv4" if family == socket.AF_INET else "ipv6"
        for what, f in (
            ("ping", lambda: check_ping(family, addr, lossy)),
            ("short", lambda: check_short(family, addr)),
            ("bulk", lambda: check_tcp(family, addr, n)),
            ("udp", lambda: check_udp(family, addr, int(mtu), lossy)),
        ):
            try:
                print("ok", name, what, f() or "", flush=True)
            except (OSError, AssertionError) as e:
                bad += 1
                print("FAIL", name, what, repr(e), flush=True)
    connect(socket.AF_INET, addr4, QUIT).close()
    return bad


mode, args = sys.argv[1], sys.argv[2:]
if mode == "serve":
    serve(*args).wait(60)
elif mode == "check":
    sys.exit(check(*args) != 0)
else:
    done = serve(*args[:2])
    bad = check(*args[2:])
    done.wait(60)
    time.sleep(0.2)
    sys.exit(bad != 0)
