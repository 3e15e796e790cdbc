/*
 * What /sys says. CPUs are as in /proc/cpuinfo: one package, a core each, no hardware threads; all
 * memory is one node. What only the host could tell (huge page policy, caches, frequencies,
 * devices) is absent. Takes no locks.
 */
#include "fs/sysfs/sysfs_int.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"

#define CPU_MAX 1024 /* bits of an affinity mask */

uint32_t sysfs_cpu_count(void)
{
    return MAX(MIN(host_cpu_count(), (uint32_t)CPU_MAX), 1U);
}

#define SYSFS_TEXT(fn, ...)                                                                        \
    static int fn(uint32_t cpu, struct strbuf *sb)                                                 \
    {                                                                                              \
        strbuf_printf(sb, __VA_ARGS__);                                                            \
        return 0;                                                                                  \
    }

SYSFS_TEXT(show_none, "\n")
SYSFS_TEXT(show_zero, "0\n")
SYSFS_TEXT(show_one, "1\n")
SYSFS_TEXT(show_number, "%u\n", cpu)
SYSFS_TEXT(show_kernel_max, "%d\n", CPU_MAX - 1)
SYSFS_TEXT(show_distance, "10\n")
SYSFS_TEXT(show_byte_order, "little\n")
SYSFS_TEXT(show_address_bits, "64\n")

static int show_all_list(uint32_t cpu, struct strbuf *sb)
{
    uint32_t count = sysfs_cpu_count();

    if (count == 1)
        strbuf_puts(sb, "0\n");
    else
        strbuf_printf(sb, "0-%u\n", count - 1);
    return 0;
}

/* Hexadecimal, the highest CPU first, as wide as there are CPUs, a comma between words of 32. */
static void put_mask(struct strbuf *sb, uint32_t first, uint32_t end)
{
    uint32_t digits = (sysfs_cpu_count() + 3) / 4;

    for (uint32_t d = digits; d-- > 0;) {
        uint32_t bits = 0;

        for (uint32_t i = 0; i < 4; i++)
            if (d * 4 + i >= first && d * 4 + i < end)
                bits |= 1U << i;
        strbuf_printf(sb, "%x", bits);
        if (d && d % 8 == 0)
            strbuf_putc(sb, ',');
    }
    strbuf_putc(sb, '\n');
}

static int show_all_mask(uint32_t cpu, struct strbuf *sb)
{
    put_mask(sb, 0, sysfs_cpu_count());
    return 0;
}

static int show_own_mask(uint32_t cpu, struct strbuf *sb)
{
    put_mask(sb, cpu, cpu + 1);
    return 0;
}

/* ---- devices/system/cpu ---- */

static SYSFS_NODES(topology_nodes) = {
    SYSFS_FILE("core_cpus", show_own_mask),
    SYSFS_FILE("core_cpus_list", show_number),
    SYSFS_FILE("core_id", show_number),
    SYSFS_FILE("core_siblings", show_all_mask),
    SYSFS_FILE("core_siblings_list", show_all_list),
    SYSFS_FILE("package_cpus", show_all_mask),
    SYSFS_FILE("package_cpus_list", show_all_list),
    SYSFS_FILE("physical_package_id", show_zero),
    SYSFS_FILE("thread_siblings", show_own_mask),
    SYSFS_FILE("thread_siblings_list", show_number),
};

static SYSFS_NODES(one_cpu_nodes) = {
    {.name = "online", .mode = LX_S_IFREG | 0444, .show = show_one, .not_cpu0 = true},
    SYSFS_DIR("topology", topology_nodes),
};

static DEFINE_OPS(sysfs_node, one_cpu_node) = SYSFS_DIR("cpu", one_cpu_nodes);

static SYSFS_NODES(cpu_nodes) = {
    SYSFS_FILE("isolated", show_none),     SYSFS_FILE("kernel_max", show_kernel_max),
    SYSFS_FILE("offline", show_none),      SYSFS_FILE("online", show_all_list),
    SYSFS_FILE("possible", show_all_list), SYSFS_FILE("present", show_all_list),
};

/* ---- devices/system/node ---- */

static int show_node_meminfo(uint32_t cpu, struct strbuf *sb)
{
    struct host_sysinfo si;

    if (host_sysinfo(&si) < 0)
        return -EIO;
    strbuf_printf(sb, "Node 0 MemTotal:       %8lu kB\n", si.total_ram / 1024);
    strbuf_printf(sb, "Node 0 MemFree:        %8lu kB\n", si.free_ram / 1024);
    strbuf_printf(sb, "Node 0 MemUsed:        %8lu kB\n", (si.total_ram - si.free_ram) / 1024);
    return 0;
}

static SYSFS_NODES(node0_nodes) = {
    SYSFS_FILE("cpulist", show_all_list),
    SYSFS_FILE("cpumap", show_all_mask),
    SYSFS_FILE("distance", show_distance),
    SYSFS_FILE("meminfo", show_node_meminfo),
};

static SYSFS_NODES(node_nodes) = {
    SYSFS_FILE("has_cpu", show_zero),
    SYSFS_FILE("has_memory", show_zero),
    SYSFS_FILE("has_normal_memory", show_zero),
    SYSFS_DIR("node0", node0_nodes),
    SYSFS_FILE("online", show_zero),
    SYSFS_FILE("possible", show_zero),
};

static SYSFS_NODES(system_nodes) = {
    {.name = "cpu",
     .mode = LX_S_IFDIR | 0555,
     .children = cpu_nodes,
     .child_count = ARRAY_SIZE(cpu_nodes),
     .each_cpu = &one_cpu_node},
    SYSFS_DIR("node", node_nodes),
};

/* ---- the rest ---- */

static SYSFS_NODES(devices_nodes) = {
    SYSFS_DIR("system", system_nodes),
};

static SYSFS_NODES(fs_nodes) = {
    SYSFS_EMPTY("cgroup"),
};

static SYSFS_NODES(kernel_nodes) = {
    SYSFS_FILE("address_bits", show_address_bits),
    SYSFS_FILE("cpu_byteorder", show_byte_order),
    SYSFS_EMPTY("security"),
};

static SYSFS_NODES(root_nodes) = {
    SYSFS_EMPTY("block"),
    SYSFS_EMPTY("bus"),
    SYSFS_EMPTY("class"),
    SYSFS_EMPTY("dev"),
    SYSFS_DIR("devices", devices_nodes),
    SYSFS_EMPTY("firmware"),
    SYSFS_DIR("fs", fs_nodes),
    SYSFS_EMPTY("hypervisor"),
    SYSFS_DIR("kernel", kernel_nodes),
    SYSFS_EMPTY("module"),
    SYSFS_EMPTY("power"),
};

DEFINE_OPS(sysfs_node, sysfs_root_node) = SYSFS_DIR("/", root_nodes);
