# What the scripts here share. Sourced with "$1" runsc and "$2" platform; the caller's own directory under /tmp is $tmp.
tmp=$(mktemp -d)
root=$tmp/root
b=$tmp/b
oci="$1 --platform $2 --root $root"
passed=0
failed=0
oci() { timeout -s KILL 60 $oci "$@"; }
cleanup() {
    for id in $($oci list -q 2>/dev/null); do $oci delete --force "$id" >/dev/null 2>&1; done
    rm -rf "$tmp"
}
trap cleanup EXIT
if $1 --platform "$2" do -- /bin/true 2>&1 | grep 'cannot run here'; then
    echo "SKIP $2"
    exit 77
fi
# expect NAME STATUS PATTERN COMMAND...: the status, and a pattern that standard output or error must hold.
expect() {
    name=$1 want=$2 pattern=$3
    shift 3
    "$@" >"$tmp/out.expect" 2>"$tmp/err.expect" </dev/null
    got=$?
    if [ "$got" -ne "$want" ]; then
        echo "FAIL $name: status $got, not $want: $(head -c 600 "$tmp/out.expect" "$tmp/err.expect")"
        failed=$((failed + 1))
    elif [ -n "$pattern" ] && ! cat "$tmp/out.expect" "$tmp/err.expect" | grep -q -- "$pattern"; then
        echo "FAIL $name: no \"$pattern\" in: $(head -c 600 "$tmp/out.expect" "$tmp/err.expect")"
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
}
# until_true COMMAND...: waits for it, at most 20 s.
until_true() {
    for _ in $(seq 400); do "$@" >/dev/null 2>&1 && return 0; sleep 0.05; done
    return 1
}
gone() { until_true sh -c "! kill -0 $1"; }
mkdir -p "$b/rootfs/bin" "$b/rootfs/proc" "$b/rootfs/dev" "$b/rootfs/sys" "$b/rootfs/tmp" "$b/rootfs/etc" "$root"
cp /bin/busybox "$b/rootfs/bin/busybox"
for applet in sh ls cat echo sleep true false id hostname env pwd mount touch mkdir stty tty wc head yes seq test grep stat kill dd cut tr dnsdomainname; do
    ln -s busybox "$b/rootfs/bin/$applet"
done
$1 spec --bundle "$b"
mv "$b/config.json" "$tmp/config.orig"
# bundle ARGS-AS-JSON [SED-EXPRESSION...]: writes config.json, without a terminal.
bundle() {
    cp "$tmp/config.orig" "$b/config.json"
    sed -i -e 's/"terminal": true/"terminal": false/' "$b/config.json"
    python3 - "$b/config.json" "$@" <<'P'
import json, sys
path, args = sys.argv[1], json.loads(sys.argv[2])
config = json.load(open(path))
config["process"]["args"] = args
for change in sys.argv[3:]:
    exec(change, {"c": config, "p": config["process"], "l": config["linux"], "m": config["mounts"]})
json.dump(config, open(path, "w"))
P
}
finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
