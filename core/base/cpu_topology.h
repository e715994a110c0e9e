/* SPDX-License-Identifier: Apache-2.0
 *
 * CPUs of this host: which of them are threads of one core, and which share a last-level cache (an L3 domain); and the
 * time that a cache line takes from one to another.  Not public. */
#ifndef LS_CORE_BASE_CPU_TOPOLOGY_H
#define LS_CORE_BASE_CPU_TOPOLOGY_H

#include <sched.h>
#include <stdbool.h>

#include "core/base/status.h"

typedef struct ls_cpu {
    int id;
    int core;   /* lowest CPU of its core                                      */
    int domain; /* lowest CPU of those with the same last-level cache          */
} ls_cpu;

typedef struct ls_cpu_topology {
    int    cpus; /* entries of `cpu` */
    ls_cpu cpu[CPU_SETSIZE];
    int    cores;        /* cores with a CPU in `cpu`           */
    int    domains;      /* caches of the last level            */
    int    domain_cores; /* most cores in one domain            */
    int    cache_level;  /* level of the last cache, usually 3  */
} ls_cpu_topology;

/* Reads the topology of the CPUs in `set` from `folder`, on Linux /sys/devices/system/cpu.  Returns LS_ERR_ENV if the
 * folder does not describe one of them. */
ls_status ls__cpu_topology_read(ls_cpu_topology *t, const char *folder, const cpu_set_t *set);

/* Finds two CPUs of different cores, in one domain or in two.  Returns false if there are none. */
bool ls__cpu_pair(const ls_cpu_topology *t, bool same_domain, int *a, int *b);

/* Measures the time, in ns, that a written cache line takes from CPU a to CPU b: half of the best round trip of many.
 * Returns a negative value if the CPUs cannot be used, or are too busy to answer within 0.2 s. */
double ls__cache_line_ns(int a, int b);

#endif
