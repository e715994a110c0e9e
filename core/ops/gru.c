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
 * The saved values of a position are r, z, n and p_n.
 */
#include "core/ops/recurrent.h"

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

LS_RECURRENT_FUNCTIONS(cell)

LS_OP(gru) = {
    LS_RECURRENT_OP,
    .name    = "gru",
    .outs    = 4,
    .results = 2,
    .saves   = LS_RECURRENT_SAVES | LS_SAVES_OUT(2) | LS_SAVES_OUT(3),
    .fields  = LS_FIELDS(LS_FIELD(BOOL, ls_recurrent_args, reverse)),
};
