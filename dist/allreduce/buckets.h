/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradient buckets.  Not public. */
#ifndef LS_DIST_ALLREDUCE_BUCKETS_H
#define LS_DIST_ALLREDUCE_BUCKETS_H

#include "core/base/range.h"
#include "core/graph/params.h"

/* A bucket: a range of the gradient layout that one collective reduces. */
typedef struct ls_bucket {
    ls_range range;
    int64_t  addend;    /* tied weight: offset of the second segment, whose sum is added to this one, floats; 0: none */
    bool     is_addend; /* this bucket is such a second segment */
} ls_bucket;

/* Cuts the trained parameters, in the order in which their gradients become complete, into buckets of at least `bytes`.
 * The last bucket and the one before a tied weight may be smaller.  The first bucket begins with the header.  A tied
 * weight is a bucket of its own; second segments follow at the end, one bucket each.
 *
 * With min_bytes > 0 the last buckets shrink: each takes half of what is left, down to min_bytes.  The buckets that are
 * complete last have no computation left to hide behind.
 *
 * Allocates the buckets in `arena`; returns their number. */
int ls__buckets(const ls_params *params, int64_t bytes, int64_t min_bytes, ls_arena *arena, ls_bucket **buckets);

/* The parameters in a bucket: its range without the header. */
ls_range ls__bucket_params(const ls_bucket *b);

#endif
