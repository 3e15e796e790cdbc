#!/usr/bin/env python3
"""Runs one command natively and under runsc on each platform given, and compares standard output and exit status.

    compare.py --runsc build/runsc --platform systrap [--timeout S] [--known FILE --name CASE] [--volume V] -- CMD ARGS...

Both run in the same fresh directory of their own, with the same environment. Exit status: 0 same, 1 differs, 77 the platform can't run
here, or CMD says so with 77 natively (printed as SKIP). A difference whose case stands in FILE ("CASE platform: reason") is reported and counts as passed; one that stands
there and no longer differs fails, so that the list stays true.
"""
import argparse
import difflib
import os
import shutil
import subprocess
import sys
import tempfile


def run(cmd, cwd, timeout):
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8",
           "TMPDIR": "/tmp"}
    with subprocess.Popen(cmd, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          start_new_session=True) as p:
        try:
            out, err = p.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, 9)
            out, err = p.communicate()
            return "timeout", out, err
    status = p.returncode if p.returncode >= 0 else 128 - p.returncode
    return status, out, err


def is_known(path, name, platform):
    if not path or not os.path.exists(path):
        return None
    for line in open(path):
        head, _, reason = line.strip().partition(":")
        if head.split() in ([name, platform], [name, "*"]):
            return reason.strip()
    return None


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--runsc", required=True)
    ap.add_argument("--platform", default="systrap")
    ap.add_argument("--timeout", type=float, default=120)
    ap.add_argument("--known")
    ap.add_argument("--name", default="")
    ap.add_argument("--flag", action="append", default=[])
    ap.add_argument("--do-flag", action="append", default=[])
    ap.add_argument("cmd", nargs="+")
    a = ap.parse_args()
    runsc = [os.path.realpath(a.runsc), "--network=none", "--platform", a.platform] + a.flag + ["do"] + a.do_flag + ["--"]

    probe = run(runsc + ["/bin/true"], "/", 60)
    if b"cannot run here" in probe[2]:
        print("SKIP %s: %s" % (a.platform, probe[2].decode(errors="replace").strip()))
        return 77
    results = []
    for prefix in ([], runsc):
        work = tempfile.mkdtemp(prefix="cvisor-compare-")
        try:
            results.append((run(prefix + a.cmd, work, a.timeout), work))
        finally:
            shutil.rmtree(work, ignore_errors=True)
    (native, native_dir), (ours, our_dir) = results
    if native[0] == 77:
        print("SKIP: natively it says that it can't run here")
        return 77
    native_out = native[1].replace(native_dir.encode(), b"$WORK")
    our_out = ours[1].replace(our_dir.encode(), b"$WORK")
    same = native[0] == ours[0] and native_out == our_out
    reason = is_known(a.known, a.name, a.platform)
    if same and reason is not None:
        print("listed as a known difference but the same now: %s" % reason)
        return 1
    if same:
        return 0
    print("exit status: native %s, %s %s" % (native[0], a.platform, ours[0]))
    diff = difflib.unified_diff(native_out.decode(errors="replace").splitlines(), our_out.decode(errors="replace").splitlines(),
                                "native", a.platform, lineterm="", n=2)
    for i, line in enumerate(diff):
        if i < 60:
            print(line)
    for who, r in (("native", native), (a.platform, ours)):
        print("--- stderr of %s\n%s" % (who, r[2].decode(errors="replace")[-3000:]))
    if reason is not None:
        print("known difference: %s" % reason)
        return 0
    return 1


sys.exit(main())
