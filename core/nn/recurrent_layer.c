/* SPDX-License-Identifier: Apache-2.0
 * Recurrent layers with the parameters of PyTorch's nn.RNN, nn.LSTM and nn.GRU.  A layer of one direction is a linear
 * layer over all positions, then the recurrence (core/ops/recurrent.h).  A cell is one position, for loops. */
#include "core/nn/layer_table.h"

typedef ls_recurrent_layer layer;

/* The op of a layer. */
typedef struct cell_op {
    const char *name;
    int         op;
    int         gates;
    bool        memory; /* the state has a c beside h */
} cell_op;

/* Weights and biases of one layer in one direction: of the input, of the state. */
typedef struct weights {
    ls_tensor *w[2], *b[2];
} weights;

/* Parameter `part` of layer `k` in one direction: "weight_ih_l0_reverse" of the second one. */
static ls_tensor *param(ls_graph *g, const char *name, const char *part, int k, bool second, int64_t hidden,
                        ls_where where, ls_dims dims)
{
    const ls_init init = {.kind = LS_INIT_UNIFORM, .fan = hidden};
    return ls__param(g, ls_arena_printf(g->arena, "%s.%s_l%d%s", name, part, k, second ? "_reverse" : ""), init, where,
                     dims);
}

static weights params_of(ls_graph *g, const char *name, const cell_op *cell, int64_t inputs, int64_t hidden,
                         bool no_bias, int k, bool second, ls_where where)
{
    const int64_t wide = cell->gates * hidden;
    weights       p    = {{param(g, name, "weight_ih", k, second, hidden, where, LS_DIMS(wide, inputs)),
                           param(g, name, "weight_hh", k, second, hidden, where, LS_DIMS(wide, hidden))},
                          {NULL}};
    if (no_bias) return p;
    p.b[0] = param(g, name, "bias_ih", k, second, hidden, where, LS_DIMS(wide));
    p.b[1] = param(g, name, "bias_hh", k, second, hidden, where, LS_DIMS(wide));
    return p;
}

static ls_tensor *nth(ls_tensor *const *array, int i) { return array ? array[i] : NULL; }

/* Layer k in one direction, the second one backward; i: its position among all, layers first. */
static ls_tensor *direction(const layer *l, const cell_op *cell, ls_tensor *x, int k, bool second, int i,
                            ls_where where)
{
    const weights p     = params_of(l->g, l->name, cell, ls__cols(x), l->hidden, l->no_bias, k, second, where);
    ls_tensor    *state = NULL;
    if (l->cached)
        state = ls_state(l->g, ls_arena_printf(l->g->arena, "%s.state_l%d", l->name, k), LS_F32,
                         cell->memory ? 2 * l->hidden : l->hidden);
    if (!p.w[0] || !p.w[1]) return NULL;
    ls_tensor *y = ls__apply(cell->op,
                             &(ls_recurrent_args){.x            = ls__linear_rows(x, p.w[0], p.b[0], 0, 0, where),
                                                  .w            = p.w[1],
                                                  .b            = p.b[1],
                                                  .lengths      = l->lengths,
                                                  .h0           = nth(l->h0, i),
                                                  .c0           = nth(l->c0, i),
                                                  .start        = l->start,
                                                  .state        = state,
                                                  .reverse      = second || l->reverse,
                                                  .relu         = l->relu,
                                                  .reset_before = l->reset_before},
                             where);
    if (l->last_h) l->last_h[i] = ls_output(y, 1);
    if (l->last_c) l->last_c[i] = ls_output(y, 2);
    return y;
}

static ls_tensor *concat(ls_tensor *x, ls_tensor *y, ls_where where)
{
    return ls__apply(LS_OP_concat, &(ls_concat_args){.x = x, .y = y}, where);
}

static ls_tensor *recurrent(layer l, const cell_op *cell, ls_where where)
{
    if (!l.g || l.g->status != LS_OK || !l.x) return NULL;
    if (!l.layers) l.layers = 1;
    if (l.x->rank != 2 || l.hidden < 1 || l.layers < 1)
        return ls__graph_fail(l.g, where,
                              "%s '%s': expected an input B x T x I, at least one hidden unit and one layer, found the "
                              "input '%s' of %s, hidden %lld, layers %d" LS_HINT
                              "ls_reshape(x, T, I) gives it positions",
                              cell->name, l.name, l.x->name, ls__shape(l.x), (long long)l.hidden, l.layers);
    if (l.cached && l.bidirectional)
        return ls__graph_fail(l.g, where,
                              "%s '%s': cached and bidirectional exclude each other" LS_HINT
                              "the reverse direction needs all positions",
                              cell->name, l.name);
    ls_tensor *x = l.x, *end = NULL;
    for (int k = 0; k < l.layers && x; k++) {
        const int  i       = l.bidirectional ? 2 * k : k;
        ls_tensor *forward = direction(&l, cell, x, k, false, i, where), *back = NULL;
        if (l.bidirectional) back = direction(&l, cell, x, k, true, i + 1, where);
        x   = l.bidirectional ? concat(forward, back, where) : forward;
        end = ls_output(forward, 1);
        if (l.bidirectional) end = concat(end, ls_output(back, 1), where);
        if (l.dropout > 0 && k + 1 < l.layers) x = ls_dropout(x, .p = l.dropout);
    }
    return l.last ? end : x;
}

