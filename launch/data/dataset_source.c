/* SPDX-License-Identifier: Apache-2.0
 *
 * Resolves data.path and opens datasets.
 *
 * data.path is "digits" (synthetic digits), "made:copy", "made:reverse" or "made:sort" (pairs that the program makes),
 * the name of a known dataset, a file or a folder.  A known name resolves as follows:
 *
 * LOCKSTEP_DATA=DIR is set: the files in DIR/NAME are imported once into the cache.  The name of the imported folder
 * has a hash of the files' path, sizes and times, and of the tokenizer.  Ranks that start at the same time wait for the
 * rank that imports.
 *
 * Otherwise: the cache holds the result of `lockstep data fetch NAME`, which is an imported dataset of images, or a
 * text file.  The text file is imported as above.
 */
#include "launch/data/dataset_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/io/paths.h"
#include "launch/tasks/task.h"

static const char SYNTHETIC[] = "digits";

/* ---- resolving data.path ----------------------------------------------------------------------------------------- */

static bool belongs_to(const ls_known *known, const char *name)
{
    for (int i = 0; i < LS_KNOWN_FILES && known->file[i].name; i++)
        if (!strncmp(name, known->file[i].name, strcspn(known->file[i].name, "-."))) return true;
    return false;
}

/* Computes a hash that identifies a tokenizer: its name and how it is learned, and the contents of a tokenizer file,
 * which may change under the same path. */
static ls_status sum_of_choice(const ls_text_choice *choice, uint64_t *sum)
{
    char          text[128];
    ls_tokenizer *t;
    *sum = 0;
    if (access(choice->tokenizer, F_OK) == 0) {
        LS_TRY(ls_tokenizer_load(&t, choice->tokenizer));
        *sum = ls_tokenizer_hash(t);
        ls_tokenizer_free(t);
    }
    snprintf(text, sizeof text, "%.40s %lld %lld %d", choice->tokenizer, (long long)choice->vocab,
             (long long)choice->min_count, choice->lowercase);
    *sum += XXH3_64bits(text, strlen(text));
    return LS_OK;
}

/* Returns the name of the imported copy in the cache: DIR/mnist -> "mnist-0123456789abcdef".  The name changes with the
 * source files and with the tokenizer. */
static ls_status name_of_copy(const ls_known *known, const char *source, const ls_text_choice *choice, char name[64])
{
    struct entry {
        char    name[64];
        int64_t size, seconds, nanoseconds;
    } entry;
    uint64_t sum = 0;
    DIR     *dir = opendir(source);
    LS_CHECK(dir, LS_ERR_DATA,
             "%s: %s" LS_HINT
             "with LOCKSTEP_DATA=DIR, DIR/%s must hold the dataset's files; `lockstep data fetch %s` gets them",
             source, strerror(errno), known->name, known->name);
    for (struct dirent *found; (found = readdir(dir));) {
        struct stat st;
        if (!belongs_to(known, found->d_name) || fstatat(dirfd(dir), found->d_name, &st, 0)) continue;
        memset(&entry, 0, sizeof entry);
        snprintf(entry.name, sizeof entry.name, "%.63s", found->d_name);
        entry.size        = st.st_size;
        entry.seconds     = st.st_mtim.tv_sec;
        entry.nanoseconds = st.st_mtim.tv_nsec;
        sum += XXH3_64bits(&entry, sizeof entry); /* a sum does not depend on the order of the entries */
    }
    closedir(dir);
    sum += XXH3_64bits(source, strlen(source));
    if (known->tokenizer) {
        uint64_t tokenizer;
        LS_TRY(sum_of_choice(choice, &tokenizer));
        sum ^= tokenizer;
    }
    snprintf(name, 64, "%s-%016llx", known->name, (unsigned long long)sum);
    return LS_OK;
}

/* Finds the folder with the source files of a known dataset, or with the dataset that `lockstep data fetch`
 * imported. */
