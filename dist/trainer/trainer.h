/* SPDX-License-Identifier: Apache-2.0
 *
 * The functions of a trainer that checkpoints, the run loop, `lockstep explain` and the benchmarks use.  Not public. */
#ifndef LS_DIST_TRAINER_TRAINER_H
#define LS_DIST_TRAINER_TRAINER_H

#include "core/base/range.h"
#include "core/graph/program.h"
#include "dist/dist.h"

/* ---- state for checkpoints --------------------------------------------------------------------------------------- */

/* A section of the state: elements `range` of one array in the memory of this rank. */
typedef struct ls_trainer_section {
    int         param; /* index in ls_trainer_params(t) */
    int         state; /* index of the optimizer state; -1: the value of the parameter */
    const char *name;  /* name of the parameter */
    ls_range    range; /* elements of the parameter */
    float      *data;  /* element range.offset */
} ls_trainer_section;

/* With a partitioned optimizer state, LS_SECTIONS_READ lists every section that this rank holds, and LS_SECTIONS_WRITE
 * lists each element on exactly one rank.  Otherwise both list everything on every rank. */
typedef enum ls_section_purpose { LS_SECTIONS_READ, LS_SECTIONS_WRITE } ls_section_purpose;

/* Lists the sections of this rank: first the values of all parameters, then, per optimizer state, the trained
 * parameters; the sections of one array follow each other by offset.  Allocates in `arena`; returns their number. */
int ls__trainer_sections(ls_trainer *t, ls_section_purpose purpose, ls_arena *arena, ls_trainer_section **sections);

/* Number of optimizer states, and their names ("exp_avg"). */
int         ls__trainer_states(const ls_trainer *t);
const char *ls__trainer_state_name(const ls_trainer *t, int state);
/* Whether a parameter has an optimizer state.  Frozen parameters have none. */
bool ls__trainer_has_state(const ls_trainer *t, int param, int state);
/* With optim.ema: exchanges the trained parameters and their average, on all ranks.  A second call restores them.
 * Without: does nothing.  Collective. */
ls_status ls__trainer_swap_average(ls_trainer *t);
/* False when every rank holds the whole optimizer state. */
bool ls__trainer_state_partitioned(const ls_trainer *t);

/* A state that the model carries from step to step: a row of `columns` values for each sample of the global batch, of
 * which this rank has the rows [first, first + rows). */
typedef struct ls_trainer_carried {
    const char *name;
    int64_t     batch, columns; /* rows of all ranks; values of a row */
    int64_t     first, rows;
    float      *data;
} ls_trainer_carried;
/* Describes carried state i.  Returns false if there is none. */
bool ls__trainer_carried(const ls_trainer *t, int i, ls_trainer_carried *state);

/* Takes memory in which a copy of this rank's state waits to be written; without effect if it already has `bytes`. */
ls_status       ls__trainer_reserve_snapshot(ls_trainer *t, size_t bytes);
const ls_block *ls__trainer_snapshot(const ls_trainer *t);

void     ls__trainer_set_steps(ls_trainer *t, int64_t steps);
ls_comm *ls__trainer_comm(const ls_trainer *t);

/* ---- step flags -------------------------------------------------------------------------------------------------- */

enum { LS_CONTROL_FLAGS = 8 };

/* Flags that a rank contributes to a step.  They travel in the header, with the first bucket. */
typedef struct ls_step_flags {
    ls_status status;  /* an error of this rank; LS_OK: none */
    uint32_t  control; /* bit i: control flag i, with a meaning that the caller defines */
} ls_step_flags;

/* The number of ranks that set each flag; equal on all ranks. */
typedef struct ls_step_flag_counts {
    int failed; /* ranks with an error */
    int control[LS_CONTROL_FLAGS];
} ls_step_flag_counts;

/* ls_trainer_step with step flags.  Writes *counts also when the step ends with an error.
 *
 * A rank with an error may pass NULL as batch: it computes nothing, but participates in all collectives.  If any rank
 * has an error, or a batch that is not its share, then the step changes nothing on any rank, and all ranks return the
 * status of the lowest such rank with its message.
 *
 *     ls_step_flags flags = {more ? LS_OK : ls_loader_status(loader), stop_requested ? 1u << STOP : 0};
 *     LS_TRY(ls__trainer_step(t, more ? &batch : NULL, &flags, &counts, &metrics));
 *     if (counts.control[STOP]) ...                                       on all ranks, after the same step */
ls_status ls__trainer_step(ls_trainer *t, const ls_batch *batch, const ls_step_flags *flags,
                           ls_step_flag_counts *counts, ls_metrics *metrics);

/* The largest power of two up to `shards` that cuts a batch into virtual shards of whole groups of samples. */
int ls__shards_for_groups(int64_t batch, int64_t group_rows, int shards);

/* ---- inspection -------------------------------------------------------------------------------------------------- */

/* The training step as a program, including collectives and update. */
const ls_program *ls__trainer_program(const ls_trainer *t);
/* Adds the time of each instruction of the following steps to seconds[i]; NULL: stops doing so. */
void ls__trainer_time(ls_trainer *t, double *seconds);

/* Bucket size in bytes.  *seconds: measured time of one all-reduce of that size; 0: not measured. */
int64_t ls__trainer_bucket(const ls_trainer *t, double *seconds);

/* The reason why train.zero=2 does not partition the gradient; NULL: it does, or train.zero is less than 2.
 * *partition_bytes: size of this rank's partition of the summed gradient; 0: not partitioned. */
const char *ls__trainer_gradient_whole(const ls_trainer *t, size_t *partition_bytes);

/* The orthogonalisation of hidden matrices by the optimizer muon. */
typedef struct ls_matrix_cost {
    int    matrices, owned; /* of all ranks, of this rank */
    double flops;           /* floating-point operations of a step, of all ranks */
    double largest;         /* and of the rank with the most */
} ls_matrix_cost;
ls_matrix_cost ls__trainer_matrix_cost(const ls_trainer *t);
/* The number of hidden matrices that a parameter holds; 0: none, or another optimizer. */
int ls__trainer_matrices_of(const ls_trainer *t, int param);

/* Memory by purpose, for at most LS_MEMORY_LINES purposes. */
enum { LS_MEMORY_LINES = 9 };
typedef struct ls_memory_line {
    const char *name;
    size_t      planned; /* bytes reserved */
    size_t      touched; /* bytes that the system has backed with pages */
} ls_memory_line;
/* Fills `lines`; returns their number. */
int ls__trainer_memory(const ls_trainer *t, ls_memory_line lines[LS_MEMORY_LINES]);

/* Highest byte of the step arena that was written so far.  *planned: its size. */
size_t ls__trainer_high_water(const ls_trainer *t, size_t *planned);

#endif
