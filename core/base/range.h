/* SPDX-License-Identifier: Apache-2.0
 *
 * A range of one array: of the parameters, the gradients or the optimizer state, which share one layout.  Not public.
 */
#ifndef LS_CORE_BASE_RANGE_H
#define LS_CORE_BASE_RANGE_H

#include <stdint.h>

typedef struct ls_range {
    int64_t offset, count; /* elements */
} ls_range;

static inline int64_t ls__range_end(ls_range r) { return r.offset + r.count; }

/* The elements in both ranges; count 0 when there are none. */
static inline ls_range ls__range_intersect(ls_range a, ls_range b)
{
    int64_t begin = a.offset > b.offset ? a.offset : b.offset;
    int64_t end   = ls__range_end(a) < ls__range_end(b) ? ls__range_end(a) : ls__range_end(b);
    return (ls_range){begin, end > begin ? end - begin : 0};
}

#endif