static ls_status find_source(const ls_known *known, char source[LS_DATA_PATH])
{
    const char *copies = getenv("LOCKSTEP_DATA");
    if (copies && *copies) {
        char *real = realpath(copies, NULL);
        LS_CHECK(real, LS_ERR_DATA, "LOCKSTEP_DATA=%s: %s" LS_HINT "expected a folder with the dataset's files in %s/",
                 copies, strerror(errno), known->name);
        int length = snprintf(source, LS_DATA_PATH, "%s/%s", real, known->name);
        free(real);
        LS_CHECK(length < LS_DATA_PATH, LS_ERR_DATA, "LOCKSTEP_DATA: the path is too long: %d bytes", length);
        return LS_OK;
    }
    char file[LS_PATH_BYTES];
    LS_TRY(ls__data_cache(known->name, source));
    LS_TRY(ls__known_file(known, 0, source, file));
    bool there = known->tokenizer ? access(file, R_OK) == 0 : ls__data_there(source);
    LS_CHECK(there || known->home[0], LS_ERR_DATA,
             "data.path: dataset %s was not found: %s is missing" LS_HINT
             "set LOCKSTEP_DATA=DIR with %s in DIR/%s; `lockstep data import` makes a dataset from other files",
             known->name, source, known->file[0].name, known->name);
    LS_CHECK(there, LS_ERR_DATA,
             "data.path: dataset %s was not fetched: %s is missing" LS_HINT
             "`lockstep data fetch %s` downloads it; LOCKSTEP_DATA=DIR takes local copies from DIR/%s",
             known->name, known->tokenizer ? file : source, known->name, known->name);
    return LS_OK;
}

static ls_status resolve_known(const ls_known *known, const ls_text_choice *choice, char found[LS_DATA_PATH])
{
    char           source[LS_DATA_PATH], name[64];
    const char    *copies = getenv("LOCKSTEP_DATA");
    ls_text_choice chosen = choice ? *choice : (ls_text_choice){0};
    if (!chosen.tokenizer) chosen.tokenizer = known->tokenizer;
    LS_TRY(find_source(known, source));
    if (!known->tokenizer && !(copies && *copies)) {
        memcpy(found, source, LS_DATA_PATH);
        return LS_OK;
    }
    LS_TRY(name_of_copy(known, source, &chosen, name));
    LS_TRY(ls__data_cache(name, found));
    if (!ls__data_there(found)) LS_TRY(ls__data_import_once(known, source, &chosen, found));
    return LS_OK;
}

ls_status ls_data_resolve(const char *data_path, const ls_text_choice *choice, char *path, size_t bytes)
{
    char            found[LS_DATA_PATH];
    const ls_known *known = ls__known_find(data_path);
    if (known)
        LS_TRY(resolve_known(known, choice, found));
    else
        snprintf(found, sizeof found, "%s", data_path);
    LS_CHECK(strlen(found) < bytes, LS_ERR_USAGE, "data.path: the path is too long: %zu bytes", strlen(found));
    snprintf(path, bytes, "%s", found);
    return LS_OK;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* Returns the name of the held-out split: that of the recipe, "test", or "valid" in a folder without "test". */
static const char *held_out_of(const ls_recipe *recipe, const char *path)
{
    if (recipe->eval.split) return recipe->eval.split;
    char        splits[LS_MAX_SPLITS][LS_SPLIT_NAME];
    int         count = 0, test = 0, valid = 0;
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode) && ls_dataset_splits(path, splits, &count) != LS_OK) count = 0;
    for (int i = 0; i < count; i++) {
        test += !strcmp(splits[i], "test");
        valid += !strcmp(splits[i], "valid");
    }
    return valid && !test ? "valid" : "test";
}

