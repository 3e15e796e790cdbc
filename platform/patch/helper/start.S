/* The image's head, and its first instruction: a stack, and something for %fs:0x28 to read. */
.section .head, "a"
.globl helper_header
helper_header:
    .quad 0x3148435441505643
    .quad helper_data - helper_header
    .quad helper_end - helper_header
    .quad helper_start - helper_header

.text
.globl helper_start
helper_start:
    lea helper_stack_top(%rip), %rsp
    mov $158, %eax              /* arch_prctl(ARCH_SET_FS) */
    mov $0x1002, %edi
    lea helper_tls(%rip), %rsi
    syscall
    xor %ebp, %ebp
    call helper_main
    ud2

.bss
.p2align 6
helper_tls:
    .skip 64
    .skip 256 * 1024
.p2align 6
helper_stack_top:

.section .note.GNU-stack,"",@progbits
