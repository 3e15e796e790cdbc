#!/usr/bin/env python3
"""Checks every #include against the layers of the design: a file includes its own folder and lower lines only.
Also: no libc headers in freestanding code, and no marker words for work left undone."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Folder -> line. The longest matching prefix counts.
LAYERS = {
    "sentry/base": 0, "sentry/abi": 0,
    "platform": 1, "netstack": 1,
    "sentry/mm": 2,
    "fs": 3, "fs/tmpfs": 3, "fs/hostfs": 3, "fs/overlay": 3, "fs/sysfs": 3,
    "sentry/loader": 4,
    "sentry/kernel": 5,
    "fs/proc": 6, "fs/dev": 6, "fs/devpts": 6, "fs/task": 6, "fs/sock": 6,
    "syscalls": 7, "sentry/strace": 7,
    "sentry/boot": 8,
    "runsc-cli": 9,
}
# Within a line: who may include whom besides itself.
SIBLINGS = {
    ("sentry/base", "sentry/abi"), ("sentry/abi", "sentry/base"),
    ("fs/tmpfs", "fs"), ("fs/hostfs", "fs"), ("fs/overlay", "fs"), ("fs/overlay", "fs/tmpfs"), ("fs/sysfs", "fs"), ("fs/proc", "fs/sock"),
    ("syscalls", "sentry/strace"), ("sentry/strace", "syscalls"),
}
# The host call list only declares functions: everyone may see it, as everyone may call a platform.
CONTRACTS = {"platform/host/host.h"}
# Only boot and the platforms themselves look behind platform.h and host.h.
PLATFORM_PUBLIC = {"platform/platform.h", "platform/host/host.h"}
PLATFORM_USERS = {"platform", "sentry/boot", "runsc-cli"}
CLI_ALLOWED = ("sentry/base/", "sentry/abi/", "sentry/boot/boot.h", "sentry/boot/boot_net.h", "sentry/boot/control",
               "sentry/boot/nat/nat.h",
               "syscalls/table.def")
CLI_FOLDER = "runsc-cli"

# Freestanding folders may include the compiler's own headers, and uapi ones in host/.
FREESTANDING = ("sentry/", "fs/", "netstack/", "syscalls/", "platform/host/", "platform/mpk/", "platform/platform.c")
HOSTED = ("sentry/boot/", "platform/mpk/hosted/")
COMPILER_HEADERS = {"stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "limits.h", "stdalign.h", "cpuid.h"}
HOST_UAPI = re.compile(r"^(asm|asm-generic|linux)/")
UAPI_FOLDERS = ("platform/host/", "platform/mpk/")
LIBC_ALLOWED = {("sentry/base/string.h", "string.h")}  # sanitizer builds

SCANNED = ("sentry", "platform", "fs", "netstack", "syscalls", "runsc-cli", "tests", "bench")
WORDS = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]) + r")\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')

problems = []


def folder_of(path):
    folder = os.path.dirname(path)
    while folder:
        if folder in LAYERS:
            return folder
        folder = os.path.dirname(folder)
    return None


def problem(path, number, text):
    problems.append(f"{path}:{number}: {text}")


def check_quoted(path, number, target):
    mine = folder_of(path)
    if not os.path.exists(os.path.join(ROOT, target)):
        # Generated headers are named by the folder they belong to; others must exist.
        beside = os.path.join(os.path.dirname(path), target)
        if os.path.exists(os.path.join(ROOT, beside)):
            problem(path, number, f'write the whole path: "{beside}"')
            return
    theirs = folder_of(target)
    if mine is None or theirs is None or target in CONTRACTS or theirs == mine:
        return
    if mine == CLI_FOLDER:
        if not target.startswith(CLI_ALLOWED):
            problem(path, number, f"runsc-cli sees base, boot.h and the control protocol only, not {target}")
        return
    if theirs == "platform" and target not in PLATFORM_PUBLIC and mine not in PLATFORM_USERS:
        problem(path, number, f"only platform.h and host.h are for the kernel, not {target}")
    elif LAYERS[theirs] > LAYERS[mine]:
        problem(path, number, f"{mine} (line {LAYERS[mine]}) includes {target} (line {LAYERS[theirs]})")
    elif LAYERS[theirs] == LAYERS[mine] and (mine, theirs) not in SIBLINGS:
        problem(path, number, f"{mine} includes {target} of its own line")


def check_system(path, number, target):
    if not path.startswith(FREESTANDING) or path.startswith(HOSTED):
        return
    if target in COMPILER_HEADERS or (path, target) in LIBC_ALLOWED:
        return
    if HOST_UAPI.match(target) and path.startswith(UAPI_FOLDERS):
        return
    problem(path, number, f"<{target}> in freestanding code")


def check_file(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        for number, line in enumerate(f, 1):
            word = WORDS.search(line)
            if word:
                problem(path, number, f"{word.group(1)}: finish it, or state the limit as a fact")
            m = INCLUDE.match(line)
            if not m or path.startswith(("tests/", "bench/")):
                continue
            if m.group(1) == '"':
                check_quoted(path, number, m.group(2))
            else:
                check_system(path, number, m.group(2))


def main():
    for top in SCANNED:
        for folder, _, files in os.walk(os.path.join(ROOT, top)):
            for name in sorted(files):
                if name.endswith((".c", ".h", ".S", ".def", ".py", ".sh")):
                    check_file(os.path.relpath(os.path.join(folder, name), ROOT))
    for p in problems:
        print(p)
    return 1 if problems else 0


sys.exit(main())
