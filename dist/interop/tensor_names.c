/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements dist/interop/tensor_names.h: names of tensors in files, and names of parameters.
 */
#include "dist/interop/tensor_names.h"

#include <stdio.h>
#include <string.h>

ls_stored *ls__stored_of_param(const ls_architecture *a, const ls_tensor_set *set, const char *param)
{
    ls_stored *e = ls__tensor_set_find(set, param);
    if (!a) return e;
    size_t prefix = strlen(a->prefix);
    if (!e && strncmp(param, a->prefix, prefix) == 0) e = ls__tensor_set_find(set, param + prefix);
    for (const ls_tied_tensor *t = a->tied; !e && t->name; t++)
        if (strcmp(t->param, param) == 0) e = ls__tensor_set_find(set, t->name);
    return e;
}

int ls__slot_of_tied(const ls_architecture *a, const ls_params *params, const char *name)
{
    for (const ls_tied_tensor *t = a ? a->tied : NULL; t && t->name; t++)
        if (strcmp(t->name, name) == 0) return ls_params_find(params, t->param);
    return -1;
}

/* Returns whether the model has a parameter of this name, with or without the prefix of the architecture. */
static bool has_param(const ls_architecture *a, const ls_params *params, const char *name)
{
    char longer[640];
    snprintf(longer, sizeof longer, "%s%s", a->prefix, name);
    return ls_params_find(params, name) >= 0 || ls_params_find(params, longer) >= 0;
}

bool ls__is_buffer(const ls_architecture *a, const ls_params *params, const char *name)
{
    size_t length = strlen(name);
    if (!a || length >= 256) return false;
    for (const ls_buffer_tensor *b = a->buffers; b->ending; b++) {
        size_t ending = strlen(b->ending);
        char   sibling[512];
        if (length < ending || strcmp(name + length - ending, b->ending) != 0) continue;
        snprintf(sibling, sizeof sibling, "%.*s%s", (int)(length - ending), name, b->sibling);
        if (has_param(a, params, sibling)) return true;
    }
    return false;
}
