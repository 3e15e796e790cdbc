#!/bin/sh
# The kernel object may leave undefined only the functions of platform.h and host.h, and its section bounds.
# usage: freestanding.sh kernel.o   (from the top of the tree)
set -eu
object=$1
allowed=$(mktemp)
trap 'rm -f "$allowed"' EXIT

{
    # Declarations, comments removed: names followed by an opening parenthesis.
    sed -e 's|/\*.*\*/||' -e '/\/\*/,/\*\//d' platform/platform.h platform/host/host.h |
        grep -oE '\b(host|platform)_[a-z0-9_]+ *\(' | tr -d ' ('
    for section in cv_ops cv_slabs cv_ro; do
        printf '__start_%s\n__stop_%s\n' $section $section
    done
    echo _GLOBAL_OFFSET_TABLE_ # the linker's own, without LTO
    # The renaming of the compiler's memory calls leaves both a definition and a reference.
    nm --defined-only "$object" | awk '{print $3}' | grep '^cv_mem' || true
} | sort -u >"$allowed"

undefined=$(nm -u "$object" | awk '{print $2}' | sort -u | grep -vxF -f "$allowed" || true)
if [ -n "$undefined" ]; then
    echo "$object needs what it may not have:"
    echo "$undefined"
    exit 1
fi