/* Checks that a text dataset was imported with the tokenizer of the recipe's data.tokenizer, if this key is set. */
static ls_status check_tokenizer(const ls_recipe *recipe, const ls_dataset_info *info)
{
    ls_tokenizer *t;
    char          hash[24];
    const char   *wanted = recipe->data.tokenizer, *where = ls_recipe_where(recipe, "data.tokenizer");
    if (!wanted || ls__known_find(recipe->data.path)) return LS_OK;
    LS_CHECK(info->tokenizer, LS_ERR_USAGE, "%s: data.tokenizer: %s holds %s, which have no tokenizer", where,
             info->path, ls_task_of(info)->data);
    if (!strcmp(wanted, info->tokenizer)) return LS_OK;
    const char *hint = "data.tokenizer= accepts the tokenizer of the dataset; or import the text again";
    LS_CHECK(access(wanted, F_OK) == 0, LS_ERR_USAGE,
             "%s: data.tokenizer: %s was imported with a tokenizer of kind %s, expected %s" LS_HINT "%s", where,
             info->path, *info->tokenizer ? info->tokenizer : "unknown", wanted, hint);
    LS_TRY(ls_tokenizer_load(&t, wanted));
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)ls_tokenizer_hash(t));
    ls_tokenizer_free(t);
    LS_CHECK(!strcmp(hash, info->tokenizer_hash), LS_ERR_USAGE,
             "%s: data.tokenizer: %s was imported with another tokenizer (hash %s) than %s (hash %s)" LS_HINT "%s",
             where, info->path, info->tokenizer_hash, wanted, hash, hint);
    return LS_OK;
}

/* Opens a split with the first task of the table that recognises its own keys in the recipe, else by the format of the
 * files. */
static ls_status open_split(ls_dataset **d, const ls_recipe *recipe, const char *path, const char *split)
{
    bool opened = false;
    for (const ls_task *const *task = ls__tasks; *task && !opened; task++)
        if ((*task)->open) LS_TRY((*task)->open(d, recipe, path, split, &opened));
    return opened ? LS_OK : ls_dataset_open(d, path, split);
}

/* Returns the first key that changes how images are read; NULL: none does. */
static const char *view_key(const ls_recipe *r)
{
    const struct {
        const char *key;
        bool        changes;
    } keys[] = {{"data.classes", r->data.classes[0] != NULL},
                {"data.train_per_class", r->data.train_per_class > 0},
                {"data.test_per_class", r->data.test_per_class > 0},
                {"data.shuffle_pixels", r->data.shuffle_pixels},
                {"data.size", r->data.size > 0},
                {"data.mean", r->data.mean.count > 0},
                {"data.std", r->data.std.count > 0}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].changes) return keys[i].key;
    return NULL;
}

/* Replaces the dataset by the view of it that the recipe describes. */
static ls_status view_images(ls_dataset **d, const ls_recipe *r, bool held_out)
{
    const ls_dataset_info info = ls_dataset_info_of(*d);
    const char           *key  = view_key(r);
    ls_image_view         o    = {.size          = sizeof o,
                                  .class_name    = r->data.classes,
                                  .per_class     = held_out ? r->data.test_per_class : r->data.train_per_class,
                                  .seed          = held_out ? 0 : (uint64_t)r->data.seed,
                                  .shuffles      = r->data.shuffle_pixels,
                                  .side          = r->data.size,
                                  .interpolation = (ls_interpolation)r->data.interpolation};
    if (!key) return LS_OK;
    LS_CHECK(info.kind == LS_DATA_IMAGES, LS_ERR_USAGE,
             "%s: %s: expected a dataset of images, found %s in %s" LS_HINT "leave out %s", ls_recipe_where(r, key),
             key, ls_task_of(&info)->data, info.path, key);
    LS_CHECK(r->data.mean.count == r->data.std.count && (!r->data.std.count || r->data.std.count == info.channels),
             LS_ERR_USAGE,
             "%s: data.mean, data.std: expected one number each for each of the %d channels of %s, found %d and %d",
             ls_recipe_where(r, r->data.mean.count ? "data.mean" : "data.std"), info.channels, info.path,
             r->data.mean.count, r->data.std.count);
    memcpy(o.mean, r->data.mean.value, sizeof o.mean);
    memcpy(o.std, r->data.std.value, sizeof o.std);
    ls_status status = ls__dataset_view(d, &o);
    if (status != LS_ERR_USAGE) return status;
    char name[64]; /* a message of the view begins with the key below data */
    snprintf(name, sizeof name, "data.%.*s", (int)strcspn(ls_error_message(), ":"), ls_error_message());
    return LS_FAIL(status, "%s: data.%s", ls_recipe_where(r, name), ls_error_message());
}

