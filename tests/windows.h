/* SPDX-License-Identifier: Apache-2.0
 *
 * Padding before and after a dim, for the references of ops with windows. */
#ifndef LS_TESTS_WINDOWS_H
#define LS_TESTS_WINDOWS_H

#include "core/core.h"

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

#endif
