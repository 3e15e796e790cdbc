/* Calls that a reader of the code can tell, and some it can't. Built without libc. */
#define ALONE __attribute__((noinline, used))

long memory_number;

ALONE long plain(void)
{
    long r;

    __asm__ volatile("mov $39, %%eax; syscall" : "=a"(r)::"rcx", "r11", "memory"); /* getpid */
    return r;
}

ALONE long zero(void)
{
    long r;

    __asm__ volatile("xor %%eax, %%eax; syscall" : "=a"(r)::"rcx", "r11", "memory"); /* read */
    return r;
}

/* One of two, by a jump: getuid or getgid. */
ALONE long branch(int x)
{
    long r;

    __asm__ volatile("mov $102, %%eax; test %1, %1; jz 1f; mov $104, %%eax; 1: syscall"
                     : "=&a"(r)
                     : "r"(x)
                     : "rcx", "r11", "memory");
    return r;
}

/* Through another register: geteuid. */
ALONE long copied(void)
{
    long r;

    __asm__ volatile("mov $107, %%r9d; mov %%r9, %%rax; syscall"
                     : "=a"(r)::"rcx", "r9", "r11", "memory");
    return r;
}

/* The caller says which: sync and vhangup by its two callers. */
ALONE long any(long number)
{
    __asm__ volatile("syscall" : "+a"(number)::"rcx", "r11", "memory");
    return number;
}

ALONE long from_memory(void)
{
    long r;

    __asm__ volatile("mov memory_number(%%rip), %%rax; syscall" : "=a"(r)::"rcx", "r11", "memory");
    return r;
}

ALONE long no_such(void)
{
    long r;

    __asm__ volatile("mov $999999, %%eax; syscall" : "=a"(r)::"rcx", "r11", "memory");
    return r;
}

ALONE void old(void)
{
    __asm__ volatile("mov $20, %%eax; int $0x80" ::: "rax", "memory");
}

void _start(void)
{
    plain();
    zero();
    branch(1);
    copied();
    any(162);
    any(153);
    from_memory();
    no_such();
    old();
    __asm__ volatile("mov $60, %eax; xor %edi, %edi; syscall");
    __builtin_unreachable();
}
