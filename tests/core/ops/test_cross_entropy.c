/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const ls_cross_entropy_args *a = r->args;
    int64_t                      v = ls__cols(r->node->in[0]), lead = ls__numel(r->node->in[1]);
    double                       e = a->label_smoothing;
    for (int64_t b = 0; b < r->rows; b++) {
        r->y[0][b] = r->y[1][b] = 0;
        for (int64_t p = b * lead; p < (b + 1) * lead; p++) {
            const double *x   = r->x[0] + p * v;
            int64_t       t   = (int64_t)r->x[1][p];
            double        sum = 0, all = 0;
            if (a->ignore && t == a->ignore_index) continue;
            for (int64_t i = 0; i < v; i++) sum += exp(x[i] - x[0]), all += x[i] - x[0];
            r->y[0][b] += log(sum) - (1 - e) * (x[t] - x[0]) - e / (double)v * all;
            r->y[1][b] += 1;
        }
    }
}

#define LOGITS(...)                                                                                                    \
    {                                                                                                                  \
        .dims = { __VA_ARGS__ }                                                                                        \
    }
#define TARGET(v, ...)                                                                                                 \
    {                                                                                                                  \
        .dims = {__VA_ARGS__}, .type = LS_I32, .high = (v)                                                             \
    }

CHECK_OP(cross_entropy, reference, {.in = {LOGITS(1), TARGET(1, 0)}, .scalar = true},
         {.in = {LOGITS(10), TARGET(10, 0)}, .scalar = true},
         {.in = {{.dims = {7, 33}, .std = 3, .mean = 40}, TARGET(33, 7)}, .scalar = true},
         {.in     = {LOGITS(3, 5, 7), TARGET(7, 3, 5)},
          .scalar = true,
          .args   = &(ls_cross_entropy_args){.ignore = true, .ignore_index = 2}},
         {.in     = {LOGITS(7, 33), TARGET(33, 7)},
          .scalar = true,
          .args   = &(ls_cross_entropy_args){.label_smoothing = 0.1f, .ignore = true, .ignore_index = 5}},
         {.in     = {LOGITS(2, 1031), TARGET(1031, 2)},
          .scalar = true,
          .args   = &(ls_cross_entropy_args){.label_smoothing = 0.2f}})

/* Runs forward for three samples of one position and two classes. */
static void run(const int32_t target[3], ls_cross_entropy_args args, float loss[3], float weight[3], float dx[6])
{
    float     x[6] = {1, 2, 3, 4, 5, 6}, saved[9], one[3] = {1, 1, 1};
    ls_graph *g  = ls_graph_new();
    args.logits  = ls_input(g, "x", LS_F32, 2);
    args.target  = ls_input(g, "t", LS_I32);
    ls_tensor *t = ls__apply(LS_OP_cross_entropy, &args, LS_HERE);
    assert_non_null(t);
    assert_true(t->weight == t->node->out[1]);
    ls_call c = {.node = t->node,
                 .args = t->node->args,
                 .rows = 3,
                 .x    = {x, (void *)target},
                 .y    = {loss, weight, saved},
                 .dy   = {one},
                 .dx   = {dx}};
    ls__op(t->node)->forward[LS_CPU](&c);
    ls__op(t->node)->backward[LS_CPU](&c);
    ls_graph_free(g);
}

static void test_out_of_range(void **state)
{
    float loss[3], weight[3], dx[6];
    run((int32_t[]){0, 2, -1}, (ls_cross_entropy_args){0}, loss, weight, dx);
    assert_float_equal(loss[0], 1.3132617, 1e-6);
    assert_true(isnan(loss[1]) && isnan(loss[2]) && isnan(dx[2]) && isnan(dx[5]) && !isnan(dx[0]) && !isnan(dx[1]));
}

/* ignore_index may be out of the range of classes, as PyTorch's -100 is. */
static void test_ignored(void **state)
{
    float loss[3], weight[3], dx[6];
    run((int32_t[]){1, -100, 1}, (ls_cross_entropy_args){.ignore = true, .ignore_index = -100}, loss, weight, dx);
    assert_true(loss[1] == 0 && weight[1] == 0 && dx[2] == 0 && dx[3] == 0);
    assert_true(weight[0] == 1 && weight[2] == 1 && loss[0] > 0);
}

static void test_refused(void **state)
{
    CHECK_REFUSED(cross_entropy, "without the last", {.in = {LOGITS(3, 4), TARGET(4, 4)}});
    CHECK_REFUSED(cross_entropy, "samples of int32", {.in = {LOGITS(4), LOGITS(0)}});
    CHECK_REFUSED(cross_entropy, "label_smoothing is 1",
                  {.in = {LOGITS(4), TARGET(4, 0)}, .args = &(ls_cross_entropy_args){.label_smoothing = 1}});
}

CHECK_MAIN(cmocka_unit_test(check_cross_entropy), cmocka_unit_test(test_out_of_range), cmocka_unit_test(test_ignored),
           cmocka_unit_test(test_refused))
