#!/bin/bash
# Random interleavings of lifecycle commands with processes killed in between: chaos.py, in a network namespace of its own whose default
# route leads nowhere. Arguments: runsc, platform; CHAOS_COUNT (30) interleavings from CHAOS_SEED (1) on.
set -u
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || { echo "SKIP chaos: takes root"; exit 77; }
for tool in unshare ip nft; do command -v $tool >/dev/null || { echo "SKIP chaos: no $tool"; exit 77; }; done
bundle '["sleep", "1000"]'
mkdir -p "$b/rootfs/mnt" "$b/rootfs/ovl"
export CHAOS_NETNS=cvisor-chaos-$$
ip netns add "$CHAOS_NETNS" || exit 77
unshare -n sh -c "ip link add out0 type veth peer name out1 && ip link set out1 up && ip addr add 192.0.2.1/24 dev out0 && ip link set out0 up && ip link set lo up &&
    ip route add default dev out0 && exec python3 $(dirname "$0")/chaos.py $1 $2 $tmp ${CHAOS_COUNT:-30} ${CHAOS_SEED:-1}"
status=$?
ip netns del "$CHAOS_NETNS"
exit $status
