/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make checkpoints.  Not public.
 *
 *     dist/checkpoint.c         folders: save, load, the newest good one, pruning; the ranks
 *     dist/checkpoint_trainer.c the public functions, of a trainer
 *     dist/checkpoint_list.c    what `lockstep ckpt` shows
 *     dist/checkpoint_state.c   one state.h5, with HDF5
 *     dist/checkpoint_driver.c  how HDF5 writes it
 */
#ifndef LS_DIST_CHECKPOINT_H
#define LS_DIST_CHECKPOINT_H

#include "dist/atomic.h"
#include "dist/dist.h"

enum { LS_CHECKPOINT_FORMAT = 1 };
#define LS_STATE_FILE "state.h5"
#define LS_SUM_FILE "state.xxh64" /* what `xxh64sum -c` reads */

/* One array of a training's state. */
typedef struct ls_state_array {
    const char    *name;  /* of the parameter                                                 */
    const char    *state; /* of the optimizer ("exp_avg"); NULL: the value of the parameter    */
    int            rank;
    const int64_t *dims;
    int64_t        count;
    float         *data;
} ls_state_array;

/* All of it: first the values, then per optimizer state those of the parameters that have one. */
typedef struct ls_state {
    int             arrays;
    ls_state_array *array;
    int             states;
    const char    **state_name;
} ls_state;

/* Writes a state.h5, without syncing it. */
ls_status ls__state_write(const char *path, const ls_state *state, const ls_progress *progress);

/* Reads all of `state` from a state.h5.  LS_ERR_DATA or LS_ERR_ENV: it is damaged or can't be read.  LS_ERR_USAGE: it is sound, but of
 * another model or optimizer.  After an error the arrays hold anything. */
ls_status ls__state_read(const char *path, const ls_state *state, ls_progress *progress);

/* Reads only the progress, and counts arrays. */
ls_status ls__state_progress(const char *path, ls_checkpoint_info *info);

typedef void ls_checkpoint_each(const ls_checkpoint_array *array, void *data);

/* Reads every array, verifies it, and calls `each` unless it is NULL. */
ls_status ls__state_visit(const char *path, ls_checkpoint_each *each, void *data);

/* Steps for which there is a folder step-..., increasing; *count = 0 when `folder` does not exist.  Free *steps. */
ls_status ls__checkpoint_steps(const char *folder, int64_t **steps, int *count);
/* folder/step-00000128 */
ls_status ls__checkpoint_path(char path[LS_PATH_BYTES], const char *folder, int64_t step);
/* The checksum of the state.h5 in the checkpoint `path` is what its state.xxh64 says; LS_ERR_DATA when not.  Done before HDF5 sees the
 * file: the library trusts what it reads. */
ls_status ls__checkpoint_verify_sum(const char *path);

/* As ls_checkpoint_save and _load, of any state.  comm: NULL is one rank. */
ls_status ls__checkpoint_save(ls_comm *comm, const ls_state *state, const char *folder, const ls_progress *progress, int keep);
ls_status ls__checkpoint_load(ls_comm *comm, const ls_state *state, const char *folder, ls_progress *progress, bool *found);
ls_status ls__checkpoint_read(ls_comm *comm, const ls_state *state, const char *checkpoint, ls_progress *progress);

#endif
