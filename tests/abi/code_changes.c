/*
 * Code in pages that are writable and executable: threads that change it under threads that execute
 * it, the kernel writing into it, instructions that write to the page they lie in. Everybody gets
 * on, whoever never pauses; nobody sees half a change.
 */
#include "abi.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE   4096
#define ROUNDS 300

typedef int (*code_fn)(void);

static uint8_t *pages;       /* two */
static int stop;             /* the other thread is to end */
static volatile int32_t saw; /* by executor: the last value */

/* nop; nop; nop; mov $value, %eax; ret: the value is aligned. */
static void write_code(uint8_t *at, int32_t value)
{
    static const uint8_t begin[] = {0x90, 0x90, 0x90, 0xb8};

    memcpy(at, begin, sizeof(begin));
    memcpy(at + 4, &value, 4);
    at[8] = 0xc3;
}

static int call(const uint8_t *at)
{
    return ((code_fn)(uintptr_t)at)();
}

static int32_t *value_at(uint8_t *at)
{
    return (int32_t *)(void *)(at + 4);
}

static void *executor(void *arg)
{
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        saw = call(arg);
    return NULL;
}

/* The ends of both pages, and their beginnings. */
static void *executor_of_both(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        call(pages);
        call(pages + PAGE + 64);
    }
    return NULL;
}

static void *writer(void *arg)
{
    int32_t n = 0;

    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        __atomic_store_n(value_at(arg), n++ & 0xff, __ATOMIC_RELAXED);
    return NULL;
}

static pthread_t begin(void *(*f)(void *))
{
    pthread_t t;

    stop = 0;
    pthread_create(&t, NULL, f, pages);
    return t;
}

static void end(pthread_t t)
{
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    pthread_join(t, NULL);
}

static void stores_under_an_executor(void)
{
    pthread_t t = begin(executor);
    int seen = 0;

    for (int32_t i = 1; i <= ROUNDS; i++)
        __atomic_store_n(value_at(pages), i, __ATOMIC_RELAXED);
    for (int32_t i = 1; i <= ROUNDS; i++) {
        __atomic_store_n(value_at(pages), -i, __ATOMIC_RELAXED);
        while (saw != -i) {
        }
        seen++;
    }
    end(t);
    CHECK(seen == ROUNDS);
}

static void calls_under_a_writer(void)
{
    pthread_t t;
    int wrong = 0;

    write_code(pages, 0);
    t = begin(writer);
    for (int i = 0; i < ROUNDS; i++)
        wrong += call(pages) >> 8;
    end(t);
    CHECK(wrong == 0);
}

static void writes_by_the_kernel(void)
{
    uint32_t *word = (uint32_t *)(void *)(pages + 128), other = 0;
    int done = 0, added = 0, pipes[2];
    pthread_t t = begin(executor);

    if (pipe(pipes))
        return;
    for (int32_t i = 0; i < ROUNDS; i++)
        done += write(pipes[1], &i, 4) == 4 && read(pipes[0], value_at(pages), 4) == 4;
    *word = 0;
    for (int i = 0; i < ROUNDS; i++)
        added += syscall(SYS_futex, &other, FUTEX_WAKE_OP_PRIVATE, 1, 1, word,
                         FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 7777)) == 0;
    end(t);
    CHECK(done == ROUNDS && *value_at(pages) == ROUNDS - 1);
    CHECK(added == ROUNDS && *word == ROUNDS);
    close(pipes[0]);
    close(pipes[1]);
}

static void stores_across_pages(void)
{
    uint64_t *across = (uint64_t *)(void *)(pages + PAGE - 4);
    int right = 0;
    pthread_t t;

    write_code(pages + PAGE + 64, 5);
    t = begin(executor_of_both);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        __asm__ volatile("mov %1, %0" : "=m"(*across) : "r"(i * 0x100000001UL));
        right += *across == i * 0x100000001UL;
    }
    end(t);
    CHECK(right == ROUNDS);
}

static void code_that_changes_itself(void)
{
    /* movl $77, 2(%rip); nop; mov $1, %eax: the 1 becomes 77; ret */
    static const uint8_t near[] = {0xc7, 0x05, 0x02, 0, 0, 0, 77, 0,   0,
                                   0,    0x90, 0xb8, 1, 0, 0, 0,  0xc3};
    /* push %rbp; lea 200(%rip), %rbp; xchg %rbp, %rsp; push $9; call 1f; pop %rax;
       xchg %rbp, %rsp; pop %rbp; ret; 1: push $3; pop %rcx; ret */
    static const uint8_t stack[] = {0x55, 0x48, 0x8d, 0x2d, 200,  0, 0,    0,   0x48, 0x87,
                                    0xec, 0x6a, 9,    0xe8, 6,    0, 0,    0,   0x58, 0x48,
                                    0x87, 0xec, 0x5d, 0xc3, 0x6a, 3, 0x59, 0xc3};
    /* mov $9, %ecx; lea 64(%rip), %rdi; mov $'x', %al; rep stosb; movzbl -1(%rdi), %eax; ret */
    static const uint8_t string[] = {0xb9, 9,    0,   0,    0,    0x48, 0x8d, 0x3d, 64,   0,   0,
                                     0,    0xb0, 'x', 0xf3, 0xaa, 0x0f, 0xb6, 0x47, 0xff, 0xc3};
    /* lock incl 64(%rip); mov 59(%rip), %eax; ret: through the end of the page */
    static const uint8_t locked[] = {0xf0, 0xff, 0x05, 64, 0, 0, 0, 0x8b, 0x05, 58, 0, 0, 0, 0xc3};
    uint8_t *at = pages + 256, *border = pages + PAGE - 4;

    memcpy(at, near, sizeof(near));
    CHECK(call(at) == 77);
    CHECK(call(at) == 77);
    memcpy(at, stack, sizeof(stack));
    CHECK(call(at) == 9);
    CHECK(call(at) == 9);
    memcpy(at, string, sizeof(string));
    CHECK(call(at) == 'x');
    memset(border, 0, 128);
    memcpy(border, locked, sizeof(locked));
    CHECK(call(border) == 1);
    CHECK(call(border) == 2);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                 -1, 0);
    if (pages == MAP_FAILED)
        return 1;
    write_code(pages, 0);
    CHECK(call(pages) == 0);
    code_that_changes_itself();
    stores_under_an_executor();
    calls_under_a_writer();
    writes_by_the_kernel();
    stores_across_pages();
    return 0;
}
