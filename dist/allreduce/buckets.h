/* SPDX-License-Identifier: Apache-2.0
 * Gradient buckets.  Not public. */
#ifndef LS_DIST_ALLREDUCE_BUCKETS_H
#define LS_DIST_ALLREDUCE_BUCKETS_H

#include "core/graph/program.h"

/* A range of the gradient block, in floats. */
typedef struct ls_bucket {
    size_t offset, count;
    size_t plus;   /* tied weights: where their second segment begins; 0: none */
    bool   second; /* it is one                                                */
} ls_bucket;

/* Cuts the trained parameters, in the order in which their gradients become complete, into ranges of at least `bytes`
 * (the last, and the one before a tied weight, may be smaller).  The first begins with the header.  A tied weight is a
 * range of its own; the second segments come in the end, one range each. With `least` > 0, the last ones are smaller,
 * down to so many bytes: each takes half of what is left.  What is complete last is what nothing hides. Allocated in
 * the graph's arena; how many. */
int ls__buckets(const ls_params *params, int64_t bytes, int64_t least, ls_bucket **buckets);

#endif
