/* SPDX-License-Identifier: Apache-2.0
 * The Transformer (Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser & Polosukhin 2017), an encoder-decoder
 * with the parameters of PyTorch's nn.Transformer.
 *
 *     memory = norm(encoder blocks(dropout(sqrt(E) embedding[source] + position)))
 *     x      = norm(decoder blocks(dropout(sqrt(E) embedding[previous] + position), memory))
 *     logits = x embedding^T
 *
 * Embeddings start as N(0, 1 / E), matrices of the blocks as Glorot's uniform distribution.
 *
 * The weights of attention to the source are the means over the heads of the last block of the decoder.
 *
 * Generation: the encoder computes the keys and values of cross-attention of all blocks once; the decoder keeps those
 * of self-attention in states.
 */
#include <math.h>

#include "core/models/encoder_decoder.h"
#include "core/nn/layer_table.h"

enum { MAX_LAYERS = LS_MAX_MEMORIES / 2 };

typedef ls_transformer_args args;

static ls_tensor *embed(const args *a, ls_tensor *tokens, bool source)
{
    const ls_init init = {.kind = LS_INIT_NORMAL, .std = 1 / sqrtf((float)a->width)};
    ls_tensor    *x    = ls_embedding_op(tokens, ls__translation_embedding(&a->in, source, a->width, init));
    x                  = ls_positional_encoding(a->in.g, "position", x, LS_ENCODING_SINUSOIDAL, .scaled = true,
                                                .start = source ? NULL : a->in.start);
    return a->dropout > 0 ? ls_dropout(x, .p = a->dropout) : x;
}

/* Block i of encoder or decoder, without its inputs. */
static ls_transformer_layer block(const args *a, const char *stack, int i)
{
    return (ls_transformer_layer){.g           = a->in.g,
                                  .name        = ls_arena_printf(a->in.g->arena, "%s.layers.%d", stack, i),
                                  .heads       = a->heads,
                                  .hidden      = a->hidden,
                                  .dropout     = a->dropout,
                                  .norm_first  = a->norm_first,
                                  .weight_init = {.kind = LS_INIT_XAVIER_UNIFORM}};
}

static ls_tensor *encode(const args *a)
{
    ls_tensor *x = embed(a, a->in.source, true);
    for (int i = 0; i < a->layers; i++) {
        ls_transformer_layer l = block(a, "encoder", i);
        l.x                    = x;
        l.lengths              = a->in.source_length;
        x                      = ls__transformer(l, LS_HERE);
    }
    return ls_layer_norm(a->in.g, "encoder.norm", x);
}

static ls_tensor *decode(const args *a, ls_tensor *memory)
{
    const bool whole = a->in.part == LS_WHOLE_TRANSLATION, decodes = a->in.part != LS_ENCODER;
    ls_tensor *x = decodes ? embed(a, a->in.previous, false) : NULL, *weights = NULL;
    for (int i = 0; i < a->decoder_layers; i++) {
        ls_transformer_layer l = block(a, "decoder", i);
        l.x                    = x;
        l.causal               = true;
        l.memory               = memory;
        l.memory_lengths       = a->in.source_length;
        if (!whole) {
            l.memory   = NULL;
            l.memory_k = ls__translation_memory(&a->in, ls__project_memory(&l, memory, 1, LS_HERE), a->width);
            l.memory_v = ls__translation_memory(&a->in, ls__project_memory(&l, memory, 2, LS_HERE), a->width);
            l.cached   = a->in.target_width;
            l.start    = a->in.start;
        }
        if (a->in.source_padding && i == a->decoder_layers - 1) {
            l.weights         = &weights;
            l.weights_padding = a->in.source_padding;
        }
        if (decodes) x = ls__transformer(l, LS_HERE);
    }
    if (weights) a->in.encoded->weights = ls_reshape(weights, -1);
    return decodes ? ls_layer_norm(a->in.g, "decoder.norm", x) : NULL;
}

ls_tensor *ls__transformer_model(args a)
{
    if (!ls__translation_check(&a.in, "transformer")) return NULL;
    if (!a.layers) a.layers = 3;
    if (!a.decoder_layers) a.decoder_layers = a.layers;
    if (!a.heads) a.heads = 8;
    if (!a.width) a.width = 256;
    if (a.layers < 1 || a.decoder_layers < 1 || a.decoder_layers > MAX_LAYERS || a.heads < 1 || a.width % a.heads)
        return ls__graph_fail(
            a.in.g, LS_HERE,
            "transformer: expected at least one layer, at most %d of the decoder, and a width that is a "
            "multiple of heads, found layers %d and %d, heads %d, width %lld",
            MAX_LAYERS, a.layers, a.decoder_layers, a.heads, (long long)a.width);
    ls_tensor *memory = a.in.part == LS_DECODER ? NULL : encode(&a);
    ls_tensor *x      = decode(&a, memory);
    if (a.in.part == LS_ENCODER) return memory;
    return ls__translation_output(&a.in, x, ls__translation_embedding(&a.in, false, a.width, (ls_init){0}));
}
