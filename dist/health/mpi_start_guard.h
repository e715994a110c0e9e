/* SPDX-License-Identifier: Apache-2.0
 *
 * Before there is a watchdog: MPI starts by waiting for all ranks, and would wait forever for one that does not come.
 * A thread that calls no MPI ends the process after a while, and says which ranks of this host are missing or stopped.
 *
 *     ls__mpi_start_guard_begin();     begin and end nest: the outermost count
 *     MPI_Init(...);
 *     ls__mpi_start_guard_end();
 *
 * Only where a launcher started several ranks.  LOCKSTEP_START_S says how many seconds it may take; 0: as long as it
 * likes. */
#ifndef LS_DIST_HEALTH_MPI_START_GUARD_H
#define LS_DIST_HEALTH_MPI_START_GUARD_H

#include "core/base/status.h"

#define LS_MPI_START_S 60.0

void ls__mpi_start_guard_begin(void);
void ls__mpi_start_guard_end(void);

/* MPI crashes or hangs where it finds too little memory in its beginning: LS_ERR_ENV where it would. */
ls_status ls__mpi_start_guard_memory(void);

#endif
