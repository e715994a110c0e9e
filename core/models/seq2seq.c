/* SPDX-License-Identifier: Apache-2.0
 * A recurrent encoder-decoder (Sutskever, Vinyals & Le 2014; Cho et al. 2014), with the attention of Luong, Pham &
 * Manning 2015 over the encoder's outputs m_s.
 *
 *     m       = encoder(dropout(source[x]))                             outputs of the last layer, B x S x H
 *     h_t     = decoder(dropout(target[y_(t-1)]), h_(t-1))              output of the last layer
 *     a_t     = softmax over s < length of score(h_t, m_s)
 *     h'_t    = tanh(W_c [sum over s of a_t,s m_s; h_t])                without attention h'_t = h_t
 *     logits  = W_s dropout(h'_t)
 *
 *     score   dot: h_t . m_s;   general: h_t . W_a m_s;   concat: v . tanh(W_q h_t + W_k m_s)
 *
 * The decoder begins with the last states of the encoder.  Those of a bidirectional encoder pass a bridge for each
 * layer: h = tanh(W [forward; backward]), c = W' [forward; backward].
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

/* The states of the layers between encoder and decoder. */
typedef struct states {
    ls_tensor *h[2 * MAX_LAYERS], *c[2 * MAX_LAYERS]; /* c: of LSTM cells only */
} states;

static bool has_c(const args *a) { return a->cell == LS_RNN_LSTM; }

static ls_tensor *drop(const args *a, ls_tensor *x) { return a->dropout > 0 ? ls_dropout(x, .p = a->dropout) : x; }

static ls_tensor *matrix(const args *a, const char *name, ls_tensor *x, int64_t out)
{
    return ls_linear(a->in.g, name, x, out, .no_bias = true, .weight_init = uniform);
}

static ls_tensor *recurrent(const args *a, ls_recurrent_layer l)
{
    l.g       = a->in.g;
    l.layers  = a->layers;
    l.dropout = a->dropout;
    l.relu    = a->cell == LS_RNN_RELU;
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
        const char *h = ls_arena_printf(a->in.g->arena, "bridge.h%d", i),
                   *c = ls_arena_printf(a->in.g->arena, "bridge.c%d", i);
        s->h[i]       = ls_tanh(matrix(a, h, ls_concat(last.h[2 * i], last.h[2 * i + 1]), a->hidden));
        if (has_c(a)) s->c[i] = matrix(a, c, ls_concat(last.c[2 * i], last.c[2 * i + 1]), a->hidden);
    }
    return m;
}

/* Hands the states over: in generation they are states of the decoder's layers. */
static void pass_states(const args *a, const states *s)
{
    ls_encoder_output *e = a->in.encoded;
    for (int i = 0; i < a->layers && a->in.part == LS_ENCODER; i++)
        e->state[e->states++] = has_c(a) ? ls_concat(s->h[i], s->c[i]) : s->h[i];
}

static ls_tensor *output_weight(const args *a)
{
    if (a->tied) return ls__translation_embedding(&a->in, false, a->embedding, uniform);
    return ls_param(a->in.g, "output.weight", uniform, a->in.classes, a->hidden);
}

/* The mean of the memory by the attention weights of each output of the decoder: B x T x hidden. */
static ls_tensor *attend(const args *a, ls_tensor *h, ls_tensor *memory)
{
    const ls_translation_inputs *in   = &a->in;
    ls_tensor                   *keys = NULL, *lengths = in->source_length;
    if (a->attention == LS_ATTENTION_GENERAL || a->attention == LS_ATTENTION_CONCAT)
        keys = ls__translation_memory(
            in, in->part == LS_DECODER ? NULL : matrix(a, "attention.keys", memory, a->hidden), a->hidden);
    memory = ls__translation_memory(in, memory, a->hidden);
    if (in->part == LS_ENCODER) return NULL;
    if (a->attention == LS_ATTENTION_CONCAT)
        return ls_additive_attention(matrix(a, "attention.queries", h, a->hidden), keys,
                                     ls_param(in->g, "attention.v", uniform, a->hidden), memory, lengths);
    return ls_attention(h, keys ? keys : memory, memory, .lengths = lengths, .heads = 1, .scale = 1);
}

ls_tensor *ls__seq2seq(args a)
{
    const ls_translation_inputs *in     = &a.in;
    ls_tensor                   *memory = NULL, *x = NULL;
    states                       s = {0};
    if (!ls__translation_check(in, "seq2seq")) return NULL;
    if (!a.layers) a.layers = 1;
    if (!a.hidden) a.hidden = 512;
    if (!a.embedding) a.embedding = a.hidden;
    if (a.layers < 1 || a.layers > MAX_LAYERS || a.hidden < 1 || (a.bidirectional && (a.hidden % 2 || a.reverse)) ||
        (a.tied && a.embedding != a.hidden))
        return ls__graph_fail(
            in->g, LS_HERE,
            "seq2seq: expected 1 to %d layers, and hidden an even number if the encoder is bidirectional, "
            "which excludes reverse, and embedding equal to hidden if tied; found layers %d, hidden %lld, "
            "embedding %lld",
            MAX_LAYERS, a.layers, (long long)a.hidden, (long long)a.embedding);
    if (in->part != LS_DECODER) memory = encode(&a, &s);
    if (in->part != LS_WHOLE_TRANSLATION) pass_states(&a, &s);
    if (in->part != LS_ENCODER)
        x = recurrent(&a, (ls_recurrent_layer){.name   = "decoder",
                                               .x      = embed(&a, in->previous, false),
                                               .hidden = a.hidden,
                                               .cached = in->part == LS_DECODER,
                                               .h0     = s.h[0] ? s.h : NULL,
                                               .c0     = s.c[0] ? s.c : NULL});
    if (a.attention) {
        ls_tensor *context = attend(&a, x, memory);
        if (in->part != LS_ENCODER) x = ls_tanh(matrix(&a, "attention.output", ls_concat(context, x), a.hidden));
    }
    if (in->part == LS_ENCODER) return memory;
    return ls__translation_output(in, drop(&a, x), output_weight(&a));
}
