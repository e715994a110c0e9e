/* SPDX-License-Identifier: Apache-2.0
 *
 * Dims of samples and padding before and after a dim, for the references of ops with windows. */
#ifndef LS_TESTS_WINDOWS_H
#define LS_TESTS_WINDOWS_H

#include "core/graph/graph.h"

typedef struct sides {
    int64_t before, after;
} sides;

/* Padding of a dim of n elements by the rules of PyTorch and TensorFlow (tf.nn.convolution); first, last, both: as
 * given, 0: not given. */
static inline sides sides_of(ls_same same, int first, int last, int both, int64_t n, int64_t kernel, int64_t stride,
                             int64_t dilation)
{
    const int64_t reach = dilation * (kernel - 1) + 1;
    int64_t       total = 0;
    if (same == LS_SAME_NONE) return (sides){first ? first : both, last ? last : both};
    if (same == LS_SAME_PYTORCH)
        total = dilation * (kernel - 1);
    else if (n % stride == 0)
        total = reach > stride ? reach - stride : 0;
    else
        total = reach > n % stride ? reach - n % stride : 0;
    return (sides){total / 2, total - total / 2};
}

/* Depth, height and width of a tensor behind its first `skip` dims; 1 for dims that it does not have. */
typedef struct space {
    int64_t d, h, w;
} space;

static inline space space_of(const ls_tensor *x, int skip)
{
    const int dims = x->rank - skip;
    return (space){dims > 2 ? x->dim[x->rank - 3] : 1, dims > 1 ? x->dim[x->rank - 2] : 1, x->dim[x->rank - 1]};
}

/* An attribute of a dim that the op may not have. */
static inline int64_t or_one(int value) { return value ? value : 1; }

#endif
