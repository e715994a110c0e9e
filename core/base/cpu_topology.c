/* SPDX-License-Identifier: Apache-2.0
 * Reads the topology from sysfs, and measures the latency between two CPUs by two pinned threads that write a cache
 * line in turn. */
#include "core/base/cpu_topology.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "core/base/clock.h"

/* ---- topology ---------------------------------------------------------------------------------------------------- */

/* Reads the first number of a file of sysfs: of "4-7,12-15" 4.  Returns -1 if there is no such file. */
__attribute__((format(printf, 2, 3))) static int read_number(const char *folder, const char *format, ...)
{
    char    name[128], path[1024];
    int     number = -1;
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *in = fopen(path, "r");
    if (!in) return -1;
    if (fscanf(in, "%d", &number) != 1) number = -1;
    fclose(in);
    return number;
}

/* Reads which core and which cache of the highest level a CPU belongs to. */
static ls_status read_cpu(ls_cpu *cpu, int *level, const char *folder)
{
    enum { MOST_CACHES = 16 };
    *level      = 0;
    cpu->domain = -1;
    cpu->core   = read_number(folder, "cpu%d/topology/thread_siblings_list", cpu->id);
    for (int i = 0; i < MOST_CACHES; i++) {
        const int found = read_number(folder, "cpu%d/cache/index%d/level", cpu->id, i);
        if (found <= *level) continue;
        *level      = found;
        cpu->domain = read_number(folder, "cpu%d/cache/index%d/shared_cpu_list", cpu->id, i);
    }
    LS_CHECK(cpu->core >= 0 && cpu->domain >= 0, LS_ERR_ENV,
             "%s/cpu%d: expected topology/thread_siblings_list and cache/index*, found none", folder, cpu->id);
    return LS_OK;
}

ls_status ls__cpu_topology_read(ls_cpu_topology *t, const char *folder, const cpu_set_t *set)
{
    *t = (ls_cpu_topology){0};
    for (int id = 0; id < CPU_SETSIZE; id++) {
        if (!CPU_ISSET(id, set)) continue;
        ls_cpu *cpu = &t->cpu[t->cpus];
        int     level;
        cpu->id = id;
        LS_TRY(read_cpu(cpu, &level, folder));
        if (level > t->cache_level) t->cache_level = level;
        bool new_core = true, new_domain = true;
        int  cores = 0;
        for (int i = 0; i < t->cpus; i++) {
            new_core &= t->cpu[i].core != cpu->core;
            new_domain &= t->cpu[i].domain != cpu->domain;
        }
        t->cpus++;
        t->cores += new_core;
        t->domains += new_domain;
        for (int i = 0; i < t->cpus; i++) { /* the first usable CPU of each core of this domain counts the core */
            bool first = t->cpu[i].domain == cpu->domain;
            for (int j = 0; j < i; j++) first &= t->cpu[j].core != t->cpu[i].core;
            cores += first;
        }
        if (cores > t->domain_cores) t->domain_cores = cores;
    }
    return LS_OK;
}

bool ls__cpu_pair(const ls_cpu_topology *t, bool same_domain, int *a, int *b)
{
    for (int i = 0; i < t->cpus; i++)
        for (int j = 0; j < i; j++) {
            const ls_cpu *x = &t->cpu[j], *y = &t->cpu[i];
            if (x->core == y->core || (x->domain == y->domain) != same_domain) continue;
            *a = x->id;
            *b = y->id;
            return true;
        }
    return false;
}

/* ---- latency ----------------------------------------------------------------------------------------------------- */

enum { ROUNDS = 1000, TRIES = 20, SPINS = 4096 /* between two looks at the clock */ };
static const double limit_s = 0.2;

typedef struct line {
    _Alignas(128) atomic_int turn; /* even: of the first thread, odd: of the second one */
    _Alignas(128) atomic_bool failed;
    double end_s;
} line;

/* Waits until the line holds `turn`. */
static bool wait_for(line *l, int turn)
{
    for (int i = 0; atomic_load_explicit(&l->turn, memory_order_acquire) != turn; i++) {
        if (i % SPINS != SPINS - 1) continue;
        if (ls__clock_s() > l->end_s) atomic_store(&l->failed, true);
        if (atomic_load(&l->failed)) return false;
    }
    return true;
}

static bool pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0;
}

typedef struct side {
    line  *line;
    int    cpu, first; /* its first turn, 0 or 1 */
    double best_ns;    /* of one way             */
} side;

static void *run_side(void *at)
{
    side *s = at;
    line *l = s->line;
    if (!pin(s->cpu)) {
        atomic_store(&l->failed, true);
        return NULL;
    }
    for (int try = 0; try < TRIES; try++) {
        const double start = ls__clock_s();
        for (int i = 0; i < ROUNDS; i++) {
            const int turn = (try * ROUNDS + i) * 2 + s->first;
            if (!wait_for(l, turn)) return NULL;
            atomic_store_explicit(&l->turn, turn + 1, memory_order_release);
        }
        const double ns = (ls__clock_s() - start) * LS_NS_PER_S / (2 * ROUNDS);
        if (!try || ns < s->best_ns) s->best_ns = ns;
    }
    return NULL;
}

double ls__cache_line_ns(int a, int b)
{
    line      l     = {.end_s = ls__clock_s() + limit_s};
    side      of[2] = {{&l, a, 0, -1}, {&l, b, 1, -1}};
    pthread_t thread[2];
    int       started = 0;
    while (started < 2 && pthread_create(&thread[started], NULL, run_side, &of[started]) == 0) started++;
    if (started < 2) atomic_store(&l.failed, true);
    for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
    return started < 2 || of[0].best_ns < 0 || of[1].best_ns < 0 ? -1 : of[0].best_ns;
}