static const cell_op rnn_op  = {.name = "rnn", .op = LS_OP_rnn, .gates = 1},
                     lstm_op = {.name = "lstm", .op = LS_OP_lstm, .gates = 4, .memory = true},
                     gru_op  = {.name = "gru", .op = LS_OP_gru, .gates = 3};

ls_tensor *ls__rnn(ls_rnn_layer l, ls_where where) { return recurrent(l, &rnn_op, where); }
ls_tensor *ls__lstm(ls_lstm_layer l, ls_where where) { return recurrent(l, &lstm_op, where); }
ls_tensor *ls__gru(ls_gru_layer l, ls_where where) { return recurrent(l, &gru_op, where); }

/* ---- one position ------------------------------------------------------------------------------------------------ */

/* The products of x and h of `gates` gates from gate `first` on: a sum, B x (gates hidden). */
static ls_tensor *gate_sum(const ls_cell_layer *l, const weights *p, ls_tensor *h, int first, int gates, ls_where where)
{
    const int64_t at = first * l->hidden, rows = gates * l->hidden;
    return ls_add(ls__linear_rows(l->x, p->w[0], p->b[0], at, rows, where),
                  ls__linear_rows(h, p->w[1], p->b[1], at, rows, where));
}

/* The GRU with the reset gate before the product: r, z = sigmoid(...),  n = tanh(x + w (r h)),  h' = h + z (n - h). */
static ls_tensor *published_gru_cell(const ls_cell_layer *l, const weights *p, ls_where where)
{
    ls_tensor *rz = ls_reshape(ls_sigmoid(gate_sum(l, p, l->h, 0, 2, where)), 2, l->hidden);
    ls_tensor *r = ls_select(rz), *z = ls_select(rz, .index = 1);
    ls_tensor *n = ls_tanh(gate_sum(l, p, ls_mul(r, l->h), 2, 1, where));
    return ls_add(l->h, ls_mul(z, ls_add(n, ls_scale(l->h, .factor = -1))));
}

static ls_tensor *one_position(const ls_cell_layer *l, const cell_op *cell, ls_where where)
{
    if (!l->g || l->g->status != LS_OK || !l->x || !l->h) return NULL;
    if (l->x->rank != 1 || l->h->rank != 1 || l->h->dim[0] != l->hidden || l->hidden < 1 || !l->c != !cell->memory ||
        (l->c && !*l->c))
        return ls__graph_fail(l->g, where,
                              "%s cell '%s': expected an input B x I, a state B x hidden%s, found the input '%s' of %s "
                              "and the state '%s' of %s, hidden %lld",
                              cell->name, l->name, cell->memory ? " and c" : " and no c", l->x->name, ls__shape(l->x),
                              l->h->name, ls__shape(l->h), (long long)l->hidden);
    const weights p = params_of(l->g, l->name, cell, ls__cols(l->x), l->hidden, l->no_bias, l->layer, false, where);
    if (!p.w[0] || !p.w[1]) return NULL;
    if (cell->op == LS_OP_gru && l->reset_before) return published_gru_cell(l, &p, where);
    if (cell->op == LS_OP_rnn)
        return l->relu ? ls_relu(gate_sum(l, &p, l->h, 0, 1, where)) : ls_tanh(gate_sum(l, &p, l->h, 0, 1, where));
    ls_tensor *x = ls__linear_rows(l->x, p.w[0], p.b[0], 0, 0, where),
              *h = ls__linear_rows(l->h, p.w[1], p.b[1], 0, 0, where);
    if (cell->op == LS_OP_gru) return ls__apply(LS_OP_gru_cell, &(ls_gru_cell_args){x, h, l->h}, where);
    ls_tensor *y = ls__apply(LS_OP_lstm_cell, &(ls_lstm_cell_args){x, h, *l->c}, where);
    *l->c        = ls_output(y, 1);
    return y;
}

ls_tensor *ls__rnn_cell(ls_cell_layer l, ls_where where) { return one_position(&l, &rnn_op, where); }
ls_tensor *ls__lstm_cell(ls_cell_layer l, ls_where where) { return one_position(&l, &lstm_op, where); }
ls_tensor *ls__gru_cell(ls_cell_layer l, ls_where where) { return one_position(&l, &gru_op, where); }

#define FIELDS                                                                                                         \
    LS_FIELD(INT64, layer, hidden), LS_FIELD(INT, layer, layers), LS_FIELD(BOOL, layer, bidirectional),                \
        LS_FIELD(BOOL, layer, reverse), LS_FIELD(FLOAT, layer, dropout), LS_FIELD(BOOL, layer, no_bias),               \
        LS_FIELD(BOOL, layer, last)
LS_LAYER_FIELDS(rnn)  = {FIELDS, LS_FIELD(BOOL, layer, relu), {0}};
LS_LAYER_FIELDS(lstm) = {FIELDS, {0}};
LS_LAYER_FIELDS(gru)  = {FIELDS, LS_FIELD(BOOL, layer, reset_before), {0}};
