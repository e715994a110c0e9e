/* SPDX-License-Identifier: Apache-2.0
 *
 * The tensors of a path: of one safetensors file, or of a folder as Hugging Face writes it, with model.safetensors or
 * with several files and their index, model.safetensors.index.json:
 *
 *     {"metadata": {...}, "weight_map": {"transformer.wte.weight": "model-00001-of-00002.safetensors", ...}}
 *
 * The index is hostile until checked: it may name files of its own folder alone, every tensor must be in the file that
 * it names, and every tensor of these files must be in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/atomic_file.h"
#include "dist/interop/safetensors.h"

enum { MOST_FILES = 512, MOST_NAME = 200 };
#define MOST_INDEX ((int64_t)100 << 20)

/* ---- the tensors of all files ------------------------------------------------------------------------------------ */

static ls_status add_file(ls_tensor_set *set, const char *path)
{
    ls_tensor_file *f = &set->file[set->files++]; /* closed with the set, whether it could be read or not */
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
            LS_CHECK(!json_object_get(set->by_name, e->name), LS_ERR_DATA, "%s: tensor '%s' stands in two of its files",
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

static ls_status read_all(int fd, const char *path, char *text, int64_t bytes)
{
    for (int64_t at = 0; at < bytes;) {
        ssize_t n = pread(fd, text + at, (size_t)(bytes - at), at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return LS_FAIL_ERRNO("cannot read %s", path);
        LS_CHECK(n > 0, LS_ERR_DATA,
                 "%s: ended at byte %" PRId64 " while it was read" LS_HINT "is another program writing it?", path, at);
        at += n;
    }
    return LS_OK;
}

static ls_status load_json(int fd, const char *path, json_t **index)
{
    struct stat  info;
    json_error_t error;
    if (fstat(fd, &info) != 0) return LS_FAIL_ERRNO("cannot read %s", path);
    LS_CHECK(S_ISREG(info.st_mode) && info.st_size <= MOST_INDEX, LS_ERR_DATA,
             "%s: expected an index file of at most %" PRId64 " bytes", path, MOST_INDEX);
    char *text = malloc((size_t)info.st_size + 1);
    LS_CHECK(text, LS_ERR_ENV, "%s: no memory for its %lld bytes", path, (long long)info.st_size);
    ls_status status = read_all(fd, path, text, info.st_size);
    if (status == LS_OK && !(*index = json_loadb(text, (size_t)info.st_size, JSON_REJECT_DUPLICATES, &error)))
        status = LS_FAIL(LS_ERR_DATA,
                         "%s: it is no JSON: %s (line %d, column %d)" LS_HINT
                         "the file is damaged or not complete: get it again",
                         path, error.text, error.line, error.column);
    free(text);
    return status;
}

/* A file of this folder: no path leads out of it. */
static bool plain_name(const char *name)
{
    return name && *name && *name != '.' && strlen(name) <= MOST_NAME && !strpbrk(name, "/\\");
}

static ls_status open_files(ls_tensor_set *set, const char *path, const json_t *index)
{
    const json_t *map = json_object_get(index, "weight_map"), *file;
    const char   *name;
    const char   *files[MOST_FILES];
    int           count = 0;
    LS_CHECK(json_is_object(map), LS_ERR_DATA, "%s: expected an object with a 'weight_map' from tensors to files",
             path);
    json_object_foreach((json_t *)map, name, file)
    {
        const char *its = json_string_value(file);
        LS_CHECK(plain_name(its), LS_ERR_DATA,
                 "%s: tensor '%.100s': expected the name of a file in the same folder, found %s%.100s%s", path, name,
                 its ? "'" : "no text", its ? its : "", its ? "'" : "");
        int i = count - 1; /* the tensors of a file mostly follow one another */
        while (i >= 0 && strcmp(files[i], its) != 0) i--;
        if (i >= 0) continue;
        LS_CHECK(count < MOST_FILES, LS_ERR_DATA, "%s: more than %d files", path, MOST_FILES);
        files[count++] = its;
    }
    LS_CHECK(count > 0, LS_ERR_DATA, "%s: its weight_map is empty", path);
    set->file = ls_arena_alloc(set->arena, (size_t)count * sizeof *set->file);
    for (int i = 0; i < count; i++) {
        const char *its = ls_arena_printf(set->arena, "%s/%s", set->path, files[i]);
        LS_CHECK(access(its, F_OK) == 0, LS_ERR_DATA,
                 "%s: it names the file '%s', which is not there" LS_HINT "get all files of the model", path, files[i]);
        LS_TRY(add_file(set, its));
    }
    return LS_OK;
}

/* Both ways: what the index says is in the files, what is in the files it says. */
static ls_status compare(const ls_tensor_set *set, const char *path, const json_t *index)
{
    json_t     *map = json_object_get(index, "weight_map"), *file;
    const char *name;
    json_object_foreach(map, name, file)
    {
        const ls_stored *e = ls__tensor_set_find(set, name);
        LS_CHECK(e && !strcmp(strrchr(e->file->path, '/') + 1, json_string_value(file)), LS_ERR_DATA,
                 "%s: tensor '%.100s' is not in %s, as the index says" LS_HINT "are all files of the same model?", path,
                 name, json_string_value(file));
    }
    for (int i = 0; i < set->count; i++)
        LS_CHECK(json_object_get(map, set->stored[i]->name), LS_ERR_DATA,
                 "%s: tensor '%.100s' is in %s, but not in the index" LS_HINT "are all files of the same model?", path,
                 set->stored[i]->name, set->stored[i]->file->path);
    return LS_OK;
}

static ls_status open_index(ls_tensor_set *set, int fd, const char *path)
{
    json_t   *index = NULL;
    ls_status status;
    LS_TRY_GOTO(status, load_json(fd, path, &index), done);
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
    int fd = open(index, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return LS_FAIL(
            LS_ERR_DATA,
            "%s: expected a folder with model.safetensors, or with model.safetensors.index.json, found neither" LS_HINT
            "of a model with pytorch_model.bin, save safetensors first: model.save_pretrained(DIR) of transformers",
            set->path);
    if (fd < 0) return LS_FAIL_ERRNO("cannot read %s", index);
    ls_status status = open_index(set, fd, index);
    close(fd);
    return status;
}

ls_status ls__tensor_set_open(ls_tensor_set *set, const char *path)
{
    struct stat info;
    *set = (ls_tensor_set){.path = path};
    LS_TRY(ls_arena_new(&set->arena, "safetensors"));
    if (stat(path, &info) != 0) return LS_FAIL_ERRNO("cannot read %s", path);
    LS_TRY(S_ISDIR(info.st_mode) ? open_folder(set) : open_one(set, path));
    return LS_OK;
}

void ls__tensor_set_close(ls_tensor_set *set)
{
    for (int i = 0; i < set->files; i++) ls__tensor_file_close(&set->file[i]);
    json_decref(set->by_name);
    ls_arena_free(set->arena);
    *set = (ls_tensor_set){0};
}
