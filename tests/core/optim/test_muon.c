/* SPDX-License-Identifier: Apache-2.0
 * The optimizer muon: five steps of matrices equal torch.optim.Muon's in float32; the orthogonalised matrix has
 * singular values near 1, and its bits depend on neither threads nor level; which parameters are hidden matrices. */
#include <omp.h>

#include "core/graph/params.h"
#include "core/optim/hidden_matrices.h"
#include "core/optim/optim_rule.h"
#include "tests/golden.h"

/* One step of a matrix: momentum, orthogonalisation, update. */
static void step_matrix(const ls_optim *o, int64_t step, int64_t rows, int64_t cols, float *p, float *grad,
                        float *momentum)
{
    const ls_optim_matrices *f    = ls__optim_matrices(o);
    void                    *work = aligned_alloc(64, (f->workspace_bytes(rows, cols) + 63) / 64 * 64);
    const ls_optim_step      s    = {.count        = rows * cols,
                                     .step         = step,
                                     .param        = p,
                                     .grad         = grad,
                                     .state        = {momentum},
                                     .lr           = o->lr,
                                     .weight_decay = o->weight_decay,
                                     .grad_scale   = 1,
                                     .rows         = rows,
                                     .cols         = cols};
    ls__optim_momentum(o, &s);
    f->orthogonalise(rows, cols, grad, work);
    ls_optim_apply(o, &s);
    free(work);
}

static void steps_equal_pytorch(void **state)
{
    (void)state;
    golden       g    = golden_open("values/muon.txt");
    const ls_isa best = ls_isa_best();
    int          seen = 0;
    for (; golden_next(&g); seen++) {
        const int64_t rows = (int64_t)golden_number(&g, "rows", 0), cols = (int64_t)golden_number(&g, "cols", 0),
                      n  = rows * cols;
        const ls_optim o = ls_muon(.lr = golden_number(&g, "lr", 0), .momentum = golden_number(&g, "momentum", 0.95F),
                                   .weight_decay    = golden_number(&g, "weight_decay", 0),
                                   .match_rms_adamw = golden_number(&g, "match_rms_adamw", 0) != 0);
        float         *p = malloc((size_t)n * sizeof *p), *grad = malloc((size_t)n * sizeof *p),
              *m = malloc((size_t)n * sizeof *p);
        assert_int_equal(ls_optim_check(&o), LS_OK);
        for (int level = 0; level <= (int)best; level++) {
            assert_int_equal(ls_isa_set((ls_isa)level), LS_OK);
            golden_fill("start", n, 1, p);
            memset(m, 0, (size_t)n * sizeof *m);
            for (int step = 0; step < 5; step++) {
                char name[16];
                snprintf(name, sizeof name, "gradient%d", step);
                golden_fill(name, n, 0.1, grad);
                step_matrix(&o, step, rows, cols, p, grad, m);
            }
            golden_close_to(&g, "last", n, p, golden_get(&g, "last")->f32, 1e-5, 2e-6);
            golden_close_to(&g, "momentum_buffer", n, m, golden_get(&g, "momentum_buffer")->f32, 1e-5, 1e-8);
        }
        free(p);
        free(grad);
        free(m);
    }
    assert_int_equal(seen, 6);
    assert_int_equal(ls_isa_set(best), LS_OK);
    golden_close(&g);
}

enum { ROWS = 150, COLS = 131 };

/* After five steps of the iteration all singular values are between 0.6 and 1.3 (Jordan 2024), so |X^T v| / |v| is. */
static void result_is_nearly_orthogonal(void **state)
{
    (void)state;
    static float             x[ROWS * COLS], first[ROWS * COLS];
    const ls_optim           o    = ls_muon();
    const ls_optim_matrices *f    = ls__optim_matrices(&o);
    void                    *work = aligned_alloc(64, (f->workspace_bytes(ROWS, COLS) + 63) / 64 * 64);
    for (int threads = 1; threads < 4; threads++) {
        omp_set_num_threads(threads);
        golden_fill("matrix", ROWS * COLS, 3, x);
        f->orthogonalise(ROWS, COLS, x, work);
        if (threads == 1) memcpy(first, x, sizeof x);
        assert_memory_equal(first, x, sizeof x);
    }
    for (int k = 0; k < 20; k++) {
        float  v[COLS];
        char   name[16];
        double in = 0, out = 0;
        snprintf(name, sizeof name, "vector%d", k);
        golden_fill(name, COLS, 1, v);
        for (int i = 0; i < ROWS; i++) {
            double y = 0;
            for (int j = 0; j < COLS; j++) y += (double)x[i * COLS + j] * (double)v[j];
            out += y * y;
        }
        for (int j = 0; j < COLS; j++) in += (double)v[j] * (double)v[j];
        assert_true(sqrt(out / in) > 0.6 && sqrt(out / in) < 1.3);
    }
    memset(x, 0, sizeof x); /* a matrix of zeros stays zero */
    f->orthogonalise(ROWS, COLS, x, work);
    for (int i = 0; i < ROWS * COLS; i++) assert_true(x[i] == 0);
    free(work);
}

