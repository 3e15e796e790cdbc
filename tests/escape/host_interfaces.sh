#!/bin/sh
# What the sandbox mounts over the host's /proc and /sys can be unmounted by its root: nothing of the host's may show beneath.
# Arguments: runsc, platform.
set -u
out=$("$1" --platform "$2" do -- sh -c '
    umount /proc && ls -A /proc && cat /proc/version /proc/1/environ /proc/sys/kernel/hostname
    umount /sys 2>/dev/null; ls -A /sys
    umount /dev/pts /dev/shm /dev; ls -A /dev/pts
    echo end' 2>/dev/null)
if [ "$out" = end ]; then
    echo "ok: nothing beneath"
else
    printf 'FAIL: seen beneath the mounts:\n%s\n' "$out"
    exit 1
fi
