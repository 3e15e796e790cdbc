#!/bin/bash
# runsc install and uninstall: docker's configuration, written whole and with the rest kept. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/lib.sh"

c=$tmp/docker/daemon.json
get() { python3 -c 'import json, sys; print(json.dumps(eval("d" + sys.argv[2], {"d": json.load(open(sys.argv[1]))})))' "$c" "$1"; }
expect fresh 0 'restart docker' oci install --config "$c"
expect path 0 "^\"$(realpath "$1")\"$" get '["runtimes"]["runsc"]["path"]'
expect told 0 'io.containerd.runc.v2' oci install --config "$c"
expect told-podman 0 'engine.runtimes' oci install --config "$c"
expect told-crio 0 'crio.runtime.runtimes.runsc' oci install --config "$c"
cat >"$c" <<'J'
{"data-root": "/x", "runtimes": {"other": {"path": "/bin/other", "runtimeArgs": ["--a"]}}, "features": {"buildkit": true}, "mtu": 1400}
J
chmod 600 "$c"
expect flags 0 'exec .* --platform=ptrace --debug "\$@"' oci install --config "$c" --runtime second -- --platform=ptrace --debug
expect flags-in 0 '^\["--platform=ptrace", "--debug"\]$' get '["runtimes"]["second"]["runtimeArgs"]'
expect kept 0 '^\["/x", {"path": "/bin/other", "runtimeArgs": \["--a"\]}, {"buildkit": true}, 1400\]$' get '.__class__ and [d["data-root"], d["runtimes"]["other"], d["features"], d["mtu"]]'
expect mode 0 '^600$' stat -c %a "$c"
expect nothing-aside 0 '^daemon.json$' ls "$tmp/docker"
# The entry works: docker would call it so.
expect entry 0 'runsc version' sh -c "\$(python3 -c 'import json; print(json.load(open(\"$c\"))[\"runtimes\"][\"second\"][\"path\"])') --version"
expect remove 0 'no longer' oci uninstall --config "$c" --runtime second
expect removed 0 '^\["other"\]$' get '.__class__ and list(d["runtimes"])'
expect remove-again 0 'no runtime second' oci uninstall --config "$c" --runtime second
# A link stays one: what it leads to is replaced.
mv "$c" "$tmp/real.json" && ln -s ../real.json "$c"
expect link 0 '' oci install --config "$c"
expect link-stays 0 real.json readlink "$c"
expect link-there 0 'runsc' get '.__class__ and list(d["runtimes"])'
# What can't be understood is left as it is.
rm "$c"
echo '{"runtimes": 5}' >"$c"
expect odd 1 'is no object' oci install --config "$c"
expect odd-left 0 '^5$' get '["runtimes"]'
echo '{"runtimes": {' >"$c"
expect broken 1 'malformed' oci install --config "$c"
expect broken-left 0 '^{"runtimes": {$' cat "$c"
echo '{"default-runtime": "runsc", "runtimes": {"runsc": {"path": "/x"}}}' >"$c"
expect default 1 'default-runtime' oci uninstall --config "$c"
expect name 1 'invalid runtime name' oci install --config "$c" --runtime 'a"b'
expect no-directory 1 'cannot' oci install --config "$tmp/no/such/daemon.json"
finish
