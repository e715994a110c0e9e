/* SPDX-License-Identifier: Apache-2.0
 *
 * Winograd's minimal filtering F(4 x 4, 3 x 3) for convolutions with 3 x 3 taps of stride 1 (Lavin and Gray 2015): y,
 * dx and dw with 36 products per 4 x 4 results where the definition has 144.
 *
 * A *tile* is 4 x 4 results and the 6 x 6 source values that they read.  With the source d, the taps g and the results
 * y of a tile:
 *
 *     y  = A' m A          m[o] = sum over c of  u[o][c] v[c]   at each of 36 positions
 *     v  = B' d B          u = G g G'
 *     dg = G' du G         du[o][c] = sum over tiles of  z[o] v[c],    z = A dy A'
 *
 * A (6 x 4), B (6 x 6) and G (6 x 3) evaluate and interpolate polynomials at the points p = 0, a, -a, b, -b and
 * infinity (Toom and Cook):  A[i][k] = p^k,  G[i][k] = p^k / N[i] with N[i] the product of all p - q for the other
 * finite points q, B' has the coefficients of the product of all x - q.  With a = 5/8 and b = 3/2 the error is half of
 * that with the usual points 1 and 2 (Barabasz et al. 2018 search such points), and the entries of A and B are exact.
 *
 * Results beyond the planes are computed and not stored.  The sums over c and over tiles are single products of
 * matrices for each position.  Vector lanes hold neighbouring tiles in y and dx, and output channels in dw.
 *
 * An element of y or dx depends on its own sample, and its sums have a fixed order, so its bits depend neither on the
 * batch nor on threads.  Relative to the standard deviation of y, that of the error is 4e-7 for 16 channels and 1.2e-6
 * for 256; direct sums have 1.5e-7 and 6e-7.
 */
#ifndef LS_CORE_CPU_WINOGRAD_WINOGRAD_H
#define LS_CORE_CPU_WINOGRAD_WINOGRAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/isa.h"
#include "core/cpu/vector/typed_array.h"

enum {
    LS_WINOGRAD_OUT    = 4,                                      /* results of a tile along a dim        */
    LS_WINOGRAD_TAPS   = 3,                                      /* taps along a dim                     */
    LS_WINOGRAD_SOURCE = 6,                                      /* source values of a tile along a dim  */
    LS_WINOGRAD_POINTS = LS_WINOGRAD_SOURCE * LS_WINOGRAD_SOURCE /* positions of a transformed tile */
};

/* The points, and N of points 0, a and b. */
#define LS_WINOGRAD_A 0.625f
#define LS_WINOGRAD_B 1.5f
#define LS_WINOGRAD_A2 (LS_WINOGRAD_A * LS_WINOGRAD_A)
#define LS_WINOGRAD_B2 (LS_WINOGRAD_B * LS_WINOGRAD_B)
#define LS_WINOGRAD_A3 (LS_WINOGRAD_A2 * LS_WINOGRAD_A)
#define LS_WINOGRAD_B3 (LS_WINOGRAD_B2 * LS_WINOGRAD_B)
#define LS_WINOGRAD_N0 (LS_WINOGRAD_A2 * LS_WINOGRAD_B2)
#define LS_WINOGRAD_NA (2 * LS_WINOGRAD_A2 * (LS_WINOGRAD_A2 - LS_WINOGRAD_B2))
#define LS_WINOGRAD_NB (2 * LS_WINOGRAD_B2 * (LS_WINOGRAD_B2 - LS_WINOGRAD_A2))

/* Rounds a distance between arrays, in floats, up to an odd number of cache lines.  Arrays at distances of a power of
 * two would share one set of the L1 cache. */
static inline int64_t ls__winograd_spread(int64_t count) { return ((count + 15) / 16 | 1) * 16; }

