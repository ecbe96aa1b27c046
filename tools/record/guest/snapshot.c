/* What the kernel says of its memory at one moment.
 *
 * All files are opened and read once before the first marker, so that allocations which reading causes lie outside. Then:
 * marker, buddyinfo, the other texts, kpageflags of the whole machine, buddyinfo again, marker. Repeated until both
 * buddyinfos agree.
 */
#include "lab.h"

#define TEXT (96u << 10)
#define ZONES 64
#define TRIES 5

static struct { char name[48]; int fd; char *text; size_t length; } files[FILES];
static int file_count;
static struct { uint64_t start, end; int node; } zones[ZONES];
static int zone_count, nodes;
static uint64_t frames;                                     /* page frames of the machine: one more than the last pfn */
static int flags_fd, cgroup_fd;
static uint64_t *flags, *cgroups;
static char *buddyinfo_after;

static void add_file(const char *name, const char *path) {
    if (file_count == FILES) { errno = ENFILE; die(path); }
    int fd = open(path, O_RDONLY);
    if (fd < 0) die(path);
    snprintf(files[file_count].name, sizeof files[0].name, "%s", name);
    files[file_count].fd = fd;
    files[file_count].text = locked_buffer(TEXT);
    slurp(fd, files[file_count].text, TEXT);
    file_count++;
}

static void find_zones(const char *zoneinfo) {
    int node = -1, n;
    uint64_t spanned = 0;
    unsigned long long value;
    for (const char *line = zoneinfo; line && *line; line = strchr(line, '\n'), line += line != 0) {
        if (sscanf(line, "Node %d, zone", &n) == 1) {
            node = n;
            if (node + 1 > nodes) nodes = node + 1;
        } else if (sscanf(line, " spanned %llu", &value) == 1) {
            spanned = value;
        } else if (sscanf(line, " start_pfn: %llu", &value) == 1 && spanned) {
            if (zone_count == ZONES) { errno = ENOSPC; die("zones"); }
            zones[zone_count].start = value;
            zones[zone_count].end = value + spanned;
            zones[zone_count++].node = node;
            if (value + spanned > frames) frames = value + spanned;
            spanned = 0;
        }
    }
}

int node_of(uint64_t pfn) {
    for (int i = 0; i < zone_count; i++)
        if (pfn >= zones[i].start && pfn < zones[i].end) return zones[i].node;
    return -1;
}

int node_count(void) { return nodes; }

void open_snapshot(void) {
    char name[48], path[LINE];
    add_file("buddyinfo", "/proc/buddyinfo");               /* files[0] and files[1] are meant below */
    add_file("zoneinfo", "/proc/zoneinfo");
    add_file("pagetypeinfo", "/proc/pagetypeinfo");
    add_file("vmstat", "/proc/vmstat");
    add_file("meminfo", "/proc/meminfo");
    find_zones(files[1].text);
    for (int node = 0; node < nodes; node++) {
        for (int i = 0; i < 2; i++) {
            const char *what = i ? "numastat" : "meminfo";
            snprintf(name, sizeof name, "node%d.%s", node, what);
            snprintf(path, sizeof path, "/sys/devices/system/node/node%d/%s", node, what);
            add_file(name, path);
        }
    }
    flags_fd = open("/proc/kpageflags", O_RDONLY);
    if (flags_fd < 0) die("/proc/kpageflags");
    cgroup_fd = open("/proc/kpagecgroup", O_RDONLY);
    if (cgroup_fd < 0) die("/proc/kpagecgroup");
    flags = locked_buffer(frames * 8);
    cgroups = locked_buffer(frames * 8);
    buddyinfo_after = locked_buffer(TEXT);
}

static void read_frames(int fd, uint64_t *values) {
    size_t wanted = frames * 8, done = 0;
    ssize_t count;
    while (done < wanted && (count = pread(fd, (char *)values + done, wanted - done, done)) > 0) done += count;
    memset((char *)values + done, 0, wanted - done);        /* nothing is known of frames behind the last section */
}

static void note_runs(const char *name, const char *label, const uint64_t *values) {
    note("@begin %s %s\n", name, label);
    for (uint64_t i = 0, j; i < frames; i = j) {
        for (j = i + 1; j < frames && values[j] == values[i];) j++;
        note("%llx %llx %llx\n", (unsigned long long)i, (unsigned long long)(j - i), (unsigned long long)values[i]);
    }
    note("@end\n");
}

void snapshot(const char *label, int with_cgroups) {
    uint64_t began = 0, ended = 0;
    int try, stable = 0;
    for (int i = 0; i < file_count; i++) slurp(files[i].fd, files[i].text, TEXT);
    for (try = 1; !stable && try <= TRIES; try++) {
        mark("SNAP %s %d begin", label, try);
        began = now();
        for (int i = 0; i < file_count; i++) files[i].length = slurp(files[i].fd, files[i].text, TEXT);
        read_frames(flags_fd, flags);
        slurp(files[0].fd, buddyinfo_after, TEXT);
        ended = now();
        mark("SNAP %s %d end", label, try);
        stable = !strcmp(buddyinfo_after, files[0].text);
    }
    if (with_cgroups) read_frames(cgroup_fd, cgroups);
    note("@snap %s try %d stable %d us %llu at_us %llu\n", label, try - 1, stable,
         (unsigned long long)(ended - began) / 1000, (unsigned long long)began / 1000);
    for (int i = 0; i < file_count; i++) {
        note("@begin %s %s\n", files[i].name, label);
        note_bytes(files[i].text, files[i].length);
        note("@end\n");
    }
    note_runs("kpageflags", label, flags);
    if (with_cgroups) note_runs("kpagecgroup", label, cgroups);
}
