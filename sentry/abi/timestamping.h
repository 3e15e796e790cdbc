/* SO_TIMESTAMPING: its flags and what comes of them. The guest's ABI; kernel document
 * timestamping.rst. */
#pragma once

enum {
    LX_SOF_TIMESTAMPING_TX_HARDWARE = 1,
    LX_SOF_TIMESTAMPING_TX_SOFTWARE = 2,
    LX_SOF_TIMESTAMPING_RX_HARDWARE = 4,
    LX_SOF_TIMESTAMPING_RX_SOFTWARE = 8,
    LX_SOF_TIMESTAMPING_SOFTWARE = 0x10,
    LX_SOF_TIMESTAMPING_SYS_HARDWARE = 0x20,
    LX_SOF_TIMESTAMPING_RAW_HARDWARE = 0x40,
    LX_SOF_TIMESTAMPING_OPT_ID = 0x80,
    LX_SOF_TIMESTAMPING_TX_SCHED = 0x100,
    LX_SOF_TIMESTAMPING_TX_ACK = 0x200,
    LX_SOF_TIMESTAMPING_OPT_CMSG = 0x400,
    LX_SOF_TIMESTAMPING_OPT_TSONLY = 0x800,
    LX_SOF_TIMESTAMPING_OPT_STATS = 0x1000,
    LX_SOF_TIMESTAMPING_OPT_PKTINFO = 0x2000,
    LX_SOF_TIMESTAMPING_OPT_TX_SWHW = 0x4000,
    LX_SOF_TIMESTAMPING_BIND_PHC = 0x8000,
    LX_SOF_TIMESTAMPING_OPT_ID_TCP = 0x10000,
    LX_SOF_TIMESTAMPING_OPT_RX_FILTER = 0x20000,
};

/* What asks for stamps of one message, and may come with it. */
#define LX_SOF_TIMESTAMPING_TX_ASK                                                                 \
    (LX_SOF_TIMESTAMPING_TX_HARDWARE | LX_SOF_TIMESTAMPING_TX_SOFTWARE |                           \
     LX_SOF_TIMESTAMPING_TX_SCHED | LX_SOF_TIMESTAMPING_TX_ACK)
/* What this kernel takes. Without OPT_STATS and BIND_PHC; there is no hardware that stamps. */
#define LX_SOF_TIMESTAMPING_TAKEN                                                                  \
    (0x3ffffU & ~(uint32_t)(LX_SOF_TIMESTAMPING_OPT_STATS | LX_SOF_TIMESTAMPING_BIND_PHC))

/* ee_info of a stamp. */
enum { LX_SCM_TSTAMP_SND, LX_SCM_TSTAMP_SCHED, LX_SCM_TSTAMP_ACK };

struct lx_so_timestamping {
    int32_t flags, bind_phc;
};