static void same_bits_at_levels(void **state)
{
    (void)state;
    static float   x[2][ROWS * COLS];
    const ls_isa   best = ls_isa_best();
    const ls_optim o    = ls_muon();
    void          *work = aligned_alloc(64, (ls__optim_matrices(&o)->workspace_bytes(ROWS, COLS) + 63) / 64 * 64);
    for (int level = 0; level <= (int)best; level++) {
        for (int k = 0; k < 2; k++) {
            assert_int_equal(ls_isa_set(k ? (ls_isa)level : ls_isa_bits((ls_isa)level, false)), LS_OK);
            golden_fill("matrix", ROWS * COLS, 3, x[k]);
            ls__optim_matrices(&o)->orthogonalise(ROWS, COLS, x[k], work);
        }
        assert_memory_equal(x[0], x[1], sizeof x[0]);
    }
    assert_int_equal(ls_isa_set(best), LS_OK);
    free(work);
}

/* ---- hidden matrices --------------------------------------------------------------------------------------------- */

static const ls_tensor *param(const ls_graph *g, const char *name)
{
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->role == LS_ROLE_PARAM && !strcmp(g->tensor[i]->name, name)) return g->tensor[i];
    fail_msg("expected a parameter '%s'", name);
    return NULL;
}

static void check_bounds(ls_graph *g, const char *name, int n, const int64_t *bound)
{
    int64_t   found[LS_MATRIX_PARTS + 1];
    const int parts = ls__hidden_matrices(g, param(g, name), g->arena, found);
    if (parts != n) fail_msg("%s: expected %d matrices, found %d", name, n, parts);
    for (int i = 0; i <= n && n; i++) assert_int_equal(found[i], bound[i]);
}

static void weights_of_a_decoder(void **state)
{
    (void)state;
    for (int textbook = 0; textbook < 2; textbook++) {
        ls_graph  *g = ls_graph_new();
        ls_tensor *x = ls_input(g, "tokens", LS_I32, 8), *y = ls_input(g, "target", LS_I32, 8);
        assert_non_null(ls_gpt(g, x, .target = y, .layers = 2, .heads = 2, .width = 12, .vocab = 20, .context = 8,
                               .textbook = textbook));
        check_bounds(g, "transformer.h.1.attn.c_attn.weight", 3, (int64_t[]){0, 12, 24, 36});
        check_bounds(g, "transformer.h.1.attn.c_proj.weight", 1, (int64_t[]){0, 12});
        check_bounds(g, "transformer.h.0.mlp.c_fc.weight", 1, (int64_t[]){0, 48});
        check_bounds(g, "transformer.h.0.attn.c_attn.bias", 0, NULL);
        check_bounds(g, "transformer.h.0.ln_1.weight", 0, NULL);
        check_bounds(g, "transformer.wte.weight", 0, NULL);
        check_bounds(g, "transformer.wpe.weight", 0, NULL);
        ls_graph_free(g);
    }
}

/* Grouped keys are narrower than queries; the last layer, also behind a norm or a dropout, is none. */
static void weights_of_other_layers(void **state)
{
    (void)state;
    ls_graph  *g = ls_graph_new();
    ls_tensor *x = ls_input(g, "x", LS_F32, 3, 8, 8), *y = ls_input(g, "y", LS_I32);
    ls_tensor *h = ls_relu(ls_conv2d(g, "conv", x, 16, 3));
    h            = ls_conv2d(g, "depthwise", h, 16, 3, .groups = 16);
    h            = ls_linear(g, "one", ls_reshape(h, 4, 64), 8 + 2 * 4);
    h            = ls_attention(ls_rotary(h, NULL, .heads = 8, .rotate = 6), .heads = 4, .kv_heads = 2, .causal = true);
    h            = ls_linear(g, "last", ls_reshape(h, 32), 5);
    ls_cross_entropy(ls_layer_norm(g, "norm", h), y);
    assert_int_equal(ls_graph_status(g), LS_OK);
    check_bounds(g, "conv.weight", 1, (int64_t[]){0, 16});
    check_bounds(g, "depthwise.weight", 0, NULL);
    check_bounds(g, "one.weight", 3, (int64_t[]){0, 8, 12, 16});
    check_bounds(g, "last.weight", 0, NULL);
    ls_graph_free(g);
    g = ls_graph_new();
    ls_linear(g, "out", ls_lstm(g, "rnn", ls_input(g, "x", LS_F32, 4, 6), 8), 5);
    check_bounds(g, "rnn.weight_ih_l0", 0, NULL);
    check_bounds(g, "rnn.weight_hh_l0", 0, NULL);
    ls_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_equal_pytorch),     cmocka_unit_test(result_is_nearly_orthogonal),
        cmocka_unit_test(same_bits_at_levels),     cmocka_unit_test(weights_of_a_decoder),
        cmocka_unit_test(weights_of_other_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
