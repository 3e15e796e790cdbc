/*
 * Settings with Linux's names and defaults, as tables fs/proc can walk. Read and written under the
 * stack's lock, by the functions below.
 */
#pragma once

#include "sentry/base/compiler.h"

struct net_stack;
struct net_iface;

struct net_sysctl {
#define SYSCTL(path, field, def, min, max)             int64_t field;
#define SYSCTL3(path, field, count, min, max, a, b, c) int64_t field[count];
#include "netstack/sysctl.def"
#undef SYSCTL
#undef SYSCTL3
};

struct net_iface_conf {
#define CONF4(name, field, def, min, max) int64_t field;
#define CONF6(name, field, def, min, max) int64_t field;
#include "netstack/ifconf.def"
#undef CONF4
#undef CONF6
};

struct net_sysctl_row {
    const char *path;      /* "net/ipv4/ip_forward"; of an interface's: "forwarding" */
    uint32_t offset;       /* of the first int64_t in its struct */
    uint8_t count, family; /* family: LX_AF_INET or LX_AF_INET6 for an interface's */
    int64_t min, max, def[3];
};

const struct net_sysctl_row *net_sysctl_rows(uint32_t *out_count);
const struct net_sysctl_row *net_iface_conf_rows(uint32_t *out_count);
void net_sysctl_init(struct net_sysctl *s);
void net_iface_conf_init(struct net_iface_conf *c);

/* The values at a row, to read or write. */
int64_t *net_sysctl_values(struct net_stack *s, const struct net_sysctl_row *row);
enum net_conf_which { NET_CONF_ALL, NET_CONF_DEFAULT };
int64_t *net_conf_values(struct net_stack *s, enum net_conf_which which,
                         const struct net_sysctl_row *row);
int64_t *net_iface_conf_values(struct net_iface *i, const struct net_sysctl_row *row);
/*
 * Writes count values; -EINVAL out of range. i NULL and which: all or default. Effects: forwarding
 * and all/forwarding go to every interface, disable_ipv6 takes addresses away and gives them back.
 */
int net_sysctl_write(struct net_stack *s, const struct net_sysctl_row *row, const int64_t *values,
                     uint32_t count) MUST_CHECK;
int net_conf_write(struct net_stack *s, enum net_conf_which which, const struct net_sysctl_row *row,
                   int64_t value) MUST_CHECK;
int net_iface_conf_write(struct net_iface *i, const struct net_sysctl_row *row,
                         int64_t value) MUST_CHECK;
