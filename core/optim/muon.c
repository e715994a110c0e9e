/* SPDX-License-Identifier: Apache-2.0
 *
 * Muon (Jordan 2024, https://kellerjordan.github.io/posts/muon/), as torch.optim.Muon with Nesterov momentum: the step
 * of a hidden matrix is its momentum with all singular values moved near 1.  All other parameters are updated by AdamW.
 *
 *     M = momentum M + (1 - momentum) G          U = momentum M + (1 - momentum) G
 *     W = (1 - lr weight_decay) W - lr s orthogonal(U)
 *
 * with G = clip(grad_scale * gradient) and s = sqrt(max(1, rows / cols)), or with match_rms_adamw
 * s = 0.2 sqrt(max(rows, cols)) (Liu 2025, arXiv:2502.16982), which gives steps of the size of AdamW's.
 *
 * orthogonal(U) is five steps of a Newton-Schulz iteration on U / |U|, transposed if it has more rows than columns:
 *
 *     A = X X^T          X = a X + (b A + c A^2) X          (a, b, c) = (3.4445, -4.7750, 2.0315)
 *
 * PyTorch computes it in bfloat16.  Here it is float32: with the products of core/cpu/gemm its bits depend neither on
 * threads nor on the rank that computes it.
 */
#include "core/cpu/gemm/gemm.h"
#include "core/optim/optim_rule.h"

extern LS_OPTIM(adamw);

enum { ITERATIONS = 5 };
static const float  factor_a = 3.4445F, factor_b = -4.7750F, factor_c = 2.0315F;
static const double least_norm = 1e-7;

/* ---- momentum and update ----------------------------------------------------------------------------------------- */

/* `p` is the gradient, which becomes U. */
LS_OPTIM_RULE(momentum_rule)
{
    const ls_optim_coef k = *c;
    (void)grad, (void)s1, (void)s2;
    LS_OPTIM_WHOLE_ROWS(n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        const float g = ls__optim_gradient(&k, p[i], 0);
        const float m = s0[i] + k.grad_weight * (g - s0[i]);
        s0[i]         = m;
        p[i]          = m + k.grad_weight * (g - m);
    }
}

/* `grad` is orthogonal(U). */
LS_OPTIM_RULE(matrix_rule)
{
    const ls_optim_coef k = *c;
    (void)s0, (void)s1, (void)s2;
    LS_OPTIM_WHOLE_ROWS(n);
#pragma omp simd
    for (int64_t i = 0; i < n; i++) p[i] = p[i] * k.param_scale - k.lr * grad[i];
}

static void momentum(const ls_optim_coef *c, const ls_optim_arrays *s)
{
    const ls_optim_arrays own = {.count = s->count, .param = s->grad, .grad = s->grad, .state = {s->state[0]}};
    ls__optim_run(momentum_rule, c, &own);
}

static void apply(const ls_optim_coef *c, const ls_optim_arrays *s)
{
    ls_optim_arrays other = *s;
    if (c->matrix) {
        ls__optim_run(matrix_rule, c, s);
        return;
    }
    other.state[0] = s->state[1];
    other.state[1] = s->state[2];
    other.state[2] = NULL;
    LS_ISA_NAME(ls__optim_adamw).apply(c, &other);
}

static int states(const ls_optim *o, const char *name[3])
{
    (void)o;
    name[0] = "momentum_buffer";
    name[1] = "exp_avg";
    name[2] = "exp_avg_sq";
    return 3;
}

static void coefficients(const ls_optim *o, const ls_optim_step *s, ls_optim_coef *c)
{
    const double rows = (double)s->rows, cols = (double)s->cols, lr = (double)s->lr;
    c->matrix = s->rows > 0;
    if (!c->matrix) {
        LS_ISA_NAME(ls__optim_adamw).coefficients(o, s, c);
        return;
    }
    c->grad_weight  = (float)(1 - ls__decimal(o->momentum));
    c->param_scale  = (float)(1 - lr * ls__decimal(s->weight_decay));
    c->lr           = (float)(lr * (o->match_rms_adamw ? 0.2 * sqrt(fmax(rows, cols)) : sqrt(fmax(1, rows / cols))));
    c->weight_decay = 0;
}

/* ---- Newton-Schulz ----------------------------------------------------------------------------------------------- */

/* Arrays of the iteration are as long as whole vectors, so that no loop has a tail. */
static int64_t padded(int64_t n) { return (n + LS_OPTIM_LANES - 1) / LS_OPTIM_LANES * LS_OPTIM_LANES; }

static int64_t smaller(int64_t x, int64_t y) { return x < y ? x : y; }

static size_t workspace_bytes(int64_t rows, int64_t cols)
{
    const int64_t m = smaller(rows, cols);
    return (size_t)(2 * padded(rows * cols) + 2 * padded(m * m)) * sizeof(float);
}

