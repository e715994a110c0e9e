/* SPDX-License-Identifier: Apache-2.0
 *
 * Tiles of attention: shapes, packing, scores, masks and products, for both directions.
 *
 * A tile is LS_ATT_QUERIES queries by LS_ATT_KEYS keys.  Scores are stored transposed, keys down and queries across, so
 * that a vector holds the scores of LS_V queries for one key: the maximum, the sum and the masks of a query stay in its
 * lane, and no lane reads another.  The queries of a tile are packed once, as panels of LS_NR columns; keys are read in
 * place.
 */
#ifndef LS_CORE_OPS_ATTENTION_TILE_H
#define LS_CORE_OPS_ATTENTION_TILE_H

#include "core/cpu/gemm/gemm_pack.h"
#include "core/cpu/vector/vec_philox.h"
#include "core/cpu/vector/vecmath.h"
#include "core/graph/graph.h"

/* Size of a tile.  Tiles of keys start at key 0, so that they are equal for all queries. */
enum { LS_ATT_QUERIES = 64, LS_ATT_KEYS = 96, LS_ATT_PANELS = LS_ATT_QUERIES / LS_NR };

/* Inputs and outputs of the op. */
enum {
    LS_ATT_Q,
    LS_ATT_K,
    LS_ATT_V,
    LS_ATT_PADDING,
    LS_ATT_MASK,
    LS_ATT_START,
    LS_ATT_CACHE,
    LS_ATT_LENGTHS,
    LS_ATT_FIRST,
    LS_ATT_INS
};
enum { LS_ATT_OUT, LS_ATT_LOG_SUM };

/* Shapes of a node.  T queries, S keys, heads of D elements. */
typedef struct ls_att_shape {
    int64_t t, s, d;
    int64_t heads, kv_heads;      /* query heads; key and value heads                                 */
    int64_t group;                /* query heads that share one key head: heads / kv_heads            */
    int64_t q_row, kv_row, o_row; /* floats from one position to the next: queries, keys/values, y    */
    int64_t k_first, v_first;     /* offset of the first key head and value head in a row, floats     */
    int     k_in, v_in;           /* index of the input that holds keys, and of that for values       */
} ls_att_shape;

/* Operands of one head of one sample. */
typedef struct ls_att_head {
    const float   *q, *k, *v; /* T x D, S x D, S x D, with rows of q_row, kv_row, kv_row floats           */
    int64_t        q_row, kv_row, t, s, d;
    int64_t        from; /* first position of the queries in the cache: query t sees keys 0 ... from + t  */
    bool           causal;
    int64_t        window; /* query t sees keys from from + t - window + 1 on; 0: all before              */
    float          scale;
    float          cap;       /* a score s becomes cap tanh(s / cap); 0: no cap                           */
    const int32_t *padding;   /* S, not 0: hidden key; NULL: none                                         */
    const int32_t *first_key; /* T, the first key that a query sees; NULL: 0                              */
    const float   *mask;      /* T x S, rows of mask_row floats; NULL: none                               */
    int64_t        mask_row;
    float          dropout;     /* probability of a zero; 0: no dropout                                   */
    uint64_t       key, sample; /* Philox key, and sample index within the global batch                   */
    uint32_t       quad;        /* Philox counter of keys 0 to 3; keys 4 to 7 have the next               */
} ls_att_head;

#define ls__att_shape LS_ISA_NAME(ls__att_shape)
#define ls__att_head LS_ISA_NAME(ls__att_head)
#define ls__att_wide LS_ISA_NAME(ls__att_wide)
#define ls__att_wide_scratch LS_ISA_NAME(ls__att_wide_scratch)
#define ls__att_widen LS_ISA_NAME(ls__att_widen)
#define ls__att_widen_rows LS_ISA_NAME(ls__att_widen_rows)
#define ls__att_narrow_rows LS_ISA_NAME(ls__att_narrow_rows)
#define ls__att_pack_rows LS_ISA_NAME(ls__att_pack_rows)
#define ls__att_pack_queries LS_ISA_NAME(ls__att_pack_queries)
#define ls__att_scores LS_ISA_NAME(ls__att_scores)
#define ls__att_cap LS_ISA_NAME(ls__att_cap)
#define ls__att_mask LS_ISA_NAME(ls__att_mask)
#define ls__att_product LS_ISA_NAME(ls__att_product)

ls_att_shape ls__att_shape(const ls_node *n);
ls_att_head  ls__att_head(const ls_call *c, const ls_att_shape *shape, int64_t sample, int64_t head);

/* Operands of bfloat16 are widened head by head into workspace: dense T x D and S x D arrays of float32.  The last four
 * are used by backward alone. */
