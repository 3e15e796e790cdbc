/*
 * Structures the guest passes, by the layouts of layouts.c, in strace(1)'s wording; siginfo apart,
 * whose fields depend on its signal. Socket addresses are in sockets.c. No locks.
 */
#include "sentry/abi/errno.h"
#include "sentry/strace/layouts.h"
#include "sentry/strace/strace_int.h"

/* wait(2)'s status word. */
static void print_wait_status(struct strbuf *out, uint32_t v)
{
    int signo = (v & 0xff) == 0x7f ? v >> 8 & 0xff : v & 0x7f;

    if (v == 0xffff) {
        strbuf_puts(out, "{WIFCONTINUED(s)}");
    } else if ((v & 0x7f) == 0) {
        strbuf_printf(out, "{WIFEXITED(s) && WEXITSTATUS(s) == %u}", v >> 8 & 0xff);
    } else {
        strbuf_puts(out, (v & 0xff) == 0x7f ? "{WIFSTOPPED(s) && WSTOPSIG(s) == "
                                            : "{WIFSIGNALED(s) && WTERMSIG(s) == ");
        strace_print_signal(out, signo);
        strbuf_puts(out, (v & 0x80) && (v & 0xff) != 0xff ? " && WCOREDUMP(s)}" : "}");
    }
}

static void print_mode(struct strbuf *out, uint32_t mode)
{
    static const char *const types[16] = {
        [1] = "S_IFIFO", [2] = "S_IFCHR",  [4] = "S_IFDIR",   [6] = "S_IFBLK",
        [8] = "S_IFREG", [10] = "S_IFLNK", [12] = "S_IFSOCK",
    };
    const char *type = types[mode >> 12 & 15];

    if (type)
        strbuf_puts(out, type);
    if (type)
        strbuf_putc(out, '|');
    strbuf_printf(out, "0%o", type ? mode & 07777 : mode);
}

static void print_limit(struct strbuf *out, uint64_t v)
{
    if (v == UINT64_MAX)
        strbuf_puts(out, "RLIM64_INFINITY");
    else if (v > 1024 && v % 1024 == 0)
        strbuf_printf(out, "%llu*1024", (unsigned long long)(v / 1024));
    else
        strbuf_digits(out, v, 1);
}

static void print_handler(struct strbuf *out, uint64_t v)
{
    if (v < 2)
        strbuf_puts(out, v ? "SIG_IGN" : "SIG_DFL");
    else
        strace_print_address(out, v);
}

static void print_error(struct strbuf *out, int32_t v)
{
    const char *name = strace_errno_name(v);

    if (name)
        strbuf_puts(out, name);
    else
        strbuf_dec(out, v);
}

static void print_pair(struct strbuf *out, const unsigned char *data, const char *second)
{
    int64_t v[2];

    memcpy(v, data, sizeof(v));
    strbuf_puts(out, "{tv_sec=");
    strbuf_dec(out, v[0]);
    strbuf_puts(out, second);
    strbuf_dec(out, v[1]);
    strbuf_putc(out, '}');
}

/* Those that are no number of at most eight bytes. */
static bool print_wide(struct strbuf *out, const struct strace_field *f, const unsigned char *data)
{
    const unsigned char *at = data + f->offset, *end;

    switch (f->kind) {
    case 's':
        end = memchr(at, 0, f->size);
        strace_print_escaped(out, at, end ? (size_t)(end - at) : f->size);
        return true;
    case 'T':
        print_pair(out, at, ", tv_nsec=");
        return true;
    case 'V':
        print_pair(out, at, ", tv_usec=");
        return true;
    case 'I':
        strace_print_ipv4(out, at);
        return true;
    case 'J':
        strace_print_ipv6(out, at);
        return true;
    case 'A':
        strace_print_sockaddr_at(out, at, f->size);
        return true;
    default:
        return false;
    }
}

static void print_number(struct strbuf *out, const struct strace_field *f, uint64_t v)
{
    switch (f->kind) {
    case 'W':
        print_wait_status(out, (uint32_t)v);
        break;
    case 'M':
        strace_print_sigset(out, v);
        break;
    case 'm':
        print_mode(out, (uint32_t)v);
        break;
    case 'S':
        strace_print_signal(out, (int32_t)v);
        break;
    case 'H':
        print_handler(out, v);
        break;
    case 'L':
        print_limit(out, v);
        break;
    case 'E':
        print_error(out, (int32_t)v);
        break;
    case 'D':
        strbuf_printf(out, "makedev(0x%x, 0x%x)", (uint32_t)(v >> 8 & 0xfff),
                      (uint32_t)((v & 0xff) | (v >> 12 & ~0xffUL)));
        break;
    case 'p':
        strace_print_address(out, v);
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
        strbuf_puts(out, v ? "0x" : "");
        strbuf_hex(out, v);
    }
}

static void print_field(struct strbuf *out, const struct strace_field *f, const unsigned char *data)
{
    const struct strace_set *set = f->set ? strace_find_set(f->set, strlen(f->set)) : NULL;
    uint64_t v = 0;

    if (print_wide(out, f, data))
        return;
    memcpy(&v, data + f->offset, f->size);
    if (f->kind == 'd' && f->size == 4)
        v = (uint64_t)(int64_t)(int32_t)v;
    if (f->kind == 'd' && f->size == 2)
        v = (uint64_t)(int64_t)(int16_t)v;
    if (set)
        strace_print_set(out, set, v);
    else
        print_number(out, f, v);
}

