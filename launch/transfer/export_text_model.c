/* SPDX-License-Identifier: Apache-2.0
 * Implements launch/transfer/export_text_model.h. */
#include "launch/transfer/export_text_model.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/atomic_file.h"
#include "core/io/file_access.h"
#include "core/io/paths.h"
#include "dist/interop/json_file.h"
#include "dist/interop/tensor_names.h"

enum { MOST_BYTES = 1 << 28 }; /* of a file that is copied */

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static ls_status copy(const char *from, const char *to, const char *name)
{
    char    source[LS_PATH_BYTES], target[LS_PATH_BYTES];
    char   *text;
    size_t  bytes;
    ls_file f;
    LS_TRY(ls__path(source, "%s/%s", from, name));
    LS_TRY(ls__path(target, "%s/%s", to, name));
    LS_TRY(ls__file_text(source, MOST_BYTES, &text, &bytes));
    ls_status status = ls__file_create(&f, target);
    if (status == LS_OK) status = ls__file_finish(&f, ls__file_write(&f, text, bytes));
    free(text);
    return status;
}

/* Returns the model.pretrained of a run's recipe if it is a folder of transformers, else NULL. */
static const char *folder_of(const ls_run *run)
{
    const char *pretrained = run->recipe->model.pretrained ? run->recipe->model.pretrained : run->origin;
    return pretrained && ls_pretrained_is(pretrained) ? pretrained : NULL;
}

ls_status ls_copy_generation_files(const ls_run *run, const char *to)
{
    const char *from = folder_of(run);
    if (run->data.kind != LS_DATA_TEXT || !from) return LS_OK;
    static const char *const names[] = {"generation_config.json", "chat_template.jinja", "tokenizer_config.json",
                                        "special_tokens_map.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char source[LS_PATH_BYTES], target[LS_PATH_BYTES];
        LS_TRY(ls__path(source, "%s/%s", from, names[i]));
        LS_TRY(ls__path(target, "%s/%s", to, names[i]));
        if (is_file(source) && access(target, F_OK) != 0) LS_TRY(copy(from, to, names[i]));
    }
    return LS_OK;
}

/* ---- the files of a folder --------------------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *ending)
{
    const size_t length = strlen(name), n = strlen(ending);
    return length >= n && strcmp(name + length - n, ending) == 0;
}

/* Copies all files but weights and config.json. */
static ls_status copy_files(const char *from, const char *to)
{
    DIR      *dir    = opendir(from);
    ls_status status = LS_OK;
    if (!dir) return LS_FAIL_ERRNO("%s: cannot be read", from);
    for (struct dirent *entry; status == LS_OK && (entry = readdir(dir));) {
        char        path[LS_PATH_BYTES];
        const char *name = entry->d_name;
        if (name[0] == '.' || ends_with(name, ".safetensors") || ends_with(name, ".safetensors.index.json") ||
            !strcmp(name, "config.json"))
            continue;
        status = ls__path(path, "%s/%s", from, name);
        if (status == LS_OK && is_file(path)) status = copy(from, to, name);
    }
    closedir(dir);
    return status;
}

/* Copies config.json, with another type of the parameters. */
static ls_status write_config(const char *from, const char *to, const char *type)
{
    static const char *const keys[] = {"dtype", "torch_dtype"};
    char                     path[LS_PATH_BYTES], target[LS_PATH_BYTES];
    json_error_t             error;
    bool                     differs = false;
    LS_TRY(ls__path(path, "%s/config.json", from));
    LS_TRY(ls__path(target, "%s/config.json", to));
    json_t *config = json_load_file(path, 0, &error);
    LS_CHECK(config, LS_ERR_DATA, "%s:%d:%d: expected JSON, found: %s", path, error.line, error.column, error.text);
    for (int i = 0; i < 2 && type; i++) {
        const char *stated = json_string_value(json_object_get(config, keys[i]));
        if (!stated || !strcmp(stated, type)) continue;
        json_object_set_new(config, keys[i], json_string(type));
        differs = true;
    }
    if (differs) return ls__json_write(target, config, true);
    json_decref(config);
    return copy(from, to, "config.json");
}

/* ---- export ------------------------------------------------------------------------------------------------------ */

/* Returns the folder of transformers from which the model comes. */
static const char *origin_of(const ls_run *run, const char *from)
{
    return ls_pretrained_is(from) || !folder_of(run) ? from : folder_of(run);
}

static ls_status check_type(const char *name, const ls_stored_type **type)
{
    static const char *const names[][2] = {{"float32", "F32"}, {"bfloat16", "BF16"}, {"float16", "F16"}};
    *type                               = NULL;
    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i][0]) == 0) *type = ls__stored_type_named(names[i][1]);
    LS_CHECK(!name || *type, LS_ERR_USAGE,
             "ckpt export: --dtype: expected same, float32, bfloat16 or float16, found '%s'", name);
    return LS_OK;
}

static ls_status write_weights(ls_run *run, const char *origin, const char *folder, const ls_stored_type *type)
{
    char          path[LS_PATH_BYTES];
    ls_tensor_set like   = {0};
    ls_params    *params = run->loaded ? run->loaded : ls_trainer_params(run->trainer);
    LS_TRY(ls__path(path, "%s/model.safetensors", folder));
    ls_status status = type ? LS_OK : ls__tensor_set_open(&like, origin);
    if (status == LS_OK)
        status = ls__safetensors_save_as(path, params, NULL, &(ls_saving){.type = type, .like = type ? NULL : &like});
    ls__tensor_set_close(&like);
    return status;
}

/* Removes an incomplete folder. */
static void remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir));) unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(folder);
}

/* A run with labelled texts has a head that its origin lacks, and states it in a config.json of its own. */
static bool has_own_config(const ls_run *run, const char *from)
{
    char path[LS_PATH_BYTES];
    return run->data.kind == LS_DATA_LABELLED && ls__path(path, "%s/config.json", from) == LS_OK && is_file(path);
}

static ls_status write_folder(ls_run *run, const char *from, const char *folder, const char *name)
{
    const ls_stored_type *type;
    const char           *origin = origin_of(run, from);
    LS_TRY(check_type(name, &type));
    LS_CHECK(ls_pretrained_is(origin), LS_ERR_USAGE,
             "ckpt export: %s: expected a folder of transformers, or a run that began with one" LS_HINT
             "the run directory of a model trained from scratch is such a folder already",
             from);
    LS_CHECK(mkdir(folder, 0777) == 0 || errno != EEXIST, LS_ERR_USAGE,
             "%s: exists already; expected the name of a new folder", folder);
    if (access(folder, W_OK)) return LS_FAIL_ERRNO("%s: cannot be created", folder);
    ls_status status = copy_files(origin, folder);
    if (status == LS_OK) status = write_config(has_own_config(run, from) ? from : origin, folder, name);
    if (status == LS_OK) status = write_weights(run, origin, folder, type);
    if (status == LS_OK) return LS_OK;
    ls_error error = ls_error_save(status);
    remove_folder(folder);
    return ls_error_restore(&error);
}

ls_status ls_export_text_model(ls_run *run, const char *from, const char *folder, const char *type)
{
    LS_TRY(ls_run_swap_average(run));
    ls_status status = ls_comm_agree(run->comm, run->is_root ? write_folder(run, from, folder, type) : LS_OK);
    LS_TRY(ls_run_swap_average(run));
    return status;
}
