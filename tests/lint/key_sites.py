#!/usr/bin/env python3
"""Bytes of WRPKRU, XRSTOR and WRGSBASE, at any offset of an executable's code, only where they are known.

    key_sites.py runsc...

Allowed: the mpk gate's own, each followed by a check, and those of libc's dynamic loader, which the mpk zygote makes traps
(platform/mpk/own_text.c). Anything else would be a hole or, made a trap, a crash.
"""
import struct
import sys

ALLOWED = ("mpk_enter_", "mpk_signal_entry_", "mpk_call_saved_keyed", "mpk_xrstor", "mpk_set_gs", "_dl_runtime_resolve_",
           "_dl_tlsdesc_dynamic_")


def segments(d):
    phoff, = struct.unpack_from("<Q", d, 32)
    count, = struct.unpack_from("<H", d, 56)
    for i in range(count):
        kind, flags, off, va, _, size, _, _ = struct.unpack_from("<IIQQQQQQ", d, phoff + 56 * i)
        if kind == 1 and flags & 1:
            yield d[off:off + size], va


def symbols(d):
    shoff, = struct.unpack_from("<Q", d, 40)
    count, = struct.unpack_from("<H", d, 60)
    heads = [struct.unpack_from("<IIQQQQIIQQ", d, shoff + 64 * i) for i in range(count)]
    found = []
    for head in heads:
        if head[1] != 2:
            continue
        names = heads[head[6]][4]
        for at in range(head[4], head[4] + head[5], 24):
            name, info, _, section, value, _ = struct.unpack_from("<IBBHQQ", d, at)
            if section and (info & 15) in (0, 2):
                end = d.index(b"\0", names + name)
                found.append((value, d[names + name:end].decode()))
    return sorted(found)


def is_hit(p):
    if p[:2] == b"\x0f\xae":
        return (p[2] & 0x38 == 0x28 and p[2] < 0xc0) or p[2] & 0xf8 == 0xd8
    return p == b"\x0f\x01\xef"


def main():
    bad = sites = 0
    for path in sys.argv[1:]:
        d = open(path, "rb").read()
        names = symbols(d)
        for text, va in segments(d):
            at = text.find(b"\x0f")
            while at >= 0:
                if len(text) >= at + 3 and is_hit(text[at:at + 3]):
                    sites += 1
                    before = [n for v, n in names if v <= va + at]
                    name = before[-1] if before else "?"
                    if not name.startswith(ALLOWED):
                        print("%s: 0x%x: %s in %s" % (path, va + at, text[at:at + 3].hex(), name))
                        bad += 1
                at = text.find(b"\x0f", at + 1)
    print("%d sites, %d unknown" % (sites, bad))
    return 1 if bad or not sites else 0


sys.exit(main())
