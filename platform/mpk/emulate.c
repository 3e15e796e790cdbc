/*
 * Instructions of the guest that were made traps because they could open a protection key, or their
 * bytes could. XRSTOR is done here, without the key register; WRPKRU stays an invalid instruction,
 * as on processors without protection keys. Others are done here if they are branches, else by the
 * guest in its thread's code slot, with the address of a memory operand in a register so that
 * neither place nor displacement matter. Runs on the guest's own thread. Takes wx.lock.
 */
#include "platform/mpk/mpk.h"

#include "platform/mpk/insn.h"
#include "platform/mpk/scan.h"

#define SIGNAL_ILL       4
#define SIGNAL_TRAP      5
#define SIGNAL_SEGV      11
#define CODE_KERNEL      0x80
#define CODE_ILLOPN      2
#define TRAP_INVALID     6
#define TRAP_GP          13
#define TRAP_INT3        3
#define PREFIX_FS        0x64
#define PREFIX_GS        0x65
#define PREFIX_ADDRESS32 0x67
#define INT3             0xcc
/* No state is larger without the components that guests don't have. */
#define AREA_MAX    16384UL
#define NO_REGISTER 255

struct site_insn {
    const uint8_t *p;
    struct insn insn;
    uint64_t next; /* address of the next instruction */
    uint8_t rex;
};

/* ---- operands ---- */

static uint64_t *register_of(struct cpu_regs *r, unsigned number)
{
    uint64_t *const all[16] = {&r->rax, &r->rcx, &r->rdx, &r->rbx, &r->rsp, &r->rbp,
                               &r->rsi, &r->rdi, &r->r8,  &r->r9,  &r->r10, &r->r11,
                               &r->r12, &r->r13, &r->r14, &r->r15};

    return all[number & 15];
}

