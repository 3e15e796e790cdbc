#!/bin/sh
# In the test machine: the parts named by the arguments, or all of them.
failed=0
[ $# = 0 ] && set -- run platform
grep -m1 -o -w -E 'ospke' /proc/cpuinfo
for part in "$@"; do
    case $part in
    platform) /t/mpk_test || failed=1 ;;
    case:*) /t/mpk_test "${part#case:}" || failed=1 ;;
    run) /t/runsc --platform mpk --unsafe-mpk do -- /bin/sh -c 'echo hello; ls /' || failed=1 ;;
    esac
done
exit $failed
