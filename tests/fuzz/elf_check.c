/*
 * Hostile ELF files for the reader and the scan of runsc check, without its jail. libFuzzer; begin
 * with small programs as a corpus.
 */
#include "runsc-cli/check/scan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scan *s = calloc(1, sizeof(*s));

    if (s && elf_parse(data, size, &s->objects[0].elf) == 0) {
        s->object_count = 1;
        scan_run(s, 20000);
    }
    if (s)
        elf_free(&s->objects[0].elf);
    free(s);
    return 0;
}
