/* SPDX-License-Identifier: Apache-2.0
 * Conversion of a large array to bfloat16. */
#include "core/cpu/vector/narrow_array.h"

#include "core/cpu/vector/elementwise.h"

void ls__narrow_array(int64_t n, const float *x, uint16_t *y)
{
    ls__map(ls__map_copy, NULL, n, ls__f32(x), (ls_array){0}, (ls_array){y, LS_BF16}, false);
}