static ls_status open_digits(ls_dataset **d, const ls_recipe *recipe, bool held_out)
{
    LS_CHECK(!recipe->data.inputs[0], LS_ERR_USAGE,
             "%s: data.inputs: expected data.path to name a file or folder with arrays, found %s",
             ls_recipe_where(recipe, "data.inputs"), SYNTHETIC);
    return ls_dataset_digits(d, held_out ? "test" : "train",
                             held_out ? recipe->data.test_count : recipe->data.train_count,
                             (uint64_t)recipe->data.seed);
}

static ls_status open_made(ls_dataset **d, const ls_recipe *recipe, bool held_out)
{
    const char         *split  = !held_out ? "train" : recipe->eval.split ? recipe->eval.split : "test";
    const ls_made_pairs o      = {.count      = held_out ? recipe->data.test_count : recipe->data.train_count,
                                  .min_length = recipe->data.min_length,
                                  .max_length = recipe->data.max_length,
                                  .seed       = (uint64_t)recipe->data.seed};
    ls_status           status = ls_dataset_made_pairs(d, recipe->data.path, split, &o);
    if (status != LS_ERR_USAGE) return status;
    return LS_FAIL(status, "%s: data.path: %s", ls_recipe_where(recipe, "data.path"), ls_error_message());
}

static ls_status open_files(ls_dataset **d, const ls_recipe *recipe, bool held_out)
{
    char           path[LS_DATA_PATH];
    ls_text_choice choice = {recipe->data.tokenizer, recipe->data.vocab, recipe->data.min_count,
                             recipe->data.lowercase};
    LS_TRY(ls_data_resolve(recipe->data.path, &choice, path, sizeof path));
    return open_split(d, recipe, path, held_out ? held_out_of(recipe, path) : "train");
}

/* Refuses eval.augment for data other than images, and for images without neighbouring pixels. */
static ls_status check_views(const ls_recipe *recipe, const ls_dataset_info *info)
{
    if (recipe->eval.augment == LS_EVAL_AUGMENT_NONE) return LS_OK;
    const char *where = ls_recipe_where(recipe, "eval.augment");
    LS_CHECK(info->kind == LS_DATA_IMAGES, LS_ERR_USAGE,
             "%s: eval.augment: expected a dataset of images, found %s in %s" LS_HINT "leave out eval.augment", where,
             ls_task_of(info)->data, info->path);
    LS_CHECK(!recipe->data.shuffle_pixels, LS_ERR_USAGE,
             "%s: eval.augment: expected none, because data.shuffle_pixels leaves no neighbours to shift or mirror",
             where);
    return LS_OK;
}

/* Refuses data.augment for data other than images. */
static ls_status check_augment(const ls_recipe *recipe, const ls_dataset_info *info)
{
    static const ls_augment none;
    const char             *key = ls_recipe_first_key(recipe, "data.augment.");
    LS_CHECK(info->kind == LS_DATA_IMAGES || !memcmp(&recipe->data.augment, &none, sizeof none), LS_ERR_USAGE,
             "%s: %s: expected a dataset of images, found %s in %s" LS_HINT "leave out data.augment",
             ls_recipe_where(recipe, key), key, ls_task_of(info)->data, info->path);
    return LS_OK;
}

