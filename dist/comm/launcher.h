/* SPDX-License-Identifier: Apache-2.0
 *
 * Detects how this process was started: by which launcher, as which rank of how many, in which job.
 *
 * A launcher describes each rank by environment variables, before MPI starts and also where MPI cannot start.  This
 * file is the only place that reads them:
 *
 *     launcher             rank                   ranks                 ranks of the host
 *     Open MPI's mpirun    OMPI_COMM_WORLD_RANK   OMPI_COMM_WORLD_SIZE  OMPI_COMM_WORLD_LOCAL_SIZE
 *     Hydra's mpiexec      PMI_RANK               PMI_SIZE              MPI_LOCALNRANKS
 *     Slurm's srun         SLURM_PROCID           SLURM_STEP_NUM_TASKS  SLURM_STEP_TASKS_PER_NODE
 *     other PMIx launcher  PMIX_RANK              -                     -
 *
 * The rows are tried from top to bottom.  mpirun and mpiexec start their daemons by srun when they run inside a Slurm
 * job, so the SLURM_ variables of a rank may describe the daemon. */
#ifndef LS_DIST_COMM_LAUNCHER_H
#define LS_DIST_COMM_LAUNCHER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

typedef enum ls_launcher_kind {
    LS_LAUNCHER_NONE, /* started by hand, or directly in a batch script: one rank */
    LS_LAUNCHER_OPEN_MPI,
    LS_LAUNCHER_HYDRA,
    LS_LAUNCHER_SRUN,
    LS_LAUNCHER_PMIX,
} ls_launcher_kind;

typedef struct ls_launcher {
    ls_launcher_kind kind;
    const char      *name;       /* command that starts ranks: "mpirun", "srun"; "none" without a launcher */
    const char      *scheduler;  /* "Slurm", "PBS", "LSF"; NULL outside of a job                           */
    char             job[64];    /* id of the scheduler's job; "" outside of a job                         */
    int              rank;       /* rank of this process; -1: unknown                                      */
    int              size;       /* number of ranks that were started; 0: unknown                          */
    int              local_size; /* number of ranks on this host; 0: unknown                               */
    int              cores;      /* number of cores that the scheduler grants to each rank; 0: unknown     */
    bool             cores_set;  /* the user set that number (srun --cpus-per-task)                        */
    bool             wired;      /* the launcher offers a way to find the other ranks (PMIx, PMI)          */
} ls_launcher;

/* Reads the environment of this process. */
ls_launcher ls__launcher(void);

/* Returns true on the one process that prints an error which all ranks have: the root rank, or a process without
 * launcher.  Works before MPI_Init. */
bool ls__launcher_is_root(void);

/* Returns the rank that an environment announces, -1 if it announces none.  The environment is a block of `bytes` bytes
 * of "NAME=value" strings, each ended by a zero byte, as in /proc/PID/environ. */
int ls__launcher_rank_in(const char *environment, size_t bytes);

/* Returns LS_ERR_ENV if the launcher started several ranks and they cannot find each other, so that each would train
 * alone.  mpi_size: size of MPI_COMM_WORLD; 0 before MPI_Init.  All ranks get the same error. */
ls_status ls__launcher_check(int mpi_size);

/* Returns true after ls__launcher_check has failed. */
bool ls__launcher_check_failed(void);

/* Sets *left to the seconds until the scheduler ends the job; to INFINITY if the end is unknown, the job has no limit,
 * or there is no job.  Sources, first match: LOCKSTEP_END (Unix seconds, for any scheduler), SLURM_JOB_END_TIME (from
 * Slurm 23.02), `squeue` (takes up to 5 s).  *source: name of the source, "" if none applies.  Returns LS_ERR_ENV, with
 * *left = INFINITY, if the source gives no time in the future or cannot be asked. */
ls_status ls__launcher_job_end(double *left, const char **source);

#endif
