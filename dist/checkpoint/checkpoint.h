/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make checkpoints.  Not public.
 *
 *     dist/checkpoint/checkpoint.c         folders: publish, the newest sound one, pruning
 *     dist/checkpoint/checkpoint_trainer.c what of a trainer is kept, and which rank writes which of it
 *     dist/checkpoint/checkpoint_saver.c   writing while the run goes on
 *     dist/checkpoint/checkpoint_load.c    reading, on all ranks
 *     dist/checkpoint/checkpoint_index.c   what lies where in a checkpoint of several files
 *     dist/checkpoint/checkpoint_list.c    what `lockstep ckpt` shows
 *     dist/checkpoint/checkpoint_hdf5.c    one of its files, with HDF5
 *     dist/checkpoint/hdf5_driver.c  how HDF5 writes it
 */
#ifndef LS_DIST_CHECKPOINT_CHECKPOINT_H
#define LS_DIST_CHECKPOINT_CHECKPOINT_H

#include "core/base/arena.h"
#include "core/io/atomic_file.h"
#include "core/io/file_access.h"
#include "dist/dist.h"

enum { LS_CHECKPOINT_FORMAT = 2, LS_MAX_PARTS = 9999, LS_PART_NAME = 16 };
#define LS_MANIFEST "manifest.xxh64" /* what `xxh64sum -c` reads */

/* Some elements of an array, [first, first + held), and where this rank has them. */
typedef struct ls_held {
    int64_t first, held;
    float  *data;
} ls_held;

/* A file by which ranks find out whether they see the same folder. */
#define LS_PROBE_PREFIX ".seen-"

/* One array of a training's state: the same on all ranks, but for what a rank has of it. */
typedef struct ls_state_array {
    const char    *name;  /* of the parameter                                                 */
    const char    *state; /* of the optimizer ("exp_avg"); NULL: the value of the parameter    */
    int            rank;
    const int64_t *dims;
    int64_t        count;
    float         *data; /* all of it; NULL: only these pieces, increasing                   */
    int            pieces;
    ls_held       *piece;
} ls_state_array;

/* All of it: first the values, then per optimizer state those of the parameters that have one. */
typedef struct ls_state {
    int             arrays;
    ls_state_array *array;
    int             states;
    const char    **state_name;
    bool divided; /* the ranks have pieces of the optimizer's state (ZeRO); saved, each element is one rank's.  Else all
                     have all */
} ls_state;

/* The pieces of an array, also of one that is whole: then it is *all. */
int ls__state_pieces(const ls_state_array *a, const ls_held **piece, ls_held *all);

/* ---- one file ---------------------------------------------------------------------------------------------------- */

/* "part-0003.h5" */
void ls__part_name(char name[LS_PART_NAME], int part);

/* Writes what `state` holds as file `part` of `parts`, and syncs it; its checksum and size. */
ls_status ls__part_write(const char *path, const ls_state *state, const ls_progress *progress, int part, int parts,
                         uint64_t *sum, int64_t *bytes);

/* A run of one array in one file. */
typedef struct ls_piece {
    char     name[256], state[64]; /* state: "" of a value                     */
    int      rank;
    int64_t  dim[LS_MAX_DIMS]; /* of the whole array                       */
    int64_t  count, first, held;
    int64_t  at; /* byte in the file                         */
    uint64_t sum;
    int      part, state_no, order; /* state_no: -1 of a value; order: of the array, as the files begin with it */
} ls_piece;

/* What a checkpoint is made of, as its files say. */
typedef struct ls_index {
    char      path[LS_PATH_BYTES];
    int       parts, pieces, states;
    ls_piece *piece;   /* the pieces of an array follow each other */
    char (*state)[64]; /* names of the optimizer's states          */
    ls_progress progress;
    int64_t     bytes;       /* of all files                             */
    int         fd, fd_part; /* the file that is open for reading        */
} ls_index;

/* Adds the pieces of a file, and its progress when it is the first; checks that it is this file of this checkpoint. */
ls_status ls__part_index(ls_index *x, int part);
/* The checksum of values, which go by their array's name. */
uint64_t ls__piece_sum(const char *state, const char *name, int64_t held, const float *data);

/* ---- a checkpoint of several files ------------------------------------------------------------------------------- */

/* Verifies all files of the checkpoint at `path` against its manifest, then finds out what lies where; LS_ERR_DATA or
 * LS_ERR_ENV when it is damaged or can't be read, LS_ERR_USAGE when it is of another version.  Close it also after an
 * error. */
