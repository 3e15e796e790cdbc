"""A name server for dns.sh, on 127.0.0.11:53 of the namespace it is started in: every name has the address 192.0.2.53 but
those that begin with "none". Says "ready" when it answers."""
import socket
import struct

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.11", 53))
print("ready", flush=True)
while True:
    query, peer = s.recvfrom(4096)
    end = query.index(b"\0", 12) + 5
    question = query[12:end]
    kind = struct.unpack(">H", question[-4:-2])[0]
    absent = question[1:5] == b"none"
    answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + bytes([192, 0, 2, 53])
    if absent or kind != 1:
        answer = b""
    s.sendto(query[:2] + struct.pack(">HHHHH", 0x8183 if absent else 0x8180, 1, 1 if answer else 0, 0, 0) + question +
             answer, peer)