/* One direction of a convolution.  The first part is set by the caller, the second by ls__winograd_plan. */
typedef struct ls_winograd {
    int64_t groups;
    int64_t in, out;              /* channels of one group, of the source and of the result              */
    int64_t src_h, src_w;         /* plane of the source                                                 */
    int64_t dst_h, dst_w;         /* plane of the result                                                 */
    int64_t lo_h, lo_w;           /* position in the source plane that result (0, 0) reads with tap (0, 0) */
    int64_t w_in, w_out, w_group; /* strides of the weights: source channel, result channel, group       */
    bool    flip;                 /* the taps are in reverse order, as for dx                            */

    int64_t  tiles_h, tiles_w; /* tiles of a plane                                                        */
    int64_t  rows;             /* rows of tiles in a block; a block may contain rows of several samples   */
    int64_t  lanes;            /* tiles of a block, rounded up to whole vectors of all levels             */
    int64_t  first_w, count_w; /* columns of the source that tiles read                                   */
    int64_t  line;             /* floats of a row of pixels in the workspace                              */
    int64_t  origin;           /* column 0 of the tiles in such a row                                     */
    int32_t *at;               /* lanes offsets of tiles in the pixels of a block                         */
    size_t   bytes;            /* workspace in use                                                        */
    char    *base;
} ls_winograd;

#define ls__winograd_fits LS_ISA_NAME(ls__winograd_fits)
#define ls__winograd_plan LS_ISA_NAME(ls__winograd_plan)
#define ls__winograd_take LS_ISA_NAME(ls__winograd_take)
#define ls__winograd_pixels LS_ISA_NAME(ls__winograd_pixels)
#define ls__winograd_source LS_ISA_NAME(ls__winograd_source)
#define ls__winograd_product LS_ISA_NAME(ls__winograd_product)
#define ls__winograd_weights LS_ISA_NAME(ls__winograd_weights)
#define ls__winograd_weights_work LS_ISA_NAME(ls__winograd_weights_work)
#define ls__winograd_run LS_ISA_NAME(ls__winograd_run)
#define ls__winograd_scratch LS_ISA_NAME(ls__winograd_scratch)
#ifdef LS_ISA_SUFFIX

/* Returns whether tiles need fewer operations than direct sums.  Depends on the shape alone. */
bool ls__winograd_fits(const ls_winograd *p);

/* Completes the plan, with blocks of `tiles` tiles at most, unless a row has more.  scratch: workspace, or NULL to
 * compute sizes alone. */
void ls__winograd_plan(ls_winograd *p, int64_t tiles, void *scratch);

/* Takes `count` floats of the workspace, in whole cache lines; NULL if the plan computes sizes alone. */
float *ls__winograd_take(ls_winograd *p, int64_t count);

/* Floats of the pixels of ls__winograd_source. */
int64_t ls__winograd_pixels(const ls_winograd *p);

/* Transforms channel c of the group for rows [first, first + rows) of tiles, counted over the samples of x:
 * v[position * v_point + tile].  pixels: workspace, which is zero before the first call. */
void ls__winograd_source(const ls_winograd *p, ls_array x, int64_t group, int64_t c, int64_t first, int64_t rows,
                         float *pixels, float *v, int64_t v_point);

/* m[i][t] = sum over c < n of  a[i][c] b[c][t]      i < rows, t < columns; added to m if `add`
 * b and m have rows of b_row floats, and room for whole vectors.  Sums are chains of at most 128 products, which are
 * added in order. */
void ls__winograd_product(int64_t rows, int64_t n, int64_t columns, const float *a, int64_t a_row, const float *b,
                          int64_t b_row, float *m, bool add);

/* Operands of y = x * w + bias; of the gradient of the input: x is dy, y is dx. */
typedef struct ls_winograd_operands {
    ls_array     x, w, y;
    const float *bias; /* NULL: none */
    bool         add;  /* add to y   */
} ls_winograd_operands;

/* Computes y of `samples` samples, with the threads of OpenMP. */
void   ls__winograd_run(ls_winograd *p, int64_t samples, const ls_winograd_operands *o, void *scratch);
size_t ls__winograd_scratch(ls_winograd *p, int threads);

/* Writes the gradients of the weights and of the bias for result channels [o, o + count) of a group, summed over
 * samples [first, last): dw[i][c][tap], and db[i] unless NULL.  p: a plan of y.  work: ls__winograd_weights_work
 * floats. */
void    ls__winograd_weights(const ls_winograd *p, ls_array x, ls_array dy, int64_t group, int64_t o, int64_t count,
                             int64_t first, int64_t last, float *dw, float *db, float *work);
int64_t ls__winograd_weights_work(const ls_winograd *p, int64_t count);

#endif
#endif
