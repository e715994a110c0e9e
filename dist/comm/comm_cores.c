/* SPDX-License-Identifier: Apache-2.0
 * Divides the cores of a host among its ranks. */
#include <omp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "dist/comm/comm.h"
#include "dist/comm/launcher.h"
#include "dist/comm/rank_state.h"

/* Host of a rank and the cores that the rank may run on. */
typedef struct placement {
    char      host[LS_HOST_NAME];
    cpu_set_t cores;
} placement;

/* Threads of a rank: the allowed cores of the host divided by its ranks, but no more than the rank's own mask allows
 * and no more than the scheduler grants to each rank. */
static int default_threads(const ls_comm_cores *cores, const placement *own)
{
    int share = cores->allowed / cores->ranks, limit = CPU_COUNT(&own->cores), granted = ls__launcher().cores;
    if (share > limit) share = limit;
    if (granted && share > granted) share = granted;
    return share < 1 ? 1 : share;
}

ls_status ls_comm_divide_cores(ls_comm *comm, ls_comm_cores *cores)
{
    placement own = {{0}};
    cpu_set_t together;
    ls_arena *memory = NULL;
    gethostname(own.host, sizeof own.host - 1);
    if (sched_getaffinity(0, sizeof own.cores, &own.cores) != 0) CPU_SET(0, &own.cores);
    LS_TRY(ls_comm_agree(comm, ls_arena_new(&memory, "cores")));
    placement *all    = ls_arena_alloc(memory, sizeof *all * (size_t)comm->size);
    ls_status  status = ls_comm_allgather(comm, &own, all, sizeof own);
    *cores            = (ls_comm_cores){.online = (int)sysconf(_SC_NPROCESSORS_ONLN)};
    CPU_ZERO(&together);
    for (int r = 0; r < comm->size && status == LS_OK; r++) {
        if (strcmp(all[r].host, own.host) != 0) continue;
        CPU_OR(&together, &together, &all[r].cores);
        cores->ranks++;
    }
    ls_arena_free(memory);
    LS_TRY(status);
    cores->allowed      = CPU_COUNT(&together);
    const char *threads = getenv("OMP_NUM_THREADS");
    if (!threads || !*threads) omp_set_num_threads(default_threads(cores, &own));
    cores->threads = omp_get_max_threads();
    return LS_OK;
}
