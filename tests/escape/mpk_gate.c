/*
 * Jumps into the kernel's code at every byte around each instruction that opens a key, with
 * registers of the attacker's choice, and hopes to come back with the key open.
 */
#include "mpk.h"

#define BEFORE 24
#define AFTER  40
#define SHIFTS 16
#define OPEN   0x55555540u

static uint64_t stack_words[8192] __attribute__((aligned(64)));
static unsigned char area[16384] __attribute__((aligned(64)));
static uint64_t sites[64];
static unsigned site_count;

/* Whoever jumps or returns to what we put on the stack and into the registers arrives here. */
static void landed(void)
{
    note_key("came back from the gate");
    siglongjmp(back, 1);
}

static void jump(uint64_t target, unsigned kind, unsigned shift)
{
    uint64_t rax = kind == 0 ? 0 : kind == 1 ? OPEN : 0x200, other = (uint64_t)(uintptr_t)area;
    uint64_t sp = (uint64_t)(uintptr_t)&stack_words[4096];

    if (kind == 1)
        other = (uint64_t)(uintptr_t)stack_words;
    for (unsigned i = 0; i < 8192; i++)
        stack_words[i] = (uint64_t)(uintptr_t)landed;
    /* The way out ends with an iretq, up to as many words up as registers are popped before. */
    stack_words[4096 + shift + 1] = 0x33;
    stack_words[4096 + shift + 2] = 0x202;
    stack_words[4096 + shift + 3] = sp + 4096;
    stack_words[4096 + shift + 4] = 0x2b;
    /* For an XRSTOR: an image that has the key register, open. */
    memset(area, 0, sizeof(area));
    area[513] = 2;
    __asm__ volatile("mov %0, %%r11\n\t"
                     "mov %1, %%rax\n\t"
                     "mov %2, %%rsi\n\t"
                     "mov %3, %%rsp\n\t"
                     "mov %%rsi, %%rdi\n\t"
                     "mov %%rsi, %%rbx\n\t"
                     "mov %%rsi, %%rbp\n\t"
                     "mov %%rsi, %%r12\n\t"
                     "mov %%rsi, %%r13\n\t"
                     "mov %%rsi, %%r14\n\t"
                     "mov %%rsi, %%r15\n\t"
                     "xor %%ecx, %%ecx\n\t"
                     "xor %%edx, %%edx\n\t"
                     "cmp $0x200, %%eax\n\t"
                     "cmove %%rsi, %%rcx\n\t"
                     "jmp *%%r11"
                     :
                     : "r"(target), "r"(rax), "r"(other), "r"(sp)
                     : "memory", "rax", "rsi", "r11", "rcx", "rdx");
    __builtin_unreachable();
}

static volatile unsigned *next_try;

static unsigned tries(void)
{
    return site_count * (BEFORE + AFTER) * 3 * SHIFTS;
}

static void from_next(void)
{
    while (*next_try < tries()) {
        unsigned n = (*next_try)++, place = n / 3 / SHIFTS;

        if (sigsetjmp(back, 0) == 0)
            jump(sites[place / (BEFORE + AFTER)] - BEFORE + place % (BEFORE + AFTER), n % 3,
                 n / 3 % SHIFTS);
        note_key("after a jump into the gate");
    }
}

static int is_opener(const unsigned char *p)
{
    return p[0] == 0x0f && ((p[1] == 0x01 && p[2] == 0xef) ||
                            (p[1] == 0xae && (p[2] & 0x38) == 0x28 && p[2] < 0xc0));
}

int main(void)
{
    struct span gate;
    unsigned children = 0;

    begin();
    next_try = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    gate = find_gate();
    printf("the gate is %s\n", gate.start ? "here" : "not in this process");
    for (uint64_t at = gate.start; at + 3 < gate.end && site_count < 64; at++) {
        if (is_opener((const unsigned char *)at))
            sites[site_count++] = at;
    }
    printf("%u sites\n", site_count);
    while (*next_try < tries() && children++ < 3000) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
            catch_all();
            alarm(30);
            from_next();
            _exit(0);
        }
        waitpid(pid, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
            failures++;
    }
    if (*next_try < tries())
        puts("FAIL: not all of them were tried");
    return end();
}
