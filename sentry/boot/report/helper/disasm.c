/* The code around an address, by capstone. */
#include <capstone/capstone.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sentry/base/fmt.h"
#include "sentry/boot/report/helper/report.h"

#define BEFORE       6
#define AFTER        8
#define FUNCTION_MAX 4096
#define LONGEST      15

/* capstone prints by these, which the shared memory.c leaves empty. */
int vsnprintf(char *to, size_t size, const char *format, va_list args)
{
    return cv_vsnprintf(to, size, format, args);
}

int __sprintf_chk(char *to, int flag, size_t size, const char *format, ...);
int __sprintf_chk(char *to, int flag, size_t size, const char *format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    n = cv_vsnprintf(to, size < 4096 ? size : 4096, format, ap);
    va_end(ap);
    return n;
}

static void say_bytes(uint64_t pc)
{
    uint8_t b[LONGEST];
    uint64_t n = read_memory(pc, b, sizeof(b));

    say("  => 0x%016lx  no instruction:", pc);
    for (uint64_t i = 0; i < n; i++)
        say(" %02x", b[i]);
    say(n ? "\n" : " not readable\n");
}

/* How many bytes before pc the listing begins: where decoding from start meets pc. */
static uint64_t back(csh handle, cs_insn *insn, const uint8_t *code, uint64_t start, uint64_t pc)
{
    uint64_t last[BEFORE], at = start, count = 0;
    size_t left = pc - start;

    memset(last, 0, sizeof(last));
    while (at < pc) {
        last[count++ % BEFORE] = at;
        if (!cs_disasm_iter(handle, &code, &left, &at, insn))
            return 0;
    }
    if (at != pc)
        return 0;
    return count < BEFORE ? pc - start : pc - last[count % BEFORE];
}

void say_code(uint64_t pc, uint64_t start)
{
    static uint8_t code[FUNCTION_MAX + AFTER * LONGEST];
    const uint8_t *p = code;
    uint64_t from = start && pc - start < FUNCTION_MAX ? start : pc, at, n, skip;
    int after = 0;
    cs_insn *insn;
    csh handle;
    size_t left;

    if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
        return;
    insn = cs_malloc(handle);
    n = read_memory(from, code, pc - from + AFTER * LONGEST);
    if (!insn || n <= pc - from) {
        say_bytes(pc);
        return;
    }
    skip = pc - from - back(handle, insn, code, from, pc);
    p = code + skip;
    at = from + skip;
    left = n - skip;
    while (after < AFTER && left) {
        uint64_t here = at;

        if (!cs_disasm_iter(handle, &p, &left, &at, insn)) {
            if (here <= pc)
                say_bytes(here);
            break;
        }
        say("  %s 0x%016lx  %s %s\n", here == pc ? "=>" : "  ", here, insn->mnemonic, insn->op_str);
        after += here >= pc;
    }
}
