/* SPDX-License-Identifier: Apache-2.0
 *
 * Opens the tensors of a path: of one safetensors file, or of a folder as Hugging Face writes it, with
 * model.safetensors or with several files and their index, model.safetensors.index.json:
 *
 *     {"metadata": {...}, "weight_map": {"transformer.wte.weight": "model-00001-of-00002.safetensors", ...}}
 *
 * The index is not trusted: it may name only files of its own folder, every tensor must be in the file that the index
 * names for it, and every tensor of these files must be in the index.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/file_access.h"
#include "dist/interop/tensor_set.h"

enum { MAX_FILES = 512, MAX_NAME = 200 };
#define MAX_INDEX ((int64_t)100 << 20)

/* ---- the tensors of all files ------------------------------------------------------------------------------------ */

static ls_status add_file(ls_tensor_set *set, const char *path)
{
    ls_tensor_file *f = &set->file[set->files++]; /* ls__tensor_set_close closes it, also after an error */
    return ls__tensor_file_open(f, path, set->arena);
}

static ls_status gather(ls_tensor_set *set)
{
    size_t count = 0;
    for (int i = 0; i < set->files; i++) count += (size_t)set->file[i].count;
    set->stored  = ls_arena_alloc(set->arena, (count + 1) * sizeof *set->stored);
    set->by_name = json_object();
    for (int i = 0; i < set->files; i++)
        for (int k = 0; k < set->file[i].count; k++) {
            ls_stored *e = &set->file[i].stored[k];
            LS_CHECK(!json_object_get(set->by_name, e->name), LS_ERR_DATA, "%s: tensor '%s' is in two of its files",
                     set->path, e->name);
            LS_CHECK(json_object_set_new(set->by_name, e->name, json_integer(set->count)) == 0, LS_ERR_ENV,
                     "%s: no memory for its %zu names", set->path, count);
            set->stored[set->count++] = e;
        }
    return LS_OK;
}

ls_stored *ls__tensor_set_find(const ls_tensor_set *set, const char *name)
{
    const json_t *place = json_object_get(set->by_name, name);
    return place ? set->stored[json_integer_value(place)] : NULL;
}

/* ---- the index --------------------------------------------------------------------------------------------------- */

static ls_status load_index(const char *path, json_t **index)
{
    char        *text;
    size_t       bytes;
    json_error_t error;
    LS_TRY(ls__file_text(path, MAX_INDEX, &text, &bytes));
    *index = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    free(text);
    LS_CHECK(*index, LS_ERR_DATA,
             "%s:%d:%d: expected JSON, found: %s" LS_HINT "the file is damaged or incomplete: get it again", path,
             error.line, error.column, error.text);
    return LS_OK;
}

/* Returns whether a name is of a file in the same folder: no path that leads elsewhere. */
static bool plain_name(const char *name)
{
    return name && *name && *name != '.' && strlen(name) <= MAX_NAME && !strpbrk(name, "/\\");
}

static ls_status open_files(ls_tensor_set *set, const char *path, const json_t *index)
{
    const json_t *map = json_object_get(index, "weight_map"), *file;
    const char   *name;
    const char   *files[MAX_FILES];
    int           count = 0;
    LS_CHECK(json_is_object(map), LS_ERR_DATA, "%s: expected an object with a 'weight_map' from tensors to files",
             path);
    json_object_foreach((json_t *)map, name, file)
    {
        const char *its = json_string_value(file);
        LS_CHECK(plain_name(its), LS_ERR_DATA,
                 "%s: tensor '%.100s': expected the name of a file in the same folder, found %s%.100s%s", path, name,
                 its ? "'" : "no text", its ? its : "", its ? "'" : "");
        int i = count - 1; /* search from the end: the tensors of one file mostly follow each other */
        while (i >= 0 && strcmp(files[i], its) != 0) i--;
        if (i >= 0) continue;
        LS_CHECK(count < MAX_FILES, LS_ERR_DATA, "%s: more than %d files", path, MAX_FILES);
        files[count++] = its;
    }
    LS_CHECK(count > 0, LS_ERR_DATA, "%s: its weight_map is empty", path);
    set->file = ls_arena_alloc(set->arena, (size_t)count * sizeof *set->file);
    for (int i = 0; i < count; i++) {
        const char *its = ls_arena_printf(set->arena, "%s/%s", set->path, files[i]);
        LS_CHECK(access(its, F_OK) == 0, LS_ERR_DATA,
                 "%s: the file '%s' that it names is missing" LS_HINT "get all files of the model", path, files[i]);
        LS_TRY(add_file(set, its));
    }
    return LS_OK;
}

