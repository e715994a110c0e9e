/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder as Hugging Face's transformers writes it (config.json, model.safetensors, a tokenizer's files), used like a
 * run.
 *
 * A small model of the kind says under which keys config.json has its options (ls__graph_facts); with these the model
 * is built again, and loading it compares config.json with what came out, to the last key.
 */
#include "launch/data/pretrained.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/graph/graph.h"
#include "datasets/files/dataset.h"
#include "dist/interop/hf_config.h"
#include "launch/tasks/task.h"

enum { MOST_OPTIONS = 2048 };

static bool has(const char *folder, const char *name)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path && access(path, F_OK) == 0;
}

bool ls_pretrained_is(const char *folder) { return has(folder, "config.json") && !has(folder, "recipe.yaml"); }

static ls_status read_options(const char *config, char options[MOST_OPTIONS], int64_t *classes)
{
    ls_graph *g = ls_graph_new();
    ls_gpt(.g = g, .x = ls_input(g, "tokens", LS_I32, 8), .vocab = 8, .layers = 1, .heads = 1, .width = 8,
           .context = 8);
    ls_status status = ls_graph_status(g);
    if (status == LS_OK) status = ls__hf_config_options(config, g, options, MOST_OPTIONS, classes);
    ls_graph_free(g);
    return status;
}

static ls_status make_recipe(ls_run *run, const char *config)
{
    char    options[MOST_OPTIONS];
    int64_t classes;
    LS_TRY(read_options(config, options, &classes));
    LS_CHECK(classes <= LS_MAX_CLASSES, LS_ERR_DATA, "%s: a vocabulary of %lld tokens; expected at most %d", config,
             (long long)classes, LS_MAX_CLASSES);
    const char *text = ls_arena_printf(run->memory, "{model: {name: gpt, options: {%s}}}", options);
    LS_TRY(ls_recipe_parse(&run->recipe, text, strlen(text), config, 0, NULL));
    run->task = &ls__task_language_model;
    run->data = (ls_dataset_info){.kind           = LS_DATA_TEXT,
                                  .split          = "",
                                  .path           = config,
                                  .tokenizer      = "",
                                  .tokenizer_hash = "",
                                  .classes        = (int)classes};
    return ls_recipe_context(run->recipe, &run->data.context);
}

/* What the folder's safetensors files take, in bytes. */
static int64_t stored_bytes(const char *folder)
{
    int64_t bytes = 0;
    DIR    *dir   = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        struct stat s;
        const char *ending = strrchr(entry->d_name, '.');
        if (ending && !strcmp(ending, ".safetensors") && fstatat(dirfd(dir), entry->d_name, &s, 0) == 0)
            bytes += s.st_size;
    }
    if (dir) closedir(dir);
    return bytes;
}

/* Sizes are believed only as far as there are values for them: a parameter takes two bytes of a file at least. */
static ls_status check_size(const ls_graph *g, const char *folder)
{
    int64_t stored = stored_bytes(folder), all = 0;
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->role == LS_ROLE_PARAM && __builtin_add_overflow(all, ls__numel(g->tensor[i]), &all))
            all = INT64_MAX;
    LS_CHECK(!stored || all <= stored / 2, LS_ERR_DATA,
             "%s: config.json tells of a model with %lld parameters, but the safetensors files have %lld bytes" LS_HINT
             "are they of the same model, and complete?",
             folder, (long long)all, (long long)stored);
    return LS_OK;
}

/* One value that is no number makes all of the model's none: better said now than after the first step. */
ls_status ls_pretrained_load(const char *path, ls_params *params)
{
    LS_TRY(ls_safetensors_load(path, params, false));
    for (int i = 0; i < ls_params_count(params); i++) {
        const char    *name;
        const int64_t *dim;
        int            rank;
        int64_t        count = 1, bad = 0;
        const float   *w = ls_params_get(params, i, &name, &rank, &dim);
        for (int d = 0; d < rank; d++) count *= dim[d];
        for (int64_t k = 0; k < count; k++) bad += !isfinite(w[k]);
        LS_CHECK(!bad, LS_ERR_DATA,
                 "%s: %lld of the %lld values of '%s' are no numbers" LS_HINT
                 "the model diverged, or its file is damaged: `lockstep ckpt inspect` shows all such tensors",
                 path, (long long)bad, (long long)count, name);
    }
    return LS_OK;
}

static ls_status build_and_load(ls_run *run, const char *folder, ls_graph *g, ls_params **params)
{
    ls_tensor         *logits;
    ls_language_inputs in = {.x = ls_input(g, "tokens", LS_I32, 1)};
    LS_TRY(ls_recipe_build_language(run->recipe, g, &in, run->data.classes, &logits));
    LS_TRY(check_size(g, folder));
    LS_TRY(ls_params_new(params, g, 1));
    return ls_pretrained_load(folder, *params);
}

ls_status ls_pretrained_open(ls_run *run, const char *folder, ls_graph **graph, ls_params **params)
{
    const char *config = ls_arena_printf(run->memory, "%s/config.json", folder);
    ls_status   status = make_recipe(run, config);
    *graph             = ls_graph_new();
    if (status == LS_OK) status = build_and_load(run, folder, *graph, params);
    if (status != LS_ERR_USAGE) return status;
    /* Options that do not make a model are no mistake of the user's here. */
    bool named = strstr(ls_error_message(), config) != NULL;
    return LS_FAIL(LS_ERR_DATA, "%s%s%s", named ? "" : config, named ? "" : ": ", ls_error_message());
}

ls_status ls_pretrained_tokenizer(ls_tokenizer **t, const char *folder, int vocabulary)
{
    *t = NULL;
    LS_CHECK(has(folder, "tokenizer.json") || has(folder, "vocab.json"), LS_ERR_DATA,
             "%s: expected tokenizer.json, or vocab.json and merges.txt, found neither" LS_HINT
             "tokenizer.save_pretrained(DIR) of transformers writes it",
             folder);
    LS_TRY(ls_tokenizer_load(t, folder));
    int size = ls_tokenizer_size(*t);
    if (size <= vocabulary && size >= vocabulary - vocabulary / 8) return LS_OK;
    ls_status status =
        LS_FAIL(LS_ERR_DATA,
                "%s: the tokenizer has %d tokens, but the model's vocabulary (config.json) has %d" LS_HINT
                "are they of the same model?",
                folder, size, vocabulary);
    ls_tokenizer_free(*t);
    *t = NULL;
    return status;
}

ls_status ls_pretrained_check_tokenizer(const char *folder, const ls_dataset_info *data)
{
    ls_tokenizer *t;
    char          hash[24];
    if (!data->tokenizer_hash || !*data->tokenizer_hash ||
        !(has(folder, "tokenizer.json") || has(folder, "vocab.json")))
        return LS_OK;
    LS_TRY(ls_tokenizer_load(&t, folder));
    int size = ls_tokenizer_size(t);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)ls_tokenizer_hash(t));
    ls_tokenizer_free(t);
    LS_CHECK(!strcmp(hash, data->tokenizer_hash), LS_ERR_DATA,
             "%s: its tokenizer has %d tokens and the hash %s, but the data were made with another one: %s has %d "
             "(tokenizer %s, hash %s)" LS_HINT
             "import the text with the model's own: `lockstep data import text FILE OUT --tokenizer %s`",
             folder, size, hash, data->path, data->classes, data->tokenizer, data->tokenizer_hash, folder);
    return LS_OK;
}