static int64_t signed32(const uint8_t *p)
{
    return (int32_t)(p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

/* REX, or the same bits of VEX and EVEX: X is 2, B is 1. */
static uint8_t rex_of(const uint8_t *p, const struct insn *insn)
{
    if (insn->lead == 0xc4 || insn->lead == 0x62)
        return (uint8_t)(~p[insn->lead_at + 1] >> 5) & 3;
    return insn->lead == 0x40 ? p[insn->lead_at] & 15 : 0;
}

/* Bytes of ModRM, SIB and displacement. */
static unsigned operand_size(const uint8_t *modrm)
{
    unsigned mod = modrm[0] >> 6, rm = modrm[0] & 7, size = 1;

    if (mod == 3)
        return 1;
    if (rm == 4)
        size++;
    if (mod == 1)
        return size + 1;
    if (mod == 2 || (rm == 4 ? (modrm[1] & 7) == 5 : rm == 5))
        size += 4;
    return size;
}

/* Without a segment's base. */
static uint64_t operand_address(struct cpu_regs *regs, const struct site_insn *s)
{
    const uint8_t *modrm = s->p + s->insn.modrm, *disp = modrm + 1;
    unsigned mod = *modrm >> 6, rm = *modrm & 7;
    uint64_t base = 0;

    if (rm == 4) {
        unsigned sib = *disp++, index = ((sib >> 3) & 7) | (s->rex & 2 ? 8 : 0);

        if (index != 4)
            base = *register_of(regs, index) << (sib >> 6);
        if ((sib & 7) == 5 && mod == 0)
            return base + (uint64_t)signed32(disp);
        base += *register_of(regs, (sib & 7) | (s->rex & 1 ? 8 : 0));
    } else if (mod == 0 && rm == 5) {
        return s->next + (uint64_t)signed32(disp);
    } else {
        base = *register_of(regs, rm | (s->rex & 1 ? 8 : 0));
    }
    if (mod == 1)
        base += (uint64_t)(int64_t)(int8_t)*disp;
    else if (mod == 2)
        base += (uint64_t)signed32(disp);
    return base;
}

static uint64_t with_segment(const struct cpu_regs *regs, const struct site_insn *s, uint64_t addr)
{
    for (unsigned i = 0; i < s->insn.opcode; i++) {
        if (s->p[i] == PREFIX_FS)
            addr += regs->fs_base;
        else if (s->p[i] == PREFIX_GS)
            addr += regs->gs_base;
        else if (s->p[i] == PREFIX_ADDRESS32)
            addr &= UINT32_MAX;
        else
            continue;
    }
    return addr;
}

static bool has_memory(const struct site_insn *s)
{
    return s->insn.modrm && s->p[s->insn.modrm] < 0xc0;
}

static bool read_insn(struct site_insn *s, const uint8_t *p, size_t size, uint64_t addr)
{
    s->p = p;
    if (!insn_decode(p, size, &s->insn))
        return false;
    s->rex = rex_of(p, &s->insn);
    s->next = addr + s->insn.size;
    return true;
}

/* ---- faults in their stead ---- */

static void set_event(struct platform_event *event, int signo, int code, uint64_t trapno)
{
    event->kind = PEV_FAULT;
    event->signo = signo;
    event->code = code;
    event->addr = 0;
    event->trapno = trapno;
    event->err = 0;
}

/* ---- XRSTOR ---- */

static bool is_xrstor_trap(const struct site_insn *s)
{
    return s->insn.escaped && s->p[s->insn.opcode] == SCAN_TRAP && has_memory(s) &&
           (s->p[s->insn.modrm] & 0x38) == 0x28;
}

/* WRGSBASE, behind an f3. */
static bool is_base_trap(const struct site_insn *s)
{
    uint8_t modrm = s->p[s->insn.modrm];

    return s->insn.escaped && s->p[s->insn.opcode] == SCAN_TRAP && (modrm & 0xf8) == 0xd8 &&
           cv_memchr(s->p, 0xf3, s->insn.opcode);
}

static bool do_set_base(struct cpu_regs *regs, const struct site_insn *s,
                        struct platform_event *event)
{
    bool wide = s->insn.lead == 0x40 && (s->p[s->insn.lead_at] & 8);
    uint64_t value = *register_of(regs, (s->p[s->insn.modrm] & 7) | (s->rex & 1 ? 8 : 0));

    if (!wide)
        value = (uint32_t)value;
    if ((uint64_t)((int64_t)(value << 16) >> 16) != value) {
        set_event(event, SIGNAL_SEGV, CODE_KERNEL, TRAP_GP);
        return false;
    }
    regs->gs_base = value;
    regs->rip = s->next;
    return true;
}

static bool do_trap(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event)
{
    uint8_t bytes[INSN_MAX];
    struct site_insn s;
    uint64_t addr, mask;
    size_t got = 0;

    (void)!mpk_copy_in(ctx, bytes, regs->rip, sizeof(bytes), &got);
    if (!read_insn(&s, bytes, got, regs->rip))
        return false;
    if (is_base_trap(&s))
        return do_set_base(regs, &s, event);
    if (!is_xrstor_trap(&s))
        return false;
    addr = with_segment(regs, &s, operand_address(regs, &s));
    mask = ((regs->rdx << 32) | (uint32_t)regs->rax) & mpk_ro.xfeatures;
    if (addr > mpk_ro.user_max - AREA_MAX || (addr & 63) || mpk_xrstor((const void *)addr, mask)) {
        set_event(event, SIGNAL_SEGV, CODE_KERNEL, TRAP_GP);
        return false;
    }
    regs->rip = s.next;
    return true;
}

/* ---- branches ---- */

#define FLAG_C 1UL
#define FLAG_P 4UL
#define FLAG_Z 0x40UL
#define FLAG_S 0x80UL
#define FLAG_O 0x800UL

static bool condition_holds(uint64_t flags, unsigned code)
{
    bool less = !(flags & FLAG_S) != !(flags & FLAG_O);
    bool holds = false;

    switch (code >> 1) {
    case 0:
        holds = flags & FLAG_O;
        break;
    case 1:
        holds = flags & FLAG_C;
        break;
    case 2:
        holds = flags & FLAG_Z;
        break;
    case 3:
        holds = flags & (FLAG_C | FLAG_Z);
        break;
    case 4:
        holds = flags & FLAG_S;
        break;
    case 5:
        holds = flags & FLAG_P;
        break;
    case 6:
        holds = less;
        break;
    case 7:
        holds = less || (flags & FLAG_Z);
        break;
    }
    return holds != (code & 1);
}

static bool push_return(struct platform_ctx *ctx, struct cpu_regs *regs, uint64_t addr)
{
    if (mpk_copy_out(ctx, regs->rsp - 8, &addr, 8, NULL))
        return false;
    regs->rsp -= 8;
    return true;
}

enum outcome { NOT_MINE, DONE, FAULTED };

/* Through memory: ff /2, ff /4. */
static enum outcome branch_through(struct platform_ctx *ctx, struct cpu_regs *regs,
                                   const struct site_insn *s)
{
    unsigned reg = (s->p[s->insn.modrm] >> 3) & 7;
    uint64_t target;

    if (reg != 2 && reg != 4)
        return reg == 3 || reg == 5 ? FAULTED : NOT_MINE;
    target = *register_of(regs, (s->p[s->insn.modrm] & 7) | (s->rex & 1 ? 8 : 0));
    if (has_memory(s) &&
        mpk_copy_in(ctx, &target, with_segment(regs, s, operand_address(regs, s)), 8, NULL))
        return FAULTED;
    if (reg == 2 && !push_return(ctx, regs, s->next))
        return FAULTED;
    regs->rip = target;
    return DONE;
}

static enum outcome do_branch(struct platform_ctx *ctx, struct cpu_regs *regs,
                              const struct site_insn *s)
{
    const uint8_t *p = s->p, *last = p + s->insn.size;
    uint8_t opcode = p[s->insn.opcode];

    if (s->insn.lead && s->insn.lead != 0x40)
        return NOT_MINE;
    if (s->insn.escaped) {
        if ((opcode & 0xf0) != 0x80)
            return NOT_MINE;
        regs->rip = s->next;
        if (condition_holds(regs->rflags, opcode & 15))
            regs->rip += (uint64_t)signed32(last - 4);
        return DONE;
    }
    if (s->insn.mapped)
        return NOT_MINE;
    if (opcode == 0xff)
        return branch_through(ctx, regs, s);
    if (opcode == 0xe8 && !push_return(ctx, regs, s->next))
        return FAULTED;
    if (opcode == 0xe8 || opcode == 0xe9) {
        regs->rip = s->next + (uint64_t)signed32(last - 4);
        return DONE;
    }
    if (opcode == 0xeb || (opcode & 0xf0) == 0x70) {
        regs->rip = s->next;
        if (opcode == 0xeb || condition_holds(regs->rflags, opcode & 15))
            regs->rip += (uint64_t)(int64_t)(int8_t)last[-1];
        return DONE;
    }
    if (opcode >= 0xe0 && opcode <= 0xe3) /* loop and jrcxz */
        return FAULTED;
    return NOT_MINE;
}

/* ---- in the code slot ---- */

static uint8_t *code_slot(const struct platform_ctx *ctx)
{
    return (uint8_t *)(mpk_ro.zone + SCRATCH_TOTAL + SELECTORS_TOTAL + ctx->slot * CODE_SLOT);
}

/* Gathers, whose index is a vector; pop, whose address may depend on what it does. */
static bool is_odd(const struct site_insn *s)
{
    uint8_t opcode = s->p[s->insn.opcode];

    if (s->insn.mapped && s->insn.lead)
        return (opcode >= 0x90 && opcode <= 0x93) || (opcode >= 0xa0 && opcode <= 0xa3) ||
               opcode == 0xc6 || opcode == 0xc7;
    return !s->insn.escaped && !s->insn.mapped && opcode == 0x8f;
}

/* rsi, rdi or rbp: no instruction with a memory operand uses all of them besides. */
static uint8_t free_register(const struct site_insn *s)
{
    static const uint8_t candidates[] = {6, 7, 5};
    unsigned reg = (s->p[s->insn.modrm] >> 3) & 7, other = 16;

    if (s->insn.lead == 0xc5)
        other = (~s->p[s->insn.lead_at + 1] >> 3) & 7;
    else if (s->insn.lead == 0xc4 || s->insn.lead == 0x62)
        other = (~s->p[s->insn.lead_at + 2] >> 3) & 7;
    for (unsigned i = 0; i < ARRAY_SIZE(candidates); i++) {
        if (candidates[i] != reg && candidates[i] != other)
            return candidates[i];
    }
    return NO_REGISTER;
}

/* The instruction with base as the register that its operand is at; out has room for it. */
static unsigned rewrite(const struct site_insn *s, uint8_t base, uint8_t *out)
{
    const struct insn *insn = &s->insn;
    unsigned rest = insn->modrm + operand_size(s->p + insn->modrm), size = insn->modrm;

    cv_memcpy(out, s->p, insn->modrm);
    if (insn->lead == 0x40)
        out[insn->lead_at] &= (uint8_t)~3;
    else if (insn->lead == 0xc4 || insn->lead == 0x62)
        out[insn->lead_at + 1] |= 0x60;
    out[size++] = (uint8_t)(0x80 | (s->p[insn->modrm] & 0x38) | base);
    cv_memset(out + size, 0, 4);
    size += 4;
    cv_memcpy(out + size, s->p + rest, insn->size - rest);
    return size + insn->size - rest;
}

/*
 * Other threads may jump into the slot at any moment: first traps, then the bytes from the last to
 * the first, so that what can be seen is a piece of what was scanned.
 */
static void fill_slot(uint8_t *slot, const uint8_t *bytes, unsigned size)
{
    volatile uint8_t *at = slot;

    for (unsigned i = 0; i < CODE_SLOT; i++)
        at[i] = INT3;
    for (unsigned i = size; i-- > 0;)
        at[i] = bytes[i];
}

static bool go_away(struct platform_ctx *ctx, struct cpu_regs *regs, const struct site_insn *s)
{
    uint8_t bytes[2 * INSN_MAX], base = NO_REGISTER;
    unsigned size = s->insn.size;
    uint32_t hit;

    if (is_odd(s))
        return false;
    cv_memcpy(bytes, s->p, size);
    if (has_memory(s)) {
        base = free_register(s);
        if (base == NO_REGISTER)
            return false;
        size = rewrite(s, base, bytes);
    }
    bytes[size] = INT3;
    if (size > INSN_MAX || scan_find(bytes, size + 1, &hit, 1))
        return false;
    fill_slot(code_slot(ctx), bytes, size);
    ctx->away_from = s->next - s->insn.size;
    ctx->away_size = s->insn.size;
    ctx->away_slot_size = (uint8_t)size;
    ctx->away_register = base;
    if (base != NO_REGISTER) {
        uint64_t addr = operand_address(regs, s);

        ctx->away_saved = *register_of(regs, base);
        *register_of(regs, base) = addr;
    }
    regs->rip = PTR(code_slot(ctx));
    return true;
}

void mpk_settle(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event)
{
    uint64_t at = regs->rip - PTR(code_slot(ctx));
    bool trapped =
        event->kind == PEV_FAULT && event->signo == SIGNAL_TRAP && event->trapno == TRAP_INT3;

    if (at == 0 || at == ctx->away_slot_size || at == ctx->away_slot_size + 1UL) {
        if (ctx->away_register != NO_REGISTER)
            *register_of(regs, ctx->away_register) = ctx->away_saved;
        regs->rip = ctx->away_from + (at ? ctx->away_size : 0);
        if (at && trapped)
            event->kind = EVENT_NONE;
    }
    ctx->away_size = 0;
}

/* ---- */

static bool do_elsewhere(struct platform_ctx *ctx, struct cpu_regs *regs, const struct site_insn *s)
{
    enum outcome outcome = do_branch(ctx, regs, s);

    return outcome == DONE || (outcome == NOT_MINE && go_away(ctx, regs, s));
}

bool mpk_step_aside(struct platform_ctx *ctx, struct cpu_regs *regs, uint64_t page)
{
    uint8_t bytes[INSN_MAX];
    struct site_insn s;
    size_t got = 0;

    (void)!mpk_copy_in(ctx, bytes, regs->rip, sizeof(bytes), &got);
    if (read_insn(&s, bytes, got, regs->rip) && (s.next <= page || do_elsewhere(ctx, regs, &s)))
        return true;
    wx_say_refused(&ctx->as->wx, regs->rip, "an instruction that writes to its own page");
    return false;
}

static bool do_site(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event)
{
    struct wx *wx = &ctx->as->wx;
    struct site_insn s;
    struct wx_site site;
    bool found;

    if (list_empty(&wx->sites)) /* a glance without the lock: its own page's came before */
        return false;
    mutex_lock(&wx->lock);
    found = wx_site_find(wx, regs->rip - 1, &site);
    mutex_unlock(&wx->lock);
    if (!found)
        return false;
    regs->rip--;
    if (!read_insn(&s, site.bytes, site.size, regs->rip))
        return false;
    if (do_elsewhere(ctx, regs, &s))
        return true;
    wx_say_refused(wx, regs->rip, "an instruction with bytes that could open a protection key");
    set_event(event, SIGNAL_ILL, CODE_ILLOPN, TRAP_INVALID);
    event->addr = regs->rip;
    return false;
}

bool mpk_emulate(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event)
{
    if (event->signo == SIGNAL_ILL)
        return do_trap(ctx, regs, event);
    if (event->signo == SIGNAL_TRAP && event->trapno == TRAP_INT3)
        return do_site(ctx, regs, event);
    return false;
}
