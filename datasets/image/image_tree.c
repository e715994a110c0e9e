/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists image files.  Folders are read in bytewise order of their names, so that labels and the order of the samples
 * depend on names alone; torchvision's ImageFolder numbers classes in the same order.
 */
#include "datasets/image/image_tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/io/file_access.h"

enum { MAX_DEPTH = 32, MAX_NAMES_BYTES = 1 << 26 };

const char *const ls__tree_split[LS_TREE_SPLITS] = {"train", "valid", "test"};

static int bytewise(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The same for an entry of a folder, without a system call where the entry has its type. */
static bool entry_is_folder(const struct dirent *entry, const char *path)
{
    return entry->d_type == DT_DIR || (entry->d_type != DT_REG && is_folder(path));
}

static ls_status add_file(ls_image_tree *t, const char *path, int32_t label, int split)
{
    if (t->files == t->capacity) {
        int64_t       capacity = t->capacity ? 2 * t->capacity : 1024;
        ls_tree_file *file     = realloc(t->file, (size_t)capacity * sizeof *file);
        LS_CHECK(file, LS_ERR_ENV, "%s: out of memory for %lld file names", path, (long long)capacity);
        t->file     = file;
        t->capacity = capacity;
    }
    t->file[t->files++] = (ls_tree_file){.path = path, .label = label, .split = split};
    return LS_OK;
}

static void free_list(struct dirent **list, int n)
{
    for (int i = 0; i < n; i++) free(list[i]);
    free(list);
}

static ls_status list_folder(const char *folder, struct dirent ***list, int *n)
{
    *list = NULL;
    *n    = scandir(folder, list, NULL, bytewise);
    LS_CHECK(*n >= 0, LS_ERR_DATA, "%s: cannot be listed: %s", folder, strerror(errno));
    return LS_OK;
}

static bool is_hidden(ls_image_tree *t, const char *name)
{
    if (name[0] != '.') return false;
    t->hidden += strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
    return true;
}

/* Adds the files of one class, also those in folders inside its folder. */
static ls_status add_class(ls_image_tree *t, const char *folder, int32_t label, int split, int depth)
{
    struct dirent **list;
    int             n;
    ls_status       status = LS_OK;
    LS_CHECK(depth < MAX_DEPTH, LS_ERR_DATA, "%s: expected at most %d nested folders", folder, MAX_DEPTH);
    LS_TRY(list_folder(folder, &list, &n));
    for (int i = 0; i < n && status == LS_OK; i++) {
        if (is_hidden(t, list[i]->d_name)) continue;
        const char *path = ls_arena_printf(t->arena, "%s/%s", folder, list[i]->d_name);
        status           = entry_is_folder(list[i], path) ? add_class(t, path, label, split, depth + 1)
                                                          : add_file(t, path, label, split);
    }
    free_list(list, n);
    return status;
}

/* ---- classes ----------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(**(const char **const *)a, **(const char **const *)b);
}

static ls_status check_classes(ls_image_tree *t, const char *where)
{
    LS_CHECK(t->classes >= 1 && t->classes <= LS_MAX_CLASSES, LS_ERR_DATA,
             "%s: %d classes; expected 1 to %d" LS_HINT "each class is a folder with its images", where, t->classes,
             LS_MAX_CLASSES);
    const char ***sorted = ls_arena_alloc(t->arena, sizeof *sorted * (size_t)t->classes);
    for (int i = 0; i < t->classes; i++) sorted[i] = &t->class_name[i];
    qsort(sorted, (size_t)t->classes, sizeof *sorted, by_name);
    for (int i = 1; i < t->classes; i++)
        LS_CHECK(strcmp(*sorted[i - 1], *sorted[i]) != 0, LS_ERR_DATA, "%s: has the class '%s' twice", where,
                 *sorted[i]);
    t->sorted = sorted;
    return LS_OK;
}

/* Returns the label of a class, -1 when it is unknown. */
static int32_t label_of(const ls_image_tree *t, const char *name)
{
    const char ***found = bsearch(&(const char **){&name}, t->sorted, (size_t)t->classes, sizeof *t->sorted, by_name);
    return found ? (int32_t)(*found - t->class_name) : -1;
}

static ls_status read_class_file(ls_image_tree *t, const char *path)
{
    char  *text, *rest = NULL;
    size_t bytes;
    LS_TRY(ls__file_text(path, MAX_NAMES_BYTES, &text, &bytes));
    int lines = 1;
    for (size_t i = 0; i < bytes; i++) lines += text[i] == '\n' || text[i] == '\r';
    t->class_name = ls_arena_alloc(t->arena, sizeof *t->class_name * (size_t)lines);
    for (char *line = strtok_r(text, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest))
        t->class_name[t->classes++] = ls_arena_strdup(t->arena, line);
    free(text);
    return check_classes(t, path);
}

static ls_status classes_of_folder(ls_image_tree *t, const char *folder)
{
    struct dirent **list;
    int             n;
    LS_TRY(list_folder(folder, &list, &n));
    t->class_name = ls_arena_alloc(t->arena, sizeof *t->class_name * (size_t)(n ? n : 1));
    for (int i = 0; i < n; i++)
        if (list[i]->d_name[0] != '.' && is_folder(ls_arena_printf(t->arena, "%s/%s", folder, list[i]->d_name)))
            t->class_name[t->classes++] = ls_arena_strdup(t->arena, list[i]->d_name);
    free_list(list, n);
    return check_classes(t, folder);
}

/* ---- splits ------------------------------------------------------------------------------------------------------ */

static ls_status add_folder(ls_image_tree *t, const char *path, const char *name, int split)
{
    int32_t label = label_of(t, name);
    LS_CHECK(label >= 0, LS_ERR_DATA,
             "%s: the class '%s' is not one of the %d classes ('%s' to '%s')" LS_HINT
             "all splits need the classes of the split train; --classes FILE lists others",
             path, name, t->classes, *t->sorted[0], *t->sorted[t->classes - 1]);
    return add_class(t, path, label, split, 0);
}

static ls_status add_split(ls_image_tree *t, const char *folder, int split)
{
    struct dirent **list;
    int             n;
    ls_status       status = LS_OK;
    t->has[split]          = true;
    LS_TRY(list_folder(folder, &list, &n));
    for (int i = 0; i < n && status == LS_OK; i++) {
        const char *name = list[i]->d_name, *path = ls_arena_printf(t->arena, "%s/%s", folder, name);
        if (is_hidden(t, name)) continue;
        if (!is_folder(path)) {
            t->loose++;
            continue;
        }
        status = add_folder(t, path, name, split);
    }
    free_list(list, n);
    return status;
}

ls_status ls__image_tree_read(ls_image_tree *t, const char *folder, const char *test, const char *classes)
{
    static const struct {
        const char *name;
        int         split;
    } folders[] = {{"valid", LS_TREE_VALID}, {"val", LS_TREE_VALID}, {"test", LS_TREE_TEST}};
    *t          = (ls_image_tree){.files = 0};
    LS_TRY(ls_arena_new(&t->arena, "image files"));
    LS_CHECK(is_folder(folder), LS_ERR_DATA, "%s: expected a folder with one folder per class", folder);
    const char *train = ls_arena_printf(t->arena, "%s/train", folder);
    bool        split = is_folder(train);
    if (!split) train = folder;
    LS_TRY(classes ? read_class_file(t, classes) : classes_of_folder(t, train));
    LS_TRY(add_split(t, train, LS_TREE_TRAIN));
    for (size_t k = 0; k < sizeof folders / sizeof *folders && split; k++) {
        const char *path = ls_arena_printf(t->arena, "%s/%s", folder, folders[k].name);
        if (!is_folder(path)) continue;
        LS_CHECK(!t->has[folders[k].split], LS_ERR_DATA, "%s: expected one of the folders valid and val, found both",
                 folder);
        LS_TRY(add_split(t, path, folders[k].split));
    }
    if (!test) return LS_OK;
    LS_CHECK(!t->has[LS_TREE_TEST], LS_ERR_USAGE, "%s: the folder has a split test already; expected no --test",
             folder);
    return add_split(t, test, LS_TREE_TEST);
}

void ls__image_tree_free(ls_image_tree *t)
{
    free(t->file);
    ls_arena_free(t->arena);
}
