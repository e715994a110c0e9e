/* SPDX-License-Identifier: Apache-2.0
 * What checkpoints, `explain` and the benches see of a trainer.  Not public. */
#ifndef LS_DIST_TRAINER_TRAINER_H
#define LS_DIST_TRAINER_TRAINER_H

#include "core/graph/program.h"
#include "dist/dist.h"

int         ls__trainer_states(const ls_trainer *t);
const char *ls__trainer_state_name(const ls_trainer *t, int state);

/* A run of the parameter block, in floats, and where the optimizer's state of it begins in each of its blocks. */
typedef struct ls_kept {
    size_t offset, count, at;
} ls_kept;
/* What this rank updates, and has state for: runs by offset; how many.  Other ranks may have some of it, too. */
int ls__trainer_kept(const ls_trainer *t, const ls_kept **runs);
/* The same so that each float is some rank's, once; the same on all ranks. */
int ls__trainer_owned(const ls_trainer *t, int rank, const ls_kept **runs);
/* Whether every rank has all of the state: then nobody has to ask for it. */
bool   ls__trainer_has_all(const ls_trainer *t);
float *ls__trainer_state_block(ls_trainer *t, int state);

void            ls__trainer_set_steps(ls_trainer *t, int64_t steps);
ls_comm        *ls__trainer_comm(const ls_trainer *t);
const ls_block *ls__trainer_snapshot(const ls_trainer *t); /* for a copy of the state, while it is being written */

/* What a rank tells all others with the first bucket of a step: whether something has gone wrong on it, and its votes
 * on what the caller does next, a bit each. */
enum { LS_VOTES = 8 };
typedef struct ls_step_flags {
    ls_status status;
    uint32_t  votes;
} ls_step_flags;

/* What all have told: on how many ranks something has gone wrong, and how many gave each vote.  The same on all ranks.
 */
typedef struct ls_tally {
    int failed, votes[LS_VOTES];
} ls_tally;

/* ls_trainer_step of a rank that has something to tell; `all` is what it hears, in this step, also when the step ends
 * with an error.  A rank whose word is an error may have no batch (NULL): it computes nothing, but takes its part in
 * what is collective.  Then, or when the batch of a rank is not its share, the step does not count: nothing is changed
 * on any rank, and all return that rank's error, with its message.
 *
 *     ls_step_flags  mine = {.status = more ? LS_OK : ls_loader_status(loader), .votes = want_to_stop << STOP};
 *     LS_TRY(ls__trainer_step(t, more ? &batch : NULL, &mine, &all, &metrics));
 *     if (all.votes[STOP]) ...                                            on all ranks, after the same step */
ls_status ls__trainer_step(ls_trainer *t, const ls_batch *batch, const ls_step_flags *mine, ls_tally *all,
                           ls_metrics *metrics);

/* The training step as a program, collectives and update included. */
const ls_program *ls__trainer_program(const ls_trainer *t);
/* From now on the time of each instruction is added to seconds[i]; NULL: no longer. */
void ls__trainer_time(ls_trainer *t, double *seconds);

/* Bytes of gradients that are summed at once, and how long that took when it was tried; 0: it was not. */
int64_t ls__trainer_bucket(const ls_trainer *t, double *seconds);

/* With train.zero=2 a rank keeps only its part of the summed gradient: the bytes of it, in *part; or why it does not.
 * NULL: it does, or was not to. */
const char *ls__trainer_gradient_whole(const ls_trainer *t, size_t *part);

/* One line per block of memory: name, bytes planned, bytes touched; how many. */
typedef struct ls_memory_line {
    const char *name;
    size_t      planned, touched;
} ls_memory_line;
int ls__trainer_memory(const ls_trainer *t, ls_memory_line lines[8]);

/* Highest byte of the step arena that was written so far, and the planned size. */
size_t ls__trainer_high_water(const ls_trainer *t, size_t *planned);

#endif
