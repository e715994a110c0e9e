/* SPDX-License-Identifier: Apache-2.0
 * Three parameters: w 2 x 3, b 2, and a scalar.  Built alone, a fuzz target has no graphs, and these are all there is. */
#ifndef TESTS_FUZZ_PARAMS_H
#define TESTS_FUZZ_PARAMS_H

#include "core/core.h"

#ifdef LS_FUZZ_REPLAY

static inline ls_params *fuzz_params(void)
{
    static ls_params *params;
    if (params) return params;
    ls_graph *g = ls_graph_new(); /* for the whole process */
    ls_param(g, "w", ((ls_init){.kind = LS_INIT_ZEROS}), 2, 3);
    ls_param(g, "b", ((ls_init){.kind = LS_INIT_ZEROS}), 2);
    ls_param(g, "scale", ((ls_init){.kind = LS_INIT_ZEROS}), 1);
    fuzz_expect(ls_params_new(&params, g, 1) == LS_OK);
    return params;
}

#else

struct ls_params {
    float value[3][6];
};

static inline ls_params *fuzz_params(void)
{
    static ls_params params;
    return &params;
}

int ls_params_count(const ls_params *params)
{
    (void)params;
    return 3;
}

float *ls_params_get(ls_params *params, int i, const char **name, int *rank, const int64_t **dims)
{
    static const char *const names[]      = {"w", "b", "scale"};
    static const int64_t     shapes[3][2] = {{2, 3}, {2}, {1}};
    if (name) *name = names[i];
    if (rank) *rank = i == 0 ? 2 : 1;
    if (dims) *dims = shapes[i];
    return params->value[i];
}

#endif
#endif
