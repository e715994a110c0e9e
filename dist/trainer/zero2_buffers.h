/* SPDX-License-Identifier: Apache-2.0
 *
 * Positions of gradient buckets that share memory (ZeRO stage 2; Rajbhandari et al. 2020): once the blocks of a bucket
 * have been read by the all-reduce, a later bucket is written to the same place.  Not public.
 *
 * The program must contain, for each bucket in order, an instruction at index begins[i] that begins its all-reduce:
 *
 *     floats = ls__zero2_plan(arena, p, bucket, begins, n, buffer);
 *     where buffer[i].after >= 0, insert an instruction that waits until bucket buffer[i].after has been read, before
 *         ls__zero2_first_write(p, &bucket[i], begins[i])
 *     ls__program_move_gradients(p, ...);      kernels write bucket i at buffer[i].offset
 *     before the all-reduce of bucket i begins, write zeroes to buffer[i].gap[..]
 */
#ifndef LS_DIST_TRAINER_ZERO2_BUFFERS_H
#define LS_DIST_TRAINER_ZERO2_BUFFERS_H

#include "core/graph/program.h"
#include "dist/allreduce/buckets.h"

typedef struct ls_zero2_buffer {
    int64_t        offset; /* position of the bucket in the gradient block, floats */
    int            after;  /* last earlier bucket that overlaps this buffer; -1: none */
    int            gaps; /* ranges that no instruction writes (padding, parameters that the loss does not depend on) */
    ls_grad_range *gap;  /* by offset, relative to the start of the bucket */
} ls_zero2_buffer;

/* Places the buckets; returns the floats that the gradient block needs.  The bucket at offset 0 stays there, and no
 * other bucket uses the first LS_PARAM_START floats. */
int64_t ls__zero2_plan(ls_arena *arena, const ls_program *p, const ls_bucket *bucket, const int *begins, int n,
                       ls_zero2_buffer *out);

/* Index of the first instruction that uses the bucket's memory. */
int ls__zero2_first_write(const ls_program *p, const ls_bucket *bucket, int begins);

#endif
