/* SPDX-License-Identifier: Apache-2.0
 * Recurrent layers with the parameters of PyTorch's nn.RNN, nn.LSTM and nn.GRU.  A layer of one direction is a linear
 * layer over all positions, then the recurrence (core/ops/recurrent.h). */
#include "core/nn/layer_table.h"

typedef ls_recurrent_layer layer;

/* The op of a layer. */
typedef struct cell_op {
    const char *name;
    int         op;
    int         gates;
    bool        memory; /* the state has a c beside h */
} cell_op;

/* Parameter `part` of layer `k` in one direction: "weight_ih_l0_reverse" of the second one. */
static ls_tensor *param(const layer *l, const char *part, int k, bool second, ls_where where, ls_dims dims)
{
    const ls_init init = {.kind = LS_INIT_UNIFORM, .fan = l->hidden};
    return ls__param(l->g, ls_arena_printf(l->g->arena, "%s.%s_l%d%s", l->name, part, k, second ? "_reverse" : ""),
                     init, where, dims);
}

static ls_tensor *nth(ls_tensor *const *array, int i) { return array ? array[i] : NULL; }

/* Layer k in one direction, the second one backward; i: its position among all, layers first. */
static ls_tensor *direction(const layer *l, const cell_op *cell, ls_tensor *x, int k, bool second, int i,
                            ls_where where)
{
    const int64_t wide = cell->gates * l->hidden;
    ls_tensor    *w[2], *b[2] = {NULL}, *state = NULL;
    w[0] = param(l, "weight_ih", k, second, where, LS_DIMS(wide, ls__cols(x)));
    w[1] = param(l, "weight_hh", k, second, where, LS_DIMS(wide, l->hidden));
    if (!l->no_bias) {
        b[0] = param(l, "bias_ih", k, second, where, LS_DIMS(wide));
        b[1] = param(l, "bias_hh", k, second, where, LS_DIMS(wide));
    }
    if (l->cached)
        state = ls_state(l->g, ls_arena_printf(l->g->arena, "%s.state_l%d", l->name, k), LS_F32,
                         cell->memory ? 2 * l->hidden : l->hidden);
    if (!w[0] || !w[1]) return NULL;
    ls_tensor *y = ls__apply(cell->op,
                             &(ls_recurrent_args){.x       = ls__linear_rows(x, w[0], b[0], 0, 0, where),
                                                  .w       = w[1],
                                                  .b       = b[1],
                                                  .lengths = l->lengths,
                                                  .h0      = nth(l->h0, i),
                                                  .c0      = nth(l->c0, i),
                                                  .start   = l->start,
                                                  .state   = state,
                                                  .reverse = second || l->reverse,
                                                  .relu    = l->relu},
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

ls_tensor *ls__rnn(ls_rnn_layer l, ls_where where)
{
    return recurrent(l, &(cell_op){.name = "rnn", .op = LS_OP_rnn, .gates = 1}, where);
}

ls_tensor *ls__lstm(ls_lstm_layer l, ls_where where)
{
    return recurrent(l, &(cell_op){.name = "lstm", .op = LS_OP_lstm, .gates = 4, .memory = true}, where);
}

ls_tensor *ls__gru(ls_gru_layer l, ls_where where)
{
    return recurrent(l, &(cell_op){.name = "gru", .op = LS_OP_gru, .gates = 3}, where);
}

#define FIELDS                                                                                                         \
    LS_FIELD(INT64, layer, hidden), LS_FIELD(INT, layer, layers), LS_FIELD(BOOL, layer, bidirectional),                \
        LS_FIELD(BOOL, layer, reverse), LS_FIELD(FLOAT, layer, dropout), LS_FIELD(BOOL, layer, no_bias),               \
        LS_FIELD(BOOL, layer, last)
LS_LAYER_FIELDS(rnn)  = {FIELDS, LS_FIELD(BOOL, layer, relu), {0}};
LS_LAYER_FIELDS(lstm) = {FIELDS, {0}};
LS_LAYER_FIELDS(gru)  = {FIELDS, {0}};
