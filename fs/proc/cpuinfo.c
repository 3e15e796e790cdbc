/* /proc/cpuinfo, from the cpuid instruction. Names and their order are Linux's (cpufeatures.h of
 * its documentation). No locks. */
#include "fs/proc/proc_int.h"
#include "platform/host/host.h"

enum reg { EAX, EBX, ECX, EDX };

struct cpuid_regs {
    uint32_t r[4];
};

static struct cpuid_regs cpuid(uint32_t leaf, uint32_t sub)
{
    struct cpuid_regs c;

    __asm__ volatile("cpuid"
                     : "=a"(c.r[EAX]), "=b"(c.r[EBX]), "=c"(c.r[ECX]), "=d"(c.r[EDX])
                     : "a"(leaf), "c"(sub));
    return c;
}

/* One name a bit, in bit order; "" for a bit that has none. */
struct feature_word {
    uint32_t leaf, sub;
    enum reg reg;
    const char *names[32];
};

static const struct feature_word words[] = {
    {1, 0, EDX, {"fpu",  "vme",   "de",   "pse",     "tsc",  "msr", "pae",  "mce",
                 "cx8",  "apic",  "",     "sep",     "mtrr", "pge", "mca",  "cmov",
                 "pat",  "pse36", "pn",   "clflush", "",     "dts", "acpi", "mmx",
                 "fxsr", "sse",   "sse2", "ss",      "ht",   "tm",  "ia64", "pbe"}},
    {0x80000001,
     0,
     EDX,
     {[11] = "syscall",
      [19] = "mp",
      [20] = "nx",
      [22] = "mmxext",
      [25] = "fxsr_opt",
      [26] = "pdpe1gb",
      [27] = "rdtscp",
      [29] = "lm",
      [30] = "3dnowext",
      [31] = "3dnow"}},
    {1, 0, ECX, {"pni",    "pclmulqdq", "dtes64", "monitor", "ds_cpl",
                 "vmx",    "smx",       "est",    "tm2",     "ssse3",
                 "cid",    "sdbg",      "fma",    "cx16",    "xtpr",
                 "pdcm",   "",          "pcid",   "dca",     "sse4_1",
                 "sse4_2", "x2apic",    "movbe",  "popcnt",  "tsc_deadline_timer",
                 "aes",    "xsave",     "",       "avx",     "f16c",
                 "rdrand", "hypervisor"}},
    {0x80000001,
     0,
     ECX,
     {"lahf_lm",
      "cmp_legacy",
      "svm",
      "extapic",
      "cr8_legacy",
      "abm",
      "sse4a",
      "misalignsse",
      "3dnowprefetch",
      "osvw",
      "ibs",
      "xop",
      "skinit",
      "wdt",
      "",
      "lwp",
      "fma4",
      "tce",
      "",
      "nodeid_msr",
      "",
      "tbm",
      "topoext",
      "perfctr_core",
      "perfctr_nb",
      "",
      "bpext",
      "ptsc",
      "perfctr_llc",
      "mwaitx"}},
    {7, 0, EBX, {"fsgsbase", "tsc_adjust", "sgx",      "bmi1",       "hle",      "avx2",
                 "",         "smep",       "bmi2",     "erms",       "invpcid",  "rtm",
                 "cqm",      "",           "mpx",      "rdt_a",      "avx512f",  "avx512dq",
                 "rdseed",   "adx",        "smap",     "avx512ifma", "",         "clflushopt",
                 "clwb",     "intel_pt",   "avx512pf", "avx512er",   "avx512cd", "sha_ni",
                 "avx512bw", "avx512vl"}},
    {0xd, 1, EAX, {"xsaveopt", "xsavec", "xgetbv1", "xsaves"}},
    {7, 1, EAX, {[4] = "avx_vnni", [5] = "avx512_bf16"}},
    {0x80000008,
     0,
     EBX,
     {[0] = "clzero", [1] = "irperf", [2] = "xsaveerptr", [4] = "rdpru", [9] = "wbnoinvd"}},
    {6, 0, EAX, {[2] = "arat"}},
    {7,
     0,
     ECX,
     {[1] = "avx512vbmi",
      [2] = "umip",
      [3] = "pku",
      [4] = "ospke",
      [5] = "waitpkg",
      [6] = "avx512_vbmi2",
      [8] = "gfni",
      [9] = "vaes",
      [10] = "vpclmulqdq",
      [11] = "avx512_vnni",
      [12] = "avx512_bitalg",
      [14] = "avx512_vpopcntdq",
      [16] = "la57",
      [22] = "rdpid",
      [25] = "cldemote",
      [27] = "movdiri",
      [28] = "movdir64b"}},
    {7,
     0,
     EDX,
     {[2] = "avx512_4vnniw",
      [3] = "avx512_4fmaps",
      [4] = "fsrm",
      [8] = "avx512_vp2intersect",
      [10] = "md_clear",
      [14] = "serialize",
      [16] = "tsxldtrk",
      [18] = "pconfig",
      [22] = "amx_bf16",
      [23] = "avx512_fp16",
      [24] = "amx_tile",
      [25] = "amx_int8",
      [28] = "flush_l1d",
      [29] = "arch_capabilities"}},
};

