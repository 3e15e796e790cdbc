#!/usr/bin/env python3
"""runsc compat against programs whose verdicts are known: compat.py RUNSC PLATFORM

The programs are shell scripts made here: each kind's output, hostile output, hanging and crashing ones. Exit status 77: the platform can't
run here. Names are printed as they are checked."""
import ctypes
import glob
import html.parser
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
RUNSC, PLATFORM = os.path.realpath(sys.argv[1]), sys.argv[2]
WORK = tempfile.mkdtemp(prefix="cvisor-compat-test-")
os.environ["TMPDIR"] = WORK  # what a killed one leaves goes with it
failures = 0

# In a sandbox, and only there, the host's name is this.
INSIDE = '[ "$(uname -n)" = cvisor ]'
HOSTILE = r"printf 'a\033]0;title\007\033[31m\377\376 ]]> </script><script>alert(1)</script> \"&<b>\342\200\256 \357\277\277\000\n'"
PROGRAMS = {
    "good": "echo fine",
    "skips": "exit 77",
    "fails": "echo no; exit 3",
    "differs": "echo one; echo two; %s && echo three || echo 3" % INSIDE,
    "status_differs": "%s && exit 4; exit 0" % INSIDE,
    "crashes": "kill -SEGV $$",
    "crashes_inside": "%s && kill -ABRT $$; exit 0" % INSIDE,
    "hangs": "(setsid sh -c 'sleep 4321; :' &); sleep 4321",
    "leaves": "(setsid sleep 4321 > /dev/null 2>&1 &); echo done",
    "tap_good": "echo 1..3; echo ok 1 - a; echo 'ok 2 # SKIP no'; echo 'not ok 3 - b # TO" + "DO later'; exit 0",
    "tap_differs": "echo TAP version 13; echo ok 1 - same; %s && echo not ok 2 - other || echo ok 2 - other; echo 1..2" % INSIDE,
    "ltp_good": "echo 'x.c:1: TINFO: hm' >&2; echo 'x.c:2: TPASS: 12 ms' >&2; exit 0",
    "ltp_conf": "echo 'x.c:2: TCONF: not here' >&2; exit 32",
    "ltp_differs": "echo 'x.c:2: TPASS: a' >&2; %s && { echo 'x.c:3: TFAIL: b' >&2; exit 1; }; "
                   "echo 'x.c:3: TPASS: b' >&2; exit 0" % INSIDE,
    "empty_directory": "ls -A; touch here",
    "hostile": HOSTILE + "; %s && exit 1; exit 0" % INSIDE,
}
GTEST = r"""case "$1" in
--gtest_list_tests) printf 'Running main()\nA.\n  Good\n  Bad\n  Crash  # GetParam() = 1\n  DISABLED_Off\nB/0.  # TypeParam = int\n  <x>"]]>\n' ;;
--gtest_filter=A.Bad) echo '[ RUN      ] A.Bad'; echo 'x.cc:1: Failure'; echo 'Expected: 1'; echo '[  FAILED  ] A.Bad (0 ms)'; exit 1 ;;
--gtest_filter=A.Crash) kill -BUS $$ ;;
--gtest_filter=A.DISABLED_Off) echo '[==========] Running 0 tests from 0 test suites.' ;;
--gtest_filter=*) n=${1#*=}; echo "[ RUN      ] $n"; echo "noise[       OK ] $n (3 ms)" ;;
esac"""


def check(what, ok, shown=""):
    global failures
    print(("ok   " if ok else "FAIL ") + what, flush=True)
    if not ok:
        failures += 1
        print("     %s" % str(shown)[:3000], flush=True)


