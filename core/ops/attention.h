/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two directions of attention share: one head of one sample, and the products of its tiles.
 *
 * Scores are kept transposed, keys down and queries across, so that a vector holds queries: the largest score, the sum
 * and the masks of a query stay in its lane, and no lane knows its neighbours.  A tile of queries is packed once, as
 * columns (panels of LS_NR queries), and goes through the keys, which are read where they lie. */
#ifndef LS_CORE_OPS_ATTENTION_H
#define LS_CORE_OPS_ATTENTION_H

#include "core/cpu/gemm/gemm_pack.h"
#include "core/cpu/vector/vec_philox.h"
#include "core/cpu/vector/vecmath.h"
#include "core/graph/graph.h"

/* Queries of a tile, and keys: the latter in tiles from key 0 on, so that they are the same for every query. */
enum { LS_ATT_QUERIES = 64, LS_ATT_KEYS = 96, LS_ATT_PANELS = LS_ATT_QUERIES / LS_NR };

enum { LS_ATT_Q, LS_ATT_K, LS_ATT_V, LS_ATT_PADDING, LS_ATT_MASK, LS_ATT_START, LS_ATT_CACHE, LS_ATT_INS };
enum { LS_ATT_OUT, LS_ATT_LOG_SUM };

/* The shapes of a node. */
typedef struct ls_att_shape {
    int64_t t, s, d, heads, kv_heads, group; /* group: heads that share keys and values         */
    int64_t q_row, kv_row, o_row;            /* floats from one position to the next            */
    int64_t k_first, v_first;                /* where the first key head and value head of a row are */
    int     k_in, v_in;                      /* the inputs that hold them                       */
} ls_att_shape;

/* One head of one sample. */
typedef struct ls_att_head {
    const float   *q, *k, *v; /* T x D, S x D, S x D, with rows of q_row, kv_row, kv_row */
    int64_t        q_row, kv_row, t, s, d;
    int64_t        from; /* causal: query t sees the keys up to from + t */
    bool           causal;
    float          scale;
    const int32_t *padding; /* S, or NULL     */
    const float   *mask;    /* T x S, or NULL */
    int64_t        mask_row;
    float          dropout; /* 0: none */
    uint64_t       key, sample;
    uint32_t       quad; /* Philox: of the first four keys; they go on from there */
} ls_att_head;

#define ls__att_shape LS_ISA_NAME(ls__att_shape)
#define ls__att_head LS_ISA_NAME(ls__att_head)
#define ls__att_pack_rows LS_ISA_NAME(ls__att_pack_rows)
#define ls__att_pack_queries LS_ISA_NAME(ls__att_pack_queries)
#define ls__att_scores LS_ISA_NAME(ls__att_scores)
#define ls__att_mask LS_ISA_NAME(ls__att_mask)
#define ls__att_product LS_ISA_NAME(ls__att_product)
#define ls__att_forward LS_ISA_NAME(ls__att_forward)
#define ls__att_backward LS_ISA_NAME(ls__att_backward)
#define ls__att_forward_scratch LS_ISA_NAME(ls__att_forward_scratch)
#define ls__att_backward_scratch LS_ISA_NAME(ls__att_backward_scratch)

ls_att_shape ls__att_shape(const ls_node *n);
ls_att_head  ls__att_head(const ls_call *c, const ls_att_shape *shape, int64_t sample, int64_t head);

/* rows x d of x, times scale, as panels of LS_NR columns; a panel begins `room` rows after the one before. */
void ls__att_pack_rows(const float *x, int64_t row, int64_t rows, int64_t d, float scale, int64_t room, float *panels);

/* n queries of x, times scale, as columns: panels of d rows of LS_NR queries. */
void ls__att_pack_queries(const float *x, int64_t row, int64_t n, int64_t d, float scale, float *panels);

/* How much of a tile of keys, k of them from key `first` on, the queries t ... of panel p see. */
static inline int64_t ls__att_visible(const ls_att_head *h, int64_t t, int p, int64_t first, int64_t k)
{
    if (!h->causal) return k;
    int64_t n = h->from + t + (p + 1) * LS_NR - first;
    return n < 0 ? 0 : n < k ? n : k;
}

/* y[key][query] = x[key] . query, for the keys that each panel of n queries sees.  y has rows of LS_ATT_QUERIES. */
void ls__att_scores(const float *x, int64_t x_row, int64_t d, const float *panels, int64_t n,
                    const int64_t visible[LS_ATT_PANELS], float *y);

/* Masks the scores of a panel: n queries from t on, `keys` keys from `first` on.  `room` holds keys x LS_NR. */
void ls__att_mask(const ls_att_head *h, int64_t t, int64_t n, int64_t first, int64_t keys, float *scores, float *room);

/* y[i][j] = sum over k of x[i][k] w[k][j], or added to y.  Of a causal tile the parts that are zero are left out: row i
 * has the k from i - lower on, and those below i + 1 + upper (counted in panels of rows). */
typedef struct ls_att_product {
    int64_t      m, n, k;
    const float *x;
    int64_t      x_row, x_col;
    const float *w; /* panels, as ls__att_pack_rows makes them */
    int64_t      w_room;
    float       *y;
    int64_t      y_row;
    bool         add;
    int64_t      lower, upper;
} ls_att_product;
enum { LS_ATT_ALL = 1 << 20 }; /* lower, upper: nothing is left out */
void ls__att_product(const ls_att_product *p);

/* `row` rounded up to whole panels of columns. */
static inline int64_t ls__att_padded(int64_t d) { return (d + LS_NR - 1) / LS_NR * LS_NR; }

void   ls__att_forward(const ls_call *c);
void   ls__att_backward(const ls_call *c);
size_t ls__att_forward_scratch(const ls_att_shape *shape); /* bytes a thread */
size_t ls__att_backward_scratch(const ls_att_shape *shape);

#endif
