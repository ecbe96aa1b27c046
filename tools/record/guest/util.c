/* The log, the trace's markers, and small things that both sides need. */
#include "lab.h"
#include <stdarg.h>
#include <time.h>

#define ARENA (20u << 20)

uint32_t *permutation;
static char *arena;
static size_t used;
static int marker = -1;

uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

void die(const char *what) {
    fprintf(stderr, "lab: %s: %s\n", what, strerror(errno));
    exit(1);
}

void note_bytes(const char *bytes, size_t count) {
    if (!arena) arena = locked_buffer(ARENA);
    if (used + count > ARENA) { errno = ENOSPC; die("the log"); }
    memcpy(arena + used, bytes, count);
    used += count;
}

void note(const char *format, ...) {
    char line[2 * LINE];
    va_list list;
    va_start(list, format);
    int count = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (count >= (int)sizeof line) { errno = EMSGSIZE; die(line); }
    note_bytes(line, count);
}

void forget_log(void) { used = 0; }

void write_log(const char *folder) {
    char path[LINE];
    snprintf(path, sizeof path, "%s/log.txt", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0) die(path);
    for (size_t done = 0; done < used;) {
        ssize_t count = write(fd, arena + done, used - done < 65536 ? used - done : 65536);
        if (count <= 0) die(path);
        done += count;
    }
    close(fd);
}

void open_marker(void) {
    marker = open(TRACING "trace_marker", O_WRONLY);
    if (marker < 0) die(TRACING "trace_marker");
}

void mark(const char *format, ...) {
    if (marker < 0) return;
    char line[LINE];
    va_list list;
    va_start(list, format);
    int count = vsnprintf(line, sizeof line - 1, format, list);
    va_end(list);
    if (count > (int)sizeof line - 2) count = sizeof line - 2;
    line[count++] = '\n';
    if (write(marker, line, count) < 0) die("a marker");
}

int put(const char *path, const char *value) {
    int fd = open(path, O_WRONLY | O_TRUNC);
    if (fd < 0) return -errno;
    int count = write(fd, value, strlen(value)), error = errno;
    close(fd);
    return count < 0 ? -error : count;
}

void *locked_buffer(size_t bytes) {
    bytes = (bytes + PAGE - 1) & ~(PAGE - 1);
    void *start = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (start == MAP_FAILED) die("a buffer");
    madvise(start, bytes, MADV_DONTFORK);
    return start;
}

size_t slurp(int fd, char *buffer, size_t size) {
    size_t done = 0;
    ssize_t count;
    while (done < size - 1 && (count = pread(fd, buffer + done, size - 1 - done, done)) > 0) done += count;
    if (done == size - 1) { errno = EFBIG; die("a file of /proc"); }
    buffer[done] = 0;
    return done;
}

void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}
