/* SPDX-License-Identifier: Apache-2.0
 *
 * Long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers 2000), with the gates of
 * PyTorch's nn.LSTM in its order: i, f, g, o.  recurrent.h has the shapes and the loops.
 *
 * Forward     i, f, o = sigmoid(x + p),  g = tanh(x + p)          of their H values each;  p = w h + b
 *             c' = f c + i g
 *             h' = o tanh(c')
 * Backward    dc' += dh' o (1 - tanh(c')^2)
 *             d(x + p), of i: dc' g i (1 - i)              of f: dc' c f (1 - f)
 *                       of g: dc' i (1 - g^2)              of o: dh' tanh(c') o (1 - o)
 *             dc = dc' f
 *
 * The saved values of a position are i, f, g, o and c'.  lstm_cell computes one position, for loops.
 */
#include "core/ops/recurrent_cell.h"

enum { I, F, G, O, C, GATES = C, SAVED };

static void cell_forward(const ls__cell_at *at)
{
    const int64_t h = at->h;
    const float  *x = at->x, *p = at->p;
    float        *s = at->saved;
    V_MAP(h, const vf i = v_sigmoid(V_GET(x + I * h) + V_GET(p + I * h));
          const vf f = v_sigmoid(V_GET(x + F * h) + V_GET(p + F * h));
          const vf g = v_tanh(V_GET(x + G * h) + V_GET(p + G * h));
          const vf o = v_sigmoid(V_GET(x + O * h) + V_GET(p + O * h)); const vf c = v_fma(f, V_GET(at->c_state), i * g);
          const vf y = o * v_tanh(c); V_PUT(s + I * h, i); V_PUT(s + F * h, f); V_PUT(s + G * h, g);
          V_PUT(s + O * h, o); V_PUT(s + C * h, c); V_PUT(at->c_state, c); V_PUT(at->h_state, y); V_PUT(at->y, y));
}

static void cell_backward(const ls__cell_at *at)
{
    const int64_t h  = at->h;
    const float  *s  = at->saved;
    float        *dp = at->dp;
    V_MAP(h, const vf i = V_GET(s + I * h); const vf f = V_GET(s + F * h); const vf g = V_GET(s + G * h);
          const vf o = V_GET(s + O * h); const vf th = v_tanh(V_GET(s + C * h)); const vf dh = V_GET(at->dh);
          const vf before = at->c_before ? V_GET(at->c_before) : v_set(0);
          const vf dc     = v_fma(dh * o, 1.0f - th * th, V_GET(at->dc)); V_PUT(dp + I * h, dc * g * (i * (1.0f - i)));
          V_PUT(dp + F * h, dc * before * (f * (1.0f - f))); V_PUT(dp + G * h, dc * i * (1.0f - g * g));
          V_PUT(dp + O * h, dh * th * (o * (1.0f - o))); V_PUT(at->dc, dc * f));
}

static const ls__cell cell = {
    .gates = GATES, .saved = SAVED, .memory = true, .forward = cell_forward, .backward = cell_backward};

LS_RECURRENT_FUNCTIONS(&cell)

LS_OP(lstm) = {
    LS_RECURRENT_OP,
    .name    = "lstm",
    .outs    = 5,
    .results = 3,
    .saves   = LS_RECURRENT_SAVES | LS_SAVES_OUT(3) | LS_SAVES_OUT(4),
    .fields  = LS_FIELDS(LS_FIELD(BOOL, ls_recurrent_args, reverse)),
};

LS_CELL_FUNCTIONS(cell)

LS_OP(lstm_cell) = {
    LS_CELL_OP, .name = "lstm_cell", .args_bytes = sizeof(ls_lstm_cell_args),
    .outs = 3,  .results = 2,        .saves = LS_SAVES_IN(LS_CELL_STATE) | LS_SAVES_OUT(2),
};
