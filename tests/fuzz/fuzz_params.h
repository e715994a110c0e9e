/* SPDX-License-Identifier: Apache-2.0
 * Three parameters, created once for the whole process: w 2 x 3, b 2, and a scalar. */
#ifndef TESTS_FUZZ_FUZZ_PARAMS_H
#define TESTS_FUZZ_FUZZ_PARAMS_H

#include "core/core.h"

static inline ls_params *fuzz_params(void)
{
    static ls_graph  *g;
    static ls_params *params;
    if (params) return params;
    g            = ls_graph_new();
    ls_init zero = {.kind = LS_INIT_ZEROS};
    ls_param(g, "w", zero, 2, 3);
    ls_param(g, "b", zero, 2);
    ls_param(g, "scale", zero, 1);
    fuzz_expect(ls_params_new(&params, g, 1) == LS_OK);
    return params;
}

#endif
