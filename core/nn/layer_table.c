/* SPDX-License-Identifier: Apache-2.0
 * The table of layers by name, made from LS_LAYER_LIST (core/nn/layers.h). */
#include "core/nn/layer_table.h"

#define X(layer)                                                                                                       \
    static ls_tensor *build_##layer(const void *args, ls_where where)                                                  \
    {                                                                                                                  \
        return ls__##layer(*(const ls_##layer##_layer *)args, where);                                                  \
    }
LS_LAYER_LIST(X)
#undef X

/* flatten is an op; as a layer it has no attributes. */
static ls_tensor *build_flatten(const void *args, ls_where where)
{
    const ls_reshape_args reshape = {.x = ((const ls_layer_head *)args)->x, .dims = LS_DIMS(-1)};
    return ls__apply(LS_OP_reshape, &reshape, where);
}

const ls_layer ls__layer_table[] = {
#define X(layer) {#layer, sizeof(ls_##layer##_layer), ls__##layer##_fields, build_##layer},
    LS_LAYER_LIST(X)
#undef X
        {"flatten", sizeof(ls_layer_head), NULL, build_flatten},
    {0},
};
