/* SPDX-License-Identifier: Apache-2.0
 *
 * Start and end of a communicator with everything that a run needs: a time limit for the start of MPI, a common
 * instruction-set level, a division of the cores, and the watchdog.
 *
 *     ls_comm_mpi:   start guard on -> MPI_Init -> watchdog -> instruction-set level -> cores -> start guard off
 *     ls_comm_free:  watchdog off -> MPI_Finalize
 */
#include <stdlib.h>

#include "core/base/arena.h"
#include "core/base/isa.h"
#include "dist/comm/comm.h"
#include "dist/comm/launcher.h"
#include "dist/health/mpi_start_guard.h"
#include "dist/health/watchdog.h"

/* Sets the lowest instruction-set level of all ranks on every rank, because the kernels of v2 round differently from
 * those of higher levels. */
static ls_status agree_on_isa(ls_comm *comm)
{
    LS_TRY(ls_comm_agree(comm, ls_isa_init()));
    ls_arena *memory = NULL;
    LS_TRY(ls_comm_agree(comm, ls_arena_new(&memory, "instruction set")));
    int       own = (int)ls_isa_current(), lowest = own;
    int      *all    = ls_arena_alloc(memory, sizeof *all * (size_t)comm->size);
    ls_status status = ls_comm_allgather(comm, &own, all, sizeof own);
    for (int r = 0; r < comm->size && status == LS_OK; r++) lowest = all[r] < lowest ? all[r] : lowest;
    ls_arena_free(memory);
    LS_TRY(status);
    return ls_comm_agree(comm, ls_isa_set((ls_isa)lowest));
}

/* Adds to an open communicator whatever all ranks set up together.  After an error all ranks return it. */
static ls_status set_up(ls_comm *comm)
{
    ls_comm_cores cores;
    LS_TRY(ls__watchdog_new(&comm->watchdog, comm));
    LS_TRY(agree_on_isa(comm));
    LS_TRY(ls_comm_divide_cores(comm, &cores));
    return LS_OK;
}

ls_status ls_comm_mpi(ls_comm **comm, int *argc, char ***argv)
{
    *comm = NULL;
    if (!ls__mpi_is_started()) {
        LS_TRY(ls__launcher_check(0));
        LS_TRY(ls__mpi_start_guard_memory());
    }
    ls__mpi_start_guard_begin();
    ls_status status = ls__comm_mpi_open(comm, argc, argv);
    if (status == LS_OK) status = set_up(*comm);
    ls__mpi_start_guard_end();
    return status;
}

void ls_comm_free(ls_comm *comm)
{
    if (!comm) return;
    ls__watchdog_free(comm->watchdog);
    if (comm->table->free)
        comm->table->free(comm);
    else
        free(comm);
}

ls_status ls_comm_watchdog(ls_comm *comm, const ls_watchdog_settings *settings)
{
    ls_watchdog_settings s;
    LS_TRY(ls__options_copy(&s, sizeof s, settings, "ls_watchdog_settings"));
    if (!comm->watchdog) {
        LS_CHECK(comm->size == 1, LS_ERR_USAGE, "ls_comm_watchdog: expected ranks that are processes, found '%s'",
                 comm->table->name);
        LS_TRY(ls__watchdog_new(&comm->watchdog, comm));
    }
    ls__watchdog_set(comm->watchdog, &s);
    return LS_OK;
}

bool ls_comm_prints_error(ls_comm *comm, ls_status status)
{
    if (status == LS_OK) return false;
    /* Without a communicator, only a failed check of the launcher is an error that all ranks share. */
    if (!comm) return !ls__launcher_check_failed() || ls__launcher_is_root();
    if (comm->broken) ls__watchdog_report_error(comm->watchdog);
    return comm->rank == 0 || comm->broken;
}
