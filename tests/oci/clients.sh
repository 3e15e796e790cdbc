#!/bin/bash
# Real clients over runsc: containerd with ctr, podman. Each has its own directories under /tmp and leaves none; one that is not installed is
# skipped by name. Arguments: runsc, platform.
set -u
. "$(dirname "$0")/lib.sh"
wrapper=$tmp/runsc # clients pass no platform
printf '#!/bin/sh\nexec %s --platform %s "$@"\n' "$(readlink -f "$1")" "$2" >"$wrapper"
chmod +x "$wrapper"
export XDG_RUNTIME_DIR=
ran=0

# An OCI image of the bundle's rootfs: localhost/bb:1.
python3 - "$b/rootfs" "$tmp/image.tar" <<'P'
import hashlib, io, json, os, sys, tarfile
root, out = sys.argv[1:]
buffer = io.BytesIO()
with tarfile.open(fileobj=buffer, mode="w") as layer:
    for name in sorted(os.listdir(root)):
        layer.add(os.path.join(root, name), arcname=name)
layer = buffer.getvalue()
digest = lambda data: "sha256:" + hashlib.sha256(data).hexdigest()
config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
                     "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}}).encode()
kind = "application/vnd.oci.image."
describe = lambda data, media: {"mediaType": kind + media, "digest": digest(data), "size": len(data)}
manifest = json.dumps({"schemaVersion": 2, "mediaType": kind + "manifest.v1+json", "config": describe(config, "config.v1+json"),
                       "layers": [describe(layer, "layer.v1.tar")]}).encode()
entry = dict(describe(manifest, "manifest.v1+json"), annotations={"io.containerd.image.name": "localhost/bb:1",
                                                                  "org.opencontainers.image.ref.name": "localhost/bb:1"})
with tarfile.open(out, "w") as image:
    def add(name, data):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        image.addfile(info, io.BytesIO(data))
    add("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    add("index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())
    for data in (layer, config, manifest):
        add("blobs/sha256/" + digest(data)[7:], data)
P
# in_terminal COMMAND: with a terminal of its own.
in_terminal() { script -qec "$1" /dev/null </dev/null; }

if command -v containerd >/dev/null && command -v ctr >/dev/null; then
    ran=1
    mkdir "$tmp/ctd"
    cat >"$tmp/ctd/config.toml" <<T
version = 2
root = "$tmp/ctd/root"
state = "$tmp/ctd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "$tmp/ctd/c.sock"
T
    containerd -c "$tmp/ctd/config.toml" >"$tmp/ctd/log" 2>&1 &
    daemon=$!
    ctr() { timeout -s KILL 60 ctr -a "$tmp/ctd/c.sock" "$@"; }
    over="--runc-binary $wrapper --runc-root $tmp/ctd/runsc"
    until_true ctr version
    expect ctr-import 0 '' ctr images import "$tmp/image.tar"
    expect ctr-run 0 '^hello$' ctr run --rm $over localhost/bb:1 t1 echo hello
    expect ctr-status 42 '' ctr run --rm $over localhost/bb:1 t1 sh -c 'exit 42'
    expect ctr-not-found 1 'executable file not found in \$PATH' ctr run --rm $over localhost/bb:1 t1 nosuch
    expect ctr-tty 0 '/dev/pts/0' in_terminal "timeout 60 ctr -a $tmp/ctd/c.sock run --rm -t $over localhost/bb:1 t1 tty"
    expect ctr-detach 0 '' ctr run -d $over localhost/bb:1 t2 sleep 1000
    expect ctr-ls 0 't2 .*RUNNING' ctr task ls
    expect ctr-exec 0 '^inside$' ctr task exec --exec-id e1 t2 echo inside
    expect ctr-exec-status 9 '' ctr task exec --exec-id e2 t2 sh -c 'exit 9'
    expect ctr-exec-tty 0 '/dev/pts/0' in_terminal "timeout 60 ctr -a $tmp/ctd/c.sock task exec -t --exec-id e3 t2 tty"
    expect ctr-ps 0 '^[1-9]' ctr task ps t2
    expect ctr-metrics 0 'memory' ctr task metrics t2
    expect ctr-pause 0 '' ctr task pause t2
    expect ctr-paused 0 't2 .*PAUSED' ctr task ls
    expect ctr-resume 0 '' ctr task resume t2
    expect ctr-kill 0 '' ctr task kill -s 9 t2
    until_true sh -c "timeout 60 ctr -a $tmp/ctd/c.sock task ls | grep -q 't2 .*STOPPED'"
    expect ctr-rm 0 '' ctr task rm t2
    expect ctr-c-rm 0 '' ctr containers rm t2
    kill "$daemon"
    wait "$daemon" 2>/dev/null
