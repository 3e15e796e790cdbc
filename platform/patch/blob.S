/* The helper's image, built apart; mapped from this program's file. */
.section .rodata.patch_helper, "a"
.p2align 12
.globl patch_helper, patch_helper_end
.hidden patch_helper, patch_helper_end
patch_helper:
.incbin "patch_helper.bin"
patch_helper_end:
.p2align 12
.section .note.GNU-stack,"",@progbits
