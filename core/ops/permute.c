/* SPDX-License-Identifier: Apache-2.0
 *
 * Permutation of the dims; the batch stays first.      x: B x d0 x d1 x ...  ->  y: B x d_order[0] x d_order[1] x ...
 *
 * Forward     y[b, i_order[0], i_order[1], ...] = x[b, i_0, i_1, ...]
 * Backward    the inverse permutation of dy
 *
 * Dims that stay adjacent are merged.  If the last dim stays last, rows are copied.  Else tiles of the last dim of the
 * source and the last dim of the destination are transposed, so that reads and writes use whole cache lines.
 */
#include "core/cpu/vector/elementwise.h"
#include "core/ops/infer.h"

enum { TILE = 32 };

/* Copy of n[0] x n[1] x ... elements, with source strides `from` and dense destination strides `to`. */
typedef struct copy_plan {
    int     rank;
    int64_t n[LS_MAX_DIMS + 1], from[LS_MAX_DIMS + 1], to[LS_MAX_DIMS + 1];
} copy_plan;

static ls_status infer(ls_node *n)
{
    const ls_permute_args *a    = n->args;
    const ls_tensor       *x    = n->in[0];
    unsigned               seen = 0;
    LS_TRY(ls__expect_samples(n, 0));
    LS_NODE_CHECK(n, a->order.rank == x->rank,
                  "the order has %d dims, and '%s' is %s" LS_HINT "the batch is not counted and stays first",
                  a->order.rank, x->name, ls__shape(x));
    int64_t dim[LS_MAX_DIMS];
    for (int i = 0; i < x->rank; i++) {
        int64_t from = a->order.dim[i];
        LS_NODE_CHECK(n, from >= 0 && from < x->rank && !(seen & 1u << from),
                      "dim %d of the order is %lld, expected each of 0 to %d once", i, (long long)from, x->rank - 1);
        seen |= 1u << from;
        dim[i] = x->dim[from];
    }
    ls__out(n, 0, x->type, true, x->rank, dim);
    return LS_OK;
}

/* Plans the copy of one sample: dims in the order of the destination, merged where possible. */
static copy_plan plan_copy(const ls_node *node, bool backward)
{
    const ls_permute_args *a = node->args;
    const ls_tensor       *x = node->in[0], *y = node->out[0], *out = backward ? x : y;
    int64_t                in_stride[LS_MAX_DIMS], stride = 1;
    copy_plan              m = {0};
    for (int i = x->rank - 1; i >= 0; i--) { /* source strides, indexed by destination dims */
        const ls_tensor *in = backward ? y : x;
        int              to = i;
        if (backward)
            to = (int)a->order.dim[i];
        else
            for (int k = 0; k < x->rank; k++)
                if (a->order.dim[k] == i) to = k;
        in_stride[to] = stride;
        stride *= in->dim[i];
    }
    for (int i = 0; i < x->rank; i++) {
        int last = m.rank - 1;
        if (out->dim[i] == 1) continue;
        if (last >= 0 && m.from[last] == in_stride[i] * out->dim[i]) {
            m.n[last] *= out->dim[i];
            m.from[last] = in_stride[i];
        } else {
            m.n[m.rank]      = out->dim[i];
            m.from[m.rank++] = in_stride[i];
        }
    }
    if (!m.rank) m = (copy_plan){.rank = 1, .n = {1}, .from = {1}};
    stride = 1;
    for (int i = m.rank - 1; i >= 0; i--) {
        m.to[i] = stride;
        stride *= m.n[i];
    }
    return m;
}

/* y[k] = x[i], or y[k] += x[i] if `add` */
V_INLINE void put(const ls_dtype type, const void *x, int64_t i, void *y, int64_t k, bool add)
{
    if (type == LS_F32)
        ((float *)y)[k] = add ? ((float *)y)[k] + ((const float *)x)[i] : ((const float *)x)[i];
    else if (add)
        ls__add_narrow(1, &(float){ls__widen_1(((const uint16_t *)x)[i])}, (uint16_t *)y + k);
    else
        ((uint16_t *)y)[k] = ((const uint16_t *)x)[i];
}

/* Transposes rows x cols: element (r, c) is read at x[c * from + r] and written to y[r * to + c]. */
V_INLINE void transpose_as(const ls_dtype type, int64_t rows, int64_t cols, const void *x, int64_t from, void *y,
                           int64_t to, bool add)
{
    for (int64_t r0 = 0; r0 < rows; r0 += TILE)
        for (int64_t c0 = 0; c0 < cols; c0 += TILE)
            for (int64_t r = r0; r < rows && r < r0 + TILE; r++)
                for (int64_t c = c0; c < cols && c < c0 + TILE; c++) put(type, x, c * from + r, y, r * to + c, add);
}

/* Copies the last dim of the destination together with `fast`, the last dim of the source. */
static void copy_inner(const copy_plan *m, int fast, ls_array x, ls_array y, bool add)
{
    int last = m->rank - 1;
    if (fast == last)
        ls__copy(m->n[last], x, y, add);
    else if (x.type == LS_BF16)
        transpose_as(LS_BF16, m->n[fast], m->n[last], x.data, m->from[last], y.data, m->to[fast], add);
    else
        transpose_as(LS_F32, m->n[fast], m->n[last], x.data, m->from[last], y.data, m->to[fast], add);
}

/* Permutes x to y, which have one type, for all samples. */
static void permute(const ls_call *c, bool backward, ls_array x, ls_array y, bool add)
{
    copy_plan m     = plan_copy(c->node, backward);
    int64_t   numel = ls__numel(c->node->in[0]), outer = 1;
    int       fast = 0;
    for (int i = 0; i < m.rank; i++)
        if (m.from[i] == 1) fast = i;
    for (int i = 0; i < m.rank - 1; i++)
        if (i != fast) outer *= m.n[i];
#pragma omp parallel for schedule(static) if (c->rows * numel >= LS_MAP_PARALLEL)
    for (int64_t k = 0; k < c->rows * outer; k++) {
        int64_t from = k / outer * numel, to = from, rest = k % outer;
        for (int i = m.rank - 2; i >= 0; i--) {
            if (i == fast) continue;
            from += rest % m.n[i] * m.from[i];
            to += rest % m.n[i] * m.to[i];
            rest /= m.n[i];
        }
        copy_inner(&m, fast, ls__from(x, from), ls__from(y, to), add);
    }
}

static void forward(const ls_call *c) { permute(c, false, ls__x(c, 0), ls__y(c, 0), false); }

static void backward(const ls_call *c) { permute(c, true, ls__dy(c, 0), ls__dx(c, 0), c->add[0]); }

LS_OP(permute) = {
    .name       = "permute",
    .args_bytes = sizeof(ls_permute_args),
    .ins        = 1,
    .outs       = 1,
    .either     = 1u << 0,
    .fields     = LS_FIELDS(LS_FIELD(DIMS, ls_permute_args, order)),
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
};
