/* Structures the guest passes, by a table of their main fields. Socket addresses apart. No locks.
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"
#include "sentry/strace/strace_int.h"

/* kind: d signed, u unsigned, x hex, o octal. */
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
     {{"sa_handler", 0, 8, 'x'}, {"sa_flags", 8, 8, 'x'}, {"sa_mask", 24, 8, 'x'}}},
    {"sigaltstack", 24, {{"ss_sp", 0, 8, 'x'}, {"ss_flags", 8, 4, 'x'}, {"ss_size", 16, 8, 'u'}}},
    {"siginfo",
     128,
     {{"si_signo", 0, 4, 'd'},
      {"si_code", 8, 4, 'd'},
      {"si_pid", 16, 4, 'd'},
      {"si_uid", 20, 4, 'u'}}},
    {"epoll_event", 12, {{"events", 0, 4, 'x'}, {"data", 4, 8, 'x'}}},
    {"pollfd", 8, {{"fd", 0, 4, 'd'}, {"events", 4, 2, 'x'}, {"revents", 6, 2, 'x'}}},
    {"open_how", 24, {{"flags", 0, 8, 'x'}, {"mode", 8, 8, 'o'}, {"resolve", 16, 8, 'x'}}},
    {"clone_args",
     64,
     {{"flags", 0, 8, 'x'},
      {"pidfd", 8, 8, 'x'},
      {"child_tid", 16, 8, 'x'},
      {"exit_signal", 32, 8, 'd'},
      {"stack", 40, 8, 'x'},
      {"stack_size", 48, 8, 'x'},
      {"tls", 56, 8, 'x'}}},
    {"msghdr",
     56,
     {{"msg_name", 0, 8, 'x'},
      {"msg_namelen", 8, 4, 'u'},
      {"msg_iov", 16, 8, 'x'},
      {"msg_iovlen", 24, 8, 'u'},
      {"msg_control", 32, 8, 'x'},
      {"msg_controllen", 40, 8, 'u'},
      {"msg_flags", 48, 4, 'x'}}},
    {"flock",
     32,
     {{"l_type", 0, 2, 'd'},
      {"l_whence", 2, 2, 'd'},
      {"l_start", 8, 8, 'd'},
      {"l_len", 16, 8, 'd'},
      {"l_pid", 24, 4, 'd'}}},
    {"int", 4, {{"", 0, 4, 'd'}}},
    {"long", 8, {{"", 0, 8, 'd'}}},
    {"utsname", 256, {{"sysname", 0, 0, 's'}, {"nodename", 65, 0, 's'}, {"release", 130, 0, 's'}}},
};

static void print_field(struct strbuf *out, const struct field *f, const unsigned char *data)
{
    uint64_t v = 0;

    if (f->kind == 's') {
        strbuf_printf(out, "%.64s", (const char *)data + f->offset);
        return;
    }
    memcpy(&v, data + f->offset, f->size);
    if (f->kind == 'd' && f->size == 4)
        v = (uint64_t)(int64_t)(int32_t)v;
    if (f->kind == 'd' && f->size == 2)
        v = (uint64_t)(int64_t)(int16_t)v;
    switch (f->kind) {
    case 'd':
        strbuf_printf(out, "%lld", (long long)v);
        break;
    case 'u':
        strbuf_printf(out, "%llu", (unsigned long long)v);
        break;
    case 'o':
        strbuf_printf(out, "0%llo", (unsigned long long)v);
        break;
    default:
        strbuf_printf(out, "0x%llx", (unsigned long long)v);
    }
}

static const struct layout *find_layout(const char *name, size_t size)
{
    for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
        if (strlen(layouts[i].name) == size && memcmp(layouts[i].name, name, size) == 0)
            return &layouts[i];
    }
    return NULL;
}

void strace_print_struct(struct strbuf *out, struct task *t, const char *name, size_t size,
                         uint64_t addr)
{
    const struct layout *l = find_layout(name, size);
    unsigned char data[STRUCT_MAX];

    if (!addr) {
        strbuf_puts(out, "NULL");
        return;
    }
    if (!l || copy_in(&t->us, data, uaddr(addr), l->size)) {
        strbuf_printf(out, "0x%llx", (unsigned long long)addr);
        return;
    }
    strbuf_putc(out, '{');
    for (size_t i = 0; i < ARRAY_SIZE(l->fields) && l->fields[i].name; i++) {
        strbuf_puts(out, i ? ", " : "");
        if (l->fields[i].name[0])
            strbuf_printf(out, "%s=", l->fields[i].name);
        print_field(out, &l->fields[i], data);
    }
    strbuf_putc(out, '}');
}

static uint16_t be16(const unsigned char *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

void strace_print_sockaddr(struct strbuf *out, struct task *t, uint64_t addr, uint64_t size)
{
    unsigned char a[110];
    size_t n = MIN(size, sizeof(a));
    uint16_t family;

    if (!addr || n < 2 || copy_in(&t->us, a, uaddr(addr), n)) {
        strbuf_printf(out, addr ? "0x%llx" : "NULL", (unsigned long long)addr);
        return;
    }
    memcpy(&family, a, 2);
    if (family == LX_AF_UNIX) {
        bool abstract = n > 3 && !a[2];

        strbuf_puts(out, abstract ? "{AF_UNIX, @\"" : "{AF_UNIX, \"");
        for (size_t i = abstract ? 3 : 2; i < n && (abstract || a[i]); i++)
            strbuf_putc(out, a[i] >= 32 && a[i] < 127 ? (char)a[i] : '?');
        strbuf_puts(out, "\"}");
    } else if (family == LX_AF_INET && n >= 8) {
        strbuf_printf(out, "{AF_INET, %u.%u.%u.%u:%u}", a[4], a[5], a[6], a[7], be16(a + 2));
    } else if (family == LX_AF_INET6 && n >= 24) {
        strbuf_puts(out, "{AF_INET6, [");
        for (int i = 0; i < 8; i++)
            strbuf_printf(out, "%s%x", i ? ":" : "", be16(a + 8 + 2 * i));
        strbuf_printf(out, "]:%u}", be16(a + 2));
    } else {
        strbuf_printf(out, "{family=%u}", family);
    }
}
