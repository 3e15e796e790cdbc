#!/bin/sh
# The kernel has no mutable globals: no writable section of its object holds anything, but those that are sealed
# after boot (cv_*) and constants that only need relocating.
# usage: no-mutable-globals.sh kernel.o
set -eu
object=$1

found=$(readelf -SW "$object" | sed -n 's/^ *\[ *[0-9]*\] *//p' | awk '
    $7 ~ /W/ && $7 ~ /A/ && $5 !~ /^0+$/ && $1 !~ /^(cv_ops|cv_slabs|cv_ro|\.data\.rel\.ro.*)$/ { print $1 }')
if [ -n "$found" ]; then
    echo "$object has mutable globals:"
    for section in $found; do
        echo "  $section:"
        objdump -t "$object" | awk -v section="$section" \
            'index($0, " O " section "\t") { print "    " $NF }'
    done
    exit 1
fi
