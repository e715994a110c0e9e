/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements dist/interop/architecture.h: the table of architectures, and look-ups in it.
 */
#include "dist/interop/architecture.h"

#include <stdio.h>
#include <string.h>

static const ls_architecture *const table[] = {&ls__arch_gpt2, &ls__arch_decoder, &ls__arch_encoder, &ls__arch_vit};

enum { ARCHITECTURES = sizeof table / sizeof *table };

const ls_architecture *ls__architecture_of(const ls_graph *g)
{
    for (int i = 0; i < ARCHITECTURES; i++)
        if (g->model && strcmp(g->model, table[i]->model) == 0) return table[i];
    return NULL;
}

const ls_architecture *ls__architecture_of_type(const char *model_type, char known[256])
{
    size_t used = 0;
    known[0]    = 0;
    for (int i = 0; i < ARCHITECTURES; i++)
        for (const char *const *type = table[i]->model_types; *type; type++) {
            if (strcmp(*type, model_type) == 0) return table[i];
            if (used < 200) used += (size_t)snprintf(known + used, 256 - used, "%s%.40s", used ? ", " : "", *type);
        }
    return NULL;
}

static bool ends_with(const char *name, const char *ending)
{
    size_t length = strlen(name), n = strlen(ending);
    return length >= n && strcmp(name + length - n, ending) == 0;
}

bool ls__is_stored_transposed(const ls_architecture *a, const ls_tensor *param)
{
    if (!a || param->rank != 2) return false;
    for (const char *const *ending = a->transposed; *ending; ending++)
        if (ends_with(param->name, *ending)) return true;
    return false;
}
