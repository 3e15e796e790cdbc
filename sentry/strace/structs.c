/* Structures the guest passes, by a table of their main fields. Socket addresses apart. No locks.
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/strace/strace_int.h"

/* kind: d signed, u unsigned, x hex, o octal, s text, or one of named_sets. */
struct field {
    const char *name;
    uint16_t offset;
    uint8_t size;
    char kind;
};

struct layout {
    const char *name;
    uint16_t size;
    struct field fields[8]; /* ended by a NULL name when fewer */
};

#define STRUCT_MAX 256

static const struct layout layouts[] = {
    {"timespec", 16, {{"tv_sec", 0, 8, 'd'}, {"tv_nsec", 8, 8, 'd'}}},
    {"timeval", 16, {{"tv_sec", 0, 8, 'd'}, {"tv_usec", 8, 8, 'd'}}},
    {"timezone", 8, {{"tz_minuteswest", 0, 4, 'd'}, {"tz_dsttime", 4, 4, 'd'}}},
    {"itimerspec",
     32,
     {{"interval.sec", 0, 8, 'd'},
      {"interval.nsec", 8, 8, 'd'},
      {"value.sec", 16, 8, 'd'},
      {"value.nsec", 24, 8, 'd'}}},
    {"itimerval",
     32,
     {{"interval.sec", 0, 8, 'd'},
      {"interval.usec", 8, 8, 'd'},
      {"value.sec", 16, 8, 'd'},
      {"value.usec", 24, 8, 'd'}}},
    {"stat",
     144,
     {{"st_mode", 24, 4, 'o'},
      {"st_size", 48, 8, 'd'},
      {"st_ino", 8, 8, 'u'},
      {"st_uid", 28, 4, 'u'},
      {"st_rdev", 40, 8, 'x'}}},
    {"statx", 256, {{"stx_mask", 0, 4, 'x'}, {"stx_mode", 28, 2, 'o'}, {"stx_size", 40, 8, 'u'}}},
    {"statfs",
     120,
     {{"f_type", 0, 8, 'x'},
      {"f_bsize", 8, 8, 'u'},
      {"f_blocks", 16, 8, 'u'},
      {"f_bfree", 24, 8, 'u'}}},
    {"fdpair", 8, {{"0", 0, 4, 'd'}, {"1", 4, 4, 'd'}}},
    {"rlimit", 16, {{"rlim_cur", 0, 8, 'u'}, {"rlim_max", 8, 8, 'u'}}},
    {"rusage",
     144,
     {{"utime.sec", 0, 8, 'd'},
      {"utime.usec", 8, 8, 'd'},
      {"stime.sec", 16, 8, 'd'},
      {"stime.usec", 24, 8, 'd'},
      {"maxrss", 32, 8, 'd'}}},
    {"sigaction",
     32,
     {{"sa_handler", 0, 8, 'x'}, {"sa_flags", 8, 8, 'A'}, {"sa_mask", 24, 8, 'M'}}},
    {"sigaltstack", 24, {{"ss_sp", 0, 8, 'x'}, {"ss_flags", 8, 4, 'x'}, {"ss_size", 16, 8, 'u'}}},
    {"siginfo",
     128,
     {{"si_signo", 0, 4, 'd'},
      {"si_code", 8, 4, 'd'},
      {"si_pid", 16, 4, 'd'},
      {"si_uid", 20, 4, 'u'}}},
    {"epoll_event", 12, {{"events", 0, 4, 'E'}, {"data", 4, 8, 'x'}}},
    {"pollfd", 8, {{"fd", 0, 4, 'd'}, {"events", 4, 2, 'P'}, {"revents", 6, 2, 'P'}}},
    {"open_how", 24, {{"flags", 0, 8, 'O'}, {"mode", 8, 8, 'o'}, {"resolve", 16, 8, 'x'}}},
    {"clone_args",
     64,
     {{"flags", 0, 8, 'C'},
      {"pidfd", 8, 8, 'x'},
      {"child_tid", 16, 8, 'x'},
      {"exit_signal", 32, 8, 'd'},
      {"stack", 40, 8, 'x'},
      {"stack_size", 48, 8, 'x'},
      {"tls", 56, 8, 'x'}}},
    {"flock",
     32,
     {{"l_type", 0, 2, 'd'},
      {"l_whence", 2, 2, 'd'},
      {"l_start", 8, 8, 'd'},
      {"l_len", 16, 8, 'd'},
      {"l_pid", 24, 4, 'd'}}},
    {"int", 4, {{"", 0, 4, 'd'}}},
    {"long", 8, {{"", 0, 8, 'd'}}},
    {"wait_status", 4, {{"", 0, 4, 'W'}}},
    {"tms",
     32,
     {{"utime", 0, 8, 'd'}, {"stime", 8, 8, 'd'}, {"cutime", 16, 8, 'd'}, {"cstime", 24, 8, 'd'}}},
    {"utimbuf", 16, {{"actime", 0, 8, 'd'}, {"modtime", 8, 8, 'd'}}},
    {"sysinfo",
     112,
     {{"uptime", 0, 8, 'd'},
      {"totalram", 32, 8, 'u'},
      {"freeram", 40, 8, 'u'},
      {"procs", 80, 2, 'u'}}},
    {"sigevent",
     64,
     {{"value", 0, 8, 'x'}, {"signo", 8, 4, 'd'}, {"notify", 12, 4, 'd'}, {"tid", 16, 4, 'd'}}},
    {"cap_header", 8, {{"version", 0, 4, 'x'}, {"pid", 4, 4, 'd'}}},
    {"cap_data",
     24,
     {{"effective", 0, 4, 'x'}, {"permitted", 4, 4, 'x'}, {"inheritable", 8, 4, 'x'}}},
    {"sched_param", 4, {{"priority", 0, 4, 'd'}}},
    {"sched_attr",
     48,
     {{"policy", 4, 4, 'u'}, {"flags", 8, 8, 'x'}, {"nice", 16, 4, 'd'}, {"priority", 20, 4, 'u'}}},
    {"utsname",
     256,
     {{"sysname", 0, 65, 's'}, {"nodename", 65, 65, 's'}, {"release", 130, 65, 's'}}},
};

