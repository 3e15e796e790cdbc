#!/usr/bin/env python3
"""Random interleavings of lifecycle commands, with the CLI, the sentry or its guest processes killed at random moments; each ends with
`delete --force`, after which nothing may be left: no process, mount, cgroup, interface, nftables table, file, network namespace.
Arguments: runsc, platform, directory (with a bundle b), number of interleavings, seed. Runs in a network namespace of its own (chaos.sh)."""

import json
import os
import random
import signal
import subprocess
import sys
import time

RUNSC, PLATFORM, TMP, COUNT, SEED = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
ROOT, BUNDLES = TMP + "/root", TMP + "/bundles"
CGROUP = "/cvisor-chaos-%d" % os.getpid()
LOG = TMP + "/runsc.log"
IDS = ["a", "b"]
HANG = 60  # seconds: nothing here takes as long, however busy the machine
GUESTS = [
    ["sleep", "1000"],
    ["sh", "-c", "while :; do :; done"],
    ["sh", "-c", "while :; do true; /bin/true; done"],
    ["sh", "-c", "for i in 1 2 3 4; do sleep 1000 & done; wait"],
    ["sh", "-c", "trap '' TERM; while :; do sleep 0.01; done"],
    ["true"],
    ["nosuchprogram"],
]


def become_subreaper():
    """Whatever the commands leave behind becomes our child."""
    import ctypes

    if ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0) < 0:
        sys.exit("no subreaper")


def make_bundles():
    """Each guest in each kind of container."""
    config = json.load(open(TMP + "/b/config.json"))
    rootfs = TMP + "/b/rootfs"
    names = []
    os.makedirs(TMP + "/bind", exist_ok=True)
    for n in ("lower", "upper", "work"):
        os.makedirs(TMP + "/overlay/" + n, exist_ok=True)
    for g, args in enumerate(GUESTS):
        for kind in ("plain", "user", "hooks", "mounts", "net"):
            c = json.loads(json.dumps(config))
            c["process"]["args"] = args
            c["root"] = {"path": rootfs, "readonly": False}
            if kind == "user":
                c["linux"]["namespaces"].append({"type": "user"})
                ids = [{"containerID": 0, "hostID": 0, "size": 65536}]
                c["linux"]["uidMappings"] = c["linux"]["gidMappings"] = ids
            elif kind == "hooks":
                hook = [{"path": "/bin/true"}]
                slow = [{"path": "/bin/sleep", "args": ["sleep", "0.02"]}]
                c["hooks"] = {"prestart": hook, "createRuntime": slow, "createContainer": hook, "startContainer": [{"path": "/bin/true"}],
                              "poststart": slow, "poststop": hook}
            elif kind == "mounts":
                c["mounts"] += [{"destination": "/mnt", "type": "bind", "source": TMP + "/bind", "options": ["rbind", "rw"]},
                                {"destination": "/ovl", "type": "overlay", "source": "overlay", "options":
                                 ["lowerdir=%s/overlay/lower" % TMP, "upperdir=%s/overlay/upper" % TMP, "workdir=%s/overlay/work" % TMP]}]
            elif kind == "net":
                for n in c["linux"]["namespaces"]:
                    if n["type"] == "network":
                        n["path"] = "/run/netns/" + os.environ["CHAOS_NETNS"]
            names.append("%s%d" % (kind, g))
            os.makedirs(BUNDLES + "/" + names[-1], exist_ok=True)
            for i in IDS:
                c["linux"]["cgroupsPath"] = "%s/%s" % (CGROUP, i)
                c["linux"]["resources"] = {"memory": {"limit": 512 << 20}, "pids": {"limit": 200}}
                os.makedirs(BUNDLES + "/" + names[-1] + "/" + i, exist_ok=True)
                json.dump(c, open("%s/%s/%s/config.json" % (BUNDLES, names[-1], i), "w"))
    return names