/* Compares the index with the files in both directions. */
static ls_status compare(const ls_tensor_set *set, const char *path, const json_t *index)
{
    json_t     *map = json_object_get(index, "weight_map"), *file;
    const char *name;
    json_object_foreach(map, name, file)
    {
        const ls_stored *e = ls__tensor_set_find(set, name);
        LS_CHECK(e && !strcmp(strrchr(e->file->path, '/') + 1, json_string_value(file)), LS_ERR_DATA,
                 "%s: tensor '%.100s' is not in %s, where the index has it" LS_HINT "are all files of the same model?",
                 path, name, json_string_value(file));
    }
    for (int i = 0; i < set->count; i++)
        LS_CHECK(json_object_get(map, set->stored[i]->name), LS_ERR_DATA,
                 "%s: tensor '%.100s' is in %s, but not in the index" LS_HINT "are all files of the same model?", path,
                 set->stored[i]->name, set->stored[i]->file->path);
    return LS_OK;
}

static ls_status open_index(ls_tensor_set *set, const char *path)
{
    json_t   *index = NULL;
    ls_status status;
    LS_TRY_GOTO(status, load_index(path, &index), done);
    LS_TRY_GOTO(status, open_files(set, path, index), done);
    LS_TRY_GOTO(status, gather(set), done);
    LS_TRY_GOTO(status, compare(set, path, index), done);
done:
    json_decref(index);
    return status;
}

/* ---- a path ------------------------------------------------------------------------------------------------------ */

static ls_status open_one(ls_tensor_set *set, const char *path)
{
    set->file = ls_arena_alloc(set->arena, sizeof *set->file);
    LS_TRY(add_file(set, path));
    return gather(set);
}

static ls_status open_folder(ls_tensor_set *set)
{
    const char *one   = ls_arena_printf(set->arena, "%s/model.safetensors", set->path);
    const char *index = ls_arena_printf(set->arena, "%s/model.safetensors.index.json", set->path);
    struct stat info;
    if (stat(one, &info) == 0) return open_one(set, one);
    LS_CHECK(stat(index, &info) == 0 || errno != ENOENT, LS_ERR_DATA,
             "%s: expected a folder with model.safetensors, or with model.safetensors.index.json, found neither" LS_HINT
             "for a model with pytorch_model.bin, save safetensors first: model.save_pretrained(DIR) of transformers",
             set->path);
    return open_index(set, index);
}

ls_status ls__tensor_set_open(ls_tensor_set *set, const char *path)
{
    struct stat info;
    *set = (ls_tensor_set){.path = path};
    LS_TRY(ls_arena_new(&set->arena, "safetensors"));
    if (stat(path, &info) != 0) return LS_FAIL_ERRNO("%s: cannot be read", path);
    return S_ISDIR(info.st_mode) ? open_folder(set) : open_one(set, path);
}

void ls__tensor_set_close(ls_tensor_set *set)
{
    for (int i = 0; i < set->files; i++) ls__tensor_file_close(&set->file[i]);
    json_decref(set->by_name);
    ls_arena_free(set->arena);
    *set = (ls_tensor_set){0};
}
