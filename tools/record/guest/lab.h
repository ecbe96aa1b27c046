/* The recorder inside the guest: `lab SCRIPT OUTDIR` carries out one experiment and writes down what came of it.
 *
 * One controller, pinned to the last cpu, drives worker processes over pipes. What it notes goes to an arena that was touched
 * before tracing began and is written out after tracing has ended; its other buffers are touched beforehand too, locked, and
 * kept out of forked children. So recording adds as few page allocations as possible to what is recorded.
 *
 * A script has one operation a line; # starts a comment. Pages and milliseconds are decimal, masks may be 0x...
 *
 *   spawn W cpu=N [cs=DIR] [mg=DIR]    start worker W, in cpuset DIR and memory cgroup DIR
 *   W map ID PAGES anon|PATH private|shared
 *   W write|read ID START COUNT        touch pages START ... in order, each once
 *   W writeperm ID SEED                touch all pages of the region in an order drawn from SEED
 *   W fill ID NODE LEAVE               touch pages until NODE has fewer than LEAVE free ones
 *   W unmap ID START COUNT
 *   W punch ID STEP FIRST              MADV_DONTNEED for pages FIRST, FIRST+STEP ..., one by one
 *   W madvise ID hugepage|nohugepage|dontneed|random|pageout
 *   W policy default|bind:MASK|prefer:NODE|interleave:MASK
 *   W cpu N                            sched_setaffinity(2)
 *   W ring ORDER BLOCKS, W unring ORDER    kernel blocks of exactly 2**ORDER pages (an AF_PACKET ring buffer)
 *   W pipe PAGES, W unpipe             fill a pipe; close it
 *   W nop, W exit
 *   locate W ID                        which page frame and node each page of the region is in, from pagemap
 *   numamaps W                         /proc/PID/numa_maps
 *   attach W DIR                       write W's pid to DIR/cgroup.procs
 *   migrate W FROM TO                  migrate_pages(2), with masks of nodes
 *   put FILE VALUE, cat FILE, truncate PATH PAGES, unlink PATH, mkdir PATH, rmdir PATH
 *   snap LABEL [cg]                    a snapshot: see snapshot.c; cg: with /proc/kpagecgroup
 *   sleep MS
 */
#ifndef LAB_H
#define LAB_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ul
#define TRACING "/sys/kernel/tracing/"
#define LINE 256     /* longest line of a script */
#define REGIONS 32   /* regions of a worker: 0 to 31 */
#define ORDERS 11    /* the page allocator's orders: 0 to 10 */
#define FILES 24     /* files of a snapshot: five, and two a node */
#define BATCH 65536u /* pages of a region whose pagemap is read at once; most that writeperm can shuffle */

struct region { char *start; size_t pages; };
struct message { char line[LINE]; };
struct reply { long rc; uint64_t ns; long minor, major; };

/* util.c */
extern uint32_t *permutation;                 /* room for BATCH numbers, shared with all workers */
uint64_t now(void);                           /* nanoseconds */
void die(const char *what);                   /* nothing sensible can follow: the guest's console has the reason */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));   /* to the log */
void note_bytes(const char *bytes, size_t count);
void write_log(const char *folder);
void forget_log(void);
void open_marker(void);
void mark(const char *format, ...) __attribute__((format(printf, 1, 2)));   /* into the trace */
int put(const char *path, const char *value); /* bytes written, or -errno */
void *locked_buffer(size_t bytes);            /* touched, and not inherited by children */
size_t slurp(int fd, char *buffer, size_t size);
void pin(int cpu);

/* snapshot.c */
void open_snapshot(void);
void snapshot(const char *label, int with_cgroups);
int node_of(uint64_t pfn);                    /* -1: in no zone */
int node_count(void);

/* worker.c */
void work(int from, int to, volatile uint64_t *progress) __attribute__((noreturn));
#endif