ls_status ls_data_open(ls_dataset **d, const ls_recipe *recipe, bool held_out)
{
    const bool synthetic = !strcmp(recipe->data.path, SYNTHETIC);
    LS_TRY(synthetic                                ? open_digits(d, recipe, held_out)
           : ls_made_pairs_named(recipe->data.path) ? open_made(d, recipe, held_out)
                                                    : open_files(d, recipe, held_out));
    ls_dataset_info info   = ls_dataset_info_of(*d);
    const ls_task  *task   = ls_task_of(&info);
    ls_status       status = synthetic ? LS_OK : check_tokenizer(recipe, &info);
    if (status == LS_OK) status = check_augment(recipe, &info);
    if (status == LS_OK) status = check_views(recipe, &info);
    if (status == LS_OK) status = view_images(d, recipe, held_out);
    if (status == LS_OK && task->prepare) status = task->prepare(*d, recipe);
    if (status == LS_OK) return LS_OK;
    ls_dataset_free(*d);
    *d = NULL;
    return ls__trace(status, __FILE__, __LINE__, __func__);
}

/* Loads tokenizer.json from `sub` in the folder of a dataset, and compares its size and hash; *t is NULL when there is
 * no such file. */
static ls_status load_tokenizer(ls_tokenizer **t, const ls_dataset_info *info, const char *sub, int size,
                                const char *expected)
{
    char        path[LS_DATA_PATH], hash[24];
    struct stat st;
    const char *slash  = strrchr(info->path, '/');
    bool        folder = stat(info->path, &st) == 0 && S_ISDIR(st.st_mode);
    int         length = folder ? (int)strlen(info->path) : slash ? (int)(slash - info->path) : 0;
    *t                 = NULL;
    LS_CHECK(snprintf(path, sizeof path, "%.*s/%stokenizer.json", length ? length : 1, length ? info->path : ".", sub) <
                 (int)sizeof path,
             LS_ERR_USAGE, "%s: the path is too long", info->path);
    if (access(path, F_OK) != 0) return LS_OK;
    LS_TRY(ls_tokenizer_load(t, path));
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)ls_tokenizer_hash(*t));
    if (ls_tokenizer_size(*t) == size && (!*expected || !strcmp(hash, expected))) return LS_OK;
    ls_status status =
        LS_FAIL(LS_ERR_DATA,
                "%s: is not the tokenizer of the dataset in this folder: found %d tokens and hash %s, expected %d and "
                "%s" LS_HINT "restore the tokenizer.json of the import, or import the text again",
                path, ls_tokenizer_size(*t), hash, size, *expected ? expected : "any");
    ls_tokenizer_free(*t);
    *t = NULL;
    return status;
}

ls_status ls_data_tokenizer(ls_tokenizer **t, const ls_dataset_info *info)
{
    const int size = info->kind == LS_DATA_LABELLED ? info->vocabulary : info->classes;
    return load_tokenizer(t, info, "", size, info->tokenizer_hash);
}

/* Loads the tokenizers of a folder with pairs. */
static ls_status load_pair_tokenizers(ls_tokenizer **source, ls_tokenizer **target, const ls_dataset_info *info)
{
    LS_TRY(load_tokenizer(source, info, "source/", info->source_vocabulary, info->source_tokenizer_hash));
    LS_TRY(load_tokenizer(target, info, "target/", info->classes, info->tokenizer_hash));
    LS_CHECK(*source && *target, LS_ERR_DATA,
             "%s: expected source/tokenizer.json and target/tokenizer.json beside it, found no %s" LS_HINT
             "copy them from the dataset",
             info->path, *source ? "target/tokenizer.json" : "source/tokenizer.json");
    return LS_OK;
}

static ls_status make_pair_tokenizers(ls_tokenizer **source, ls_tokenizer **target)
{
    LS_TRY(ls_made_pairs_tokenizer(source));
    return ls_made_pairs_tokenizer(target);
}

ls_status ls_data_pair_tokenizers(ls_tokenizer **source, ls_tokenizer **target, const ls_dataset_info *info)
{
    *source = *target = NULL;
    ls_status status  = ls_made_pairs_named(info->path) ? make_pair_tokenizers(source, target)
                                                        : load_pair_tokenizers(source, target, info);
    if (status == LS_OK) return LS_OK;
    ls_tokenizer_free(*source);
    ls_tokenizer_free(*target);
    *source = *target = NULL;
    return status;
}
