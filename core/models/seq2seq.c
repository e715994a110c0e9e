/* SPDX-License-Identifier: Apache-2.0
 * A recurrent encoder-decoder (Sutskever, Vinyals & Le 2014; Cho et al. 2014), with the attention of Luong, Pham &
 * Manning 2015 or of Bahdanau, Cho & Bengio 2014.
 *
 *     m          = encoder(dropout(source[x]))                       outputs of the last layer, B x S x H
 *     e_t        = dropout(target[y_(t-1)])
 *
 * Without attention, and as Luong:
 *     h_t        = decoder(e_t, h_(t-1))                             output of the last layer; with input_feed the
 *                                                                    decoder reads [e_t; h'_(t-1)], h'_0 = 0
 *     a_t        = softmax over s < length of score(h_t, m_s)
 *     h'_t       = tanh(W_c [sum over s of a_t,s m_s; h_t])          without attention h'_t = h_t
 *     score        dot: h_t . m_s;   general: h_t . W_a m_s;   concat: v . tanh(W_q h_t + W_k m_s)
 *
 * As Bahdanau, `additive`:
 *     a_t        = softmax over s < length of v . tanh(W_q h_(t-1) + W_k m_s),  c_t = sum over s of a_t,s m_s
 *     h_t        = decoder([e_t; c_t], h_(t-1))
 *     h'_t       = max of each pair of elements of W_r [h_t; e_t; c_t]      H / 2 elements; the appendix of the paper
 *                                                                    prints h_(t-1) here, its authors' code uses h_t
 *
 *     logits     = W_s dropout(h'_t)
 *
 * The decoder begins with the last states of the encoder.  Those of a bidirectional encoder pass a bridge for each
 * layer: h = tanh(W [forward; backward]), c = W' [forward; backward].
 *
 * Without input_feed, and not as Bahdanau, the decoder is one recurrent layer over all positions, and attention one op.
 * Otherwise it is a loop over the positions (ls_loop).
 *
 * All weights start uniform in +- 0.08 (Sutskever 2014), except those of the recurrent layers, which are PyTorch's.
 */
#include "core/base/enum_text.h"
#include "core/models/encoder_decoder.h"
#include "core/nn/layer_table.h"

enum { MAX_LAYERS = 8 };

const char *const ls__attention_scores[] = LS_ENUM_TEXTS(LS_ATTENTION_SCORE_LIST);

typedef ls_seq2seq_args args;

static const ls_init uniform = {.kind = LS_INIT_UNIFORM, .low = -0.08f, .high = 0.08f};

/* The states of the layers; for a bidirectional encoder of both directions. */
typedef struct states {
    ls_tensor *h[2 * MAX_LAYERS], *c[2 * MAX_LAYERS]; /* c: of LSTM cells only */
} states;

/* The encoder values that the decoder attends to; NULL without attention. */
typedef struct attended {
    ls_tensor *keys, *memory; /* keys NULL: the memory */
} attended;

static bool has_c(const args *a) { return a->cell == LS_RNN_LSTM; }
static bool is_additive(const args *a) { return a->attention == LS_ATTENTION_ADDITIVE; }
static bool is_loop(const args *a) { return is_additive(a) || a->input_feed; }

static ls_tensor *drop(const args *a, ls_tensor *x) { return a->dropout > 0 ? ls_dropout(x, .p = a->dropout) : x; }

static ls_tensor *matrix(const args *a, const char *name, ls_tensor *x, int64_t out)
{
    return ls_linear(a->in.g, name, x, out, .no_bias = true, .weight_init = uniform);
}

/* "bridge.h0" */
static const char *numbered(const args *a, const char *name, int i)
{
    return ls_arena_printf(a->in.g->arena, "%s%d", name, i);
}

