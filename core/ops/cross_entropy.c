/* SPDX-License-Identifier: Apache-2.0
 *
 * Cross entropy of the softmax with class indices, in one op.
 *      logits x: B x ... x V   target t: B x ... of int32   ->  loss: B   weight: B   saved: B x ... x 3
 *      optional: other target o: B x ... of int32, its share s: B x ...
 *
 * Forward     for each position     loss = -log p_t,   p = softmax(x)
 *             with label smoothing e (Szegedy 2016)     loss = -(1 - e) log p_t - e/V sum_i log p_i
 *             with another target o of share s          log p_t becomes (1 - s) log p_t + s log p_o
 *             The loss of a sample is the sum over its positions, and its weight is their number.  A position whose
 *             target is ignore_index counts in neither.  The mean loss is sum(loss) / sum(weight).
 * Backward    dx_i = dloss (p_i - e/V - (1 - e) ((1 - s) [i = t] + s [i = o]))
 *
 * Inference computes the loss without label smoothing.
 *
 * saved holds max x, 1 / sum exp(x - max x) and the loss of each position, so the softmax is never stored.  A target
 * out of range makes the loss of its sample NaN, which stops the run with a message, because invalid data must not be
 * used as another class.
 */
#include "core/cpu/shard_sum.h"
#include "core/ops/infer.h"
#include "core/ops/nll.h"

enum { MAX, INVERSE_SUM, LOSS, SAVED };
enum { LOGITS, TARGET, OTHER, SHARE };

static bool same_dims(const ls_tensor *x, const ls_tensor *y)
{
    bool same = x->rank == y->rank;
    for (int i = 0; same && i < x->rank; i++) same = x->dim[i] == y->dim[i];
    return same;
}

static ls_status check_other(const ls_node *n)
{
    const ls_tensor *t = n->in[TARGET], *other = n->in[OTHER], *share = n->in[SHARE];
    if (!other && !share) return LS_OK;
    LS_NODE_CHECK(n, other && share, "expected both of 'other' and 'share', found one");
    LS_NODE_CHECK(n, other->type == LS_I32 && other->batched && same_dims(t, other),
                  "the other target '%s' is %s of %s, expected int32 with the dims of the target, %s", other->name,
                  ls__shape(other), ls__dtype_name(other->type), ls__shape(t));
    LS_NODE_CHECK(n, share->type == LS_F32 && share->batched && same_dims(t, share),
                  "the share '%s' is %s of %s, expected float32 with the dims of the target, %s", share->name,
                  ls__shape(share), ls__dtype_name(share->type), ls__shape(t));
    return LS_OK;
}

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
    LS_TRY(check_other(n));
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

/* Targets of a position. */
typedef struct targets {
    int32_t t, other; /* t is -1 if `other` is out of range */
    bool    mixed;    /* the position has another target    */
    float   share;
} targets;

static targets targets_of(const ls_call *c, int64_t v, int64_t p)
{
    targets to = {.t = ((const int32_t *)c->x[TARGET])[p], .mixed = c->x[OTHER] != NULL};
    if (!to.mixed) return to;
    to.other = ((const int32_t *)c->x[OTHER])[p];
    to.share = ((const float *)c->x[SHARE])[p];
    if (to.other < 0 || to.other >= v) to.t = -1;
    return to;
}

static float smoothing(const ls_call *c)
{
    return c->training ? ((const ls_cross_entropy_args *)c->args)->label_smoothing : 0;
}

static void forward_position(const ls_call *c, int64_t v, int64_t p, float *saved)
{
    const float  *x = (const float *)c->x[LOGITS] + p * v, e = smoothing(c);
    const targets to    = targets_of(c, v, p);
    ls_nll        terms = ls__nll_terms(e, v, x, to.t);
    float         sum   = ls__row_exp_sum(v, x, terms.max);
    if (to.mixed && to.t >= 0) terms.target = (1 - to.share) * terms.target + to.share * x[to.other];
    saved[MAX]         = terms.max;
    saved[INVERSE_SUM] = 1 / sum;
    saved[LOSS]        = ignored(c->args, ((const int32_t *)c->x[TARGET])[p]) ? 0 : ls__nll_loss(e, &terms, sum);
}

static void forward(const ls_call *c)
{
    const ls_cross_entropy_args *a    = c->args;
    const int32_t               *t    = c->x[1];
    int64_t                      lead = ls__numel(c->node->in[1]), v = ls__cols(c->node->in[0]);
    float                       *saved = c->y[2], *loss = c->y[0], *weight = c->y[1];
#pragma omp parallel for schedule(static) if (c->rows * lead * v >= LS_ROWS_PARALLEL)
    for (int64_t p = 0; p < c->rows * lead; p++) forward_position(c, v, p, saved + p * SAVED);
    for (int64_t b = 0; b < c->rows; b++) {
        loss[b] = weight[b] = 0;
        for (int64_t p = b * lead; p < (b + 1) * lead; p++) {
            loss[b] += saved[p * SAVED + LOSS];
            weight[b] += ignored(a, t[p]) ? 0 : 1;
        }
    }
}

/* Adds `change` to element i of a row, of which p holds n elements from `first` on. */
static void add_at(int64_t i, float change, int64_t first, int64_t n, float *p)
{
    if (i >= first && i < first + n) p[i - first] += change;
}

static void backward_position(const ls_call *c, int64_t v, int64_t at, float dloss, float *dx)
{
    const float  *x = (const float *)c->x[LOGITS] + at * v, *saved = (const float *)c->y[2] + at * SAVED;
    const float   e  = smoothing(c);
    const targets to = targets_of(c, v, at);
    float         p[LS_ROWS_TILE];
    for (int64_t first = 0; first < v; first += LS_ROWS_TILE) {
        int64_t n = v - first < LS_ROWS_TILE ? v - first : LS_ROWS_TILE;
        ls__row_exp(n, x + first, saved[MAX], p);
        ls__nll_gradient(e, v, first, n, to.t, saved[INVERSE_SUM], dloss, p);
        if (to.mixed) {
            add_at(to.t, to.share * (1 - e) * dloss, first, n, p);
            add_at(to.other, -to.share * (1 - e) * dloss, first, n, p);
        }
        if (c->add[0])
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
            backward_position(c, v, p, c->dy[0][p / lead], dx);
        else if (!c->add[0])
            for (int64_t i = 0; i < v; i++) dx[i] = 0;
    }
}

static double flops(const ls_node *n) { return 5.0 * (double)ls__numel(n->in[0]); }

LS_OP(cross_entropy) = {
    .name       = "cross_entropy",
    .args_bytes = sizeof(ls_cross_entropy_args),
    .ins        = 4,
    .outs       = 3,
    .optional   = 1u << OTHER | 1u << SHARE,
    .saves      = LS_SAVES_IN(LOGITS) | LS_SAVES_IN(TARGET) | LS_SAVES_IN(OTHER) | LS_SAVES_IN(SHARE) | LS_SAVES_OUT(2),
    .no_grad    = 1u << TARGET | 1u << OTHER | 1u << SHARE,
    .fields     = LS_FIELDS(LS_FIELD(FLOAT, ls_cross_entropy_args, label_smoothing),
                            LS_FIELD(BOOL, ls_cross_entropy_args, ignore),
                            LS_FIELD(INT, ls_cross_entropy_args, ignore_index)),
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .flops      = flops,
};
