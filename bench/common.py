"""What run and compare share: the systems to measure, and one round of a benchmark on one of them."""
import glob
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
SOURCE = os.path.dirname(HERE)
MACROS = sorted(os.path.basename(p)[:-3] for p in glob.glob(HERE + "/macro/*.sh") if not p.endswith("/lib.sh"))


def sandboxed(runsc, platform):
    flags = ["--unsafe-mpk"] if platform == "mpk" else []
    return lambda args: [runsc, "--platform", platform] + flags + ["do", "--"] + args


def bundle(tmp, args):
    """An OCI bundle for runc and crun: a small root with the program and busybox under the names the benchmarks use."""
    b = os.path.join(tmp, "bundle")
    root = os.path.join(b, "rootfs")
    if not os.path.isdir(root):
        for d in ("bin", "etc", "proc", "dev", "tmp", "sys"):
            os.makedirs(os.path.join(root, d))
        for name in ("true", "sleep", "sh"):
            shutil.copy("/bin/busybox", os.path.join(root, "bin", name))
        shutil.copy("/etc/passwd", os.path.join(root, "etc"))
    program = os.path.join(root, os.path.basename(args[0]))
    if not os.path.exists(os.path.join(root, args[0].lstrip("/"))):
        shutil.copy(args[0], program)
        args = ["/" + os.path.basename(args[0])] + args[1:]
    spec = {"ociVersion": "1.0.2", "process": {"user": {"uid": 0, "gid": 0}, "args": args, "cwd": "/",
            "env": ["PATH=/usr/bin:/bin"]}, "root": {"path": "rootfs"},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                       {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]}],
            "linux": {"namespaces": [{"type": t} for t in ("pid", "mount", "ipc", "uts")]}}
    with open(os.path.join(b, "config.json"), "w") as f:
        json.dump(spec, f)
    return b


def works(cmd):
    try:
        return subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=30).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def figures(name, cmd, timeout, env=None):
    """Runs cmd, whose output is lines of a name and a number; what of them came."""
    found = {}
    try:
        p = subprocess.run(cmd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, env=env)
        if p.returncode:
            print("%s: status %d: %s" % (name, p.returncode, p.stderr.strip()[-300:]), file=sys.stderr)
        out = p.stdout
    except subprocess.TimeoutExpired as e:
        print("%s: timed out" % name, file=sys.stderr)
        out = (e.stdout or b"").decode()
    for line in out.splitlines():
        if len(line.split()) == 2:
            found[line.split()[0]] = float(line.split()[1])
    return found


def micro(name, wrap, program, only):
    """ns per operation of each micro benchmark (of only, or all)."""
    return figures(name, wrap([program] + only), 300)


def macro(name, wrap, workload, quick):
    """ms of each timed part of a workload."""
    env = dict(os.environ, SOURCE=SOURCE, QUICK="1" if quick else "")
    script = ". %s/macro/lib.sh; . %s/macro/%s.sh" % (HERE, HERE, workload)
    return figures("%s on %s" % (workload, name), wrap(["/bin/sh", "-c", script]), 1800, env)


def least(best, system, found):
    for bench, value in found.items():
        key = (bench, system)
        best[key] = min(best.get(key, value), value)


def choose(only):
    """What --only names: micro benchmarks (None: none, []: all of them) and workloads. "micro" and "macro" are all of one kind."""
    names = [x for x in only.split(",") if x]
    if not names:
        return [], MACROS
    macros = MACROS if "macro" in names else [n for n in names if n in MACROS]
    micros = [n for n in names if n not in MACROS and n != "macro"]
    return ([] if "micro" in micros else micros or None), macros


def build_micro(build):
    subprocess.run(["ninja", "-C", build, "bench_micro"], check=True, stdout=subprocess.DEVNULL)
    return os.path.realpath(os.path.join(build, "bench_micro"))
