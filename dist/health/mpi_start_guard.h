/* SPDX-License-Identifier: Apache-2.0
 *
 * A time limit for the start of MPI.  MPI_Init waits for all ranks, and would wait forever for a rank that does not
 * start.  A thread that calls no MPI ends the process after the limit and names the ranks of this host that are missing
 * or stopped.
 *
 *     ls__mpi_start_guard_begin();     calls may nest; the outermost pair counts
 *     MPI_Init(...);
 *     ls__mpi_start_guard_end();
 *
 * Active only when a launcher has started several ranks.  LOCKSTEP_START_S sets the limit in seconds; 0: no limit. */
#ifndef LS_DIST_HEALTH_MPI_START_GUARD_H
#define LS_DIST_HEALTH_MPI_START_GUARD_H

#include "core/base/status.h"

#define LS_MPI_START_S 60.0

void ls__mpi_start_guard_begin(void);
void ls__mpi_start_guard_end(void);

/* Returns LS_ERR_ENV when the memory limit of this process is too low for MPI_Init, which would crash or hang. */
ls_status ls__mpi_start_guard_memory(void);

#endif
