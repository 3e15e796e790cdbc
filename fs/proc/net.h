/* What /proc/net's files show: net.c, net_route.c, net_sock.c, net_link.c. */
#pragma once

#include "fs/proc/proc_int.h"
#include "netstack/addr.h"

PROC_SHOW(proc_net_dev);
PROC_SHOW(proc_net_if_inet6);
PROC_SHOW(proc_net_tcp);
PROC_SHOW(proc_net_tcp6);
PROC_SHOW(proc_net_snmp);
PROC_SHOW(proc_net_snmp6);
PROC_SHOW(proc_net_netstat);
PROC_SHOW(proc_net_route);
PROC_SHOW(proc_net_ipv6_route);

/* net_sock.c */
PROC_SHOW(proc_net_icmp);
PROC_SHOW(proc_net_icmp6);
PROC_SHOW(proc_net_netlink);
PROC_SHOW(proc_net_packet);
PROC_SHOW(proc_net_protocols);
PROC_SHOW(proc_net_raw);
PROC_SHOW(proc_net_raw6);
PROC_SHOW(proc_net_sockstat);
PROC_SHOW(proc_net_sockstat6);
PROC_SHOW(proc_net_udp);
PROC_SHOW(proc_net_udp6);
PROC_SHOW(proc_net_udplite);
PROC_SHOW(proc_net_udplite6);
PROC_SHOW(proc_net_unix);
/* net_link.c */
PROC_SHOW(proc_net_arp);
PROC_SHOW(proc_net_dev_mcast);
PROC_SHOW(proc_net_igmp);
PROC_SHOW(proc_net_igmp6);

/* An end as these tables show it: words of the address in host order, as hexadecimal. */
void proc_net_put_end(struct strbuf *sb, const struct net_end *end, bool v6);

/* /proc/PID/net. */
#define PROC_NET_COUNT 27
extern const struct proc_node proc_net_nodes[PROC_NET_COUNT];
/* /proc/sys/net (sys_net.c): of a node whose name is a path beneath /proc/sys. */
DECLARE_OPS(inode_ops, proc_sys_net_ops);
DECLARE_OPS(file_ops, proc_sys_net_file_ops);
