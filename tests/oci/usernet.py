"""Both sides of usernet.sh: `server` in the host's network, cases by name inside the sandbox."""
import errno
import hashlib
import select
import socket
import struct
import sys
import threading

HOST4, HOST6 = "192.0.3.1", "fd01::1"
ECHO, TAKE, GIVE, RESET, STUCK, UNHEARD, LOCAL, CLOSED = range(7001, 7009)
BIG = 8 << 20
MANY = 300
GATEWAY, DNS = "100.96.0.2", "100.96.0.3"


def stream(count):
    """Bytes that are the same on both sides, and not the same twice."""
    block = b"".join(struct.pack("<I", i * 2654435761 & 0xffffffff) for i in range(16384))
    done = 0
    while done < count:
        piece = struct.pack("<I", done) + block[4:]
        yield piece[:count - done]
        done += len(piece)


def digest_of(pieces):
    h = hashlib.sha256()
    for p in pieces:
        h.update(p)
    return h.hexdigest().encode()


def received(s):
    while True:
        data = s.recv(1 << 16)
        if not data:
            return
        yield data


# ---- the server ----

def echo(s):
    for data in received(s):
        s.sendall(data)


def take(s):
    """Answers what it got with its digest, after the other side's end."""
    s.sendall(digest_of(received(s)))


def give(s):
    for piece in stream(BIG):
        s.sendall(piece)
    s.shutdown(socket.SHUT_WR)
    echo(s)


