/*
 * Registers as gdb numbers them: the order of target.xml, which follows gdb's own features for
 * amd64 Linux. Sources: GDB manual "i386 Features"; Intel SDM vol. 1 chapter 13 for where the XSAVE
 * image holds them.
 */
#include "runsc-cli/gdb.h"

#include <string.h>

#define FX_FCW      0
#define FX_FSW      2
#define FX_FTW      4
#define FX_FOP      6
#define FX_IP       8
#define FX_DP       16
#define FX_MXCSR    24
#define FX_ST       32
#define FX_XMM      160
#define XSTATE_BV   512
#define YMM_HIGH    576
#define FEATURE_X87 1
#define FEATURE_SSE 2
#define FEATURE_AVX 4
#define ST_SIZE     10

#define GENERAL(n)    "<reg name=\"" n "\" bitsize=\"64\" type=\"int64\"/>"
#define POINTER(n, t) "<reg name=\"" n "\" bitsize=\"64\" type=\"" t "\"/>"
#define WORD32(n)     "<reg name=\"" n "\" bitsize=\"32\" type=\"int32\"/>"
#define ST(n)         "<reg name=\"st" n "\" bitsize=\"80\" type=\"i387_ext\"/>"
#define FCTL(n)       "<reg name=\"" n "\" bitsize=\"32\" type=\"int\" group=\"float\"/>"
#define XMM(n)        "<reg name=\"xmm" n "\" bitsize=\"128\" type=\"vec128\"/>"
#define YMMH(n)       "<reg name=\"ymm" n "h\" bitsize=\"128\" type=\"uint128\"/>"
#define SIXTEEN(m)                                                                                 \
    m("0") m("1") m("2") m("3") m("4") m("5") m("6") m("7") m("8") m("9") m("10") m("11") m("12")  \
        m("13") m("14") m("15")

#define XML_START                                                                                  \
    "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"                   \
    "<architecture>i386:x86-64</architecture><osabi>GNU/Linux</osabi>"                             \
    "<feature name=\"org.gnu.gdb.i386.core\">"                                                     \
    "<flags id=\"i386_eflags\" size=\"4\"><field name=\"CF\" start=\"0\" end=\"0\"/>"              \
    "<field name=\"PF\" start=\"2\" end=\"2\"/><field name=\"AF\" start=\"4\" end=\"4\"/>"         \
    "<field name=\"ZF\" start=\"6\" end=\"6\"/><field name=\"SF\" start=\"7\" end=\"7\"/>"         \
    "<field name=\"TF\" start=\"8\" end=\"8\"/><field name=\"IF\" start=\"9\" end=\"9\"/>"         \
    "<field name=\"DF\" start=\"10\" end=\"10\"/><field name=\"OF\" start=\"11\" end=\"11\"/>"     \
    "</flags>" GENERAL("rax") GENERAL("rbx") GENERAL("rcx") GENERAL("rdx") GENERAL("rsi") GENERAL( \
        "rdi") POINTER("rbp",                                                                      \
                       "data_ptr") POINTER("rsp",                                                  \
                                           "data_ptr") GENERAL("r8") GENERAL("r9") GENERAL("r10")  \
        GENERAL("r11") GENERAL("r12") GENERAL("r13") GENERAL("r14") GENERAL("r15") POINTER(        \
            "rip",                                                                                 \
            "code_ptr") "<reg name=\"eflags\" bitsize=\"32\" type=\"i386_eflags\"/>" WORD32("cs")  \
            WORD32("ss") WORD32("ds") WORD32("es") WORD32("fs") WORD32("gs") ST("0") ST("1")       \
                ST("2") ST("3") ST("4") ST("5") ST("6") ST("7") FCTL("fctrl") FCTL("fstat")        \
                    FCTL("ftag") FCTL("fiseg") FCTL("fioff") FCTL("foseg") FCTL("fooff") FCTL(     \
                        "fop") "</feature>"                                                        \
                               "<feature name=\"org.gnu.gdb.i386.sse\">"                           \
                               "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"             \
                               "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"             \
                               "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"                 \
                               "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"                 \
                               "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"                 \
                               "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"                 \
                               "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"      \
                               "<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" " \
                               "type=\"v16i8\"/>"                                                  \
                               "<field name=\"v8_int16\" type=\"v8i16\"/><field "                  \
                               "name=\"v4_int32\" type=\"v4i32\"/>"                                \
                               "<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" " \
                               "type=\"uint128\"/></union>" SIXTEEN(                               \
                                   XMM) "<reg name=\"mxcsr\" bitsize=\"32\" type=\"int\" "         \
                                        "group=\"vector\"/></feature>"                             \
                                        "<feature name=\"org.gnu.gdb.i386.linux\">"                \
                                        "<reg name=\"orig_rax\" bitsize=\"64\" type=\"int\" "      \
                                        "group=\"system\"/></feature>"                             \
                                        "<feature name=\"org.gnu.gdb.i386.segments\">" POINTER(    \
                                            "fs_base", "int")                                      \
                                            POINTER("gs_base", "int") "</feature>"
#define XML_AVX "<feature name=\"org.gnu.gdb.i386.avx\">" SIXTEEN(YMMH) "</feature>"
#define XML_END "</target>"

/* The numbers, in the order above. */
enum {
    R_GENERAL = 0, /* rax ... gs: 24 */
    R_ST = 24,
    R_FCTRL = 32,
    R_FSTAT,
    R_FTAG,
    R_FISEG,
    R_FIOFF,
    R_FOSEG,
    R_FOOFF,
    R_FOP,
    R_XMM = 40,
    R_MXCSR = 56,
    R_ORIG_RAX,
    R_FS_BASE,
    R_GS_BASE,
    R_YMMH = 60,
    R_END = 76,
};