def command(rng, bundles):
    """Words of one command."""
    i = rng.choice(IDS[:1] * 3 + IDS[1:])
    bundle = "%s/%s/%s" % (BUNDLES, rng.choice(bundles), i)
    kinds = {
        "create": (6, ["create", "-b", bundle, i]),
        "run": (2, ["run", "-d", "-b", bundle, i]),
        "attached": (1, ["run", "-b", bundle, i]),
        "start": (6, ["start", i]),
        "exec": (3, ["exec", i, "sleep", "0.05"]),
        "exec-d": (3, ["exec", "-d", i, "sleep", "500"]),
        "kill": (4, ["kill", i, rng.choice(["KILL", "TERM", "USR1", "STOP", "CONT"])]),
        "kill-all": (1, ["kill", "--all", i, "KILL"]),
        "pause": (2, ["pause", i]),
        "resume": (2, ["resume", i]),
        "delete": (2, ["delete", i]),
        "force": (2, ["delete", "--force", i]),
        "ps": (1, ["ps", i]),
        "state": (1, ["state", i]),
        "events": (1, ["events", "--stats", i]),
        "update": (1, ["update", "--memory", str(256 << 20), i]),
        "list": (1, ["list"]),
        "do": (1, ["do", "--", "/bin/sleep", "0.05"]),
    }
    names = list(kinds)
    return kinds[rng.choices(names, [kinds[n][0] for n in names])[0]][1]


def children_of(pid):
    out = []
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            out += [int(x) for x in open("/proc/%d/task/%s/children" % (pid, task)).read().split()]
    except (OSError, ValueError):
        pass
    return out


def descendants(pid):
    out = children_of(pid)
    for p in list(out):
        out += descendants(p)
    return out


def sentry_of(i):
    try:
        return json.load(open("%s/%s/state.json" % (ROOT, i)))["pid"]
    except (OSError, ValueError, KeyError):
        return 0


def strike(rng, running):
    """kill -9 of something of ours."""
    what = rng.choice(["cli", "cli", "sentry", "sentry", "stub", "stub", "stop"])
    victims = [p.pid for p in running if p.poll() is None]
    if what != "cli":
        pid = sentry_of(rng.choice(IDS))
        if not pid or pid not in descendants(os.getpid()):
            return what + ":none"
        victims = [pid] if what in ("sentry", "stop") else descendants(pid)
    if not victims:
        return what + ":none"
    try:
        os.kill(rng.choice(victims), signal.SIGSTOP if what == "stop" else signal.SIGKILL)
    except ProcessLookupError:
        pass
    return what


def start(words):
    err = open(TMP + "/err", "ab")
    return subprocess.Popen([RUNSC, "--platform", PLATFORM, "--root", ROOT, "--log", LOG] + words, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=err)


def interleave(seed, bundles):
    rng = random.Random(seed)
    running, story = [], []
    plan = [command(rng, bundles) for _ in range(rng.randint(4, 9))]
    if rng.random() < 0.7:  # most begin with a container that is there
        bundle = "%s/%s/a" % (BUNDLES, rng.choice(bundles))
        plan = [["create", "-b", bundle, "a"], ["start", "a"]][: rng.randint(1, 2)] + plan
    for words in plan:
        running.append(start(words))
        if words[0] == "create" and rng.random() < 0.5:
            try:
                running[-1].wait(0.2)
            except subprocess.TimeoutExpired:
                pass
        story.append(" ".join(words).replace(TMP, ""))
        if rng.random() < 0.6:
            time.sleep(rng.random() ** 2 * 0.06)
        if rng.random() < 0.3:
            story.append("<" + strike(rng, running) + ">")
    time.sleep(rng.random() * 0.03)
    return running, story


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def snapshot():
    """What must be the same before and after."""
    s = {}
    s["mounts"] = sorted(line.split(" ", 3)[3] for line in open("/proc/self/mountinfo"))
    s["links"] = sorted(os.listdir("/sys/class/net"))
    s["nft"] = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout.split()
    s["netns"] = sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else []
    s["cgroups"] = sorted(d for top in os.listdir("/sys/fs/cgroup") for d, _, _ in os.walk("/sys/fs/cgroup/%s%s" % (top, CGROUP))
                          if d.count("/") > 5)
    s["state"] = sorted(os.listdir(ROOT))
    s["files"] = sorted(d + "/" + n for top in ("bundles", "bind", "overlay") for d, a, b in os.walk(TMP + "/" + top) for n in a + b)
    return s


