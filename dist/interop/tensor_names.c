/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements dist/interop/tensor_names.h: names of tensors in files, and names of parameters.
 */
#include "dist/interop/tensor_names.h"

#include <stdio.h>
#include <string.h>

#include "dist/interop/image_models.h"

/* Compares a name with a pattern, in which `*` stands for a number; *number is its text.  */
static bool matches(const char *pattern, const char *name, char number[16])
{
    const char *star = strchr(pattern, '*');
    *number          = 0;
    if (!star) return strcmp(pattern, name) == 0;
    const size_t before = (size_t)(star - pattern), digits = strspn(name + strnlen(name, before), "0123456789");
    if (strncmp(pattern, name, before) != 0 || digits < 1 || digits > 15) return false;
    memcpy(number, name + before, digits);
    number[digits] = 0;
    return strcmp(star + 1, name + before + digits) == 0;
}

/* Writes a pattern with the number in the place of `*`. */
static void fill_in(const char *pattern, const char *number, char name[256])
{
    const char *star = strchr(pattern, '*');
    if (star)
        snprintf(name, 256, "%.*s%s%s", (int)(star - pattern), pattern, number, star + 1);
    else
        snprintf(name, 256, "%s", pattern);
}

/* Returns the row of a parameter, NULL if it has none. */
static const ls_name_row *row_of(const ls_graph *g, const ls_tensor *param, char number[16])
{
    const ls_architecture *a   = ls__architecture_of(g);
    const ls_name_row     *row = a && a->names ? a->names(g->model_args) : NULL;
    while (row && row->param && !matches(row->param, param->name, number)) row++;
    return row && row->param ? row : NULL;
}

bool ls__param_whole(const ls_graph *g, const ls_tensor *param, ls_part *part)
{
    char               number[16];
    const ls_name_row *row = row_of(g, param, number);
    if (!row || !row->whole) return false;
    fill_in(row->whole, number, part->name);
    part->rows = param->rank ? param->dim[0] : 1;
    part->ones = row->ones;
    return true;
}

bool ls__param_of_head(const ls_graph *g, const ls_tensor *param)
{
    char               number[16];
    const ls_name_row *row = row_of(g, param, number);
    return row && row->head;
}

int ls__param_parts(const ls_graph *g, const ls_tensor *param, ls_part part[LS_PARTS])
{
    const ls_architecture *a   = ls__architecture_of(g);
    const int64_t          all = param->rank ? param->dim[0] : 1;
    char                   number[16];
    const ls_name_row     *row = row_of(g, param, number);
    int64_t                rows[LS_PARTS];
    int                    n = 0;
    memset(part, 0, LS_PARTS * sizeof *part);
    if (!row) {
        snprintf(part[0].name, sizeof part[0].name, "%s", param->name);
        part[0].rows = all;
        return 1;
    }
    while (n < LS_PARTS && row->stored[n]) n++;
    if (n == LS_PARTS) a->qkv_rows(g->model_args, rows);
    for (int i = 0; i < n; i++) {
        fill_in(row->stored[i], number, part[i].name);
        part[i].rows = n == LS_PARTS ? rows[i] : all / n;
        part[i].ones = row->ones;
    }
    return n;
}

/* Prefixes that modules around the model add to all names: DistributedDataParallel, torch.compile, a module that holds
 * the model, an average of weights, and encoders of transformers below a head. */
static const char *const wrappers[] = {"module.", "_orig_mod.", "model.",      "model_ema.",
                                       "bert.",   "roberta.",   "distilbert.", NULL};

static ls_stored *find_wrapped(const ls_tensor_set *set, const char *param)
{
    ls_stored *e = NULL;
    char       longer[640];
    for (const char *const *w = wrappers; *w && !e; w++)
        if (snprintf(longer, sizeof longer, "%s%s", *w, param) < (int)sizeof longer)
            e = ls__tensor_set_find(set, longer);
    for (const char *const *w = wrappers; *w && !e; w++)
        if (strncmp(param, *w, strlen(*w)) == 0) e = ls__tensor_set_find(set, param + strlen(*w));
    return e;
}

static ls_stored *find_resnet(const ls_tensor_set *set, const char *param)
{
    char name[640];
    return ls__transformers_resnet_name(param, name, sizeof name) ? ls__tensor_set_find(set, name) : NULL;
}

ls_stored *ls__stored_of_param(const ls_architecture *a, const ls_tensor_set *set, const char *param)
{
    ls_stored *e = ls__tensor_set_find(set, param);
    if (!e) e = find_wrapped(set, param);
    if (!e) e = find_resnet(set, param);
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

/* Returns whether `tensors` has a buffer of this name.  Its sibling is a parameter of the model, with or without the
 * prefix of the architecture, or a tensor of the file. */
static bool has_buffer(const ls_buffer_tensor *tensors, const char *prefix, const ls_params *params,
                       const ls_tensor_set *set, const char *name)
{
    const size_t length = strlen(name);
    for (const ls_buffer_tensor *b = tensors; b->ending; b++) {
        const size_t ending = strlen(b->ending), skip = strlen(prefix);
        char         sibling[640];
        if (length < ending || strcmp(name + length - ending, b->ending) != 0) continue;
        if (snprintf(sibling, sizeof sibling, "%s%.*s%s", prefix, (int)(length - ending), name, b->sibling) >=
            (int)sizeof sibling)
            continue;
        const ls_stored *e = ls__tensor_set_find(set, sibling + skip);
        if (ls_params_find(params, sibling + skip) >= 0 || ls_params_find(params, sibling) >= 0 || (e && e->wanted))
            return true;
    }
    return false;
}

bool ls__is_buffer(const ls_architecture *a, const ls_params *params, const ls_tensor_set *set, const char *name)
{
    static const ls_buffer_tensor common[] = {{"num_batches_tracked", "running_mean"}, {0}};
    return has_buffer(common, "", params, set, name) || (a && has_buffer(a->buffers, a->prefix, params, set, name));
}
