/* SPDX-License-Identifier: Apache-2.0
 * Layers: parameters, and the ops that use them. */
#include "core/nn/nn.h"

#include <string.h>

/* PyTorch's default for a bias: uniform +- 1/sqrt(fan_in of the weight). */
static ls_init bias_default(ls_init given, int64_t fan_in)
{
    return given.kind == LS_INIT_DEFAULT ? (ls_init){.kind = LS_INIT_UNIFORM, .fan = fan_in} : given;
}

static ls_tensor *named_param(ls_graph *g, const char *layer, const char *part, ls_init init, ls_where where, ls_dims dims)
{
    return g ? ls__param(g, ls_arena_printf(g->arena, "%s.%s", layer, part), init, where, dims) : NULL;
}

ls_tensor *ls__linear(ls_linear_layer l, ls_where where)
{
    if (!l.x) return NULL;
    int64_t    in = ls__cols(l.x);
    ls_tensor *w  = named_param(l.g, l.name, "weight", l.weight_init, where, LS_DIMS(l.out, in));
    ls_tensor *b  = l.no_bias ? NULL : named_param(l.g, l.name, "bias", bias_default(l.bias_init, in), where, LS_DIMS(l.out));
    if (!w || (!b && !l.no_bias)) return NULL;
    return ls__apply(LS_OP_linear, &(ls_linear_args){.x = l.x, .w = w, .b = b}, where);
}

static ls_tensor *build_linear(const void *args, ls_where where) { return ls__linear(*(const ls_linear_layer *)args, where); }

const ls_layer ls__layer_table[] = {
    {"linear", sizeof(ls_linear_layer),
     LS_FIELDS(LS_FIELD(INT64, ls_linear_layer, out), LS_FIELD(BOOL, ls_linear_layer, no_bias), LS_FIELD(INIT, ls_linear_layer, weight_init),
               LS_FIELD(INIT, ls_linear_layer, bias_init)),
     build_linear},
    {0},
};
