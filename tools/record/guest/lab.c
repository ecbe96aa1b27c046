/* The controller: reads a script, drives the workers, keeps the log. The language is described in lab.h. */
#include "lab.h"
#include <ctype.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SCRIPT (64u << 10)
#define TEXT (256u << 10)    /* longest file that cat may show */
#define WORKERS 12           /* of one script, one after another or at once */
#define NAME 8

static struct worker {
    char name[NAME];
    pid_t pid;                               /* 0: has gone */
    int to, from;
    volatile uint64_t *progress;             /* pages touched so far by the current operation; outlives the worker */
    struct region regions[REGIONS];
} workers[WORKERS];
static int worker_count;
static char *progress_pages, *text;
static uint64_t *pagemap;

static struct worker *find(const char *name) {
    for (int i = 0; i < worker_count; i++)
        if (workers[i].pid && !strcmp(workers[i].name, name)) return &workers[i];
    return 0;
}

static void reap(struct worker *worker) {
    int status;
    waitpid(worker->pid, &status, 0);
    const char *how = WIFSIGNALED(status) ? "signal" : "code";
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    note("  exit %s status %s %d progress %llu\n", worker->name, how, number, (unsigned long long)*worker->progress);
    mark("EXIT %s %s %d", worker->name, how, number);
    close(worker->to);
    close(worker->from);
    worker->pid = 0;
}

static int attach(pid_t pid, const char *folder) {
    char path[2 * LINE], value[32];
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    snprintf(value, sizeof value, "%d", pid);
    return put(path, value);
}

static void spawn(const char *line, const char *name) {
    int down[2], up[2], cpu = 0;
    char cpuset[LINE] = "", memory[LINE] = "";
    const char *found;
    if (worker_count == WORKERS) { errno = EAGAIN; die(line); }
    if ((found = strstr(line, "cpu="))) cpu = atoi(found + 4);
    if ((found = strstr(line, "cs="))) sscanf(found + 3, "%255s", cpuset);
    if ((found = strstr(line, "mg="))) sscanf(found + 3, "%255s", memory);
    if (pipe(down) || pipe(up)) die("pipe");
    struct worker *worker = &workers[worker_count];
    worker->progress = (volatile uint64_t *)(progress_pages + PAGE * worker_count++);
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (!pid) {
        close(down[1]);
        close(up[0]);
        for (int i = 0; i < worker_count - 1; i++)
            if (workers[i].pid) close(workers[i].to), close(workers[i].from);
        put("/proc/self/oom_score_adj", "500");
        int rc = *cpuset ? attach(getpid(), cpuset) : 0;
        if (rc >= 0 && *memory) rc = attach(getpid(), memory);
        pin(cpu);
        struct reply reply = {.rc = rc < 0 ? rc : 0};
        if (write(up[1], &reply, sizeof reply) != sizeof reply) _exit(1);
        work(down[0], up[1], worker->progress);
    }
    close(down[0]);
    close(up[1]);
    snprintf(worker->name, NAME, "%s", name);
    worker->pid = pid, worker->to = down[1], worker->from = up[0];
    struct reply reply;
    if (read(worker->from, &reply, sizeof reply) != sizeof reply) reply.rc = -ECHILD;
    note("< pid %d rc %ld\n", pid, reply.rc);
    mark("PID %s %d", name, pid);
}

/* One line for a worker. Whoever was killed over it is reaped. */
static void order(struct worker *worker, const char *line) {
    struct message message;
    struct reply reply;
    int id;
    unsigned long pages;
    memset(&message, 0, sizeof message);
    snprintf(message.line, sizeof message.line, "%s", line);
    if (write(worker->to, &message, sizeof message) < 0 || !strncmp(line, "exit", 4)
        || read(worker->from, &reply, sizeof reply) != sizeof reply) {
        reap(worker);
        return;
    }
    if (sscanf(line, "map %d %lu", &id, &pages) == 2 && reply.rc > 0) {
        worker->regions[id] = (struct region){(char *)reply.rc, pages};
        note("< vpn 0x%lx", reply.rc / PAGE);
    } else {
        note("< rc %ld", reply.rc);
    }
    note(" ns %llu minflt %ld majflt %ld\n", (unsigned long long)reply.ns, reply.minor, reply.major);
}

/* Runs of pages that lie one behind the other in memory: index in the region, length, first pfn. */
static void locate(struct worker *worker, int id) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/pagemap", worker->pid);
    int fd = open(path, O_RDONLY), nodes = node_count();
    if (fd < 0 || id < 0 || id >= REGIONS) { note("< rc %d\n", -errno); return; }
    size_t pages = worker->regions[id].pages;
    uint64_t first = (uintptr_t)worker->regions[id].start / PAGE;
    long on_node[FILES] = {0}, none = 0, swapped = 0;
    note("@begin locate %s %d vpn 0x%llx pages %zu\n", worker->name, id, (unsigned long long)first, pages);
    for (size_t done = 0; done < pages; done += BATCH) {
        size_t count = pages - done < BATCH ? pages - done : BATCH;
        if (pread(fd, pagemap, count * 8, (first + done) * 8) != (ssize_t)(count * 8)) die(path);
        for (size_t i = 0, j; i < count; i = j) {
            uint64_t entry = pagemap[i], pfn = entry & ((1ull << 55) - 1);
            j = i + 1;
            if (entry >> 63) {
                while (j < count && pagemap[j] == pagemap[j - 1] + 1) j++;
                int node = node_of(pfn);
                if (node >= 0) on_node[node] += j - i;
                note("%zx %zx %llx\n", i + done, j - i, (unsigned long long)pfn);
            } else if (entry >> 62 & 1) {
                swapped++;
            } else {
                none++;
            }
        }
    }
    close(fd);
    note("@end\n< nodes");
    for (int node = 0; node < nodes; node++) note(" %ld", on_node[node]);
    note(" none %ld swap %ld\n", none, swapped);
}