def path(name, text=None, mode=0o755):
    p = os.path.join(WORK, name)
    if text is not None:
        with open(p, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(p, mode)
    return p


def command(*args):
    return [RUNSC, "--unsafe-mpk", "compat", "--platform", PLATFORM] + list(args)


def compat(*args):
    r = subprocess.run(command(*args), stdin=subprocess.DEVNULL, capture_output=True, cwd=WORK, timeout=170)
    return r.returncode, r.stdout, r.stderr


def children_of(pid):
    found = []
    for task in glob.glob("/proc/%d/task/*/children" % pid):
        try:
            found += [int(p) for p in open(task).read().split()]
        except OSError:
            continue
    return found


def descendants_of(pid):
    found = children_of(pid)
    return found + [d for p in found for d in descendants_of(p)]


def left_over():
    """What runs on after its parents: it is our child then. The dying may die before."""
    for _ in range(100):
        while children_of(os.getpid()) and os.waitpid(-1, os.WNOHANG)[0] > 0:
            pass
        if not children_of(os.getpid()):
            return []
        time.sleep(0.1)
    return children_of(os.getpid())


def verdicts(report):
    return {(p["name"], c["case"]): c["platforms"][PLATFORM]["verdict"] for p in report["programs"] for c in p["cases"]}


def test_verdicts():
    names = [n for n in PROGRAMS if n != "hangs"]
    status, out, err = compat("--native", "--format", "json", "--timeout", "30", "--jobs", "2", "--", *[path(n) for n in names])
    check("differences give status 1", status == 1, err)
    report = json.loads(out)
    v = verdicts(report)
    want = {("good", ""): "passed", ("skips", ""): "skipped", ("fails", ""): "same", ("differs", ""): "differs",
            ("status_differs", ""): "differs", ("crashes", ""): "same", ("crashes_inside", ""): "crashed", ("leaves", ""): "passed",
            ("tap_good", "1 a"): "passed", ("tap_good", "2"): "skipped", ("tap_good", "3 b"): "passed",
            ("tap_differs", "1 same"): "passed", ("tap_differs", "2 other"): "differs", ("ltp_good", ""): "passed",
            ("ltp_conf", ""): "skipped", ("ltp_differs", ""): "differs", ("empty_directory", ""): "passed", ("hostile", ""): "differs"}
    for key in want:
        check("verdict of %s %s" % key, v.get(key) == want[key], v.get(key))
    check("no other cases", set(v) == set(want), set(v) ^ set(want))
    kinds = {p["name"]: p["kind"] for p in report["programs"]}
    check("kinds are told apart", [kinds[n] for n in ("good", "tap_good", "ltp_good")] == ["plain", "tap", "ltp"], kinds)
    cells = {p["name"]: p["cases"][0]["platforms"][PLATFORM] for p in report["programs"]}
    check("the first differing line", cells["differs"]["difference"] == {"line": 3, "expected": "3", "found": "three"}, cells["differs"])
    check("the last calls", "exit_group(" in cells["differs"]["last_calls"] and "write(1, " in cells["differs"]["last_calls"],
          cells["differs"])
    check("nothing is left of those that leave something", not left_over())
    check("sums", report["summary"]["unexpected"] == 6 and report["summary"]["cases"] == len(want), report["summary"])


def test_alone():
    status, out, _ = compat("--format", "json", "--no-trace", "--", path("good"), path("skips"), path("tap_good"))
    check("without native runs what passes gives status 0", status == 0, out)
    status, out, _ = compat("--format", "json", "--no-trace", "--", path("fails"), path("crashes"))
    v = verdicts(json.loads(out))
    check("without native runs failures are failures", status == 1 and v == {("fails", ""): "failed", ("crashes", ""): "crashed"}, v)
    check("nothing ran natively", "native" not in json.loads(out)["programs"][0]["cases"][0])


def test_gtest():
    status, out, _ = compat("--kind", "gtest", "--format", "json", "--", path("gtest", "#!/bin/sh\n" + GTEST))
    v = {k[1]: x for k, x in verdicts(json.loads(out)).items()}
    check("GoogleTest case by case", v == {"A.Good": "passed", "A.Bad": "failed", "A.Crash": "crashed", "A.DISABLED_Off": "skipped",
                                           'B/0.<x>"]]>': "passed"}, v)


def test_hang():
    status, out, _ = compat("--native", "--format", "json", "--timeout", "2", "--no-trace", "--", path("hangs"))
    v = verdicts(json.loads(out))
    check("what hangs natively too is no difference", status == 0 and v == {("hangs", ""): "same"}, v)
    status, out, _ = compat("--format", "json", "--timeout", "2", "--", path("hangs"))
    check("what hangs is hung", status == 1 and verdicts(json.loads(out)) == {("hangs", ""): "hung"}, out)
    check("nothing is left of what hung", not left_over())
    for how, number in (("told", signal.SIGTERM), ("killed", signal.SIGKILL)):
        for native in ([], ["--native"]):
            with subprocess.Popen(command("--timeout", "100", *native, "--", path("hangs")), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  cwd=WORK) as p:
                # The keeper, the shell and its three; or runsc, the sandbox and a guest.
                while len(descendants_of(p.pid)) < 4:
                    time.sleep(0.05)
                p.send_signal(number)
                p.communicate(timeout=60)
            check("nothing is left when it is %s to end%s" % (how, " natively" if native else ""), not left_over())


def test_known():
    known = path("known", "# comment\ndiffers %s: for a reason\nstatus_* another reason\ngood %s it was so\nnever * no such\n"
                 % (PLATFORM, PLATFORM), 0o644)
    args = ["--native", "--no-trace", "--known", known]
    status, out, _ = compat(*args, "--format", "json", "--", path("differs"), path("status_differs"), path("good"))
    report = json.loads(out)
    check("known differences give status 0", status == 0 and report["summary"]["known"] == 2 and report["summary"]["mended"] == 1,
          report["summary"])
    status, out, _ = compat(*args, "--", path("differs"), path("fails"), path("crashes_inside"))
    check("others beside them do not", status == 1 and b"for a reason" in out and b"FAILED: 1 unexpected" in out, out)
    status, _, err = compat("--known", path("bad", "differs\n", 0o644), "--", path("good"))
    check("a known difference needs a reason", status == 2 and b"reason" in err, err)


def test_list():
    listed = path("list", "# words\nfirst: ./good 'a b' \"c\\\"d\"\nfails\n", 0o644)
    status, out, _ = compat("--format", "json", "--no-trace", "--list", listed)
    programs = {p["name"]: p["command"] for p in json.loads(out)["programs"]}
    check("a list of programs", status == 1 and programs["first"][1:] == ["a b", 'c"d'] and "fails" in programs, programs)


def test_usage():
    for args in (["--nosuch"], [], ["--", "/nonexistent/program"], ["--format", "xml", "--", path("good")], ["--timeout", "-1", path("good")],
                 ["--list", "/nonexistent"], ["--kind", "perl", path("good")]):
        status, out, err = compat(*args)
        check("usage: %s" % " ".join(args)[:40], status == 2 and not out and err.startswith(b"runsc: "), (status, err))


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.outside = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.outside += [a for a in attrs if a[0] in ("src", "href", "srcset", "action", "onclick", "onerror", "style")]


def test_hostile():
    evil = path('h"\'<b>&]]>\x1b[2J\udc80'.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape"), None)
    with open(os.fsencode(evil), "w") as f:
        f.write("#!/bin/sh\n" + HOSTILE + "; exit 1\n")
    os.chmod(os.fsencode(evil), 0o755)
    programs = ["--native", "--", path("hostile"), os.fsencode(evil)]
    _, out, _ = compat("--format", "json", *programs)
    json.loads(out.decode("utf-8"))
    check("hostile bytes in JSON", all(c >= 0x20 or c == 10 for c in out), out)
    _, out, _ = compat(*programs)
    text = out.decode("utf-8")
    check("hostile bytes on a terminal", all(c.isprintable() or c == "\n" for c in text) and "\u202e" not in text, text)
    _, out, _ = compat("--format", "html", *programs)
    text, t = out.decode("utf-8"), Tags()
    t.feed(text)
    check("hostile bytes in HTML", t.tags.count("script") == 1 and "b" in t.tags and not t.outside and "\x1b" not in text
          and "<script>alert" not in text, (t.tags.count("script"), t.outside))
    check("HTML needs nothing else", "http://" not in text and "https://" not in text and "url(" not in text)
    _, out, _ = compat("--format", "junit", "--output", path("junit.xml"), *programs)
    check("the report in a file", out == b"")
    xml.etree.ElementTree.parse(path("junit.xml"))


def test_junit():
    report = path("all.xml")
    compat("--native", "--format", "junit", "--output", report, "--timeout", "30", "--", *[path(n) for n in PROGRAMS if n != "hangs"])
    root = xml.etree.ElementTree.parse(report).getroot()
    cases = root.findall("./testsuite/testcase")
    check("JUnit's sums", int(root.get("tests")) == len(cases) and int(root.get("failures")) == len(root.findall(".//failure")) and
          int(root.get("errors")) == len(root.findall(".//error")) == 1 and int(root.get("skipped")) == len(root.findall(".//skipped")),
          root.attrib)
    if not shutil.which("xmllint"):
        print("skip JUnit's schema: no xmllint")
        return
    for file in (report, path("junit.xml")):
        r = subprocess.run(["xmllint", "--nonet", "--noout", "--schema", os.path.join(HERE, "junit.xsd"), file], capture_output=True)
        check("%s by the schema" % os.path.basename(file), r.returncode == 0, r.stderr)


def main():
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    for name, text in PROGRAMS.items():
        path(name, "#!/bin/sh\n%s\n" % text)
    status, _, err = compat("--", "/bin/true")
    if status == 2 and b"cannot run here" in err:
        print("SKIP %s" % err.decode(errors="replace"))
        return 77
    for test in (test_verdicts, test_alone, test_gtest, test_hang, test_known, test_list, test_usage, test_hostile, test_junit):
        test()
    return 1 if failures else 0


try:
    code = main()
finally:
    shutil.rmtree(os.fsencode(WORK), ignore_errors=True)
sys.exit(code)