else
    echo "SKIP containerd, ctr: not installed"
fi

if command -v podman >/dev/null; then
    ran=1
    base="podman --root $tmp/pod/root --runroot $tmp/pod/run --cgroup-manager cgroupfs --events-backend file --runtime $wrapper"
    pod() { timeout -s KILL 60 $base "$@"; }
    run="run --rm --network none"
    expect podman-load 0 '' pod load -i "$tmp/image.tar"
    expect podman-run 0 '^hello$' pod $run localhost/bb:1 echo hello
    expect podman-status 42 '' pod $run localhost/bb:1 sh -c 'exit 42'
    expect podman-not-found 127 'executable file not found' pod $run localhost/bb:1 nosuch
    expect podman-not-executable 126 'permission denied' pod $run localhost/bb:1 /etc
    expect podman-tty 0 '/dev/pts/0' in_terminal "timeout 60 $base $run -it localhost/bb:1 tty"
    expect podman-options 0 '^uid=12.* gid=34' pod $run --user 12:34 --cap-drop all --read-only -e A=b -w /tmp --hostname hh localhost/bb:1 id
    expect podman-read-only 0 'Read-only' pod $run --read-only localhost/bb:1 sh -c 'touch /x 2>&1; true'
    echo volume >"$tmp/volume"
    expect podman-volume 0 '^volume$' pod $run -v "$tmp/volume:/v:ro" localhost/bb:1 cat /v
    expect podman-stdin 0 '^5$' sh -c "echo four | $base $run -i localhost/bb:1 wc -c"
    expect podman-detach 0 '' pod run -d --name p1 --network none localhost/bb:1 sh -c 'trap "exit 7" TERM; echo started; while :; do sleep 0.1; done'
    until_true sh -c "$base logs p1 | grep -q started"
    expect podman-logs 0 '^started$' pod logs p1
    expect podman-exec 0 '^inside$' pod exec p1 echo inside
    expect podman-exec-status 9 '' pod exec p1 sh -c 'exit 9'
    expect podman-exec-tty 0 '/dev/pts/0' in_terminal "timeout 60 $base exec -it p1 tty"
    expect podman-stats 0 'p1' pod stats --no-stream p1
    expect podman-pause 0 '' pod pause p1
    expect podman-unpause 0 '' pod unpause p1
    expect podman-cp 0 '' pod cp "$tmp/volume" p1:/tmp/copied
    expect podman-copied 0 '^volume$' pod exec p1 cat /tmp/copied
    expect podman-stop 0 '' pod stop -t 10 p1
    expect podman-exit-code 0 '^7$' pod inspect p1 --format '{{.State.ExitCode}}'
    expect podman-start 0 '' pod start p1
    expect podman-kill 0 '' pod kill p1
    expect podman-rm 0 '' pod rm -f p1
    pod rm -fa >/dev/null 2>&1
    pod rmi -fa >/dev/null 2>&1
    umount "$tmp/pod/root/overlay" 2>/dev/null
else
    echo "SKIP podman: not installed"
fi
[ "$ran" -eq 1 ] || exit 77
finish
