/* The stub blob, built apart (platform.cmake), as read-only data of the sentry. */
.section .rodata
.globl stub_blob, stub_blob_end
.hidden stub_blob, stub_blob_end
.p2align 6
stub_blob:
.incbin "systrap_stub.bin"
stub_blob_end:
.section .note.GNU-stack,"",@progbits
