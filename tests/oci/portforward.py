"""Both sides of portforward.sh, with usernet.py's: `server` in the container, cases by name in front of its ports."""
import socket
import sys
import threading

import usernet

usernet.HOST4, usernet.HOST6, usernet.MANY = "127.0.0.1", "::1", 150
ONLY6, MOVED = usernet.CLOSED + 1, 7201


def server():
    for port, what in ((usernet.ECHO, usernet.echo), (usernet.TAKE, usernet.take), (usernet.GIVE, usernet.give),
                       (usernet.RESET, usernet.reset), (usernet.STUCK, usernet.stuck),
                       (usernet.UNHEARD, usernet.unheard), (usernet.LOCAL + 100, usernet.seen_reset)):
        usernet.listen(socket.AF_INET, "0.0.0.0", port, what)
    usernet.listen(socket.AF_INET6, "::1", ONLY6, usernet.echo)
    print("ready", flush=True)
    threading.Event().wait()


def say(host, port):
    with usernet.connect(host, port) as s:
        s.sendall(b"hello")
        usernet.want(s.recv(5, socket.MSG_WAITALL), b"hello")


def case_ports():
    """One whose number differs, and one where only IPv6 listens inside."""
    for host in ("127.0.0.1", "::1"):
        say(host, MOVED)
        say(host, ONLY6)


def case_refused():
    with usernet.connect("127.0.0.1", usernet.CLOSED) as s:
        try:
            usernet.want(s.recv(1), "a reset")
        except ConnectionResetError:
            pass


if sys.argv[1] == "server":
    server()
else:
    name = "case_" + sys.argv[1]
    (globals().get(name) or getattr(usernet, name))()
    print("passed")