/* y = factor x, for n elements; y may be x. */
static void scale(int64_t n, float factor, const float *x, float *y)
{
#pragma omp parallel for simd schedule(static) if (n > 1 << 14)
    for (int64_t i = 0; i < n; i++) y[i] = factor * x[i];
}

/* y = factor x + own y, for n elements. */
static void combine(int64_t n, float factor, const float *restrict x, float own, float *restrict y)
{
#pragma omp parallel for simd schedule(static) if (n > 1 << 14)
    for (int64_t i = 0; i < n; i++) y[i] = factor * x[i] + own * y[i];
}

/* Copies x, rows x cols, to y, of m rows: transposed if x has more rows than columns.  Returns the 2-norm: each row of
 * y is summed, in `sum`, and then the sums are added in order. */
static double copy_with_norm(int64_t rows, int64_t cols, const float *x, int64_t m, float *y, double *sum)
{
    const int64_t n = rows * cols / m, down = m == rows ? cols : 1, right = m == rows ? 1 : cols;
    double        square = 0;
#pragma omp parallel for schedule(static) if (rows * cols > 1 << 14)
    for (int64_t i = 0; i < m; i++) {
        double row = 0;
        for (int64_t j = 0; j < n; j++) {
            const float v = x[i * down + j * right];
            y[i * n + j]  = v;
            row += (double)v * (double)v;
        }
        sum[i] = row;
    }
    for (int64_t i = 0; i < m; i++) square += sum[i];
    return sqrt(square);
}

/* Copies y, of m rows, back to x. */
static void copy_back(int64_t rows, int64_t cols, float *x, int64_t m, const float *y)
{
    const int64_t n = rows * cols / m, down = m == rows ? n : 1, right = m == rows ? 1 : n;
#pragma omp parallel for schedule(static) if (rows * cols > 1 << 14)
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) x[i * cols + j] = y[i * down + j * right];
}

static void orthogonalise(int64_t rows, int64_t cols, float *x, float *workspace)
{
    const int64_t m = smaller(rows, cols), n = rows * cols / m, all = padded(m * n), square = padded(m * m);
    float        *now = workspace, *next = now + all, *gram = next + all, *update = gram + square;
    memset(workspace, 0, workspace_bytes(rows, cols));
    const double norm = copy_with_norm(rows, cols, x, m, now, (double *)(void *)gram);
    scale(all, (float)(1 / fmax(norm, least_norm)), now, now);
    for (int step = 0; step < ITERATIONS; step++) {
        float *before = now;
        ls__gemm(&(ls_gemm){.m     = m,
                            .n     = m,
                            .k     = n,
                            .x     = now,
                            .x_row = n,
                            .x_col = 1,
                            .w     = now,
                            .w_row = 1,
                            .w_col = n,
                            .y     = gram,
                            .y_row = m});
        ls__gemm(&(ls_gemm){.m     = m,
                            .n     = m,
                            .k     = m,
                            .x     = gram,
                            .x_row = m,
                            .x_col = 1,
                            .w     = gram,
                            .w_row = m,
                            .w_col = 1,
                            .y     = update,
                            .y_row = m});
        combine(square, factor_b, gram, factor_c, update);
        scale(all, factor_a, now, next);
        ls__gemm(&(ls_gemm){.m     = m,
                            .n     = n,
                            .k     = m,
                            .x     = update,
                            .x_row = m,
                            .x_col = 1,
                            .w     = now,
                            .w_row = n,
                            .w_col = 1,
                            .y     = next,
                            .y_row = n,
                            .add   = true});
        now  = next;
        next = before;
    }
    copy_back(rows, cols, x, m, now);
}

static double flops(int64_t rows, int64_t cols)
{
    const double m = (double)smaller(rows, cols), n = (double)rows * (double)cols / m;
    return ITERATIONS * (4 * m * m * n + 2 * m * m * m);
}

static const ls_optim_setting settings[] = {LS_OPTIM_SETTING(momentum, .high = 1, .below = true),
                                            LS_OPTIM_SETTING(match_rms_adamw, .flag = true),
                                            LS_OPTIM_SETTING(adamw_lr, .high = INFINITY),
                                            LS_OPTIM_SETTING(betas[0], .high = 1, .below = true),
                                            LS_OPTIM_SETTING(betas[1], .high = 1, .below = true),
                                            LS_OPTIM_SETTING(eps, .high = INFINITY),
                                            {0}};

static const ls_optim_matrices matrices = {
    .momentum = momentum, .workspace_bytes = workspace_bytes, .orthogonalise = orthogonalise, .flops = flops};

LS_OPTIM(muon) = {.defaults     = {LS__MUON},
                  .settings     = settings,
                  .states       = states,
                  .coefficients = coefficients,
                  .matrices     = &matrices,
                  .apply        = apply};
