/* SPDX-License-Identifier: Apache-2.0
 *
 * Buckets that take turns in memory (ZeRO stage 2; Rajbhandari et al. 2020): once the sum of a bucket has been sent,
 * another one is written to where it was.  Not public.
 *
 * Given is a program with an instruction for each of bucket[0 .. n - 1], at begins[i] and in this order, that begins
 * its sum:
 *
 *     floats = ls__stages_plan(memory, p, bucket, begins, n, stage);
 *     where stage[i].after >= 0, the program waits for the sum of that bucket, before ls__zero2_buffer_first(p,
 * &bucket[i], begins[i]) ls__program_move_gradients(p, ...);        bucket i is at stage[i].at before the sum of bucket
 * i is begun, zeroes go to stage[i].gap[..]
 */
#ifndef LS_DIST_TRAINER_ZERO2_BUFFERS_H
#define LS_DIST_TRAINER_ZERO2_BUFFERS_H

#include "core/graph/program.h"
#include "dist/allreduce/buckets.h"

typedef struct ls_zero2_buffer {
    size_t         at;    /* of the bucket in the gradient block, in floats                                        */
    int            after; /* the last of the buckets that were there before; -1: none                              */
    int            gaps;  /* what no instruction writes: padding, parameters that the loss does not depend on, ... */
    ls_grad_range *gap;   /* ... which would have the gradients of another bucket; from `at` on                    */
} ls_zero2_buffer;

/* How many floats the gradient block needs.  The bucket with offset 0 stays there, and the first LS_PARAM_START floats
 * are its alone. */
size_t ls__stages_plan(ls_arena *memory, const ls_program *p, const ls_bucket *bucket, const int *begins, int n,
                       ls_zero2_buffer *out);

/* The first instruction that needs the bucket's memory. */
int ls__zero2_buffer_first(const ls_program *p, const ls_bucket *bucket, int begins);

#endif