typedef struct ls_att_wide {
    float *q, *k, *v, *y, *dy, *dq, *dk, *dv;
} ls_att_wide;

/* Bytes of the arrays of one thread; the arrays at `at`. */
size_t      ls__att_wide_scratch(const ls_att_shape *shape, bool backward);
ls_att_wide ls__att_wide(const ls_att_shape *shape, float *at);

/* Widens the operands of a head that are bfloat16, and makes them those of *h. */
void ls__att_widen(const ls_call *c, const ls_att_shape *shape, int64_t sample, int64_t head, const ls_att_wide *w,
                   ls_att_head *h);

/* Copies `rows` rows of d values between an array, where rows are `row` elements apart, and dense float32. */
void ls__att_widen_rows(ls_array x, int64_t row, int64_t rows, int64_t d, float *y);
void ls__att_narrow_rows(const float *x, int64_t rows, int64_t d, ls_array y, int64_t row, bool add);

/* Packs rows x d of x, times scale, as panels of LS_NR columns.  A panel starts `panel_rows` rows behind the one before
 * it. */
void ls__att_pack_rows(const float *x, int64_t row, int64_t rows, int64_t d, float scale, int64_t panel_rows,
                       float *panels);

/* Packs n queries of x, times scale, as columns: panels of d rows of LS_NR queries. */
void ls__att_pack_queries(const float *x, int64_t row, int64_t n, int64_t d, float scale, float *panels);

/* Returns how many of the k keys from `first` on are visible to panel p of the queries from t on. */
static inline int64_t ls__att_visible(const ls_att_head *h, int64_t t, int p, int64_t first, int64_t k)
{
    if (!h->causal) return k;
    int64_t n = h->from + t + (p + 1) * LS_NR - first;
    return n < 0 ? 0 : n < k ? n : k;
}

/* Returns the first key that query t sees, because of the window and of first_key. */
static inline int64_t ls__att_first_key(const ls_att_head *h, int64_t t)
{
    int64_t first = h->window ? h->from + t + 1 - h->window : 0;
    if (h->first_key && h->first_key[t] > first) first = h->first_key[t];
    return first < 0 ? 0 : first;
}

/* Returns the first key of the first tile of keys that one of the n queries from t on sees. */
static inline int64_t ls__att_first_tile(const ls_att_head *h, int64_t t, int64_t n)
{
    int64_t first = ls__att_first_key(h, t);
    for (int64_t i = 1; i < n && first > 0; i++)
        if (ls__att_first_key(h, t + i) < first) first = ls__att_first_key(h, t + i);
    return first / LS_ATT_KEYS * LS_ATT_KEYS;
}

/* Computes y[key][query] = x[key] . query for the keys visible to each panel of the n queries.  Rows of y have
 * LS_ATT_QUERIES floats. */
void ls__att_scores(const float *x, int64_t x_row, int64_t d, const float *panels, int64_t n,
                    const int64_t visible[LS_ATT_PANELS], float *y);

/* Replaces the scores s of the keys visible to each panel of the n queries by cap tanh(s / cap). */
void ls__att_cap(const ls_att_head *h, int64_t n, const int64_t visible[LS_ATT_PANELS], float *scores);

/* Applies mask, padding, causal limit and first keys to the scores of a panel: n queries from t on, `keys` keys from
 * `first` on.  `packed` is workspace of keys x LS_NR floats. */
void ls__att_mask(const ls_att_head *h, int64_t t, int64_t n, int64_t first, int64_t keys, float *scores,
                  float *packed);

/* y[i][j] = sum over k of x[i][k] w[k][j], or added to y.  In a causal tile, products with zeros are skipped: row i
 * sums k from i - lower to i + upper, both rounded outwards to whole panels of rows. */
typedef struct ls_att_product {
    int64_t      m, n, k;
    const float *x;
    int64_t      x_row, x_col;
    const float *w;            /* panels made by ls__att_pack_rows                */
    int64_t      w_panel_rows; /* rows from one panel of w to the next            */
    float       *y;
    int64_t      y_row;
    bool         add;          /* add to y                                        */
    int64_t      lower, upper; /* limits of k around the diagonal, or LS_ATT_ALL  */
} ls_att_product;
enum { LS_ATT_ALL = 1 << 20 }; /* lower, upper: no limit */
void ls__att_product(const ls_att_product *p);

/* Rounds d up to whole panels of LS_NR columns. */
static inline int64_t ls__att_padded(int64_t d) { return (d + LS_NR - 1) / LS_NR * LS_NR; }

#endif
