/* SPDX-License-Identifier: Apache-2.0
 * A perceptron with relu between its linear layers (Rumelhart, Hinton & Williams 1986). */
#include <math.h>

#include "core/graph/graph.h"

/* Number of parameters with h units in each of the hidden layers. */
static double parameters(double h, int layers, double in, double classes)
{
    return (in + 1) * h + (layers - 1) * (h + 1) * h + (h + 1) * classes;
}

/* Returns the number of hidden units that gives the number of parameters nearest to a.params; 0 after an error. */
static int64_t units(const ls_mlp_args *a, int layers, int64_t in, int64_t classes)
{
    const double want = (double)a->params, i = (double)in, c = (double)classes;
    double       low = 1, high = 2;
    if (a->hidden || layers < 1 || a->params < 1) {
        ls__graph_fail(a->g, LS_HERE,
                       "mlp: expected a positive number of params, hidden layers and no hidden units, found params "
                       "%lld, layers %d, hidden %lld" LS_HINT "params computes the hidden units",
                       (long long)a->params, layers, (long long)a->hidden);
        return 0;
    }
    while (parameters(high, layers, i, c) < want) high *= 2;
    while (high - low > 1) {
        const double middle                                       = floor((low + high) / 2);
        *(parameters(middle, layers, i, c) < want ? &low : &high) = middle;
    }
    const double below = parameters(low, layers, i, c), above = parameters(high, layers, i, c);
    const double h = fabs(below - want) <= fabs(above - want) ? low : high, found = parameters(h, layers, i, c);
    if (fabs(found - want) > want / 100) {
        ls__graph_fail(a->g, LS_HERE,
                       "mlp: params: expected a number within 1 %% of that of a perceptron with %d hidden layers, %lld "
                       "inputs and %lld classes, found %lld" LS_HINT "%.0f hidden units give %.0f, %.0f give %.0f",
                       layers, (long long)in, (long long)classes, (long long)a->params, low, below, high, above);
        return 0;
    }
    return (int64_t)h;
}

ls_tensor *ls__mlp(ls_mlp_args a)
{
    if (!a.x || !a.g) return NULL;
    const int     layers  = a.layers < 0 ? 0 : a.layers ? a.layers : 2;
    const int64_t classes = a.classes ? a.classes : 10;
    int64_t       hidden  = a.hidden ? a.hidden : 256;
    ls_tensor    *x       = ls_flatten(a.x);
    if (a.params) {
        hidden = units(&a, layers, ls__numel(a.x), classes);
        if (!hidden) return NULL;
    }
    for (int i = 1; i <= layers; i++) x = ls_relu(ls_linear(a.g, ls_arena_printf(a.g->arena, "fc%d", i), x, hidden));
    return ls_linear(a.g, ls_arena_printf(a.g->arena, "fc%d", layers + 1), x, classes);
}
