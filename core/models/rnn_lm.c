/* SPDX-License-Identifier: Apache-2.0
 * A recurrent language model (Mikolov 2010; Zaremba, Sutskever & Vinyals 2014), with the parameters of PyTorch's
 * example word_language_model.
 *
 *     x      = dropout(encoder[tokens])
 *     x      = dropout(rnn(x))                   `layers` layers of rnn, lstm or gru
 *     logits = x decoder^T + b                   tied: the decoder is the encoder (Press & Wolf 2016)
 *
 * Weights of encoder and decoder start uniform in +- 0.1, the bias as 0.
 */
#include "core/base/enum_text.h"
#include "core/models/model_table.h"

const char *const ls__rnn_cells[] = LS_ENUM_TEXTS(LS_RNN_CELL_LIST);

static ls_tensor *drop(const ls_rnn_lm_args *a, ls_tensor *x)
{
    return a->dropout > 0 ? ls_dropout(x, .p = a->dropout) : x;
}

static ls_tensor *recurrent(const ls_rnn_lm_args *a, ls_tensor *x)
{
    const ls_recurrent_layer layer = {a->g,
                                      "rnn",
                                      x,
                                      .hidden  = a->hidden,
                                      .layers  = a->layers,
                                      .dropout = a->dropout,
                                      .relu    = a->cell == LS_RNN_RELU,
                                      .cached  = a->cached,
                                      .start   = a->start};
    if (a->cell == LS_RNN_LSTM) return ls__lstm(layer, LS_HERE);
    if (a->cell == LS_RNN_GRU) return ls__gru(layer, LS_HERE);
    return ls__rnn(layer, LS_HERE);
}

ls_tensor *ls__rnn_lm(ls_rnn_lm_args a)
{
    ls_graph *g = a.g;
    if (!g || !a.x) return NULL;
    if (!a.vocab) a.vocab = 50257;
    if (!a.hidden) a.hidden = 200;
    if (!a.embedding) a.embedding = a.hidden;
    if (!a.layers) a.layers = 2;
    if (a.x->type != LS_I32 || a.x->rank != 1 || !a.x->batched)
        return ls__graph_fail(g, LS_HERE, "rnn_lm: expected tokens, B x T of int32, found the input '%s', %s of %s",
                              a.x->name, ls__shape(a.x), ls__dtype_name(a.x->type));
    if (a.textbook) return ls__graph_fail(g, LS_HERE, "rnn_lm: the model has no attention");
    if (a.tied && a.embedding != a.hidden)
        return ls__graph_fail(g, LS_HERE,
                              "rnn_lm: expected tied embeddings as wide as the hidden state, found embedding %lld and "
                              "hidden %lld" LS_HINT "leave embedding out, or set tied to false",
                              (long long)a.embedding, (long long)a.hidden);
    const ls_init uniform = {.kind = LS_INIT_UNIFORM, .low = -0.1f, .high = 0.1f};
    ls_tensor    *encoder = ls_param(g, "encoder.weight", uniform, a.vocab, a.embedding);
    ls_tensor    *x       = drop(&a, recurrent(&a, drop(&a, ls_embedding_op(a.x, encoder))));
    ls_tensor    *decoder = a.tied ? encoder : ls_param(g, "decoder.weight", uniform, a.vocab, a.hidden);
    x = ls_linear_op(x, decoder, ls_param(g, "decoder.bias", ((ls_init){.kind = LS_INIT_ZEROS}), a.vocab));
    ls__graph_model(g, "rnn_lm", &a, sizeof a);
    return a.target ? ls_cross_entropy(x, a.target) : x;
}
