/* SPDX-License-Identifier: Apache-2.0
 * The values of self-attention in a model, for one sample: queries, keys and values of each head, scores, softmax
 * weights and outputs. */
#ifndef LS_LAUNCH_INSPECT_ATTENTION_VALUES_H
#define LS_LAUNCH_INSPECT_ATTENTION_VALUES_H

#include "core/graph/graph.h"
#include "launch/run/run_setup.h"

/* Self-attention of one layer on a sample of `tokens` tokens. */
typedef struct ls_attention_map {
    const char  *name;                 /* "transformer.h.0.attn"                                                */
    int64_t      heads, tokens, width; /* width: of one head                                                    */
    int64_t      columns;              /* of x                                                                  */
    float        scale;                /* factor of the scores                                                  */
    bool         causal;               /* later tokens are hidden                                               */
    const float *x;                    /* tokens x columns; input of the linear layer that makes queries        */
    const float *q, *k, *v;            /* heads x tokens x width; k and v: those that the head uses             */
    const float *scores;               /* heads x tokens x tokens; q k, before the scale, the cap and the mask  */
    const float *weights;              /* heads x tokens x tokens; row t: softmax weights of query t            */
    const float *y;                    /* heads x tokens x width; sum of the values by the weights              */
} ls_attention_map;

/* Runs a graph on a batch of one sample.  *maps: the self-attention of its layers; value[i]: the values of the tensor
 * more[i].  All are in the memory of `memory`.  LS_ERR_USAGE: the graph has no self-attention, or one with a mask of
 * its own. */
ls_status ls_attention_values(ls_graph *g, ls_params *params, const ls_batch *batch, ls_tensor *const *more, int mores,
                              const float **value, ls_arena *memory, const ls_attention_map **maps, int *layers);

/* The same for the model of a recipe on n tokens. */
ls_status ls_attention_maps(const ls_recipe *recipe, ls_params *params, int64_t vocabulary, const int32_t *tokens,
                            int64_t n, ls_arena *memory, const ls_attention_map **maps, int *layers);

#endif