static void show(const char *path) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) { note("  error %d\n", -errno); return; }
    size_t length = 0;
    ssize_t count;
    while (length < TEXT - 1 && (count = read(fd, text + length, TEXT - 1 - length)) > 0) length += count;
    close(fd);
    note("@begin cat %s\n", path);
    note_bytes(text, length);
    note("%s@end\n", length && text[length - 1] == '\n' ? "" : "\n");
}

static void note_timed(long rc, uint64_t began) { note("< rc %ld ns %llu\n", rc, (unsigned long long)(now() - began)); }

static void note_done(long rc) { note("< rc %ld\n", rc < 0 ? (long)-errno : rc); }

static void perform(char *line) {
    char op[LINE] = "", one[LINE] = "", two[LINE] = "", three[LINE] = "";
    sscanf(line, "%255s %255s %255s %255s", op, one, two, three);
    uint64_t began = now();
    struct worker *worker = find(op);
    note("> %llu %s\n", (unsigned long long)began / 1000, line);
    mark("OP %s", line);
    if (worker) {
        order(worker, line + strlen(op) + 1);
    } else if (!strcmp(op, "spawn")) {
        spawn(line, one);
    } else if (!strcmp(op, "snap")) {
        snapshot(one, !strcmp(two, "cg"));
    } else if (!strcmp(op, "sleep")) {
        usleep(atol(one) * 1000);
    } else if (!strcmp(op, "cat")) {
        show(one);
    } else if (!strcmp(op, "put")) {
        char *value = strstr(line, one) + strlen(one);
        note_timed(put(one, value + strspn(value, " ")), began);
    } else if (!strcmp(op, "mkdir")) {
        note_done(mkdir(one, 0755));
    } else if (!strcmp(op, "rmdir")) {
        note_done(rmdir(one));
    } else if (!strcmp(op, "unlink")) {
        note_done(unlink(one));
    } else if (!strcmp(op, "truncate")) {
        int fd = open(one, O_RDWR | O_CREAT, 0644);
        note_done(fd < 0 ? fd : ftruncate(fd, atol(two) * PAGE));
        if (fd >= 0) close(fd);
    } else if (!(worker = find(one))) {
        note("< unknown (or worker gone)\n");
    } else if (!strcmp(op, "locate")) {
        locate(worker, atoi(two));
    } else if (!strcmp(op, "numamaps")) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/numa_maps", worker->pid);
        show(path);
    } else if (!strcmp(op, "attach")) {
        note_timed(attach(worker->pid, two), began);
    } else if (!strcmp(op, "migrate")) {
        unsigned long from = strtoul(two, 0, 0), to = strtoul(three, 0, 0);
        long rc = syscall(SYS_migrate_pages, worker->pid, 64, &from, &to);
        note_timed(rc < 0 ? -errno : rc, began);
    } else {
        note("< unknown (or worker gone)\n");
    }
    mark("DONE");
}

int main(int count, char **arguments) {
    if (count != 3) { fprintf(stderr, "lab SCRIPT OUTDIR\n"); return 2; }
    char *script = locked_buffer(SCRIPT), *rest = 0;
    int fd = open(arguments[1], O_RDONLY);
    if (fd < 0) die(arguments[1]);
    slurp(fd, script, SCRIPT);
    close(fd);
    pin(sysconf(_SC_NPROCESSORS_ONLN) - 1);
    signal(SIGPIPE, SIG_IGN);
    put("/proc/self/oom_score_adj", "-1000");
    const int shared = MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE;
    permutation = mmap(0, BATCH * sizeof *permutation, PROT_READ | PROT_WRITE, shared, -1, 0);
    progress_pages = mmap(0, WORKERS * PAGE, PROT_READ | PROT_WRITE, shared, -1, 0);
    if (permutation == MAP_FAILED || progress_pages == MAP_FAILED) die("shared memory");
    note("@warmup\n");
    open_snapshot();
    pagemap = locked_buffer(BATCH * 8);
    text = locked_buffer(TEXT);
    mlockall(MCL_CURRENT);
    snapshot("warmup", 1);                     /* what only the first time allocates is allocated now */
    forget_log();
    open_marker();
    put(TRACING "trace", "");
    usleep(300000);
    put(TRACING "tracing_on", "1");
    mark("START");
    note("@start us %llu\n", (unsigned long long)now() / 1000);
    for (char *line = strtok_r(script, "\n", &rest); line; line = strtok_r(0, "\n", &rest)) {
        while (isspace((unsigned char)*line)) line++;
        if (strlen(line) >= LINE - 1) { errno = EMSGSIZE; die(line); }
        if (*line && *line != '#') perform(line);
    }
    for (int i = 0; i < worker_count; i++)
        if (workers[i].pid) order(&workers[i], "exit");
    put(TRACING "tracing_on", "0");
    write_log(arguments[2]);
    return 0;
}
