"""Checks a --trace-out file by the rules of Trace Event Format as Perfetto reads it. Prints a line of counts.

Arguments: FILE [NAME=COUNT...]: at least COUNT events of that name.
"""
import bisect
import collections
import json
import sys

FIELDS = {  # what each phase has beside ph, pid, tid: name -> type
    "X": {"ts": (int, float), "dur": (int, float), "name": str, "cat": str},
    "M": {"name": str, "args": dict, "ts": (int, float)},
    "i": {"ts": (int, float), "s": str, "name": str},
    "s": {"ts": (int, float), "id": str, "cat": str, "name": str},
    "f": {"ts": (int, float), "id": str, "cat": str, "name": str, "bp": str},
}
MORE = {"args"}


def check_shape(e):
    assert isinstance(e, dict) and e.get("ph") in FIELDS, e
    assert isinstance(e["pid"], int) and isinstance(e["tid"], int) and e["pid"] > 0 and e["tid"] > 0, e
    want = FIELDS[e["ph"]]
    for name, kind in want.items():
        assert isinstance(e.get(name), kind), (name, e)
    assert set(e) <= set(want) | MORE | {"ph", "pid", "tid"}, e
    assert e["ts"] >= 0 and e.get("dur", 0) >= 0, e
    if e["ph"] == "i":
        assert e["s"] in "tpg", e
    if e["ph"] == "M":
        assert e["name"] in ("process_name", "thread_name") and isinstance(e["args"]["name"], str), e
    for text in (e["name"], json.dumps(e.get("args", {}))):
        assert all(32 <= ord(c) < 127 for c in text), e


def ns(us):
    return round(us * 1000)


def check_tracks(events):
    """Slices of a track nest or follow each other, and come in the order of their ends."""
    tracks = collections.defaultdict(list)
    for e in events:
        if e["ph"] == "X":
            tracks[e["pid"], e["tid"]].append((ns(e["ts"]), ns(e["ts"]) + ns(e["dur"])))
    for track, slices in tracks.items():
        assert slices == sorted(slices, key=lambda s: s[1]), track
        open_until = []
        for start, end in sorted(slices, key=lambda s: (s[0], -s[1])):
            while open_until and open_until[-1] <= start:
                open_until.pop()
            assert not open_until or end <= open_until[-1], (track, start, end)
            open_until.append(end)
    return tracks


def inside(slices, at):
    """slices do not overlap, but where they nest, and are in the order of their ends."""
    i = bisect.bisect_left(slices, at, key=lambda s: s[1])
    return any(a <= at for a, _ in slices[i : i + 8])


def check_flows(events, tracks, whole):
    flows = collections.defaultdict(dict)
    for e in events:
        if e["ph"] in "sf":
            assert e["ph"] not in flows[e["id"]], e
            flows[e["id"]][e["ph"]] = e
    bound = 0
    for pair in flows.values():
        assert set(pair) == {"s", "f"}, pair
        s, f = pair["s"], pair["f"]
        assert s["ts"] <= f["ts"] and s["name"] == f["name"] and (s["pid"], s["tid"]) != (f["pid"], f["tid"]), pair
        ends = [inside(tracks[e["pid"], e["tid"]], ns(e["ts"])) for e in (s, f)]
        assert ends[1], pair
        bound += ends[0]
        assert ends[0] or not whole, pair
    return bound


def main():
    text = open(sys.argv[1]).read()
    try:
        events = json.loads(text)
    except json.JSONDecodeError:  # viewers close an array that is cut
        text = text[: text.rindex("\n")].rstrip().rstrip(",")
        events = json.loads(text + "]")
    for e in events:
        check_shape(e)
    whole = events[-1]["name"] == "trace ends"
    tracks = check_tracks(events)
    bound = check_flows(events, tracks, whole)
    for track in tracks:
        assert any(e["ph"] == "M" and (e["pid"], e["tid"]) == track for e in events), track
    names = collections.Counter(e["name"] for e in events if e["ph"] != "f")
    for want in sys.argv[2:]:
        name, count = want.split("=")
        assert names[name] >= int(count), (want, names[name])
    print("events %d flows %d end %s" % (len(events), bound, events[-1]["name"]))


main()
