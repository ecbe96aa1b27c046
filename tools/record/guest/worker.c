/* A worker: waits for a line, does it, answers. It allocates nothing that the script did not ask for. */
#include "lab.h"
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define HUGE (2ul << 20)
#define UNKNOWN (-1000)      /* a line that no worker understands */

static struct region regions[REGIONS];
static int ring_fd[ORDERS], pipe_fd[2] = {-1, -1};

static long outcome(long rc) { return rc < 0 ? -errno : rc; }

static long map(const char *line) {
    int id, flags, fd = -1;
    unsigned long pages;
    char what[LINE], kind[16];
    if (sscanf(line, "map %d %lu %255s %15s", &id, &pages, what, kind) != 4 || id < 0 || id >= REGIONS) return UNKNOWN;
    flags = !strcmp(kind, "shared") ? MAP_SHARED : MAP_PRIVATE;
    if (!strcmp(what, "anon")) flags |= MAP_ANONYMOUS;
    else if ((fd = open(what, O_RDWR)) < 0 && (fd = open(what, O_RDONLY)) < 0) return -errno;
    /* at a multiple of 2 MiB, so that huge pages are possible */
    size_t length = pages * PAGE;
    char *room = mmap(0, length + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) return -errno;
    char *start = (char *)(((uintptr_t)room + HUGE - 1) & ~(HUGE - 1));
    if (start > room) munmap(room, start - room);
    if (room + HUGE > start) munmap(start + length, room + HUGE - start);
    start = mmap(start, length, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
    if (fd >= 0) close(fd);
    if (start == MAP_FAILED) return -errno;
    regions[id] = (struct region){start, pages};
    return (long)start;
}

static long touch(struct region *region, unsigned long start, unsigned long count, int write, volatile uint64_t *progress) {
    volatile char *page = region->start + start * PAGE;
    if (start + count > region->pages) return -EINVAL;
    for (unsigned long i = 0; i < count; i++, page += PAGE) {
        if (write) *page = (char)i;
        else (void)*page;
        *progress = i + 1;
    }
    return count;
}

static long touch_shuffled(struct region *region, uint64_t seed, volatile uint64_t *progress) {
    uint64_t state = seed * 2654435761u + 88172645463325252ull;   /* never 0: xorshift would stay there */
    if (region->pages > BATCH) return -EINVAL;
    for (uint32_t i = 0; i < region->pages; i++) permutation[i] = i;
    for (size_t i = region->pages; i-- > 1;) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        size_t j = state % (i + 1);
        uint32_t swap = permutation[i];
        permutation[i] = permutation[j], permutation[j] = swap;
    }
    for (size_t i = 0; i < region->pages; i++) {
        region->start[permutation[i] * PAGE] = 1;
        *progress = i + 1;
    }
    return region->pages;
}

static long fill(struct region *region, int node, long leave, volatile uint64_t *progress) {
    char path[LINE], text[LINE];
    size_t i;
    snprintf(path, sizeof path, "/sys/devices/system/node/node%d/meminfo", node);
    int fd = open(path, O_RDONLY);
    if (fd < 0) return -errno;
    for (i = 0; i < region->pages; i++) {
        if (i % 64 == 0) {
            ssize_t count = pread(fd, text, sizeof text - 1, 0);
            text[count > 0 ? count : 0] = 0;
            char *free_kib = strstr(text, "MemFree:");
            if (!free_kib || atol(free_kib + 8) / 4 < leave) break;
        }
        region->start[i * PAGE] = 1;
        *progress = i + 1;
    }
    close(fd);
    return i;
}

static long punch(struct region *region, size_t step, size_t first) {
    for (size_t i = first; i < region->pages; i += step)
        if (madvise(region->start + i * PAGE, PAGE, MADV_DONTNEED)) return -errno;
    return region->pages / step;
}

static long advise(struct region *region, const char *word) {
    static const struct { const char *word; int advice; } known[] = {
        {"hugepage", MADV_HUGEPAGE}, {"nohugepage", MADV_NOHUGEPAGE}, {"dontneed", MADV_DONTNEED},
        {"random", MADV_RANDOM},     {"pageout", MADV_PAGEOUT},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].word, word)) return outcome(madvise(region->start, region->pages * PAGE, known[i].advice));
    return UNKNOWN;
}

