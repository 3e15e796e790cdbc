#!/usr/bin/env python3
"""Links so that no address forms the bytes of an instruction that opens a protection key: clean_link.py LINK-COMMAND...

Displacements are chance bytes, and one in some builds reads as XRSTOR or WRGSBASE (tests/lint/key_sites.py). Code that is never reached,
put between our objects and the libraries, moves everything behind it; then the displacements are others.
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CHECK = os.path.join(HERE, "..", "..", "tests", "lint", "key_sites.py")
STEP = 4096 + 64  # what follows moves by more than a page, and within it
TRIES = 16


def pad(directory, compiler, size):
    source = os.path.join(directory, "pad.S")
    with open(source, "w") as f:
        f.write('.section .text.pad, "ax"\n.fill %d, 1, 0xcc\n.section .note.GNU-stack, "", @progbits\n' % size)
    subprocess.run([compiler, "-c", source, "-o", source[:-2] + ".o"], check=True)
    return source[:-2] + ".o"


def main():
    command = sys.argv[1:]
    output = command[command.index("-o") + 1]
    last = max(i for i, a in enumerate(command) if a.endswith(".o"))
    with tempfile.TemporaryDirectory() as directory:
        for n in range(TRIES):
            extra = [pad(directory, command[0], n * STEP)] if n else []
            status = subprocess.run(command[:last + 1] + extra + command[last + 1:]).returncode
            if status:
                return status
            found = subprocess.run([sys.executable, CHECK, output], stdout=subprocess.PIPE, text=True)
            if found.returncode == 0:
                return 0
            print("clean_link: again, for " + found.stdout.splitlines()[0])
    print("clean_link: not clean after %d tries" % TRIES)
    return 1


sys.exit(main())