static ls_tensor *recurrent(const args *a, ls_recurrent_layer l)
{
    l.g            = a->in.g;
    l.layers       = a->layers;
    l.dropout      = a->dropout;
    l.relu         = a->cell == LS_RNN_RELU;
    l.reset_before = a->reset_before;
    return a->cell == LS_RNN_LSTM  ? ls__lstm(l, LS_HERE)
           : a->cell == LS_RNN_GRU ? ls__gru(l, LS_HERE)
                                   : ls__rnn(l, LS_HERE);
}

static ls_tensor *embed(const args *a, ls_tensor *tokens, bool source)
{
    return drop(a, ls_embedding_op(tokens, ls__translation_embedding(&a->in, source, a->embedding, uniform)));
}

/* Returns the encoder's outputs, B x S x hidden, and sets the states with which the decoder begins. */
static ls_tensor *encode(const args *a, states *s)
{
    states     last = {0};
    ls_tensor *m    = recurrent(a, (ls_recurrent_layer){.name          = "encoder",
                                                        .x             = embed(a, a->in.source, true),
                                                        .hidden        = a->bidirectional ? a->hidden / 2 : a->hidden,
                                                        .bidirectional = a->bidirectional,
                                                        .reverse       = a->reverse,
                                                        .lengths       = a->in.source_length,
                                                        .last_h        = last.h,
                                                        .last_c        = has_c(a) ? last.c : NULL});
    *s              = last;
    for (int i = 0; i < a->layers && a->bidirectional; i++) {
        ls_tensor *h = ls_concat(last.h[2 * i], last.h[2 * i + 1]);
        s->h[i]      = ls_tanh(matrix(a, numbered(a, "bridge.h", i), h, a->hidden));
        if (has_c(a))
            s->c[i] = matrix(a, numbered(a, "bridge.c", i), ls_concat(last.c[2 * i], last.c[2 * i + 1]), a->hidden);
    }
    return m;
}

/* Hands the states over from encoder to decoder. */
static states pass_states(const args *a, const states *s)
{
    states first = {0};
    for (int i = 0; i < a->layers; i++) {
        first.h[i] = ls__translation_carry(&a->in, s->h[i], a->hidden);
        if (has_c(a)) first.c[i] = ls__translation_carry(&a->in, s->c[i], a->hidden);
    }
    return first;
}

/* Sets the carries after a position: those of the decoder alone. */
static void set_next(const args *a, const states *s, ls_tensor *feed)
{
    ls_encoder_output *e = a->in.encoded;
    int                n = 0;
    for (int i = 0; i < a->layers; i++) {
        e->next[n++] = s->h[i];
        if (has_c(a)) e->next[n++] = s->c[i];
    }
    if (feed) e->next[n++] = feed;
}

/* ---- attention --------------------------------------------------------------------------------------------------- */

static attended pass_memory(const args *a, ls_tensor *memory)
{
    const ls_translation_inputs *in = &a->in;
    attended                     m  = {0};
    if (!a->attention) return m;
    if (a->attention != LS_ATTENTION_DOT) {
        ls_tensor *keys = in->part == LS_DECODER ? NULL : matrix(a, "attention.keys", memory, a->hidden);
        m.keys          = ls__translation_memory(in, keys, a->hidden);
    }
    m.memory = ls__translation_memory(in, memory, a->hidden);
    return m;
}

/* Records the weights of attention, B x S or B x 1 x S, for a decoder that shows them. */
static void set_weights(const args *a, ls_tensor *weights)
{
    if (a->in.source_padding && weights)
        a->in.encoded->weights = weights->rank == 2 ? ls_reshape(weights, -1) : weights;
}

