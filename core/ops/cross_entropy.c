/* SPDX-License-Identifier: Apache-2.0
 *
 * Cross entropy of the softmax with class indices, in one op.
 *      logits x: B x ... x V   target t: B x ... of int32   ->  loss: B   weight: B   saved: B x ... x 3
 *
 * Forward     for each position     loss = -log p_t,   p = softmax(x)
 *             with label smoothing e (Szegedy 2016)     loss = -(1 - e) log p_t - e/V sum_i log p_i
 *             The loss of a sample is the sum over its positions, and its weight is their number.  A position whose
 *             target is ignore_index counts in neither.  The mean loss is sum(loss) / sum(weight).
 * Backward    dx_i = dloss (p_i - e/V - (1 - e) [i = t])
 *
 * saved holds max x, 1 / sum exp(x - max x) and the loss of each position, so the softmax is never stored.  A target
 * out of range makes the loss of its sample NaN, which stops the run with a message, because invalid data must not be
 * used as another class.
 */
#include "core/cpu/shard_sum.h"
#include "core/ops/infer.h"
#include "core/ops/nll.h"

enum { MAX, INVERSE_SUM, LOSS, SAVED };

static ls_status infer(ls_node *n)
{
    const ls_cross_entropy_args *a = n->args;
    const ls_tensor             *x = n->in[0], *t = n->in[1];
    LS_TRY(ls__expect_samples(n, 0));
    LS_NODE_CHECK(n, x->rank >= 1, "the logits '%s' are %s, expected a last dim of classes", x->name, ls__shape(x));
    LS_NODE_CHECK(n, t->type == LS_I32 && t->batched, "the target '%s' is %s of %s, expected samples of int32", t->name,
                  ls__shape(t), ls__dtype_name(t->type));
    bool same = t->rank == x->rank - 1;
    for (int i = 0; same && i < t->rank; i++) same = t->dim[i] == x->dim[i];
    LS_NODE_CHECK(n, same,
                  "the logits '%s' are %s and the target '%s' is %s" LS_HINT
                  "the target has the dims of the logits without the last",
                  x->name, ls__shape(x), t->name, ls__shape(t));
    LS_NODE_CHECK(n, a->label_smoothing >= 0 && a->label_smoothing < 1,
                  "label_smoothing is %g, expected 0 <= label_smoothing < 1", (double)a->label_smoothing);
    LS_NODE_CHECK(n, t->rank < LS_MAX_DIMS, "the target '%s' is %s: too many dims", t->name, ls__shape(t));
    int64_t dim[LS_MAX_DIMS];
    for (int i = 0; i < t->rank; i++) dim[i] = t->dim[i];
    dim[t->rank]    = SAVED;
    ls_tensor *loss = ls__out(n, 0, LS_F32, true, 0, NULL);
    loss->weight    = ls__out(n, 1, LS_F32, true, 0, NULL);
    ls__out(n, 2, LS_F32, true, t->rank + 1, dim);
    return LS_OK;
}

static bool ignored(const ls_cross_entropy_args *a, int32_t t) { return a->ignore && t == a->ignore_index; }

static void forward_position(const ls_cross_entropy_args *a, int64_t v, const float *x, int32_t t, float *saved)
{
    ls_nll terms       = ls__nll_terms(a->label_smoothing, v, x, t);
    float  sum         = ls__row_exp_sum(v, x, terms.max);
    saved[MAX]         = terms.max;
    saved[INVERSE_SUM] = 1 / sum;
    saved[LOSS]        = ignored(a, t) ? 0 : ls__nll_loss(a->label_smoothing, &terms, sum);
}

static void forward(const ls_call *c)
{
    const ls_cross_entropy_args *a    = c->args;
    const int32_t               *t    = c->x[1];
    int64_t                      lead = ls__numel(c->node->in[1]), v = ls__cols(c->node->in[0]);
    float                       *saved = c->y[2], *loss = c->y[0], *weight = c->y[1];
#pragma omp parallel for schedule(static) if (c->rows * lead * v >= LS_ROWS_PARALLEL)
    for (int64_t p = 0; p < c->rows * lead; p++)
        forward_position(a, v, (const float *)c->x[0] + p * v, t[p], saved + p * SAVED);
    for (int64_t b = 0; b < c->rows; b++) {
        loss[b] = weight[b] = 0;
        for (int64_t p = b * lead; p < (b + 1) * lead; p++) {
            loss[b] += saved[p * SAVED + LOSS];
            weight[b] += ignored(a, t[p]) ? 0 : 1;
        }
    }
}

static void backward_position(const ls_cross_entropy_args *a, int64_t v, const float *x, int32_t t, const float *saved,
                              float dloss, float *dx, bool add)
{
    float p[LS_ROWS_TILE];
    for (int64_t first = 0; first < v; first += LS_ROWS_TILE) {
        int64_t n = v - first < LS_ROWS_TILE ? v - first : LS_ROWS_TILE;
        ls__row_exp(n, x + first, saved[MAX], p);
        ls__nll_gradient(a->label_smoothing, v, first, n, t, saved[INVERSE_SUM], dloss, p);
        if (add)
            ls__add_into(n, p, dx + first);
        else
            memcpy(dx + first, p, (size_t)n * sizeof *p);
    }
}

static void backward(const ls_call *c)
{
    const ls_cross_entropy_args *a    = c->args;
    const int32_t               *t    = c->x[1];
    int64_t                      lead = ls__numel(c->node->in[1]), v = ls__cols(c->node->in[0]);
#pragma omp parallel for schedule(static) if (c->rows * lead * v >= LS_ROWS_PARALLEL)
    for (int64_t p = 0; p < c->rows * lead; p++) {
        float *dx = c->dx[0] + p * v;
        if (!ignored(a, t[p]))
            backward_position(a, v, (const float *)c->x[0] + p * v, t[p], (const float *)c->y[2] + p * SAVED,
                              c->dy[0][p / lead], dx, c->add[0]);
        else if (!c->add[0])
            for (int64_t i = 0; i < v; i++) dx[i] = 0;
    }
}

static double flops(const ls_node *n) { return 5.0 * (double)ls__numel(n->in[0]); }

LS_OP(cross_entropy) = {
    .name       = "cross_entropy",
    .args_bytes = sizeof(ls_cross_entropy_args),
    .ins        = 2,
    .outs       = 3,
    .saves      = LS_SAVES_IN(0) | LS_SAVES_IN(1) | LS_SAVES_OUT(2),
    .no_grad    = 1u << 1,
    .fields     = LS_FIELDS(LS_FIELD(FLOAT, ls_cross_entropy_args, label_smoothing),
                            LS_FIELD(BOOL, ls_cross_entropy_args, ignore),
                            LS_FIELD(INT, ls_cross_entropy_args, ignore_index)),
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .flops      = flops,
};
