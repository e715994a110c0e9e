/* SPDX-License-Identifier: Apache-2.0
 * Parts that models of translation share: inputs, embeddings, the values between encoder and decoder, the loss. */
#include "core/models/encoder_decoder.h"

bool ls__translation_check(const ls_translation_inputs *in, const char *model)
{
    const bool encodes = in->part != LS_DECODER, decodes = in->part != LS_ENCODER;
    if (!in->g || in->g->status != LS_OK) return false;
    if ((encodes && !in->source) || !in->source_length || (decodes && !in->previous) || in->classes < 1 ||
        (in->part != LS_WHOLE_TRANSLATION && !in->encoded) ||
        (in->part == LS_DECODER && (in->source_width < 1 || in->target_width < 1))) {
        ls__graph_fail(in->g, LS_HERE, "%s: an input of %s is missing", model,
                       in->part == LS_ENCODER   ? "the encoder"
                       : in->part == LS_DECODER ? "the decoder"
                                                : "the model");
        return false;
    }
    const ls_tensor *tokens[] = {in->source, in->previous, in->target};
    for (int i = 0; i < 3; i++)
        if (tokens[i] && (tokens[i]->type != LS_I32 || tokens[i]->rank != 1 || !tokens[i]->batched)) {
            ls__graph_fail(in->g, LS_HERE, "%s: expected tokens, B x T of int32, found '%s', %s of %s", model,
                           tokens[i]->name, ls__shape(tokens[i]), ls__dtype_name(tokens[i]->type));
            return false;
        }
    return true;
}

ls_tensor *ls__translation_embedding(const ls_translation_inputs *in, bool source, int64_t width, ls_init init)
{
    if (in->joint) return ls_param(in->g, "embedding.weight", init, in->classes, width);
    return source ? ls_param(in->g, "source.weight", init, in->source_classes, width)
                  : ls_param(in->g, "target.weight", init, in->classes, width);
}

ls_tensor *ls__translation_memory(const ls_translation_inputs *in, ls_tensor *value, int64_t width)
{
    if (in->part == LS_WHOLE_TRANSLATION) return value;
    ls_encoder_output *e = in->encoded;
    if (e->memories == LS_MAX_MEMORIES)
        return ls__graph_fail(in->g, LS_HERE, "encoder: expected at most %d values for the decoder", LS_MAX_MEMORIES);
    if (in->part == LS_ENCODER) {
        e->memory[e->memories++] = value;
        return NULL;
    }
    const char *name                = ls_arena_printf(in->g->arena, "memory%d", e->memories);
    return e->memory[e->memories++] = ls_input(in->g, name, LS_F32, in->source_width, width);
}

ls_tensor *ls__translation_carry(const ls_translation_inputs *in, ls_tensor *value, int64_t width)
{
    if (in->part == LS_WHOLE_TRANSLATION) return value;
    ls_encoder_output *e = in->encoded;
    if (e->carries == LS_MAX_CARRIES)
        return ls__graph_fail(in->g, LS_HERE, "decoder: expected at most %d values from position to position",
                              LS_MAX_CARRIES);
    if (in->part == LS_ENCODER) {
        e->carry[e->carries++] = value;
        return NULL;
    }
    const char *name              = ls_arena_printf(in->g->arena, "carry%d", e->carries);
    return e->carry[e->carries++] = ls_input(in->g, name, LS_F32, width);
}

ls_tensor *ls__translation_output(const ls_translation_inputs *in, ls_tensor *x, ls_tensor *w)
{
    if (!in->target) return ls_linear_op(x, w);
    return ls_linear_cross_entropy(x, w, in->target, .label_smoothing = in->label_smoothing, .ignore = true,
                                   .ignore_index = LS_IGNORED_TOKEN);
}