/* The mean of the memory by the attention weights of each query: B x T x hidden, or B x hidden. */
static ls_tensor *attend(const args *a, ls_tensor *h, const attended *m)
{
    const ls_translation_inputs *in = &a->in;
    if (!h) return NULL;
    if (a->attention == LS_ATTENTION_CONCAT || is_additive(a)) {
        ls_tensor *context =
            ls_additive_attention(matrix(a, "attention.queries", h, a->hidden), m->keys,
                                  ls_param(in->g, "attention.v", uniform, a->hidden), m->memory, in->source_length);
        if (context) set_weights(a, ls_output(context, 1));
        return context;
    }
    const bool one = h->rank == 1;
    ls_tensor *q = one ? ls_reshape(h, 1, -1) : h, *keys = m->keys ? m->keys : m->memory;
    ls_tensor *context = ls_attention(q, keys, m->memory, .lengths = in->source_length, .heads = 1, .scale = 1);
    if (in->source_padding) {
        const ls_multihead_attention_layer l = {
            .g = in->g, .name = "attention", .key_padding = in->source_padding, .heads = 1, .scale = 1};
        set_weights(a, ls__attention_weights(&l, q, keys, LS_HERE));
    }
    return one ? ls_reshape(context, -1) : context;
}

/* h' of Luong. */
static ls_tensor *combine(const args *a, ls_tensor *h, const attended *m)
{
    if (!a->attention) return h;
    return ls_tanh(matrix(a, "attention.output", ls_concat(attend(a, h, m), h), a->hidden));
}

/* ---- the decoder ------------------------------------------------------------------------------------------------- */

/* All positions at once. */
static ls_tensor *decode_all(const args *a, ls_tensor *e, const states *first, const attended *m)
{
    states     last = {0};
    ls_tensor *h    = recurrent(a, (ls_recurrent_layer){.name   = "decoder",
                                                        .x      = e,
                                                        .hidden = a->hidden,
                                                        .h0     = first->h,
                                                        .c0     = has_c(a) ? first->c : NULL,
                                                        .last_h = last.h,
                                                        .last_c = has_c(a) ? last.c : NULL});
    if (a->in.part == LS_DECODER) set_next(a, &last, NULL);
    return combine(a, h, m);
}

/* The layers of the decoder at one position: x: B x I  ->  h of the last one.  Replaces the states. */
static ls_tensor *cells(const args *a, ls_tensor *x, states *s)
{
    for (int i = 0; i < a->layers; i++) {
        const ls_cell_layer l = {.g            = a->in.g,
                                 .name         = "decoder",
                                 .x            = i ? drop(a, x) : x,
                                 .hidden       = a->hidden,
                                 .h            = s->h[i],
                                 .c            = has_c(a) ? &s->c[i] : NULL,
                                 .layer        = i,
                                 .relu         = a->cell == LS_RNN_RELU,
                                 .reset_before = a->reset_before};
        x                     = a->cell == LS_RNN_LSTM  ? ls__lstm_cell(l, LS_HERE)
                                : a->cell == LS_RNN_GRU ? ls__gru_cell(l, LS_HERE)
                                                        : ls__rnn_cell(l, LS_HERE);
        s->h[i]               = x;
    }
    return x;
}

/* The values of one position, or of all. */
typedef struct outputs {
    ls_tensor *h;       /* of the last layer; with input_feed h' */
    ls_tensor *context; /* additive: c_t */
} outputs;

/* One position: e: B x embedding.  Replaces the states and, with input_feed, the value that the next position reads. */
static outputs decode_one(const args *a, ls_tensor *e, states *s, ls_tensor **feed, const attended *m)
{
    outputs o = {0};
    if (is_additive(a)) {
        o.context = attend(a, s->h[a->layers - 1], m);
        o.h       = cells(a, ls_concat(e, o.context), s);
    } else {
        o.h = *feed = combine(a, cells(a, ls_concat(e, *feed), s), m);
    }
    return o;
}

