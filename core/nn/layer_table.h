/* SPDX-License-Identifier: Apache-2.0
 * The layers by name, for recipes; and functions that layers and models share.  Not public. */
#ifndef LS_CORE_NN_LAYER_TABLE_H
#define LS_CORE_NN_LAYER_TABLE_H

#include "core/graph/graph.h"

/* A layer that a recipe can name.  `args` is its struct from layers.h, which starts with ls_layer_head. */
typedef struct ls_layer {
    const char     *name;
    size_t          args_bytes;
    const ls_field *fields; /* ended by a field without a name; NULL: none */
    ls_tensor *(*build)(const void *args, ls_where where);
} ls_layer;
extern const ls_layer ls__layer_table[]; /* ended by a layer without a name */

/* The first members of every layer's struct. */
typedef struct ls_layer_head {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x;
} ls_layer_head;

/* Defines which attributes of a layer a recipe can set.  Stands in the file of the layer:
 * LS_LAYER_FIELDS(linear) = {LS_FIELD(INT64, ls_linear_layer, out), {0}}; */
#define LS_LAYER_FIELDS(layer) const ls_field ls__##layer##_fields[]
#define X(layer) extern LS_LAYER_FIELDS(layer);
LS_LAYER_LIST(X)
#undef X

/* The texts of the enums ls_encoding, ls_norm and ls_activation, ended by NULL. */
extern const char *const ls__encodings[], *const ls__norms[], *const ls__activations[];

/* A norm of the kind, with the parameter NAME.weight, and NAME.bias for a layer norm unless no_bias. */
ls_tensor *ls__norm_layer(ls_graph *g, ls_norm kind, const char *name, ls_tensor *x, float eps, bool no_bias,
                          ls_where where);

/* y = x w^T + b with the rows [first, first + rows) of w and b; rows 0: all.  For layers that store several weights as
 * one parameter. */
ls_tensor *ls__linear_rows(ls_tensor *x, ls_tensor *w, ls_tensor *b, int64_t first, int64_t rows, ls_where where);

/* The keys (part 1) or values (part 2) of the cross-attention of block `l`, computed from a memory: B x S x E.  A
 * decoder that generates one token at a time computes them once. */
ls_tensor *ls__project_memory(const ls_transformer_layer *l, ls_tensor *memory, int part, ls_where where);

/* Attention composed of matmul, mask and softmax, on projected queries (B x T x E), keys and values (B x S x E).  The
 * tensor l->name.weights holds the attention weights, B x heads x T x S. */
ls_tensor *ls__textbook_attention(const ls_multihead_attention_layer *l, ls_tensor *q, ls_tensor *k, ls_tensor *v,
                                  ls_where where);

/* The mean over the heads of these weights, B x T x S. */
ls_tensor *ls__attention_weights(const ls_multihead_attention_layer *l, ls_tensor *q, ls_tensor *k, ls_where where);

#endif
