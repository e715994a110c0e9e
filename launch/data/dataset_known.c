/* SPDX-License-Identifier: Apache-2.0
 * The table of public datasets, and the import of their files. */
#include "launch/data/dataset_known.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/io/paths.h"
#include "launch/data/child_process.h"

/* Longest sentence of a known dataset of pairs, tokens: none is left out with characters either. */
enum { KNOWN_LENGTH = 512 };

static ls_status import_mnist(const ls_known *known, const char *source, const ls_text_choice *choice, const char *out)
{
    (void)known;
    (void)choice;
    return ls_import_mnist(source, out, 1);
}

static ls_status import_text(const ls_known *known, const char *source, const ls_text_choice *choice, const char *out)
{
    char path[LS_PATH_BYTES];
    LS_TRY(ls__known_file(known, 0, source, path));
    return ls_import_text(&(ls_text_import){.size       = sizeof(ls_text_import),
                                            .files      = 1,
                                            .file       = (const char *const[]){path},
                                            .out        = out,
                                            .tokenizer  = choice->tokenizer,
                                            .vocabulary = (int32_t)choice->vocab,
                                            .min_count  = choice->min_count,
                                            .lowercase  = choice->lowercase,
                                            .valid      = 0.1,
                                            .shards     = 1});
}

/* Imports six files: source and target of train, of valid and of test. */
static ls_status import_pairs(const ls_known *known, const char *source, const ls_text_choice *choice, const char *out)
{
    char path[LS_PAIRS_SPLITS][2][LS_PATH_BYTES];
    for (int k = 0; k < 2 * LS_PAIRS_SPLITS; k++) LS_TRY(ls__known_file(known, k, source, path[k / 2][k % 2]));
    return ls_import_pairs(&(ls_pairs_import){.size       = sizeof(ls_pairs_import),
                                              .source     = {path[0][0], path[1][0], path[2][0]},
                                              .target     = {path[0][1], path[1][1], path[2][1]},
                                              .out        = out,
                                              .tokenizer  = choice->tokenizer,
                                              .vocabulary = (int32_t)choice->vocab,
                                              .min_count  = choice->min_count,
                                              .lowercase  = choice->lowercase,
                                              .max_length = KNOWN_LENGTH});
}

static ls_status import_labelled(const ls_known *known, const char *source, const ls_text_choice *choice,
                                 const char *out)
{
    char train[LS_PATH_BYTES], valid[LS_PATH_BYTES];
    LS_TRY(ls__known_file(known, 0, source, train));
    LS_TRY(ls__known_file(known, 1, source, valid));
    return ls_import_labelled(&(ls_labelled_import){.size       = sizeof(ls_labelled_import),
                                                    .file       = {train, valid},
                                                    .out        = out,
                                                    .tokenizer  = choice->tokenizer,
                                                    .vocabulary = (int32_t)choice->vocab,
                                                    .min_count  = choice->min_count,
                                                    .lowercase  = choice->lowercase});
}

/* Extracts the archive of image files beside the dataset, imports them and removes them. */
static ls_status import_archive(const ls_known *known, const char *source, const ls_text_choice *choice,
                                const char *out)
{
    char archive[LS_PATH_BYTES], files[LS_PATH_BYTES];
    (void)choice;
    LS_TRY(ls__path(archive, "%s/%s", source, known->file[0].name));
    LS_TRY(ls__path(files, "%s.files", out));
    LS_CHECK(access(archive, R_OK) == 0, LS_ERR_DATA, "%s: %s", archive, strerror(errno));
    ls_status status = ls__archive_extract(archive, files);
    if (status == LS_OK)
        status = ls_import_images(&(ls_images_import){
            .size = sizeof(ls_images_import), .folder = files, .out = out, .shards = 1, .ranks = 1});
    ls__tree_remove(files);
    return status;
}

const ls_known ls__known[] = {
    {.name   = "mnist",
     .file   = {{"train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"},
                {"train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"},
                {"t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"},
                {"t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"}},
     .packed = ".gz",
     .home   = {"https://storage.googleapis.com/cvdf-datasets/mnist", "https://ossci-datasets.s3.amazonaws.com/mnist"},
     .recipe = "lenet5-mnist",
     .import = import_mnist},
    {.name      = "shakespeare",
     .file      = {{"input.txt", "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"}},
     .packed    = "",
     .home      = {"https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare"},
     .recipe    = "gpt-shakespeare-char",
     .tokenizer = "chars",
     .import    = import_text},
    {.name      = "multi30k",
     .file      = {{"train.en", "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6"},
                   {"train.de", "2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72"},
                   {"val.en", "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227"},
                   {"val.de", "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660"},
                   {"test_2016_flickr.en", "399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182"},
                   {"test_2016_flickr.de", "4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16"}},
     .packed    = ".gz",
     .home      = {"https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw"},
     .recipe    = "transformer-multi30k",
     .tokenizer = "bpe",
     .import    = import_pairs},
    {.name      = "sst2",
     .file      = {{"train.tsv", "920e317b2c52e12cd22db1da2c6708312bd7dc4f3712b9bbf1b50ee6c2c792ba"},
                   {"dev.tsv", "92353770071a2a889f75d000a38a9e541ea8f0a5499e50f040b17917a5cbf66f"}},
     .packed    = "",
     .recipe    = "bert-sst2",
     .tokenizer = "bpe",
     .import    = import_labelled},
    {.name   = "cifar10",
     .file   = {{"cifar10-jpeg.tar.xz", "18ee257832403cf6f3f79ff7db1e971124c3f510d031eb5c9213eee4dab66e51"}},
     .packed = "",
     .recipe = "resnet20-cifar10",
     .import = import_archive},
    {0},
};

ls_status ls__known_file(const ls_known *known, int k, const char *folder, char path[LS_PATH_BYTES])
{
    LS_TRY(ls__path(path, "%s/%s", folder, known->file[k].name));
    if (access(path, F_OK) != 0) LS_TRY(ls__path(path, "%s/%s.gz", folder, known->file[k].name));
    return LS_OK;
}

const ls_known *ls__known_find(const char *name)
{
    for (const ls_known *known = ls__known; known->name; known++)
        if (!strcmp(known->name, name)) return known;
    return NULL;
}

const char *ls__known_names(void)
{
    static _Thread_local char list[128];
    *list = 0;
    for (const ls_known *known = ls__known; known->name; known++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *list ? ", " : "", known->name);
    return list;
}