/* Position by position: in a loop, or as the decoder alone the single one. */
static outputs decode_loop(const args *a, ls_tensor *e, const states *first, ls_tensor *first_feed, const attended *m)
{
    states     s    = *first;
    ls_tensor *feed = first_feed;
    if (a->in.part == LS_DECODER) {
        outputs o = decode_one(a, ls_reshape(e, -1), &s, &feed, m);
        set_next(a, &s, feed);
        return (outputs){ls_reshape(o.h, 1, -1), o.context ? ls_reshape(o.context, 1, -1) : NULL};
    }
    ls_loop *l = ls_loop_begin(a->in.g);
    for (int i = 0; i < a->layers; i++) {
        s.h[i] = ls_loop_carry(l, first->h[i]);
        if (has_c(a)) s.c[i] = ls_loop_carry(l, first->c[i]);
    }
    if (a->input_feed) feed = ls_loop_zeros(l, a->hidden);
    states     before = s;
    ls_tensor *fed    = feed;
    outputs    o      = decode_one(a, ls_loop_step(l, e), &s, &feed, m);
    for (int i = 0; i < a->layers; i++) {
        ls_loop_next(l, before.h[i], s.h[i]);
        if (has_c(a)) ls_loop_next(l, before.c[i], s.c[i]);
    }
    if (a->input_feed) ls_loop_next(l, fed, feed);
    o.h = ls_loop_stack(l, o.h);
    if (o.context) o.context = ls_loop_stack(l, o.context);
    ls_loop_end(l);
    return o;
}

/* The outputs before the last layer: B x T x output_width. */
static ls_tensor *decode(const args *a, const states *first, ls_tensor *first_feed, const attended *m)
{
    ls_tensor *e = embed(a, a->in.previous, false);
    if (!is_loop(a)) return decode_all(a, e, first, m);
    const outputs o = decode_loop(a, e, first, first_feed, m);
    if (!is_additive(a)) return o.h;
    ls_tensor *readout = matrix(a, "readout", ls_concat(ls_concat(o.h, e), o.context), a->hidden);
    return ls_max_pool1d(readout, .kernel = 2);
}

static int64_t output_width(const args *a) { return is_additive(a) ? a->hidden / 2 : a->hidden; }

static ls_tensor *output_weight(const args *a)
{
    if (a->tied) return ls__translation_embedding(&a->in, false, a->embedding, uniform);
    return ls_param(a->in.g, "output.weight", uniform, a->in.classes, output_width(a));
}

static bool check(const args *a)
{
    const bool even = a->hidden % 2 == 0;
    if (a->layers >= 1 && a->layers <= MAX_LAYERS && a->hidden >= 1 &&
        (even || !(a->bidirectional || is_additive(a))) && !(a->bidirectional && a->reverse) &&
        !(a->tied && a->embedding != output_width(a)) && !(a->input_feed && (!a->attention || is_additive(a))))
        return true;
    ls__graph_fail(
        a->in.g, LS_HERE,
        "seq2seq: expected 1 to %d layers; hidden even if the encoder is bidirectional or attention additive; "
        "not both bidirectional and reverse; embedding as wide as the outputs if tied; attention dot, general "
        "or concat with input_feed; found layers %d, hidden %lld, embedding %lld, attention %s",
        MAX_LAYERS, a->layers, (long long)a->hidden, (long long)a->embedding, ls__attention_scores[a->attention]);
    return false;
}

ls_tensor *ls__seq2seq(args a)
{
    const ls_translation_inputs *in     = &a.in;
    ls_tensor                   *memory = NULL, *feed = NULL;
    states                       s = {0};
    if (!ls__translation_check(in, "seq2seq")) return NULL;
    if (!a.layers) a.layers = 1;
    if (!a.hidden) a.hidden = 512;
    if (!a.embedding) a.embedding = a.hidden;
    if (!check(&a)) return NULL;
    if (in->part != LS_DECODER) memory = encode(&a, &s);
    const states first = pass_states(&a, &s);
    if (a.input_feed) feed = ls__translation_carry(in, NULL, a.hidden);
    const attended m = pass_memory(&a, memory);
    if (in->part == LS_ENCODER) return memory;
    return ls__translation_output(in, drop(&a, decode(&a, &first, feed, &m)), output_weight(&a));
}