ls_status ls__index_open(ls_index *x, const char *path);
void      ls__index_close(ls_index *x);
/* Only the progress of the checkpoint at x->path, as its first file says; nothing is verified. */
ls_status ls__index_progress(ls_index *x);
/* LS_ERR_USAGE unless it holds exactly the arrays of `state`. */
ls_status ls__index_fits(const ls_index *x, const ls_state *state);
/* The first piece of an array; -1: there is none.  state: NULL of a value. */
int ls__index_find(const ls_index *x, const char *name, const char *state);
/* The values of the whole array that begins with piece i. */
ls_status ls__index_read(ls_index *x, int i, float *values);
/* The piece after the last of that array. */
int ls__index_next(const ls_index *x, int i);

/* Each file of the manifest is compared with its checksum; LS_ERR_DATA when that can't be done at all, or one differs.
 * `each` (NULL: not wanted) hears of every file; problem is NULL where it is sound.  *parts, *bytes: of all. */
ls_status ls__manifest_verify(const char *path, void (*each)(const char *file, const char *problem, void *data),
                              void *data, int *parts, int64_t *bytes);
/* Writes it, atomically. */
ls_status ls__manifest_write(const char *path, int parts, const uint64_t *sums);

/* ---- folders ----------------------------------------------------------------------------------------------------- */

/* Steps for which there is a folder step-..., increasing; *count = 0 when `folder` does not exist.  Free *steps. */
ls_status ls__checkpoint_steps(const char *folder, int64_t **steps, int *count);
/* folder/step-00000128, and folder/.tmp-step-00000128 */
ls_status ls__checkpoint_path(char path[LS_PATH_BYTES], const char *folder, int64_t step);
ls_status ls__checkpoint_temporary(char path[LS_PATH_BYTES], const char *folder, int64_t step);
/* The step that the link `name` ("latest", "best") in `folder` leads to; -1: none. */
int64_t ls__checkpoint_linked(const char *folder, const char *name);
/* Makes the folder, and removes what an interrupted save left in it. */
ls_status ls__checkpoint_prepare(const char *folder);
/* The temporary folder of this step, with all its files, becomes the checkpoint. */
ls_status ls__checkpoint_publish(const char *folder, const ls_progress *progress, int parts, const uint64_t *sums);
/* Afterwards: `latest`, `best`, and what need not be kept is removed. */
ls_status ls__checkpoint_prune(const char *folder, const ls_progress *progress, const ls_checkpoint_retention *keep);
/* Removes a half-made checkpoint; the error message stays what it was. */
ls_status ls__checkpoint_give_up(const char *folder, int64_t step, ls_status status);

/* The newest that is sound, opened; *found is false when there is none at all.  Damaged ones are passed over, with a
 * warning. */
ls_status ls__checkpoint_newest(ls_index *x, const ls_state *state, const char *folder, bool *found);

/* As ls_checkpoint_save and _load, of any state that all ranks hold.  comm: NULL is one rank. */
ls_status ls__checkpoint_save(ls_comm *comm, const ls_state *state, const char *folder, const ls_progress *progress,
                              const ls_checkpoint_retention *keep);
ls_status ls__checkpoint_load(ls_comm *comm, const ls_state *state, const char *folder, ls_progress *progress,
                              bool *found);
ls_status ls__checkpoint_read(ls_comm *comm, const ls_state *state, const char *checkpoint, ls_progress *progress);

/* ---- who writes what --------------------------------------------------------------------------------------------- */

/* How many of `ranks` write: as many as were asked for, or as have something worth a file of its own. */
int ls__checkpoint_writers(const ls_state *state, int ranks, int wanted);
/* What writer `writer` (-1: none) of `writers` writes of `state`, into *share, with memory from `arena`; returns how
 * many floats. */
int64_t ls__checkpoint_share(const ls_state *state, int writer, int writers, ls_arena *arena, ls_state *share);

/* The arrays of a trainer; memory from `arena`.  Of a divided state: what this rank has to write, or to read. */
typedef enum ls_purpose { LS_TO_WRITE, LS_TO_READ } ls_purpose;
void ls__checkpoint_state(ls_trainer *t, ls_purpose purpose, ls_arena *arena, ls_state *s);
/* What a rank's snapshot takes. */
size_t ls__checkpoint_snapshot_bytes(ls_trainer *t, int writers);

/* A saver of any state.  In the background it copies into `snapshot`, or into memory of its own where that is too
 * small. */
ls_status ls__saver_new(ls_saver **s, ls_comm *comm, const ls_state *state, const ls_block *snapshot,
                        const ls_saver_options *options);

#endif
