/* SPDX-License-Identifier: Apache-2.0
 * data.json: what a run's folder keeps of its data set, so that its model can be used where the data are not. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/atomic_file.h"
#include "launch/run/run_setup.h"

#define ANEW LS_HINT "the run's folder keeps there what its data look like; the same `lockstep train` makes it anew"

static json_t *pack_pictures(const ls_dataset_info *info)
{
    json_t *mean = json_array(), *std = json_array(), *names = json_array();
    for (int c = 0; c < info->channels && c < 4; c++) {
        json_array_append_new(mean, json_real(info->mean[c]));
        json_array_append_new(std, json_real(info->std[c]));
    }
    for (int i = 0; i < info->classes; i++) json_array_append_new(names, json_string(info->class_names[i]));
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:o, s:o, s:o}", "kind", "images", "channels", info->channels, "height",
                     info->height, "width", info->width, "classes", info->classes, "mean", mean, "std", std,
                     "class_names", names);
}

static json_t *pack_text(const ls_dataset_info *info)
{
    return json_pack("{s:s, s:i, s:I, s:s, s:s}", "kind", "text", "vocabulary", info->classes, "context",
                     (json_int_t)info->context, "tokenizer", info->tokenizer, "tokenizer_hash", info->tokenizer_hash);
}

ls_status ls_dataset_card_write(const char *path, const ls_dataset_info *info)
{
    ls_file f;
    json_t *card = info->kind == LS_DATA_TEXT ? pack_text(info) : pack_pictures(info);
    char   *text = card ? json_dumps(card, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(card);
    LS_CHECK(text, LS_ERR_ENV, "%s: no memory to write it", path);
    ls_status status = ls__file_create(&f, path);
    if (status == LS_OK) status = ls__file_finish(&f, ls__file_write(&f, text, strlen(text)));
    free(text);
    return status;
}

static bool take_text(const json_t *card, ls_dataset_info *info, ls_arena *memory)
{
    json_int_t vocabulary = json_integer_value(json_object_get(card, "vocabulary")),
               context    = json_integer_value(json_object_get(card, "context"));
    const char *tokenizer = json_string_value(json_object_get(card, "tokenizer")),
               *hash      = json_string_value(json_object_get(card, "tokenizer_hash"));
    if (vocabulary < 1 || vocabulary > 1 << 20 || context < 1 || context > LS_MAX_CONTEXT || !tokenizer || !hash)
        return false;
    info->kind           = LS_DATA_TEXT;
    info->classes        = (int)vocabulary;
    info->context        = context;
    info->tokenizer      = ls_arena_strdup(memory, tokenizer);
    info->tokenizer_hash = ls_arena_strdup(memory, hash);
    return true;
}

static bool take(const json_t *card, ls_dataset_info *info, ls_arena *memory)
{
    const char *kind = json_string_value(json_object_get(card, "kind"));
    if (kind && !strcmp(kind, "text")) return take_text(card, info, memory);
    const json_t *mean = json_object_get(card, "mean"), *std = json_object_get(card, "std"),
                 *names = json_object_get(card, "class_names");
    struct {
        const char *key;
        int        *value;
    } whole[] = {
        {"channels", &info->channels}, {"height", &info->height}, {"width", &info->width}, {"classes", &info->classes}};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        json_int_t x = json_integer_value(json_object_get(card, whole[i].key));
        if (x < 1 || x > 1000000) return false;
        *whole[i].value = (int)x;
    }
    if (info->channels > 4 || json_array_size(mean) != (size_t)info->channels ||
        json_array_size(std) != (size_t)info->channels || json_array_size(names) != (size_t)info->classes)
        return false;
    for (int c = 0; c < info->channels; c++) {
        info->mean[c] = (float)json_number_value(json_array_get(mean, (size_t)c));
        info->std[c]  = (float)json_number_value(json_array_get(std, (size_t)c));
        if (!isfinite(info->mean[c]) || !(info->std[c] > 0)) return false;
    }
    const char **texts = ls_arena_alloc(memory, (size_t)info->classes * sizeof *texts);
    for (int i = 0; i < info->classes; i++) {
        const char *name = json_string_value(json_array_get(names, (size_t)i));
        if (!name) return false;
        texts[i] = ls_arena_strdup(memory, name);
    }
    info->class_names = texts;
    return true;
}

ls_status ls_dataset_card_read(const char *path, ls_dataset_info *info, ls_arena *memory)
{
    json_error_t error;
    int          file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused, not waited for */
    struct stat  st;
    *info = (ls_dataset_info){.split = "", .path = path};
    LS_CHECK(file >= 0, LS_ERR_DATA, "%s: %s" ANEW, path, strerror(errno));
    bool    plain = fstat(file, &st) == 0 && S_ISREG(st.st_mode);
    json_t *card  = plain ? json_loadfd(file, 0, &error) : NULL;
    close(file);
    LS_CHECK(plain, LS_ERR_DATA, "%s: expected a file" ANEW, path);
    LS_CHECK(card, LS_ERR_DATA, "%s:%d: %s" ANEW, path, error.line, error.text);
    bool good = take(card, info, memory);
    json_decref(card);
    LS_CHECK(good, LS_ERR_DATA,
             "%s: expected channels, height, width, classes, mean, std and class_names that fit together, or, of text, "
             "vocabulary, context and tokenizer" LS_HINT "the same `lockstep train` makes it anew",
             path);
    return LS_OK;
}

ls_status ls_dataset_card_check(const char *folder, const ls_dataset_info *info, ls_arena *memory)
{
    ls_dataset_info then;
    const char     *path = ls_arena_printf(memory, "%s/data.json", folder);
    if (access(path, F_OK) != 0) return LS_OK;
    LS_TRY(ls_dataset_card_read(path, &then, memory));
    LS_CHECK(then.kind == info->kind, LS_ERR_USAGE, "%s: the run was begun with %s, but the data set holds %s", folder,
             then.kind == LS_DATA_TEXT ? "text" : "pictures", info->kind == LS_DATA_TEXT ? "text" : "pictures");
    LS_CHECK(info->kind != LS_DATA_TEXT ||
                 (then.classes == info->classes && !strcmp(then.tokenizer_hash, info->tokenizer_hash)),
             LS_ERR_USAGE,
             "%s: the run was begun with another vocabulary: %d tokens (tokenizer %s, hash %s), but %s has %d "
             "(tokenizer %s, hash %s)" LS_HINT "import the text with the run's own tokenizer: `lockstep data import "
             "text FILE OUT --tokenizer %s/tokenizer.json`",
             folder, then.classes, then.tokenizer, then.tokenizer_hash, info->path, info->classes, info->tokenizer,
             info->tokenizer_hash, folder);
    return LS_OK;
}
