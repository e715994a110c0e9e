/* SPDX-License-Identifier: Apache-2.0
 * Transposes a block of 4 x 4 floats in registers of 128 bits, at every instruction-set level. */
#ifndef LS_CORE_CPU_VECTOR_TRANSPOSE_4X4_H
#define LS_CORE_CPU_VECTOR_TRANSPOSE_4X4_H

#include "core/cpu/vector/vec.h"

/* Aligned to 2 bytes: for products of bfloat16 a float may be a pair of them at any even address. */
typedef float v4 __attribute__((vector_size(16), aligned(2), may_alias));

/* out[j * out_row + i] = ri[j]      i, j < 4 */
V_INLINE void v_store_transposed_4x4(v4 r0, v4 r1, v4 r2, v4 r3, float *out, int64_t out_row)
{
    const v4 a = __builtin_shufflevector(r0, r1, 0, 4, 1, 5), b = __builtin_shufflevector(r2, r3, 0, 4, 1, 5);
    const v4 c = __builtin_shufflevector(r0, r1, 2, 6, 3, 7), d = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
    *(v4 *)out                 = __builtin_shufflevector(a, b, 0, 1, 4, 5);
    *(v4 *)(out + out_row)     = __builtin_shufflevector(a, b, 2, 3, 6, 7);
    *(v4 *)(out + 2 * out_row) = __builtin_shufflevector(c, d, 0, 1, 4, 5);
    *(v4 *)(out + 3 * out_row) = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

/* out[j * out_row + i] = in[i][j]      i, j < 4 */
V_INLINE void v_transpose_4x4(const float *const in[4], float *out, int64_t out_row)
{
    v_store_transposed_4x4(*(const v4 *)in[0], *(const v4 *)in[1], *(const v4 *)in[2], *(const v4 *)in[3], out,
                           out_row);
}

#endif