static const struct {
    char kind;
    const char *set; /* of names.c */
} named_sets[] = {
    {'A', "sigaction"}, {'C', "clone"}, {'E', "epoll"}, {'O', "open"}, {'P', "poll"},
};

static const struct strace_set *named_set(char kind)
{
    for (size_t i = 0; i < ARRAY_SIZE(named_sets); i++) {
        if (named_sets[i].kind == kind)
            return strace_find_set(named_sets[i].set, strlen(named_sets[i].set));
    }
    return NULL;
}

/* wait(2)'s status word. */
static void print_wait_status(struct strbuf *out, uint32_t v)
{
    const char *name = strace_signal_name((v & 0xff) == 0x7f ? v >> 8 & 0xff : v & 0x7f);

    if (v == 0xffff)
        strbuf_puts(out, "{continued}");
    else if ((v & 0x7f) == 0)
        strbuf_printf(out, "{exited, %u}", v >> 8 & 0xff);
    else
        strbuf_printf(out, "{%s, %s%s}", (v & 0xff) == 0x7f ? "stopped" : "killed",
                      name ? name : "real-time signal",
                      (v & 0x80) && (v & 0xff) != 0xff ? ", core" : "");
}

static void print_field(struct strbuf *out, const struct field *f, const unsigned char *data)
{
    const struct strace_set *set = named_set(f->kind);
    uint64_t v = 0;

    if (f->kind == 's') {
        const void *end = memchr(data + f->offset, 0, f->size);

        strace_print_escaped(out, data + f->offset,
                             end ? (size_t)((const unsigned char *)end - data - f->offset)
                                 : f->size);
        return;
    }
    memcpy(&v, data + f->offset, f->size);
    if (f->kind == 'd' && f->size == 4)
        v = (uint64_t)(int64_t)(int32_t)v;
    if (f->kind == 'd' && f->size == 2)
        v = (uint64_t)(int64_t)(int16_t)v;
    if (set) {
        strace_print_set(out, set, v);
        return;
    }
    switch (f->kind) {
    case 'W':
        print_wait_status(out, (uint32_t)v);
        break;
    case 'M':
        strace_print_sigset(out, v);
        break;
    case 'd':
        strbuf_dec(out, (int64_t)v);
        break;
    case 'u':
        strbuf_digits(out, v, 1);
        break;
    case 'o':
        strbuf_printf(out, "0%llo", (unsigned long long)v);
        break;
    default:
        strbuf_puts(out, "0x");
        strbuf_hex(out, v);
    }
}

