#!/usr/bin/env python3
"""Checks the sizes the style sets: .c files 600 lines, headers 300, functions 100, lines 100 columns, README.md of
a folder 40 lines. And that a folder of sources has a README.md, or one or two levels up."""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCANNED = ("sentry", "platform", "fs", "netstack", "syscalls", "runsc-cli", "tests", "bench")
MAX_C, MAX_H, MAX_FUNCTION, MAX_COLUMNS, MAX_README = 600, 300, 100, 100, 40
# Tables of constants, as long as the ABI they list.
LONG_HEADERS = ("sentry/abi/",)

problems = []


def check_functions(path, lines):
    """K&R: a function's body is between braces in the first column."""
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            if number - start - 1 > MAX_FUNCTION:
                problems.append(f"{path}:{start}: function of {number - start - 1} lines (at most {MAX_FUNCTION})")
            start = None


def check_file(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        lines = f.read().split("\n")
    if lines and not lines[-1]:
        lines.pop()
    limit = MAX_C if path.endswith(".c") else MAX_H
    if len(lines) > limit and not path.startswith(LONG_HEADERS):
        problems.append(f"{path}: {len(lines)} lines (at most {limit})")
    wide = [n for n, line in enumerate(lines, 1) if len(line.expandtabs(8)) > MAX_COLUMNS]
    if wide:
        problems.append(f"{path}:{wide[0]}: over {MAX_COLUMNS} columns, as are {len(wide) - 1} more lines")
    if path.endswith(".c"):
        check_functions(path, lines)


def check_readme(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        count = sum(1 for _ in f)
    if count > MAX_README:
        problems.append(f"{path}: {count} lines (at most {MAX_README})")


def check_described(folder, files):
    if not any(name.endswith((".c", ".h", ".S", ".py", ".sh")) for name in files):
        return
    path = os.path.relpath(folder, ROOT)
    for _ in range(3):
        if os.path.exists(os.path.join(ROOT, path, "README.md")):
            return
        path = os.path.dirname(path)
        if not path:
            break
    problems.append(f"{os.path.relpath(folder, ROOT)}: no README.md")


def main():
    for top in SCANNED:
        for folder, _, files in os.walk(os.path.join(ROOT, top)):
            check_described(folder, files)
            for name in sorted(files):
                path = os.path.relpath(os.path.join(folder, name), ROOT)
                if name.endswith((".c", ".h")):
                    check_file(path)
                elif name == "README.md":
                    check_readme(path)
    for p in problems:
        print(p)
    return 1 if problems else 0


sys.exit(main())