def reset(s):
    s.recv(1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


go_on, was_reset = threading.Event(), threading.Event()


def stuck(s):
    """Reads nothing until somebody connects to UNHEARD."""
    go_on.wait()
    go_on.clear()
    take(s)


def unheard(s):
    go_on.set()


def serve_one(what, s):
    with s:
        try:
            what(s)
        except ConnectionResetError:
            was_reset.set()
        except BrokenPipeError:
            pass


def listen(family, host, port, what):
    l = socket.socket(family, socket.SOCK_STREAM)
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    l.bind((host, port))
    l.listen(512)

    def loop():
        while True:
            s, _ = l.accept()
            threading.Thread(target=serve_one, args=(what, s), daemon=True).start()
    threading.Thread(target=loop, daemon=True).start()


def seen_reset(s):
    s.sendall(b"yes" if was_reset.wait(30) else b"no")


heard = []


def note(data):
    heard.append(data)
    return data


def tell_heard(s):
    s.sendall(b"".join(heard) or b"nothing")


def answer(query):
    """web.example is HOST4; what else is asked does not exist."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]])
        at += 1 + query[at]
    kind = struct.unpack(">H", query[at + 1:at + 3])[0]
    known = b".".join(labels) == b"web.example"
    found = known and kind == 1
    head = query[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, int(found), 0, 0)
    record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(HOST4)
    return head + query[12:at + 5] + (record if found else b"")


def dns_tcp(s):
    size = struct.unpack(">H", s.recv(2, socket.MSG_WAITALL))[0]
    text = answer(s.recv(size, socket.MSG_WAITALL))
    s.sendall(struct.pack(">H", len(text)) + text)


def datagrams(family, host, port, what):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.bind((host, port))

    def loop():
        while True:
            data, peer = s.recvfrom(1 << 16)
            s.sendto(what(data), peer)
    threading.Thread(target=loop, daemon=True).start()


def server():
    for family, host in ((socket.AF_INET, HOST4), (socket.AF_INET6, HOST6)):
        for port, what in ((ECHO, echo), (TAKE, take), (GIVE, give), (RESET, reset), (STUCK, stuck), (UNHEARD, unheard)):
            listen(family, host, port, what)
        datagrams(family, host, ECHO, lambda data: data)
    listen(socket.AF_INET, HOST4, LOCAL + 100, seen_reset)
    listen(socket.AF_INET, HOST4, LOCAL + 101, tell_heard)
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, HOST4)):
        datagrams(family, host, LOCAL + 102, note)
        if host != HOST4:
            listen(family, host, LOCAL + 102, lambda s: note(b"a connection "))
    listen(socket.AF_INET, "127.0.0.1", LOCAL, echo)
    listen(socket.AF_INET6, "::1", LOCAL, echo)
    listen(socket.AF_INET, "127.0.0.1", 53, dns_tcp)
    datagrams(socket.AF_INET, "127.0.0.1", 53, answer)
    print("ready", flush=True)
    threading.Event().wait()


# ---- the cases ----

def connect(host, port):
    return socket.create_connection((host, port))


def error_of(host, port):
    try:
        connect(host, port).close()
        return "connected"
    except OSError as e:
        return errno.errorcode[e.errno]


def want(got, expected):
    if got != expected:
        sys.exit(f"{got!r}, not {expected!r}")


def case_echo():
    for host in (HOST4, HOST6):
        with connect(host, ECHO) as s:
            for size in (1, 1000, 100000):
                s.sendall(b"x" * size)
                want(len(s.recv(size, socket.MSG_WAITALL)), size)


def case_upload():
    """Our end is passed on alone: the answer comes after it."""
    for host in (HOST4, HOST6):
        with connect(host, TAKE) as s:
            for piece in stream(BIG):
                s.sendall(piece)
            s.shutdown(socket.SHUT_WR)
            want(b"".join(received(s)), digest_of(stream(BIG)))


def case_download():
    """The server's end is passed on alone: it still answers."""
    for host in (HOST4, HOST6):
        with connect(host, GIVE) as s:
            want(digest_of(received(s)), digest_of(stream(BIG)))
            s.shutdown(socket.SHUT_WR)


def case_half():
    with connect(HOST4, GIVE) as s:
        for piece in stream(BIG):
            want(s.recv(len(piece), socket.MSG_WAITALL), piece)
        want(s.recv(1), b"")
        s.sendall(b"later") # taken by a server whose own end has come
        s.shutdown(socket.SHUT_WR)


def case_many():
    socks = [connect(HOST4 if i % 2 else HOST6, ECHO) for i in range(MANY)]
    for i, s in enumerate(socks):
        s.sendall(b"%06d" % i)
    for i, s in enumerate(socks):
        want(s.recv(6, socket.MSG_WAITALL), b"%06d" % i)
    for s in socks:
        s.close()


def case_errors():
    want(error_of(HOST4, CLOSED), "ECONNREFUSED")
    want(error_of(HOST6, CLOSED), "ECONNREFUSED")
    want(error_of("203.0.113.1", ECHO), "ENETUNREACH")
    want(error_of("2001:db8::1", ECHO), "ENETUNREACH")


def case_fence():
    want(error_of(GATEWAY, LOCAL), "ECONNREFUSED")
    want(error_of("127.0.0.1", LOCAL), "ECONNREFUSED") # our own
    want(error_of("169.254.169.254", LOCAL), "EHOSTUNREACH")
    want(error_of(DNS, LOCAL), "ECONNREFUSED")


def case_loopback():
    for host in (GATEWAY, "fd63:7669:736f:7200::2"):
        with connect(host, LOCAL) as s:
            s.sendall(b"hello")
            want(s.recv(5, socket.MSG_WAITALL), b"hello")


def case_reset():
    with connect(HOST4, RESET) as s:
        s.sendall(b"x")
        try:
            want(s.recv(1), "a reset")
        except ConnectionResetError:
            pass
    with connect(HOST4, ECHO) as s:
        s.sendall(b"x")
        want(s.recv(1), b"x")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with connect(HOST4, LOCAL + 100) as s:
        want(b"".join(received(s)), b"yes")


def case_pressure():
    """Who does not read stops who writes; nothing is lost when it goes on."""
    pieces, sent, h = stream(1 << 30), 0, hashlib.sha256()
    with connect(HOST4, STUCK) as s:
        s.setblocking(False)
        while select.select([], [s], [], 2)[1]:
            piece = next(pieces)
            n = s.send(piece)
            h.update(piece[:n])
            sent += n
            if sent > 256 << 20:
                sys.exit("256 MiB and no end")
        connect(HOST4, UNHEARD).close()
        s.setblocking(True)
        s.shutdown(socket.SHUT_WR)
        want(b"".join(received(s)), h.hexdigest().encode())


def case_udp():
    for family, host in ((socket.AF_INET, HOST4), (socket.AF_INET6, HOST6)):
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.connect((host, ECHO))
        s.settimeout(2)
        for size in (0, 1, 1400, 9000, 60000):
            for _ in range(30): # datagrams may be lost
                s.send(b"u" * size)
                try:
                    want(len(s.recv(1 << 16)), size)
                    break
                except TimeoutError:
                    pass
            else:
                sys.exit(f"no answer to {size} bytes from {host}")
        s.close()
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.connect((host, CLOSED))
        s.settimeout(60)
        s.send(b"x")
        try:
            want(s.recv(1), "a refusal")
        except ConnectionRefusedError:
            pass


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    return ~(total % 0xffff) & 0xffff


def frame(to, proto, head, text=b""):
    """A packet from us to an address, as a frame for the gateway, whatever our own stack would say to that. head: of UDP or
    TCP, without a checksum."""
    v4 = "." in to and ":" not in to
    family, source = (socket.AF_INET, "100.96.0.100") if v4 else (socket.AF_INET6, "fd63:7669:736f:7200::64")
    a, b = socket.inet_pton(family, source), socket.inet_pton(family, to)
    size = len(head) + len(text)
    at = 6 if proto == socket.IPPROTO_UDP else 16
    sum_ = checksum(a + b + struct.pack(">HH", proto, size) + head + text) or 0xffff
    body = head[:at] + struct.pack(">H", sum_) + head[at + 2:] + text
    if v4:
        ip = struct.pack(">BBHHHBB", 0x45, 0, 20 + size, 1, 0, 64, proto)
        ip += struct.pack(">H", checksum(ip + a + b)) + a + b
    else:
        ip = struct.pack(">IHBB", 6 << 28, size, proto, 64) + a + b
    return bytes.fromhex("026300000002026300000064") + (b"\x08\x00" if v4 else b"\x86\xdd") + ip + body


def case_forged():
    """Frames of our own making reach no more than packets do: of these only what goes to HOST4 is heard."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind(("eth0", 0))
        for to in ("127.0.0.1", "127.1.2.3", "0.0.0.0", "::1", "::", "::127.0.0.1", "::ffff:127.0.0.1", HOST4):
            text = b"!" if to == HOST4 else to.encode() + b" "
            udp = struct.pack(">HHHH", 5000, LOCAL + 102, 8 + len(text), 0)
            syn = struct.pack(">HHIIBBHHH", 5000, LOCAL + 102, 1, 0, 5 << 4, 2, 8192, 0, 0)
            for _ in range(3):
                s.send(frame(to, socket.IPPROTO_TCP, syn))
                s.send(frame(to, socket.IPPROTO_UDP, udp, text))
    for _ in range(100):
        with connect(HOST4, LOCAL + 101) as s:
            got = b"".join(received(s))
        if got != b"nothing":
            break
    want(set(got), set(b"!"))


def case_names():
    want(socket.getaddrinfo("web.example", 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0], HOST4)
    try:
        want(socket.getaddrinfo("none.example", 80), "none")
    except socket.gaierror as e:
        want(e.errno, socket.EAI_NONAME)
    with connect(DNS, 53) as s: # and by TCP
        query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03web\x07example\x00\x00\x01\x00\x01"
        s.sendall(struct.pack(">H", len(query)) + query)
        want(b"".join(received(s))[-4:], socket.inet_aton(HOST4))


if __name__ == "__main__" and sys.argv[1] == "server":
    server()
elif __name__ == "__main__":
    globals()["case_" + sys.argv[1]]()
    print("passed")
