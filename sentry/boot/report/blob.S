/* The report helper's image, built apart; mapped from this program's file. */
.section .rodata.report_helper, "a"
.p2align 12
.globl report_helper, report_helper_end
.hidden report_helper, report_helper_end
report_helper:
.incbin "report_helper.bin"
report_helper_end:
.p2align 12
.section .note.GNU-stack,"",@progbits
