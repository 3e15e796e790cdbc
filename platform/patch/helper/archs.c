/* capstone's other processors are left out: its core asks for these functions of each. */
#define NONE(name)                                                                                 \
    void name##_global_init(void *ud);                                                             \
    void name##_global_init(void *ud)                                                              \
    {                                                                                              \
        (void)ud;                                                                                  \
    }                                                                                              \
    int name##_option(void *ud, int type, unsigned long value);                                    \
    int name##_option(void *ud, int type, unsigned long value)                                     \
    {                                                                                              \
        (void)ud, (void)type, (void)value;                                                         \
        return 1;                                                                                  \
    }

NONE(AArch64)
NONE(ARM)
NONE(EVM)
NONE(M680X)
NONE(M68K)
NONE(Mips)
NONE(PPC)
NONE(Sparc)
NONE(SystemZ)
NONE(TMS320C64x)
NONE(XCore)
