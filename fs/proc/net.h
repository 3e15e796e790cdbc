/* What /proc/net's files show: net.c, net_route.c. */
#pragma once

#include "fs/proc/proc_int.h"

PROC_SHOW(proc_net_dev);
PROC_SHOW(proc_net_if_inet6);
PROC_SHOW(proc_net_tcp);
PROC_SHOW(proc_net_tcp6);
PROC_SHOW(proc_net_snmp);
PROC_SHOW(proc_net_snmp6);
PROC_SHOW(proc_net_netstat);
PROC_SHOW(proc_net_route);
PROC_SHOW(proc_net_ipv6_route);

/* /proc/PID/net. */
#define PROC_NET_COUNT 9
extern const struct proc_node proc_net_nodes[PROC_NET_COUNT];
/* /proc/sys/net (sys_net.c): of a node whose name is a path beneath /proc/sys. */
DECLARE_OPS(inode_ops, proc_sys_net_ops);
DECLARE_OPS(file_ops, proc_sys_net_file_ops);
