/* SPDX-License-Identifier: Apache-2.0
 *
 * Recurrence of one gate (Elman 1990), as PyTorch's nn.RNN.  recurrent.h has the shapes and the loops.
 *
 * Forward     h' = tanh(x + p), or max(x + p, 0)                  p = w h + b
 * Backward    d(x + p) = dh' (1 - h'^2), or dh' where h' > 0
 */
#include "core/ops/recurrent.h"

static bool is_relu(const void *args) { return ((const ls_recurrent_args *)args)->relu; }

static void cell_forward(const ls__cell_at *at)
{
    if (is_relu(at->args))
        V_MAP(at->h, const vf y = v_max(v_set(0), V_GET(at->x) + V_GET(at->p)); V_PUT(at->h_state, y); V_PUT(at->y, y));
    else
        V_MAP(at->h, const vf y = v_tanh(V_GET(at->x) + V_GET(at->p)); V_PUT(at->h_state, y); V_PUT(at->y, y));
}

static void cell_backward(const ls__cell_at *at)
{
    if (is_relu(at->args))
        V_MAP(at->h, V_PUT(at->dp, v_select(V_GET(at->y) > 0.0f, V_GET(at->dh), v_set(0))));
    else
        V_MAP(at->h, const vf y = V_GET(at->y); V_PUT(at->dp, V_GET(at->dh) * (1.0f - y * y)));
}

static const ls__cell cell = {.gates = 1, .forward = cell_forward, .backward = cell_backward};

LS_RECURRENT_FUNCTIONS(&cell)

LS_OP(rnn) = {
    LS_RECURRENT_OP,
    .name    = "rnn",
    .outs    = 3,
    .results = 2,
    .saves   = LS_RECURRENT_SAVES | LS_SAVES_OUT(2),
    .fields  = LS_FIELDS(LS_FIELD(BOOL, ls_recurrent_args, reverse), LS_FIELD(BOOL, ls_recurrent_args, relu)),
};
