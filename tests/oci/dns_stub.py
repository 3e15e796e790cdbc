"""A name server for dns.sh, on 127.0.0.11:53 of the namespace it is started in, over UDP and TCP: every name has the address
192.0.2.53 but those that begin with "none"; over TCP "large" names have 4000 of them. Says "ready" when it answers. The
argument "ask" makes it a client instead, that writes a connection's bytes: dns_stub.py ask NAME..."""
import socket
import struct
import sys
import threading


def respond(query, most):
    end = query.index(b"\0", 12) + 5
    question = query[12:end]
    kind = struct.unpack(">H", question[-4:-2])[0]
    absent = question[1:5] == b"none"
    count = 0 if absent or kind != 1 else most if question[1:6] == b"large" else 1
    answer = (b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes([192, 0, 2, 53])) * count
    return query[:2] + struct.pack(">HHHHH", 0x8183 if absent else 0x8180, 1, count, 0, 0) + question + answer


def converse(c):
    with c, c.makefile("rb") as f:
        while size := f.read(2):
            answer = respond(f.read(struct.unpack(">H", size)[0]), 4000)
            c.sendall(struct.pack(">H", len(answer)) + answer)


def serve_streams(listener):
    while True:
        c, _ = listener.accept()
        threading.Thread(target=converse, args=(c,), daemon=True).start()


def serve():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.11", 53))
    threading.Thread(target=serve_streams, args=(socket.create_server(("127.0.0.11", 53)),), daemon=True).start()
    print("ready", flush=True)
    while True:
        query, peer = s.recvfrom(4096)
        s.sendto(respond(query, 1), peer)


def question(number, name):
    labels = b"".join(bytes([len(l)]) + l.encode() for l in name.split("."))
    q = struct.pack(">HHHHHH", number, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)
    return struct.pack(">H", len(q)) + q


if sys.argv[1:2] == ["ask"]:
    sys.stdout.buffer.write(b"".join(question(i + 1, name) for i, name in enumerate(sys.argv[2:])))
else:
    serve()
