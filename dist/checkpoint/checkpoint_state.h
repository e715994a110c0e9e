/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of a training as named arrays, and the ranges of them that this rank has in memory.  Not public.
 */
#ifndef LS_DIST_CHECKPOINT_CHECKPOINT_STATE_H
#define LS_DIST_CHECKPOINT_CHECKPOINT_STATE_H

#include "core/base/arena.h"
#include "core/base/range.h"
#include "dist/dist.h"

enum { LS_CHECKPOINT_FILES = 9999 }; /* most files of a checkpoint: each is written by another rank */

/* A range of an array's elements, and its values in the memory of this rank. */
typedef struct ls_state_range {
    ls_range range;
    float   *data;
} ls_state_range;

/* One array.  All fields are equal on all ranks, except where the values are: `data` and `part`. */
typedef struct ls_state_array {
    const char *name;  /* name of the parameter */
    const char *state; /* name of the optimizer state, such as "exp_avg", or "carried"; NULL: value of the parameter */
    int         rank;
    const int64_t  *dims;
    int64_t         count; /* number of elements of the whole array */
    float          *data;  /* values of the whole array; NULL: this rank has only the ranges in `part` */
    int             parts;
    ls_state_range *part;    /* ranges by increasing offset */
    bool            divided; /* each element belongs to one rank: an optimizer state that is partitioned over the ranks
                                (ZeRO), or a carried state.  Otherwise every rank has the whole array */
} ls_state_array;

/* All arrays: the values of all parameters, then for each optimizer state the parameters that have one, then the states
 * that the model carries from step to step, as a last state with the name "carried". */
typedef struct ls_state {
    int             arrays;
    ls_state_array *array;
    int             states;
    const char    **state_name; /* names of the optimizer states */
} ls_state;

/* Whether an array is divided over the ranks. */
bool ls__state_divided(const ls_state *s);

/* Returns the number of ranges of an array in memory and sets *part to the first.  A whole array is one range, which is
 * stored in *whole. */
int ls__state_parts(const ls_state_array *a, const ls_state_range **part, ls_state_range *whole);

/* Returns how many of `ranks` ranks write a file: `wanted`, or by default one for each MiB of arrays that all ranks
 * have.  With a divided array all ranks write. */
int ls__state_writers(const ls_state *s, int ranks, int wanted);

/* Sets *partition to the part of `s` that writer `writer` (0 ... writers - 1; -1: a rank that does not write) writes;
 * returns its number of elements.  Arrays that all ranks have are cut evenly; of a divided array each rank writes what
 * it has.  Memory from `arena`. */
int64_t ls__state_partition(const ls_state *s, int writer, int writers, ls_arena *arena, ls_state *partition);

#endif
