/* SPDX-License-Identifier: Apache-2.0
 * A perceptron with relu between its linear layers (Rumelhart, Hinton & Williams 1986). */
#include "core/graph/graph.h"

ls_tensor *ls__mlp(ls_mlp_args a)
{
    if (!a.x || !a.g) return NULL;
    int        layers = a.layers < 0 ? 0 : a.layers ? a.layers : 2;
    ls_tensor *x      = ls_flatten(a.x);
    for (int i = 1; i <= layers; i++)
        x = ls_relu(ls_linear(a.g, ls_arena_printf(a.g->arena, "fc%d", i), x, a.hidden ? a.hidden : 256));
    return ls_linear(a.g, ls_arena_printf(a.g->arena, "fc%d", layers + 1), x, a.classes ? a.classes : 10);
}