static long policy(const char *word) {
    static const char *const modes[] = {"default", "prefer:", "bind:", "interleave:"};   /* MPOL_DEFAULT, _PREFERRED ... */
    for (int mode = 0; mode < 4; mode++) {
        size_t length = strlen(modes[mode]);
        if (strncmp(modes[mode], word, length)) continue;
        unsigned long mask = strtoul(word + length, 0, 0);
        if (mode == 1) mask = 1ul << mask;
        return outcome(syscall(SYS_set_mempolicy, mode, mode ? &mask : 0, mode ? 64 : 0));
    }
    return UNKNOWN;
}

static long ring(unsigned long order, unsigned long blocks) {
    if (order >= ORDERS) return UNKNOWN;
    int fd = socket(AF_PACKET, SOCK_RAW, 0);
    if (fd < 0) return -errno;
    struct tpacket_req request = {
        .tp_block_size = PAGE << order, .tp_block_nr = blocks, .tp_frame_size = PAGE, .tp_frame_nr = (1u << order) * blocks,
    };
    if (setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request)) {
        long error = -errno;
        close(fd);
        return error;
    }
    ring_fd[order] = fd;
    return blocks;
}

static long fill_pipe(unsigned long pages) {
    static char page[PAGE];
    if (pipe2(pipe_fd, O_NONBLOCK) || fcntl(pipe_fd[1], F_SETPIPE_SZ, pages * PAGE) < 0) return -errno;
    for (unsigned long i = 0; i < pages; i++)
        if (write(pipe_fd[1], page, PAGE) != (ssize_t)PAGE) return i;
    return pages;
}

static long perform(const char *line, volatile uint64_t *progress) {
    char op[16] = "", word[LINE] = "", second[16] = "";
    unsigned long a = 0, b = 0, c = 0;
    sscanf(line, "%15s %255s %15s", op, word, second);
    int numbers = sscanf(line, "%*s %lu %lu %lu", &a, &b, &c);
    if (!strcmp(op, "nop")) return 0;
    if (!strcmp(op, "map")) return map(line);
    if (!strcmp(op, "policy")) return policy(word);
    if (!strcmp(op, "unpipe")) return outcome(close(pipe_fd[0]) | close(pipe_fd[1]));
    if (numbers < 1) return UNKNOWN;
    if (!strcmp(op, "ring")) return ring(a, b);
    if (!strcmp(op, "unring")) return a < ORDERS ? outcome(close(ring_fd[a])) : UNKNOWN;
    if (!strcmp(op, "pipe")) return fill_pipe(a);
    if (!strcmp(op, "cpu")) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(a, &set);
        return outcome(sched_setaffinity(0, sizeof set, &set));
    }
    if (a >= REGIONS || !regions[a].start) return UNKNOWN;
    struct region *region = &regions[a];
    if (!strcmp(op, "write") || !strcmp(op, "read")) return touch(region, b, c, *op == 'w', progress);
    if (!strcmp(op, "writeperm")) return touch_shuffled(region, b, progress);
    if (!strcmp(op, "fill")) return fill(region, b, c, progress);
    if (!strcmp(op, "punch")) return b ? punch(region, b, c) : UNKNOWN;
    if (!strcmp(op, "unmap")) return munmap(region->start + b * PAGE, c * PAGE) ? -errno : (long)c;
    if (!strcmp(op, "madvise")) return advise(region, second);
    return UNKNOWN;
}

void work(int from, int to, volatile uint64_t *progress) {
    struct message message;
    struct reply reply;
    struct rusage before, after;
    while (read(from, &message, sizeof message) == sizeof message) {
        if (!strncmp(message.line, "exit", 4)) _exit(0);
        *progress = 0;
        getrusage(RUSAGE_SELF, &before);
        uint64_t began = now();
        reply.rc = perform(message.line, progress);
        reply.ns = now() - began;
        getrusage(RUSAGE_SELF, &after);
        reply.minor = after.ru_minflt - before.ru_minflt;
        reply.major = after.ru_majflt - before.ru_majflt;
        if (write(to, &reply, sizeof reply) != sizeof reply) _exit(1);
    }
    _exit(0);
}