def processes_left():
    for _ in range(200):
        reap()
        left = descendants(os.getpid())
        if not left:
            return []
        time.sleep(0.025)
    return ["%d %s" % (p, open("/proc/%d/cmdline" % p).read().replace("\0", " ")[:150]) for p in left if os.path.exists("/proc/%d" % p)]


def clean_up(running):
    """delete --force of both, twice: creates that were waiting their turn may come after the first. The faults found."""
    faults = []
    for turn in range(2):
        for i in IDS:
            p = start(["delete", "--force", i])
            try:
                if p.wait(HANG):
                    faults.append("delete --force %s: status %d" % (i, p.returncode))
            except subprocess.TimeoutExpired:
                p.kill()
                faults.append("delete --force %s hangs" % i)
        end = time.time() + HANG
        while turn == 0 and any(p.poll() is None for p in running):
            if time.time() > end:
                faults += ["hangs: %s" % " ".join(p.args[7:]) for p in running if p.poll() is None]
                break
            time.sleep(0.005)
            if any(sentry_of(i) for i in IDS):
                for i in IDS:
                    start(["delete", "--force", i]).wait(HANG)
    return faults


def one(seed, bundles, before, done):
    running, story = interleave(seed, bundles)
    faults = clean_up(running)
    for p in running:
        key = "%s %s" % (p.args[7], p.returncode)
        done[key] = done.get(key, 0) + 1
        if (p.returncode or 0) < 0 and p.returncode != -signal.SIGKILL:
            faults.append("%s died of signal %d" % (" ".join(p.args[7:]), -p.returncode))
    for s in story:
        if s[0] == "<":
            done[s] = done.get(s, 0) + 1
    for p in running:
        if p.poll() is None:
            p.kill()
            p.wait()
    left = processes_left()
    if left:
        faults.append("processes left: %s" % left)
    after = snapshot()
    for _ in range(200):  # the host takes a link down by and by
        if after == before:
            break
        time.sleep(0.025)
        after = snapshot()
    faults += ["%s: %s" % (k, sorted(set(after[k]) ^ set(before[k]))) for k in before if after[k] != before[k]]
    log = open(LOG).read() if os.path.exists(LOG) else ""
    for sign in ("BUG", "crash", "assert", "Sanitizer"):
        if sign in log:
            faults.append("log: " + log[max(0, log.index(sign) - 300):][:1500])
            break
    open(LOG, "w").close()
    if faults:
        print("FAIL seed %d: %s\n  %s" % (seed, "; ".join(story), "\n  ".join(faults)), flush=True)
    return not faults


def main():
    become_subreaper()
    os.makedirs(ROOT, exist_ok=True)
    bundles = make_bundles()
    for b in bundles:  # mount points and files of the first use are there from now on
        if b.endswith("0"):
            for words in (["run", "-d", "-b", "%s/%s/a" % (BUNDLES, b), "a"], ["delete", "--force", "a"]):
                if start(words).wait(HANG):
                    sys.exit("FAIL %s of %s: %s" % (words[0], b, open(TMP + "/err").read()[-500:]))
        before = snapshot()
    failed, done = 0, {}
    began = time.time()
    for n in range(COUNT):
        failed += not one(SEED + n, bundles, before, done)
    for top in os.listdir("/sys/fs/cgroup"):
        try:
            os.rmdir("/sys/fs/cgroup/%s%s" % (top, CGROUP))
        except OSError:
            pass
    print("ended: " + ", ".join("%s: %d" % kv for kv in sorted(done.items())))
    print("%d passed, %d failed (seeds %d to %d, %.0f s)" % (COUNT - failed, failed, SEED, SEED + COUNT - 1, time.time() - began))
    return failed != 0


sys.exit(main())
