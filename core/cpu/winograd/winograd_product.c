/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of matrices at one position of transformed tiles (winograd.h).
 */
#include "core/base/integer.h"
#include "core/cpu/winograd/winograd.h"

enum {
    VECTORS = LS_V >= 16 ? 4 : 2,  /* vectors of a register tile, at most                            */
    ROWS_1  = LS_V >= 16 ? 12 : 6, /* rows of a register tile of one or two vectors, at most         */
    ROWS_3  = 6,                   /* rows of a register tile of more vectors, at most               */
    CHAIN   = 128                  /* products of a chain; a panel of b with so many rows fits into the L1 cache */
};

#define UNROLL _Pragma("GCC unroll 16")

V_INLINE void product_tile(const int rows, const int vectors, int64_t n, const float *a, int64_t a_row, const float *b,
                           int64_t b_row, float *m, bool add)
{
    vf sum[ROWS_1][VECTORS];
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int t = 0; t < vectors; t++) sum[i][t] = v_set(0);
    for (int64_t c = 0; c < n; c++, b += b_row) {
        vf x[VECTORS];
        UNROLL for (int t = 0; t < vectors; t++) x[t] = v_load(b + t * LS_V);
        UNROLL for (int i = 0; i < rows; i++)
        {
            const vf w                                         = v_set(a[i * a_row + c]);
            UNROLL for (int t = 0; t < vectors; t++) sum[i][t] = v_fma(w, x[t], sum[i][t]);
        }
    }
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int t = 0; t < vectors; t++)
    {
        float *to = m + i * b_row + t * LS_V;
        v_store(to, add ? v_load(to) + sum[i][t] : sum[i][t]);
    }
}

typedef void product_fn(int64_t n, const float *a, int64_t a_row, const float *b, int64_t b_row, float *m, bool add);

/* clang-format off */
#define PRODUCT_LIST(X)                                                                                                \
    X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(5, 1) X(6, 1)                                                                    \
    X(1, 2) X(2, 2) X(3, 2) X(4, 2) X(5, 2) X(6, 2)
#if defined(__AVX512F__)
#define WIDE_PRODUCT_LIST(X)                                                                                           \
    X(7, 1) X(8, 1) X(9, 1) X(10, 1) X(11, 1) X(12, 1)                                                                 \
    X(7, 2) X(8, 2) X(9, 2) X(10, 2) X(11, 2) X(12, 2)                                                                 \
    X(1, 3) X(2, 3) X(3, 3) X(4, 3) X(5, 3) X(6, 3)                                                                    \
    X(1, 4) X(2, 4) X(3, 4) X(4, 4) X(5, 4) X(6, 4)
#else
#define WIDE_PRODUCT_LIST(X)
#endif
/* clang-format on */

#define X(rows, vectors)                                                                                               \
    static void product_##rows##_##vectors(int64_t n, const float *a, int64_t a_row, const float *b, int64_t b_row,    \
                                           float *m, bool add)                                                         \
    {                                                                                                                  \
        product_tile(rows, vectors, n, a, a_row, b, b_row, m, add);                                                    \
    }
PRODUCT_LIST(X)
WIDE_PRODUCT_LIST(X)
#undef X
#define X(rows, vectors) [vectors][rows] = product_##rows##_##vectors,
static product_fn *const product_table[VECTORS + 1][ROWS_1 + 1] = {PRODUCT_LIST(X) WIDE_PRODUCT_LIST(X)};
#undef X

void ls__winograd_product(int64_t rows, int64_t n, int64_t columns, const float *a, int64_t a_row, const float *b,
                          int64_t b_row, float *m, bool add)
{
    const int64_t vectors = ls__ceil_div(columns, LS_V);
    for (int64_t c = 0; c < n; c += CHAIN)
        for (int64_t t = 0; t < vectors; t += VECTORS) {
            const int64_t wide = ls__min(VECTORS, vectors - t), parts = ls__ceil_div(rows, wide > 2 ? ROWS_3 : ROWS_1);
            for (int64_t i = 0; i < parts; i++) {
                const int64_t from = rows * i / parts, count = rows * (i + 1) / parts - from;
                product_table[wide][count](ls__min(CHAIN, n - c), a + from * a_row + c, a_row, b + c * b_row + t * LS_V,
                                           b_row, m + from * b_row + t * LS_V, add || c > 0);
            }
        }
}
