/* SPDX-License-Identifier: Apache-2.0
 * Layers own parameters and compose ops; they have no backward of their own.  Part of core/core.h. */
#ifndef LS_CORE_NN_LAYERS_H
#define LS_CORE_NN_LAYERS_H

/* Fully connected: y = x w^T + b.  Parameters NAME.weight (out x in) and NAME.bias (out).
 * Default initialisers as PyTorch's nn.Linear: uniform +- 1/sqrt(in) for both. */
typedef struct ls_linear_layer {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x;     /* B x ... x in */
    int64_t     out;
    bool        no_bias;
    ls_init     weight_init, bias_init;
} ls_linear_layer;
#define ls_linear(...) ls__linear((ls_linear_layer){__VA_ARGS__}, LS_HERE)
ls_tensor *ls__linear(ls_linear_layer layer, ls_where where);

#endif