#define U(field) offsetof(struct lx_user_regs, field)
static const struct {
    uint16_t offset, size;
} general[] = {
    {U(rax), 8}, {U(rbx), 8}, {U(rcx), 8}, {U(rdx), 8}, {U(rsi), 8}, {U(rdi), 8},
    {U(rbp), 8}, {U(rsp), 8}, {U(r8), 8},  {U(r9), 8},  {U(r10), 8}, {U(r11), 8},
    {U(r12), 8}, {U(r13), 8}, {U(r14), 8}, {U(r15), 8}, {U(rip), 8}, {U(rflags), 4},
    {U(cs), 4},  {U(ss), 4},  {U(ds), 4},  {U(es), 4},  {U(fs), 4},  {U(gs), 4},
};

static bool has_avx(const struct gdb *g)
{
    uint64_t features;

    memcpy(&features, g->regs.xsave + LX_XSAVE_XCR0_WORD, sizeof(features));
    return (features & FEATURE_AVX) && g->xsave_size >= YMM_HIGH + 16 * 16;
}

const char *gdb_target_xml(const struct gdb *g)
{
    return has_avx(g) ? XML_START XML_AVX XML_END : XML_START XML_END;
}

int gdb_register_count(const struct gdb *g)
{
    return has_avx(g) ? R_END : R_YMMH;
}

/* Where the image holds a part of the floating point state, and in how many bytes. */
static int x87_place(int number, int *size)
{
    static const struct {
        uint8_t offset, size;
    } places[] = {{FX_FCW, 2}, {FX_FSW, 2},    {FX_FTW, 1}, {FX_IP + 4, 2},
                  {FX_IP, 4},  {FX_DP + 4, 2}, {FX_DP, 4},  {FX_FOP, 2}};

    *size = places[number - R_FCTRL].size;
    return places[number - R_FCTRL].offset;
}

/* The register's bytes, a size gdb expects of it (0: no such number), and the feature it is of. */
static uint8_t *place(struct gdb *g, int number, int *size, uint64_t *feature)
{
    uint8_t *fx = g->regs.xsave, *user = (uint8_t *)&g->regs.user;

    *feature = 0;
    if (number < R_ST) {
        *size = general[number].size;
        return user + general[number].offset;
    }
    if (number >= R_ORIG_RAX && number <= R_GS_BASE) {
        static const uint16_t at[] = {U(orig_rax), U(fs_base), U(gs_base)};

        *size = 8;
        return user + at[number - R_ORIG_RAX];
    }
    *feature = number < R_XMM ? FEATURE_X87 : number <= R_MXCSR ? FEATURE_SSE : FEATURE_AVX;
    *size = 16;
    if (number < R_FCTRL) {
        *size = ST_SIZE;
        return fx + FX_ST + 16 * (number - R_ST);
    }
    if (number < R_XMM)
        return fx + x87_place(number, size);
    if (number < R_MXCSR)
        return fx + FX_XMM + 16 * (number - R_XMM);
    if (number == R_MXCSR) {
        *size = 4;
        return fx + FX_MXCSR;
    }
    return fx + YMM_HIGH + 16 * (number - R_YMMH);
}

/* A bit for each register that is not empty: gdb wants two for each, by their physical order. */
static uint16_t full_tags(uint8_t tags)
{
    uint16_t full = 0;

    for (int i = 0; i < 8; i++)
        full |= (uint16_t)((tags >> i & 1 ? 0 : 3) << (2 * i));
    return full;
}

static uint8_t short_tags(uint16_t full)
{
    uint8_t tags = 0;

    for (int i = 0; i < 8; i++)
        tags |= (uint8_t)(((full >> (2 * i) & 3) != 3) << i);
    return tags;
}

int gdb_get_register(const struct gdb *g, int number, uint8_t out[16])
{
    uint64_t feature, present;
    uint16_t tags;
    uint8_t *p;
    int size;

    if (number < 0 || number >= gdb_register_count(g))
        return 0;
    p = place((struct gdb *)(uintptr_t)g, number, &size, &feature);
    memset(out, 0, 16);
    memcpy(&present, g->regs.xsave + XSTATE_BV, sizeof(present));
    /* What is not in the image has its initial value. */
    if (!feature || (present & feature) || number == R_MXCSR)
        memcpy(out, p, (size_t)size);
    else if (number == R_FCTRL)
        memcpy(out, "\x7f\x03", 2);
    if (number == R_FTAG) {
        tags = full_tags(present & FEATURE_X87 ? *p : 0);
        memcpy(out, &tags, sizeof(tags));
    }
    return number >= R_FCTRL && number < R_XMM ? 4 : size;
}

bool gdb_set_register(struct gdb *g, int number, const uint8_t *value, size_t size)
{
    uint64_t feature, present;
    uint8_t old[16], *p;
    uint16_t tags;
    int have = gdb_get_register(g, number, old), bytes;

    if (!have || size < (size_t)have)
        return false;
    if (memcmp(old, value, (size_t)have) == 0)
        return true;
    p = place(g, number, &bytes, &feature);
    memcpy(&present, g->regs.xsave + XSTATE_BV, sizeof(present));
    if (feature == FEATURE_X87 && !(present & feature))
        memcpy(g->regs.xsave + FX_FCW, "\x7f\x03\0\0\0", 5);
    present |= feature;
    memcpy(g->regs.xsave + XSTATE_BV, &present, sizeof(present));
    if (number == R_FTAG) {
        memcpy(&tags, value, sizeof(tags));
        *p = short_tags(tags);
    } else {
        memcpy(p, value, (size_t)bytes);
    }
    g->regs_changed = true;
    return true;
}
