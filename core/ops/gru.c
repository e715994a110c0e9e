/* SPDX-License-Identifier: Apache-2.0
 *
 * Gated recurrent unit (Cho 2014) as PyTorch's nn.GRU, which applies the reset gate to the product with the state, and
 * with its order of the gates: r, z, n.  recurrent.h has the shapes and the loops.
 *
 * Forward     r, z = sigmoid(x + p)                               of their H values each;  p = w h + b
 *             n = tanh(x + r p)
 *             h' = n + z (h - n)
 * Backward    dz = dh' (h - n),  dn = dh' (1 - z),  and dh' z is a part of dh
 *             dx: of r  dx_n p_n r (1 - r),  of z  dz z (1 - z),  of n  dn (1 - n^2)
 *             dp: as dx, of n  dx_n r
 *
 * The saved values of a position are r, z, n and p_n.  gru_cell computes one position, for loops.
 *
 * With reset_before, the cell as published: the reset gate is applied to the state, and z has the opposite sense.
 *
 * Forward     n = tanh(x + w (r h) + b)
 *             h' = h + z (n - h)
 * Backward    dz = dh' (n - h),  dn = dh' z,  and dh' (1 - z) is a part of dh
 *             d(r h) = dp_n w,  dr = d(r h) h,  and d(r h) r is a part of dh
 *
 * Its saved values are r, z and n.
 */
#include "core/ops/recurrent_cell.h"

enum { R, Z, N, GATES, P = GATES, SAVED };

static void cell_forward(const ls__cell_at *at)
{
    const int64_t h = at->h;
    const float  *x = at->x, *p = at->p;
    float        *s = at->saved;
    V_MAP(h, const vf r = v_sigmoid(V_GET(x + R * h) + V_GET(p + R * h));
          const vf z = v_sigmoid(V_GET(x + Z * h) + V_GET(p + Z * h)); const vf product = V_GET(p + N * h);
          const vf n = v_tanh(v_fma(r, product, V_GET(x + N * h))); const vf y = v_fma(z, V_GET(at->h_state) - n, n);
          V_PUT(s + R * h, r); V_PUT(s + Z * h, z); V_PUT(s + N * h, n); V_PUT(s + P * h, product);
          V_PUT(at->h_state, y); V_PUT(at->y, y));
}

static void cell_backward(const ls__cell_at *at)
{
    const int64_t h  = at->h;
    const float  *s  = at->saved;
    float        *dx = at->dx, *dp = at->dp;
    V_MAP(h, const vf r = V_GET(s + R * h); const vf z = V_GET(s + Z * h); const vf n = V_GET(s + N * h);
          const vf dh = V_GET(at->dh); const vf before = at->h_before ? V_GET(at->h_before) : v_set(0);
          const vf of_n = dh * (1.0f - z) * (1.0f - n * n); const vf of_r = of_n * V_GET(s + P * h) * (r * (1.0f - r));
          const vf of_z = dh * (before - n) * (z * (1.0f - z)); V_PUT(dx + R * h, of_r); V_PUT(dx + Z * h, of_z);
          V_PUT(dx + N * h, of_n); V_PUT(dp + R * h, of_r); V_PUT(dp + Z * h, of_z); V_PUT(dp + N * h, of_n * r);
          V_PUT(at->dh, dh * z));
}

static const ls__cell cell = {
    .gates = GATES, .saved = SAVED, .split = true, .direct = true, .forward = cell_forward, .backward = cell_backward};

/* ---- reset before ------------------------------------------------------------------------------------------------ */

static void early(const ls__cell_at *at)
{
    V_MAP(at->h, V_PUT(at->saved + R * at->h, v_sigmoid(V_GET(at->x + R * at->h) + V_GET(at->p + R * at->h))));
}

static void published_forward(const ls__cell_at *at)
{
    const int64_t h = at->h;
    const float  *x = at->x, *p = at->p;
    float        *s = at->saved;
    V_MAP(h, const vf z = v_sigmoid(V_GET(x + Z * h) + V_GET(p + Z * h));
          const vf n = v_tanh(V_GET(x + N * h) + V_GET(p + N * h)); const vf before = V_GET(at->h_state);
          const vf y = v_fma(z, n - before, before); V_PUT(s + Z * h, z); V_PUT(s + N * h, n); V_PUT(at->h_state, y);
          V_PUT(at->y, y));
}

static void published_backward(const ls__cell_at *at)
{
    const int64_t h  = at->h;
    const float  *s  = at->saved;
    float        *dp = at->dp;
    V_MAP(h, const vf z = V_GET(s + Z * h); const vf n = V_GET(s + N * h); const vf dh = V_GET(at->dh);
          const vf before = at->h_before ? V_GET(at->h_before) : v_set(0);
          V_PUT(dp + Z * h, dh * (n - before) * (z * (1.0f - z))); V_PUT(dp + N * h, dh * z * (1.0f - n * n));
          V_PUT(at->dh, dh * (1.0f - z)));
}

static void published_backward_late(const ls__cell_at *at)
{
    const int64_t h  = at->h;
    float        *dp = at->dp;
    V_MAP(h, const vf r = V_GET(at->saved + R * h); const vf d = V_GET(at->dlate);
          const vf before = at->h_before ? V_GET(at->h_before) : v_set(0);
          V_PUT(dp + R * h, d * before * (r * (1.0f - r))); V_PUT(at->dh, v_fma(d, r, V_GET(at->dh))));
}

static const ls__cell published = {.gates         = GATES,
                                   .saved         = GATES,
                                   .direct        = true,
                                   .late          = 1,
                                   .forward       = published_forward,
                                   .backward      = published_backward,
                                   .early         = early,
                                   .backward_late = published_backward_late};

LS_RECURRENT_FUNCTIONS(args->reset_before ? &published : &cell)

LS_OP(gru) = {
    LS_RECURRENT_OP,
    .name    = "gru",
    .outs    = 4,
    .results = 2,
    .saves   = LS_RECURRENT_SAVES | LS_SAVES_OUT(2) | LS_SAVES_OUT(3),
    .fields  = LS_FIELDS(LS_FIELD(BOOL, ls_recurrent_args, reverse), LS_FIELD(BOOL, ls_recurrent_args, reset_before)),
};

LS_CELL_FUNCTIONS(cell)

LS_OP(gru_cell) = {
    LS_CELL_OP,
    .name       = "gru_cell",
    .args_bytes = sizeof(ls_gru_cell_args),
    .outs       = 2,
    .saves      = LS_SAVES_IN(LS_CELL_STATE) | LS_SAVES_OUT(1),
};