static const struct strace_layout *find_layout(const char *name, size_t size)
{
    for (const struct strace_layout *l = strace_layouts; l->name; l++) {
        if (strace_name_is(l->name, name, size))
            return l;
    }
    return NULL;
}

size_t strace_layout_size(const char *name)
{
    const struct strace_layout *l = find_layout(name, strlen(name));

    return l ? l->size : 0;
}

static void print_layout(struct strbuf *out, const struct strace_layout *l,
                         const unsigned char *data)
{
    bool list = !l->fields[0].name[0];

    strbuf_putc(out, list ? '[' : '{');
    for (size_t i = 0; i < STRACE_FIELDS && l->fields[i].name; i++) {
        strbuf_puts(out, i ? ", " : "");
        if (!list) {
            strbuf_puts(out, l->fields[i].name);
            strbuf_putc(out, '=');
        }
        print_field(out, &l->fields[i], data);
    }
    strbuf_putc(out, list ? ']' : '}');
}

/* ---- siginfo ---- */

static const char *code_name(int32_t signo, int32_t code)
{
    static const char *const child[] = {"CLD_EXITED",  "CLD_KILLED",  "CLD_DUMPED",
                                        "CLD_TRAPPED", "CLD_STOPPED", "CLD_CONTINUED"};
    static const char *const segv[] = {"SEGV_MAPERR", "SEGV_ACCERR", "SEGV_BNDERR", "SEGV_PKUERR"};
    static const char *const bus[] = {"BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR"};
    static const char *const fpe[] = {"FPE_INTDIV", "FPE_INTOVF", "FPE_FLTDIV", "FPE_FLTOVF",
                                      "FPE_FLTUND", "FPE_FLTRES", "FPE_FLTINV", "FPE_FLTSUB"};
    static const char *const ill[] = {"ILL_ILLOPC", "ILL_ILLOPN", "ILL_ILLADR", "ILL_ILLTRP",
                                      "ILL_PRVOPC", "ILL_PRVREG", "ILL_COPROC", "ILL_BADSTK"};
    static const char *const sent[] = {"SI_USER",    "SI_QUEUE", "SI_TIMER", "SI_MESGQ",
                                       "SI_ASYNCIO", "SI_SIGIO", "SI_TKILL"};
    static const struct {
        int32_t signo;
        uint32_t count;
        const char *const *names;
    } by_signal[] = {{17, ARRAY_SIZE(child), child},
                     {11, ARRAY_SIZE(segv), segv},
                     {7, ARRAY_SIZE(bus), bus},
                     {8, ARRAY_SIZE(fpe), fpe},
                     {4, ARRAY_SIZE(ill), ill}};

    if (code == 0x80)
        return "SI_KERNEL";
    if (code <= 0)
        return code > -(int32_t)ARRAY_SIZE(sent) ? sent[-code] : NULL;
    for (size_t i = 0; i < ARRAY_SIZE(by_signal); i++) {
        if (by_signal[i].signo == signo && (uint32_t)code <= by_signal[i].count)
            return by_signal[i].names[code - 1];
    }
    return NULL;
}

static void print_siginfo(struct strbuf *out, const unsigned char *data)
{
    int32_t signo, code, word[3];
    const char *name;
    uint64_t value;

    memcpy(&signo, data, 4);
    memcpy(&code, data + 8, 4);
    memcpy(word, data + 16, sizeof(word));
    memcpy(&value, data + 16, 8);
    name = code_name(signo, code);
    strbuf_puts(out, "{si_signo=");
    strace_print_signal(out, signo);
    strbuf_puts(out, ", si_code=");
    if (name)
        strbuf_puts(out, name);
    else
        strbuf_dec(out, code);
    if (code > 0 && (signo == 11 || signo == 7 || signo == 8 || signo == 4)) {
        strbuf_puts(out, ", si_addr=");
        strace_print_address(out, value);
    } else if (code == -2) {
        strbuf_printf(out, ", si_timerid=%d, si_overrun=%d, si_int=%d", word[0], word[1], word[2]);
    } else {
        strbuf_printf(out, ", si_pid=%d, si_uid=%u", word[0], (uint32_t)word[1]);
        if (signo == 17 && code > 0)
            strbuf_printf(out, ", si_status=%d", word[2]);
        else if (code == -1)
            strbuf_printf(out, ", si_int=%d", word[2]);
    }
    strbuf_putc(out, '}');
}

void strace_print_struct(struct strbuf *out, struct task *t, const char *name, size_t size,
                         uint64_t addr)
{
    bool siginfo = strace_name_is("siginfo", name, size);
    const struct strace_layout *l = siginfo ? NULL : find_layout(name, size);
    unsigned char data[STRACE_STRUCT_MAX];

    if (!addr || (!l && !siginfo) ||
        peek_in(&t->us, data, uaddr(addr), l ? l->size : sizeof(struct lx_siginfo)))
        strace_print_address(out, addr);
    else if (siginfo)
        print_siginfo(out, data);
    else
        print_layout(out, l, data);
}