static const struct layout *find_layout(const char *name, size_t size)
{
    for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
        if (strace_name_is(layouts[i].name, name, size))
            return &layouts[i];
    }
    return NULL;
}

void strace_print_struct(struct strbuf *out, struct task *t, const char *name, size_t size,
                         uint64_t addr)
{
    const struct layout *l = find_layout(name, size);
    unsigned char data[STRUCT_MAX];

    if (!addr || !l || copy_in(&t->us, data, uaddr(addr), l->size)) {
        strace_print_address(out, addr);
        return;
    }
    strbuf_putc(out, '{');
    for (size_t i = 0; i < ARRAY_SIZE(l->fields) && l->fields[i].name; i++) {
        strbuf_puts(out, i ? ", " : "");
        if (l->fields[i].name[0]) {
            strbuf_puts(out, l->fields[i].name);
            strbuf_putc(out, '=');
        }
        print_field(out, &l->fields[i], data);
    }
    strbuf_putc(out, '}');
}

static uint16_t be16(const unsigned char *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* The n bytes behind the family: a path, a name that starts with a NUL, or nothing. */
static void print_unix(struct strbuf *out, const unsigned char *p, size_t n)
{
    bool abstract = n > 1 && !p[0];
    const unsigned char *end = abstract || !n ? NULL : memchr(p, 0, n);

    strbuf_puts(out, abstract ? "{AF_UNIX, @" : "{AF_UNIX, ");
    if (abstract)
        strace_print_escaped(out, p + 1, n - 1);
    else
        strace_print_escaped(out, p, end ? (size_t)(end - p) : n);
    strbuf_putc(out, '}');
}

void strace_print_sockaddr(struct strbuf *out, struct task *t, uint64_t addr, uint64_t size)
{
    unsigned char a[110];
    size_t n = MIN(size, sizeof(a));
    uint32_t port, groups;
    uint16_t family;

    if (!addr || n < 2 || copy_in(&t->us, a, uaddr(addr), n)) {
        strace_print_address(out, addr);
        return;
    }
    memcpy(&family, a, 2);
    if (family == LX_AF_UNIX) {
        print_unix(out, a + 2, n - 2);
    } else if (family == LX_AF_INET && n >= 8) {
        strbuf_printf(out, "{AF_INET, %u.%u.%u.%u:%u}", a[4], a[5], a[6], a[7], be16(a + 2));
    } else if (family == LX_AF_INET6 && n >= 24) {
        strbuf_puts(out, "{AF_INET6, [");
        for (int i = 0; i < 8; i++)
            strbuf_printf(out, "%s%x", i ? ":" : "", be16(a + 8 + 2 * i));
        strbuf_printf(out, "]:%u}", be16(a + 2));
    } else if (family == LX_AF_NETLINK && n >= 12) {
        memcpy(&port, a + 4, 4);
        memcpy(&groups, a + 8, 4);
        strbuf_printf(out, "{AF_NETLINK, pid=%u, groups=0x%x}", port, groups);
    } else if (family == LX_AF_PACKET && n >= 12) {
        memcpy(&port, a + 4, 4);
        strbuf_printf(out, "{AF_PACKET, protocol=0x%x, ifindex=%u}", be16(a + 2), port);
    } else {
        strbuf_printf(out, "{family=%u}", family);
    }
}
