/* SPDX-License-Identifier: Apache-2.0
 * Loads and checks the tokenizers of pretrained models: see launch/data/pretrained.h. */
#include "launch/data/pretrained.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dist/dist.h"

static bool has(const char *folder, const char *name)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path && access(path, F_OK) == 0;
}

ls_status ls_pretrained_tokenizer(ls_tokenizer **t, const char *folder, int vocabulary)
{
    *t = NULL;
    LS_CHECK(has(folder, "tokenizer.json") || has(folder, "vocab.json"), LS_ERR_DATA,
             "%s: expected tokenizer.json, or vocab.json and merges.txt, found neither" LS_HINT
             "in transformers, tokenizer.save_pretrained(DIR) writes the file",
             folder);
    LS_TRY(ls_tokenizer_load(t, folder));
    int size = ls_tokenizer_size(*t);
    if (size <= vocabulary && size >= vocabulary - vocabulary / 8) return LS_OK;
    ls_status status =
        LS_FAIL(LS_ERR_DATA,
                "%s: the tokenizer has %d tokens, but the model's vocabulary (config.json) has %d" LS_HINT
                "take both files from the same model",
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
             "%s: the tokenizer has %d tokens and hash %s, but the dataset was imported with another: %s has %d tokens "
             "(tokenizer %s, hash %s)" LS_HINT
             "import the text with the model's tokenizer: `lockstep data import text FILE OUT --tokenizer %s`",
             folder, size, hash, data->path, data->classes, data->tokenizer, data->tokenizer_hash, folder);
    return LS_OK;
}