static void put_flags(struct strbuf *sb, uint32_t max_leaf, uint32_t max_extended)
{
    struct cpuid_regs power;

    strbuf_puts(sb, "flags\t\t:");
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        const struct feature_word *w = &words[i];
        uint32_t bits;

        if (w->leaf > (w->leaf & 0x80000000 ? max_extended : max_leaf))
            continue;
        bits = cpuid(w->leaf, w->sub).r[w->reg];
        for (int b = 0; b < 32; b++)
            if ((bits >> b & 1) && w->names[b] && w->names[b][0])
                strbuf_printf(sb, " %s", w->names[b]);
    }
    if (max_extended >= 0x80000007) {
        power = cpuid(0x80000007, 0);
        if (power.r[EDX] >> 8 & 1)
            strbuf_puts(sb, " constant_tsc nonstop_tsc");
    }
    strbuf_puts(sb, " rep_good nopl cpuid\n");
}

static void model_name(char out[49], uint32_t max_extended)
{
    char *start = out;

    memset(out, 0, 49);
    if (max_extended < 0x80000004) {
        str_copy(out, "unknown", 49);
        return;
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct cpuid_regs c = cpuid(0x80000002 + i, 0);

        memcpy(out + i * 16, &c, 16);
    }
    while (*start == ' ')
        start++;
    memmove(out, start, strlen(start) + 1);
    for (size_t n = strlen(out); n && out[n - 1] == ' '; n--)
        out[n - 1] = '\0';
}

struct cpu_facts {
    char vendor[13], model_name[49];
    uint32_t family, model, stepping, max_leaf, max_extended, clflush, mhz, cache_kb, phys_bits,
        virt_bits;
};

static uint32_t cache_size_kb(const struct cpu_facts *f)
{
    uint32_t size = 0;

    /* The largest of the deterministic cache parameters. */
    for (uint32_t i = 0; f->max_leaf >= 4 && i < 8; i++) {
        struct cpuid_regs c = cpuid(4, i);
        uint64_t bytes;

        if (!(c.r[EAX] & 0x1f))
            break;
        bytes = (uint64_t)((c.r[EBX] >> 22) + 1) * ((c.r[EBX] >> 12 & 0x3ff) + 1) *
                ((c.r[EBX] & 0xfff) + 1) * ((uint64_t)c.r[ECX] + 1);
        size = MAX(size, (uint32_t)(bytes / 1024));
    }
    if (!size && f->max_extended >= 0x80000006)
        size = cpuid(0x80000006, 0).r[ECX] >> 16;
    return size;
}

static void get_facts(struct cpu_facts *f)
{
    struct cpuid_regs c = cpuid(0, 0);

    *f = (struct cpu_facts){.max_leaf = c.r[EAX], .max_extended = cpuid(0x80000000, 0).r[EAX]};
    memcpy(f->vendor, &c.r[EBX], 4);
    memcpy(f->vendor + 4, &c.r[EDX], 4);
    memcpy(f->vendor + 8, &c.r[ECX], 4);
    c = cpuid(1, 0);
    f->family = c.r[EAX] >> 8 & 0xf;
    f->model = c.r[EAX] >> 4 & 0xf;
    f->stepping = c.r[EAX] & 0xf;
    if (f->family == 0xf)
        f->family += c.r[EAX] >> 20 & 0xff;
    if (f->family >= 6)
        f->model |= c.r[EAX] >> 12 & 0xf0;
    f->clflush = (c.r[EBX] >> 8 & 0xff) * 8;
    f->phys_bits = 36;
    f->virt_bits = 48;
    if (f->max_extended >= 0x80000008) {
        c = cpuid(0x80000008, 0);
        f->phys_bits = c.r[EAX] & 0xff;
        f->virt_bits = c.r[EAX] >> 8 & 0xff;
    }
    if (f->max_leaf >= 0x16)
        f->mhz = cpuid(0x16, 0).r[EAX] & 0xffff;
    model_name(f->model_name, f->max_extended);
    f->cache_kb = cache_size_kb(f);
}

int proc_show_cpuinfo(const struct proc_entry *e, struct strbuf *sb)
{
    uint32_t cpus = host_cpu_count();
    struct cpu_facts f;

    get_facts(&f);
    for (uint32_t i = 0; i < cpus; i++) {
        strbuf_printf(
            sb,
            "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %s\n",
            i, f.vendor, f.family, f.model, f.model_name);
        strbuf_printf(
            sb, "stepping\t: %u\nmicrocode\t: 0x1\ncpu MHz\t\t: %u.000\ncache size\t: %u KB\n",
            f.stepping, f.mhz ? f.mhz : 2000, f.cache_kb);
        strbuf_printf(sb, "physical id\t: 0\nsiblings\t: %u\ncore id\t\t: %u\ncpu cores\t: %u\n",
                      cpus, i, cpus);
        strbuf_printf(sb,
                      "apicid\t\t: %u\ninitial apicid\t: %u\nfpu\t\t: yes\nfpu_exception\t: "
                      "yes\ncpuid level\t: %u\nwp\t\t: yes\n",
                      i, i, f.max_leaf);
        put_flags(sb, f.max_leaf, f.max_extended);
        strbuf_printf(sb,
                      "bugs\t\t:\nbogomips\t: %u.00\nclflush size\t: %u\ncache_alignment\t: %u\n",
                      (f.mhz ? f.mhz : 2000) * 2, f.clflush, f.clflush);
        strbuf_printf(sb,
                      "address sizes\t: %u bits physical, %u bits virtual\npower management:\n\n",
                      f.phys_bits, f.virt_bits);
    }
    return 0;
}
