/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder as Hugging Face's transformers writes it, used like a run: the recipe and the tokenizer.  dist/interop reads
 * config.json and the weights.
 */
#include "launch/data/pretrained.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/graph/graph.h"
#include "datasets/files/dataset.h"
#include "dist/dist.h"
#include "launch/tasks/task.h"

static bool has(const char *folder, const char *name)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path && access(path, F_OK) == 0;
}

static ls_status make_recipe(ls_run *run, const char *folder, const char *config)
{
    ls_pretrained model;
    LS_TRY(ls_pretrained_read(folder, &model));
    LS_CHECK(model.classes <= LS_MAX_CLASSES, LS_ERR_DATA, "%s: expected a vocabulary of at most %d tokens, found %lld",
             config, LS_MAX_CLASSES, (long long)model.classes);
    const char *text = ls_arena_printf(run->memory, "{model: {name: %s, options: {%s}}}", model.model, model.options);
    LS_TRY(ls_recipe_parse(&run->recipe, text, strlen(text), config, 0, NULL));
    run->task = &ls__task_language_model;
    run->data = (ls_dataset_info){.kind           = LS_DATA_TEXT,
                                  .split          = "",
                                  .path           = config,
                                  .tokenizer      = "",
                                  .tokenizer_hash = "",
                                  .classes        = (int)model.classes};
    return ls_recipe_context(run->recipe, &run->data.context);
}

static ls_status build_and_load(ls_run *run, const char *folder, ls_graph *g, ls_params **params)
{
    ls_tensor         *logits;
    ls_language_inputs in = {.x = ls_input(g, "tokens", LS_I32, 1)};
    LS_TRY(ls_recipe_build_language(run->recipe, g, &in, run->data.classes, &logits));
    LS_TRY(ls_pretrained_check_size(folder, g));
    LS_TRY(ls_params_new(params, g, 1));
    return ls_pretrained_load(folder, *params);
}

ls_status ls_pretrained_open(ls_run *run, const char *folder, ls_graph **graph, ls_params **params)
{
    const char *config = ls_arena_printf(run->memory, "%s/config.json", folder);
    ls_status   status = make_recipe(run, folder, config);
    *graph             = ls_graph_new();
    if (status == LS_OK) status = build_and_load(run, folder, *graph, params);
    if (status != LS_ERR_USAGE) return status;
    /* Options that give no valid model are an error of the file, not of the command line. */
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
