/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder as Hugging Face's transformers or timm write it: config.json, model.safetensors, the files of a tokenizer.
 *
 * config.json gives the options with which to build the model; loading the weights then compares config.json with the
 * built model, key by key.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/graph/params.h"
#include "core/io/paths.h"
#include "dist/dist.h"
#include "dist/interop/hf_config.h"
#include "dist/interop/image_models.h"
#include "dist/interop/tensor_names.h"

static bool has_file(const char *folder, const char *name)
{
    char path[LS_PATH_BYTES];
    return ls__path(path, "%s/%s", folder, name) == LS_OK && access(path, F_OK) == 0;
}

bool ls_pretrained_is(const char *folder)
{
    return has_file(folder, "config.json") && !has_file(folder, "recipe.yaml");
}

ls_status ls_pretrained_read(const char *folder, ls_pretrained *p)
{
    char                   path[LS_PATH_BYTES];
    const ls_architecture *a;
    *p = (ls_pretrained){.model = ""};
    LS_TRY(ls__path(path, "%s/config.json", folder));
    LS_TRY(ls__timm_config_read(path, p));
    if (!p->images) LS_TRY(ls__transformers_resnet_read(path, p));
    if (p->images) return LS_OK;
    LS_TRY(ls__hf_config_architecture(path, &a));
    p->model = a->model;
    return ls__hf_config_read(path, a, p);
}

/* Returns the size of all safetensors files in the folder, bytes. */
static int64_t stored_bytes(const char *folder)
{
    int64_t bytes = 0;
    DIR    *dir   = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        struct stat info;
        const char *ending = strrchr(entry->d_name, '.');
        if (ending && !strcmp(ending, ".safetensors") && fstatat(dirfd(dir), entry->d_name, &info, 0) == 0)
            bytes += info.st_size;
    }
    if (dir) closedir(dir);
    return bytes;
}

ls_status ls_pretrained_check_size(const char *folder, const ls_graph *g)
{
    enum { SMALLEST_BYTES = 2 }; /* size of the smallest stored value: F16 or BF16 */
    int64_t stored = stored_bytes(folder), elements = 0;
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->role == LS_ROLE_PARAM && __builtin_add_overflow(elements, ls__numel(g->tensor[i]), &elements))
            elements = INT64_MAX;
    LS_CHECK(!stored || elements <= stored / SMALLEST_BYTES, LS_ERR_DATA,
             "%s: config.json is of a model with %lld parameters, but the safetensors files have %lld bytes" LS_HINT
             "are they of the same model, and complete?",
             folder, (long long)elements, (long long)stored);
    return LS_OK;
}

ls_status ls_pretrained_load(const char *path, ls_params *params, const ls_pretrained_options *options)
{
    LS_TRY(ls__safetensors_load(path, params, false, options));
    for (int i = 0; i < ls_params_count(params); i++) {
        const char    *name;
        const int64_t *dim;
        int            rank;
        int64_t        count = 1, bad = 0;
        const float   *w = ls_params_get(params, i, &name, &rank, &dim);
        for (int d = 0; d < rank; d++) count *= dim[d];
        for (int64_t k = 0; k < count; k++) bad += !isfinite(w[k]);
        LS_CHECK(!bad, LS_ERR_DATA,
                 "%s: %lld of the %lld values of '%s' are infinite or NaN" LS_HINT
                 "the model diverged, or its file is damaged: `lockstep ckpt inspect` lists all such tensors",
                 path, (long long)bad, (long long)count, name);
    }
    return LS_OK;
}
