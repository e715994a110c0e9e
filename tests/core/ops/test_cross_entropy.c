/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/check_op.h"

static void reference(const check_ref *r)
{
    const ls_cross_entropy_args *a = r->args;
    int64_t                      v = ls__cols(r->node->in[0]), lead = ls__numel(r->node->in[1]);
    double                       e = r->training ? (double)a->label_smoothing : 0;
    for (int64_t b = 0; b < r->rows; b++) {
        r->y[0][b] = r->y[1][b] = 0;
        for (int64_t p = b * lead; p < (b + 1) * lead; p++) {
            const double *x   = r->x[0] + p * v;
            int64_t       t   = (int64_t)r->x[1][p];
            double        sum = 0, all = 0;
            if (a->ignore && t == a->ignore_index) continue;
            for (int64_t i = 0; i < v; i++) sum += exp(x[i] - x[0]), all += x[i] - x[0];
            double shown = x[t] - x[0];
            if (r->node->in[2]) shown += r->x[3][p] * (x[(int64_t)r->x[2][p]] - x[t]);
            r->y[0][b] += log(sum) - (1 - e) * shown - e / (double)v * all;
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

#define SHARE(...)                                                                                                     \
    {                                                                                                                  \
        .dims = {__VA_ARGS__}, .mean = 0.4f, .std = 0.2f                                                               \
    }

#define NONE                                                                                                           \
    {                                                                                                                  \
        .absent = true                                                                                                 \
    }

CHECK_OP(cross_entropy, reference, {.in = {LOGITS(1), TARGET(1, 0), NONE, NONE}, .scalar = true},
         {.in = {LOGITS(10), TARGET(10, 0), NONE, NONE}, .scalar = true},
         {.in = {{.dims = {7, 33}, .std = 3, .mean = 40}, TARGET(33, 7), NONE, NONE}, .scalar = true},
         {.in     = {LOGITS(3, 5, 7), TARGET(7, 3, 5), NONE, NONE},
          .scalar = true,
          .args   = &(ls_cross_entropy_args){.ignore = true, .ignore_index = 2}},
         {.in     = {LOGITS(7, 33), TARGET(33, 7), NONE, NONE},
          .scalar = true,
          .args   = &(ls_cross_entropy_args){.label_smoothing = 0.1f, .ignore = true, .ignore_index = 5}},
         {.in     = {LOGITS(2, 1031), TARGET(1031, 2), NONE, NONE},
          .scalar = true,
          .args   = &(ls_cross_entropy_args){.label_smoothing = 0.2f}},
         {.in        = {LOGITS(7, 33), TARGET(33, 7), NONE, NONE},
          .scalar    = true,
          .inference = true,
          .args      = &(ls_cross_entropy_args){.label_smoothing = 0.2f}},
         {.in = {LOGITS(10), TARGET(10, 0), TARGET(10, 0), SHARE(0)}, .scalar = true},
         {.in     = {LOGITS(2, 1031), TARGET(1031, 2), TARGET(1031, 2), SHARE(2)},
          .scalar = true,
          .args   = &(ls_cross_entropy_args){.label_smoothing = 0.2f}},
         {.in     = {LOGITS(3, 5, 7), TARGET(7, 3, 5), TARGET(7, 3, 5), SHARE(3, 5)},
          .scalar = true,
          .args   = &(ls_cross_entropy_args){.ignore = true, .ignore_index = 2}})

/* Runs forward and backward for three samples of one position and two classes. */
static void run(const int32_t target[3], const int32_t *other, ls_cross_entropy_args args, float loss[3],
                float weight[3], float dx[6])
{
    float     x[6] = {1, 2, 3, 4, 5, 6}, saved[9], one[3] = {1, 1, 1}, share[3] = {0.25f, 0.25f, 0.25f};
    ls_graph *g = ls_graph_new();
    args.logits = ls_input(g, "x", LS_F32, 2);
    args.target = ls_input(g, "t", LS_I32);
    if (other) {
        args.other = ls_input(g, "o", LS_I32);
        args.share = ls_input(g, "s", LS_F32);
    }
    ls_tensor *t = ls__apply(LS_OP_cross_entropy, &args, LS_HERE);
    assert_non_null(t);
    assert_true(t->weight == t->node->out[1]);
    ls_call c = {.node = t->node,
                 .args = t->node->args,
                 .rows = 3,
                 .x    = {x, (void *)target, (void *)other, other ? share : NULL},
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
    run((int32_t[]){0, 2, -1}, NULL, (ls_cross_entropy_args){0}, loss, weight, dx);
    assert_float_equal(loss[0], 1.3132617, 1e-6);
    assert_true(isnan(loss[1]) && isnan(loss[2]) && isnan(dx[2]) && isnan(dx[5]) && !isnan(dx[0]) && !isnan(dx[1]));
    run((int32_t[]){0, 0, 1}, (int32_t[]){1, 2, -1}, (ls_cross_entropy_args){0}, loss, weight, dx);
    assert_float_equal(loss[0], 1.3132617 - 0.25, 1e-6);
    assert_true(isnan(loss[1]) && isnan(loss[2]) && isnan(dx[2]) && isnan(dx[5]) && !isnan(dx[0]) && !isnan(dx[1]));
}

/* ignore_index may be out of the range of classes, as PyTorch's -100 is. */
static void test_ignored(void **state)
{
    float loss[3], weight[3], dx[6];
    run((int32_t[]){1, -100, 1}, NULL, (ls_cross_entropy_args){.ignore = true, .ignore_index = -100}, loss, weight, dx);
    assert_true(loss[1] == 0 && weight[1] == 0 && dx[2] == 0 && dx[3] == 0);
    assert_true(weight[0] == 1 && weight[2] == 1 && loss[0] > 0);
}

static void test_refused(void **state)
{
    CHECK_REFUSED(cross_entropy, "without the last", {.in = {LOGITS(3, 4), TARGET(4, 4), NONE, NONE}});
    CHECK_REFUSED(cross_entropy, "samples of int32", {.in = {LOGITS(4), LOGITS(0), NONE, NONE}});
    CHECK_REFUSED(cross_entropy, "expected both of 'other' and 'share'",
                  {.in = {LOGITS(4), TARGET(4, 0), TARGET(4, 0), NONE}});
    CHECK_REFUSED(cross_entropy, "expected int32 with the dims of the target",
                  {.in = {LOGITS(3, 4), TARGET(4, 3), TARGET(4, 0), SHARE(3)}});
    CHECK_REFUSED(cross_entropy, "expected float32 with the dims of the target",
                  {.in = {LOGITS(3, 4), TARGET(4, 3), TARGET(4, 3), TARGET(4, 3)}});
    CHECK_REFUSED(
        cross_entropy, "label_smoothing is 1",
        {.in = {LOGITS(4), TARGET(4, 0), NONE, NONE}, .args = &(ls_cross_entropy_args){.label_smoothing = 1}});
}

CHECK_MAIN(cmocka_unit_test(check_cross_entropy), cmocka_unit_test(test_out_of_range), cmocka_unit_test(test_ignored),
           cmocka_unit_test(test_refused))
