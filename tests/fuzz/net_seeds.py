#!/usr/bin/env python3
"""Writes inputs for net_frames.c to begin with: one a subject, as steps (kind, size, bytes). Usage: net_seeds.py FOLDER"""
import os
import struct
import sys

PEER6 = b"\xfd" + bytes(14) + b"\x02"
OWN6 = b"\xfd" + bytes(14) + b"\x01"


def step(kind, data=b""):
    return bytes([kind, len(data) & 255, len(data) >> 8]) + data


def ip4(to, proto, payload, frag=b"\0\0", ident=0):
    return step(1, bytes([to | ident << 3, proto]) + frag + b"\0\0" + payload)


def ip6(flags, proto, payload):
    return step(3, bytes([flags, proto]) + payload)


def tcp(flags, data=b"", seq=0, ack=0, options=b""):
    return step(0x0E, bytes([flags, seq & 255, ack & 255, 0x80, len(options) // 4]) + options + data)


def quote(proto, rest):
    return bytes([0x45, 0, 0, 28, 0, 0, 0, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]) + rest


LATER = step(0x77)
READ = step(0x3F)
SYN = step(0x16)


def seeds():
    udp4 = struct.pack(">HHHH", 1, 53, 32, 0) + b"a" * 24
    udp6 = struct.pack(">HHHH", 1, 54, 32, 0) + b"a" * 24
    ports = struct.pack(">HHHH", 53, 53, 8, 0)

    def piece(offset, more, data):
        return b"\x11\0" + struct.pack(">HI", offset | more, 7) + data

    yield "frag4", (ip4(0, 17, udp4[:16], b"\x20\0") + ip4(0, 17, udp4[16:], b"\0\2") + ip4(0, 17, udp4[:16], b"\x20\0", 1)
                    + ip4(0, 17, udp4[8:16], b"\x20\1", 1))
    yield "frag6", ip6(0, 44, piece(0, 1, udp6[:16])) + ip6(0, 44, piece(16, 0, udp6[16:]))
    prefix = bytes([3, 4, 64, 0xC0]) + struct.pack(">III", 100, 50, 0) + bytes([0x20, 1, 0xD, 0xB8] + [0] * 12)
    advert = (bytes([134, 0, 0, 0, 64, 8]) + struct.pack(">HII", 30, 1000, 1000) + prefix
              + bytes([1, 1, 2, 0, 0, 0, 0, 2, 5, 1, 0, 0, 0, 0, 5, 0x78]))
    yield "router", ip6(10, 58, advert) + LATER + ip6(10, 58, advert[:6] + b"\0\0" + advert[8:])
    query = bytes([130, 0, 0, 0, 0, 100, 0, 0])
    yield "mld", (ip6(11, 58, query + bytes(16) + b"\2\x7d\0\0") + LATER
                  + ip6(7, 58, query + b"\xff\2" + bytes(13) + b"\x77" + b"\2\x7d\0\1" + PEER6) + LATER)
    yield "igmp", (ip4(6, 2, bytes([0x11, 10, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0])) + LATER
                   + ip4(1, 2, bytes([0x11, 10, 0, 0, 0xE0, 1, 2, 3, 2, 125, 0, 1, 10, 0, 0, 2])) + LATER
                   + ip4(6, 2, bytes([0x11, 100, 0, 0, 0, 0, 0, 0])) + LATER)
    yield "echo", (ip4(0, 1, b"\x08\0\0\0\1\2\3\4data") + ip6(0, 58, b"\x80\0\0\0\1\2\3\4data")
                   + ip4(0, 1, b"\0\0\0\0\0\x07\0\1data"))
    yield "errors", (step(0x0F, bytes(5)) + ip4(0, 1, b"\3\3\0\0\0\0\0\0" + quote(17, ports))
                     + ip4(0, 1, b"\3\4\0\0\0\0\3\xe8" + quote(17, ports)) + ip4(0, 1, b"\5\1\0\0\n\0\0\5" + quote(17, ports)))
    yield "connect", (tcp(0x12) + READ + tcp(0x18, b"hello world") + READ + tcp(0x10) + tcp(0x18, b"ooo", seq=5)
                      + tcp(0x10, options=b"\1\1\5\n" + bytes(8)) + LATER + tcp(0x11) + tcp(0x10) + LATER)
    yield "accept", (SYN + tcp(0x10) + step(0x2F, bytes(8)) + tcp(0x18, b"x" * 100) + tcp(0x10, ack=-1) * 4 + LATER + tcp(0x14))
    yield "neighbours", (ip6(32, 58, bytes([135]) + bytes(7) + OWN6 + bytes([1, 1, 2, 0, 0, 0, 0, 2]))
                         + ip6(0, 58, bytes([136, 0, 0, 0, 0xE0, 0, 0, 0]) + PEER6 + bytes([2, 1, 2, 0, 0, 0, 0, 9]))
                         + ip6(98, 58, bytes([135]) + bytes(7) + OWN6))
    yield "headers", ip6(0, 0, bytes([60, 0, 5, 2, 0, 0, 1, 0, 43, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0]) + udp6)


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for name, steps in seeds():
        for flags in (0, 1, 2):
            with open(os.path.join(folder, f"{name}{flags}"), "wb") as f:
                f.write(bytes([flags]) + steps)


main()
