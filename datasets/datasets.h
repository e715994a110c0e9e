/* SPDX-License-Identifier: Apache-2.0
 *
 * Datasets: files of images, text and arrays, the sampler, the loader, importers, synthetic digits.  Public.
 *
 * A dataset is a folder with one HDF5 file per split, "train.h5" and "test.h5" or "valid.h5", or with several files per
 * split, "train-00000-of-00004.h5".  Datasets of arrays take any HDF5 file (see below).  Files of images:
 *
 *     attributes   lockstep_format = 1, split, classes, mean[C], std[C] (of pixels scaled to 0 to 1)
 *     /image       uint8  N x C x H x W       contiguous, or in chunks of whole samples
 *     /label       int32  N
 *     /class_names strings (optional)
 *     attribute    checksum of pixels and labels, XXH3 in 16 hex digits, for `lockstep data verify` (optional)
 *     attributes   interpolation, fit, orientation: how image files became pixels (optional; default: bilinear,
 *                  stretch, upright)
 *
 * Files of images may hold image files instead of /image, which are decoded when a sample is read:
 *
 *     attributes   channels (1 or 3), height, width to which they are decoded
 *     /bytes       uint8  contiguous         the image files, one after the other
 *     /offset      int64  N + 1              position in /bytes of each image file, and the end of the last one
 *
 * Files of text, where a file may end within a document:
 *
 *     attributes   lockstep_format = 1, split, vocabulary; optional: tokenizer (its kind), tokenizer_hash (of the
 *                  tokenizer.json beside the files), bytes (length of the text of the whole split)
 *     /tokens      uint16 (vocabulary <= 65536) or uint32, N      contiguous, or in chunks
 *     /documents   int64, index in this file of the first token of each document, increasing (optional)
 *     attribute    checksum of tokens and documents as they are stored (optional)
 *
 * Files of pairs of sentences.  Sentence 2 i is the source of pair i, sentence 2 i + 1 its target:
 *
 *     attributes   lockstep_format = 1, split, joint (1: both sides have one vocabulary); of the source:
 *                  source_vocabulary, source_tokenizer (its kind), source_tokenizer_hash (of source/tokenizer.json
 *                  beside the file), source_end (id of the end token); of the target: the same with target_
 *     /pair_tokens uint32, of all sentences, without end tokens        these arrays are contiguous, little-endian
 *     /pair_starts int64  2 N + 1            position in /pair_tokens of each sentence, and the end of the last one
 *     /lines       uint8                     the lines from which the tokens were made, UTF-8, without newlines
 *     /line_starts int64  2 N + 1            position in /lines of each line, and the end of the last one
 *     attribute    checksum of the four arrays as they are stored (optional)
 *
 * Files of labelled texts.  A sample is a text, or a pair of texts, with the tokens that the tokenizer puts around it:
 *
 *     attributes   lockstep_format = 1, split, vocabulary, tokenizer (its kind), tokenizer_hash (of the tokenizer.json
 *                  beside the file), classes (0: the labels are numbers, for a regression)
 *     /text_tokens uint32, of all samples                              these arrays are contiguous, little-endian
 *     /text_starts int64  N + 1              position in /text_tokens of each sample, and the end of the last one
 *     /text_second int32  N                  index of the sample's first token of type 1; without one, its length
 *     /label       int32  N, classes; or float32 N
 *     /class_names strings, of classes
 *     attribute    checksum of the four arrays as they are stored (optional)
 *
 * C++: the macros with named arguments (ls_loader_new, ls_tokenizer_train) need C.  In C++ fill in the options struct
 * and call ls__loader_new or ls__tokenizer_train.
 */
#ifndef LS_DATASETS_DATASETS_H
#define LS_DATASETS_DATASETS_H

#include "core/core.h"
#include "datasets/tokenizer/tokenizer.h"

LS_PUBLIC_BEGIN

typedef struct ls_dataset ls_dataset;

/* Opens one split ("train", "test") of the dataset at `path`, a file or a folder.  Checks all headers; LS_ERR_DATA
 * names the file, the expected and the found value. */
ls_status ls_dataset_open(ls_dataset **d, const char *path, const char *split);
/* Opens the embedded dataset `digits`: grey images of 28 x 28 pixels, drawn by the program.  Sample i is a pure
 * function of (seed, split, i). */
ls_status ls_dataset_digits(ls_dataset **d, const char *split, int64_t count, uint64_t seed);
void      ls_dataset_free(ls_dataset *d);

/* Maximum length of a window of text, in tokens. */
enum { LS_MAX_CONTEXT = 1 << 24 };

/* clang-format off */
typedef enum ls_data_kind {
    LS_DATA_IMAGES, LS_DATA_TEXT, LS_DATA_ARRAYS, LS_DATA_PAIRS, LS_DATA_LABELLED } ls_data_kind;
/* clang-format on */

/* One array of a batch: rows x dim[0] x ... x dim[rank - 1] elements of `type`.  rank 0: one element a sample. */
enum { LS_COLUMN_NAME = 64 };
typedef enum ls_column_role { LS_COLUMN_INPUT, LS_COLUMN_TARGET } ls_column_role;
typedef struct ls_column {
    char           name[LS_COLUMN_NAME]; /* name of the graph's input                      */
    ls_dtype       type;                 /* LS_F32 or LS_I32                               */
    ls_column_role role;                 /* input of the model, or target of the loss      */
    int            rank;                 /* dims of one sample, without the batch          */
    int64_t        dim[LS_MAX_DIMS];
} ls_column;

/* How image files become pixels of a size. */
typedef enum ls_interpolation { LS_BILINEAR, LS_BICUBIC } ls_interpolation;
typedef enum ls_image_fit {
    LS_FIT_STRETCH, /* resize to height x width, whatever the aspect ratio                                 */
    LS_FIT_CROP     /* resize until the image covers height x width, cut out the centre (torchvision)      */
} ls_image_fit;
typedef struct ls_image_options {
    ls_interpolation interpolation;
    ls_image_fit     fit;
    float            crop; /* LS_FIT_CROP: part of the resized image's side that is cut out; 0: 1 (timm's crop_pct) */
    bool             as_stored; /* ignore the orientation in EXIF and XMP, as torchvision's ImageFolder does */
} ls_image_options;
/* The options as text, by index: "interpolation" (bilinear, bicubic), "fit" (stretch, crop), "orientation" (upright,
 * stored).  _name returns NULL behind the last one; _set returns false for an unknown value. */
const char *ls_image_option_name(int i);
const char *ls_image_option_text(const ls_image_options *o, int i);
bool        ls_image_option_set(ls_image_options *o, int i, const char *text);

/* Random changes of training images; all 0: none (datasets/augment/README.md has the order and the definitions). */
#define LS_CROP_MODE_LIST(X) X(ZEROS, "zeros") X(REFLECT, "reflect")
typedef enum ls_crop_mode {
#define X(name, text) LS_CROP_##name,
    LS_CROP_MODE_LIST(X)
#undef X
} ls_crop_mode;
typedef struct ls_augment {
    int          crop;      /* padding of each side, pixels, before a crop of the image's size at a random place */
    ls_crop_mode crop_mode; /* pixels of the padding                                                             */
    float        resized_crop[2];     /* smallest and largest area of a crop that is resized, fraction of the image  */
    float        rotate, shift;       /* largest angle, degrees; largest shift, fraction of height and width         */
    bool         flip, vertical_flip; /* left to right, top to bottom, of half of the images                     */
    bool         trivial;             /* TrivialAugment                                                          */
    float        brightness, contrast, saturation; /* largest change of the factor from 1                        */
    float        hue;           /* largest change, fraction of the circle of hues                                */
    float        erase;         /* probability of erasing a rectangle                                            */
    float        mixup, cutmix; /* alpha of the share's distribution Beta(alpha, alpha)                          */
} ls_augment;

/* Masked language modelling on text (datasets/text/masked_batch.c). */
typedef struct ls_masking {
    float       part;           /* of the tokens that are masked; 0: text is not masked                           */
    bool        pairs;          /* a sample has two parts, of which the second may be from elsewhere              */
    int32_t     cls, sep, mask; /* ids of [CLS], [SEP] and [MASK]                                                 */
    const bool *continues;      /* by token: it continues a word; whole words are masked.  NULL: single tokens    */
} ls_masking;

typedef struct ls_dataset_info {
    const char *split, *path;
    int64_t     count; /* samples; text: windows in file order */

    /* Images (channels, height, width, mean, std) and classification of arrays. */
    int                channels, height, width;
    int                classes; /* text: size of the vocabulary; regression: 0 */
    float              mean[4], std[4];
    const char *const *class_names; /* `classes` names, "0", "1", ... by default; text, regression: NULL */

    /* Columns of a batch: image and label; tokens and target; the named arrays; of pairs source, source_length,
     * previous, target and target_length (datasets/pairs/pairs_batch.c); of labelled texts tokens, type, length and
     * label (datasets/labelled/labelled_batch.c). */
    int       columns;
    ls_column column[LS_MAX_INPUTS];

    ls_data_kind kind;

    /* Text. */
    int64_t     context; /* length of a window, tokens; 0 before ls_dataset_window */
    bool        streams; /* set by ls_dataset_streams                              */
    int64_t     tokens, documents;
    int64_t     bytes;          /* length of the text of the tokens; 0: unknown    */
    const char *tokenizer;      /* its kind: "bytes", "chars", "bpe"; "": unknown  */
    const char *tokenizer_hash; /* 16 hex digits; "": unknown                      */
    ls_masking  masking;        /* set by ls_dataset_mask                          */

    ls_image_options image_options; /* with which image files were imported        */
    ls_augment       augment;       /* set by ls_dataset_augment                   */
    int64_t          stored_bytes;  /* images kept as files: their bytes; 0: kept as pixels */

    /* Pairs of sentences.  classes, tokens, tokenizer and tokenizer_hash are those of the target. */
    int64_t     source_length, target_length; /* widths of the columns: the greatest length of a sentence of the split,
                                                 end token included, rounded up to a multiple of 4 */
    int         source_vocabulary;
    int64_t     source_tokens; /* source_tokens and tokens include the end tokens   */
    const char *source_tokenizer, *source_tokenizer_hash;
    bool        joint;           /* both sides have one vocabulary                  */
    int32_t     source_end, end; /* ids of the end tokens                           */
    bool        made;            /* ls_dataset_made_pairs                           */

    /* Labelled texts.  `context` is the width of the columns: the greatest length of a sample, rounded up to a multiple
     * of 4; classes is 0 for a regression. */
    int vocabulary;
} ls_dataset_info;
/* Fills in the first `bytes` bytes of *info; ls_dataset_info_of calls it with the size that the caller was compiled
 * with. */
void                          ls__dataset_info(const ls_dataset *d, ls_dataset_info *info, size_t bytes);
static inline ls_dataset_info ls_dataset_info_of(const ls_dataset *d)
{
    ls_dataset_info info;
    ls__dataset_info(d, &info, sizeof info);
    return info;
}

/* Returns the number of samples in an epoch of batches of `batch` samples.  Text in shuffled order has one window less
 * than in file order, because its windows begin at a random offset.  Streams of text have whole batches only. */
int64_t ls_dataset_epoch(const ls_dataset *d, bool in_order, int64_t batch);

/* Text: sets the length of a window (datasets/text/text_batch.c).  Call it before loaders are created.  LS_ERR_DATA:
 * the split is too short for one window. */
ls_status ls_dataset_window(ls_dataset *d, int64_t context);
/* Text: cuts the split into as many streams as a batch has samples.  Sample b of each batch continues stream b, for
 * recurrent models that carry their state.  Batches have one more column, "start" (int32): the position of a sample in
 * its stream, in tokens.  All loaders read the streams in order.  Call it before loaders are created. */
ls_status ls_dataset_streams(ls_dataset *d);
/* Text: makes samples for masked language modelling of the windows.  Columns are tokens, type, length, target, next and
 * scale.  Call it after ls_dataset_window and before loaders are created. */
ls_status ls_dataset_mask(ls_dataset *d, const ls_masking *options);
/* Text: reads `n` tokens from `first` on, and checks them against the vocabulary; reads the index of the first token of
 * `n` documents.  Both count tokens of the split.  Thread-safe. */
ls_status ls_dataset_tokens(ls_dataset *d, int64_t first, int64_t n, int32_t *tokens);
ls_status ls_dataset_documents(ls_dataset *d, int64_t first, int64_t n, int64_t *starts);

/* Pairs: a pair as it is stored.  Starts as {0}. */
typedef struct ls_pair {
    ls_string source, target;               /* lines, without the newline character */
    ls_tokens source_tokens, target_tokens; /* without the end token                */
} ls_pair;
/* Pairs: replaces *pair by pair i.  Thread-safe, with a *pair for each thread. */
ls_status ls_dataset_pair(ls_dataset *d, int64_t i, ls_pair *pair);
void      ls_pair_free(ls_pair *pair);

/* Labelled texts: a sample as it is stored.  Starts as {0}. */
typedef struct ls_labelled_text {
    ls_tokens tokens; /* with those around the texts                        */
    int64_t   second; /* first token of type 1; without one, their number   */
    double    label;  /* a class, or the value of a regression              */
} ls_labelled_text;
/* Labelled texts: replaces *text by sample i; ls_tokens_free frees text->tokens.  Thread-safe, with a *text each. */
ls_status ls_dataset_text(ls_dataset *d, int64_t i, ls_labelled_text *text);

/* Pairs that the program makes.  `path` is made:copy, made:reverse or made:sort (datasets/pairs/made_pairs.c).  Pair i
 * of a split (train, valid, test) is a function of the options and i.  No sequence is in two splits. */
typedef struct ls_made_pairs {
    int64_t  count, min_length, max_length; /* of the split; digits of a sequence, 1 to 1,000 */
    uint64_t seed;
} ls_made_pairs;
ls_status ls_dataset_made_pairs(ls_dataset **d, const char *path, const char *split, const ls_made_pairs *options);
bool      ls_made_pairs_named(const char *path);     /* whether `path` names made pairs */
ls_status ls_made_pairs_tokenizer(ls_tokenizer **t); /* of both sides */

/* Images: how a model reads a dataset.  Options that are 0 leave the dataset as it is. */
typedef struct ls_image_view {
    size_t             size;       /* sizeof(ls_image_view) */
    const char *const *class_name; /* classes that remain, ended by NULL; they keep their order and are numbered anew */
    int64_t            per_class;  /* samples that remain of each class, chosen by `seed`                             */
    uint64_t           seed;
    int                side; /* height and width to which images are resized, with the bytes of Pillow's resize       */
    ls_interpolation   interpolation;
    bool               shuffles; /* one permutation of the pixels for all images, as a test that order matters        */
    float              mean[4], std[4]; /* by channel, of pixels scaled to 0 to 1; std[0] = 0: those of the dataset   */
} ls_image_view;
/* Replaces *d by a view of it, which owns it.  Call it before loaders are created.  LS_ERR_USAGE: an option does not
 * fit the dataset; the message begins with its name, and *d is unchanged. */
ls_status ls__dataset_view(ls_dataset **d, const ls_image_view *options);
#ifndef __cplusplus
#define ls_dataset_view(dataset, ...)                                                                                  \
    ls__dataset_view((dataset), &(ls_image_view){.size = sizeof(ls_image_view), __VA_ARGS__})
#endif

/* Images: reads sample i: channels x height x width bytes (`pixels` NULL: skipped), and the label.  Thread-safe. */
ls_status ls_dataset_read(ls_dataset *d, int64_t i, uint8_t *pixels, int32_t *label);
/* Images: loaders in shuffled order, which training uses, deliver changed images.  The image of a sample is a function
 * of (seed of the loader, epoch, sample).  With mixup or cutmix it is also a function of the global batch, and
 * batches have two more columns: "partner" (int32), the label of the other image, and "partner_share" (float32).
 * Loaders in file order are not affected.  Call it before loaders are created.
 * LS_ERR_USAGE: an option does not fit the images; the message begins with its name, "augment.crop". */
ls_status ls_dataset_augment(ls_dataset *d, const ls_augment *options);
/* Reads all samples and compares the checksums.  *files: number of files; *checked: number of those with a checksum. */
ls_status ls_dataset_verify(ls_dataset *d, int *files, int *checked);

/* ---- arrays -------------------------------------------------------------------------------------------------------
 * Named arrays of any HDF5 file, written by h5py for example: floats or integers, with the samples in the first dim.
 *
 *     ls_array_columns c = {.inputs = 1, .input = {"x"}, .targets = 1, .target = {"y"}};
 *     LS_TRY(ls_dataset_open_arrays(&train, "data/wind", "train", &c));
 *     LS_TRY(ls_dataset_open_arrays(&test, "data/wind", "test", &c));
 *     LS_TRY(ls_scaler_fit(&scaler, train));                 mean and std of inputs and regression targets
 *     LS_TRY(ls_dataset_scale(train, scaler));
 *     LS_TRY(ls_dataset_scale(test, scaler));
 *
 * Inputs and the targets of a regression are float32 columns with the shape of a sample; an array with one dim gives
 * columns of one element.  The target of a classification is an int32 column of rank 0 with classes 0 to K - 1. */
typedef enum ls_array_task { LS_ARRAY_REGRESSION, LS_ARRAY_CLASSIFICATION } ls_array_task;
typedef struct ls_array_columns {
    int           inputs, targets;       /* numbers of arrays; at most LS_MAX_INPUTS together       */
    const char   *input[LS_MAX_INPUTS];  /* names, with or without a leading '/'; groups: "a/b"     */
    const char   *target[LS_MAX_INPUTS]; /* one at most for a classification                        */
    ls_array_task task;
} ls_array_columns;

/* Opens a split of the arrays at `path`, a folder with train.h5 and test.h5 or valid.h5 (or their shards), or one file.
 * A single file has no splits of its own: "train" is the file without its last tenth (at least one sample), any other
 * name is that tenth, NULL is the whole file.  With targets = 0 files without targets can be opened, for prediction.
 *
 * Classification: info.classes is the number of names in /class_names, or 1 + the largest class of all splits.
 * LS_ERR_DATA names the file, the array and the sample. */
ls_status ls_dataset_open_arrays(ls_dataset **d, const char *path, const char *split, const ls_array_columns *columns);

/* Reads `n` samples of column `column` from sample `first` on, as they are in the file.  Thread-safe. */
ls_status ls_dataset_values(ls_dataset *d, int column, int64_t first, int64_t n, double *values);

/* Mean and std per channel (first dim of a sample of rank >= 2) or per element of a vector, for each input and each
 * regression target.  A constant channel has std 1. */
typedef struct ls_scaler ls_scaler;

/* Computes the scaler of a split in one pass over its values, in float64 and in file order: all ranks get equal bits.
 */
ls_status ls_scaler_fit(ls_scaler **s, ls_dataset *train);
void      ls_scaler_free(ls_scaler *s);

/* The scaler as JSON, {"x": {"mean": [...], "std": [...]}, ...}, and back, without loss.  The caller frees the text.
 * `where` names the source of the text in messages. */
char     *ls_scaler_to_json(const ls_scaler *s);
ls_status ls_scaler_from_json(ls_scaler **s, const char *where, const char *json);

/* Sets *count, *mean and *std to those of an array; false if the scaler has no such array. */
bool ls_scaler_get(const ls_scaler *s, const char *name, int64_t *count, const double **mean, const double **std);

/* Makes loaders deliver (value - mean) / std.  The dataset copies the scaler.  Call it before loaders are created. */
ls_status ls_dataset_scale(ls_dataset *d, const ls_scaler *s);

/* Scales predictions back in place: value * std + mean, for `rows` samples of `elements` values of the array `name`. */
ls_status ls_scaler_inverse(const ls_scaler *s, const char *name, int64_t rows, int64_t elements, float *values);

/* Writes named arrays into one HDF5 file, "folder/name.h5"; missing folders are made.  The file gets its name when it
 * is complete; after an error ls_array_writer_free leaves nothing behind.
 *
 *     ls_array_output out = {.name = "y", .type = LS_ARRAY_F32, .rank = 1, .dim = {3}};
 *     LS_TRY(ls_array_writer_new(&w, "predictions.h5", count, &out, 1));
 *     for (...) LS_TRY_GOTO(status, ls_array_writer_add(w, (const void *const[]){row}), end);   one sample
 *     status = ls_array_writer_close(w);
 *     end: ls_array_writer_free(w);
 */
typedef enum ls_array_type { LS_ARRAY_F32, LS_ARRAY_F64, LS_ARRAY_I32 } ls_array_type;
typedef struct ls_array_output {
    const char   *name; /* without '/' */
    ls_array_type type;
    int           rank; /* of one sample; 0: one element a sample */
    int64_t       dim[LS_MAX_DIMS];
} ls_array_output;
typedef struct ls_array_writer ls_array_writer;
ls_status ls_array_writer_new(ls_array_writer **w, const char *path, int64_t count, const ls_array_output *outputs,
                              int n);
/* Adds an array of n strings, class_names for example.  Call it before the first sample. */
ls_status ls_array_writer_strings(ls_array_writer *w, const char *name, int n, const char *const *text);
ls_status ls_array_writer_add(ls_array_writer *w, const void *const *rows);
ls_status ls_array_writer_close(ls_array_writer *w);
void      ls_array_writer_free(ls_array_writer *w);

/* Lists the splits in a folder, sorted by name: the file names without ".h5" and "-00000-of-00004". */
enum { LS_MAX_SPLITS = 16, LS_SPLIT_NAME = 64 };
ls_status ls_dataset_splits(const char *folder, char (*splits)[LS_SPLIT_NAME], int *count);

/* ---- writing datasets ---------------------------------------------------------------------------------------------
 * Writes a split of a known number of images into `shards` files of a folder, which is made if it is missing.  The
 * files get their names when all are written and synced; after an error ls_writer_free leaves nothing behind.
 *
 *     LS_TRY(ls_writer_new(&w, "data/mnist", &info, 4));        info: count, shape, classes, mean, std, split
 *     for (...) LS_TRY_GOTO(status, ls_writer_add(w, pixels, label), end);
 *     status = ls_writer_close(w);
 *     end: ls_writer_free(w);
 */
typedef struct ls_writer ls_writer;
ls_status                ls_writer_new(ls_writer **w, const char *folder, const ls_dataset_info *info, int shards);
ls_status                ls_writer_add(ls_writer *w, const uint8_t *pixels, int32_t label);
ls_status                ls_writer_close(ls_writer *w);
void                     ls_writer_free(ls_writer *w);

/* Writes a split of text of any length.
 *
 *     LS_TRY(ls_text_writer_new(&w, "data/books", &info, 4));
 *     for (each document) {
 *         LS_TRY_GOTO(status, ls_text_writer_document(w), end);         starts a document at the next token
 *         LS_TRY_GOTO(status, ls_text_writer_add(w, tokens, n), end);   any number of times
 *     }
 *     LS_TRY_GOTO(status, ls_text_writer_finish(w, bytes), end);        length of the text in bytes; 0: unknown
 *     status = ls_text_writer_close(w);
 *     end: ls_text_writer_free(w);
 */
typedef struct ls_text_info {
    const char *split;
    int64_t     vocabulary;
    const char *tokenizer, *tokenizer_hash; /* NULL: none */
    int64_t     bytes;                      /* set by ls_text_writer_finish */
} ls_text_info;
typedef struct ls_text_writer ls_text_writer;
ls_status ls_text_writer_new(ls_text_writer **w, const char *folder, const ls_text_info *info, int shards);
ls_status ls_text_writer_document(ls_text_writer *w);
ls_status ls_text_writer_add(ls_text_writer *w, const int32_t *tokens, int64_t n);
int64_t   ls_text_writer_tokens(const ls_text_writer *w); /* number of tokens added */
ls_status ls_text_writer_finish(ls_text_writer *w, int64_t bytes);
ls_status ls_text_writer_close(ls_text_writer *w);
void      ls_text_writer_free(ls_text_writer *w);

/* Imports the four idx files of MNIST, or of a dataset in its format, gzip or not: splits train and test, both with the
 * mean and std of train. */
ls_status ls_import_mnist(const char *folder, const char *out, int shards);

/* Imports the binary files of CIFAR-10 or CIFAR-100: splits train and test, both with the mean and std of train.
 * coarse: the 20 superclasses of CIFAR-100 as labels. */
ls_status ls_import_cifar(const char *folder, const char *out, bool coarse, int shards);

/* Imports a tree of image files, one folder per class (datasets/image/import_images.c): splits train, valid, test, all
 * with the mean and std of train.
 *
 * The ranks of a job may import together: each decodes a part of the files.  Every rank calls ls_import_images with the
 * same options and its `rank`, `agree` synchronises them, and rank 0 writes the dataset; `out` must be in a folder that
 * all ranks see.  The dataset has the same bytes for any number of ranks and threads. */
typedef enum ls_images_note {
    LS_IMAGES_UNREADABLE, /* a file that cannot be read: the text is the reason  */
    LS_IMAGES_DUPLICATE,  /* two files with the same content in different splits or classes */
    LS_IMAGES_REMARK      /* an empty class, ignored files                       */
} ls_images_note;
typedef struct ls_images_import {
    size_t           size; /* sizeof(ls_images_import) */
    const char      *folder, *out;
    const char      *test;          /* folder of the split test; NULL: folder/test, if it exists                    */
    const char      *classes;       /* file with class names, one a line; NULL: the folders of train, bytewise      */
    int              height, width; /* 0: the size of the first image, which all images must have                   */
    int              channels;      /* 1: grey, 3: RGB; 0: 3                                                        */
    ls_image_options options;
    double   valid; /* part of train, by class, that becomes valid; below 0: 0.1 where there is no valid or test */
    uint64_t seed;  /* of that choice                                                                       */
    bool     skip;  /* leave unreadable files out; false: they are an error                                 */
    bool     keep;  /* keep the image files, decoded when a sample is read; false: keep their pixels        */
    int      shards, rank, ranks;
    /* (optional) Functions that get `context`. */
    ls_status (*agree)(void *context, ls_status own); /* collective: returns an error if any rank has one            */
    void (*progress)(void *context, int64_t files, int64_t of); /* of this rank                                     */
    void (*note)(void *context, ls_images_note kind, const char *text); /* rank 0 only                              */
    void *context;
    /* Results, on rank 0. */
    int64_t count[3];            /* images of train, valid, test */
    int64_t unreadable, rotated; /* files; images put upright    */
    int64_t duplicates, across;  /* files with the content of an earlier file; of these: in another split */
    int     classes_found;
    float   mean[3], std[3];
} ls_images_import;
ls_status ls_import_images(ls_images_import *options);

/* Imports text files: splits train and valid, and tokenizer.json beside them (datasets/text/import_text.c). */
enum { LS_TEXT_VOCABULARY = 8192 };
typedef struct ls_text_import {
    size_t             size; /* sizeof(ls_text_import) */
    int                files;
    const char *const *file; /* UTF-8; together one text, each file a document */
    const char        *out;
    const char        *tokenizer;  /* "bytes", "chars", "bpe" or "words" (trained on the files), or a path */
    int32_t            vocabulary; /* bpe: tokens to learn, 0: LS_TEXT_VOCABULARY; words: limit, 0: none; result: the
                                      size of the tokenizer */
    double             valid;      /* part of the bytes, at the end, that becomes `valid`; 0: no split `valid` */
    int                shards;     /* number of files of each split */
    void (*progress)(void *context, int64_t bytes, int64_t of); /* (optional)                */
    void *context;
    /* Results. */
    int64_t train_tokens, valid_tokens, bytes;
    int64_t replaced; /* invalid UTF-8 sequences */
    /* Options again. */
    int64_t min_count; /* words: smallest count of a word with a token of its own; 0: 1 */
    bool    lowercase; /* the tokenizer that is trained lower-cases texts               */
} ls_text_import;
ls_status ls_import_text(ls_text_import *options);

/* Imports pairs of sentences from files with one sentence per line, plain or compressed by gzip, line i of one file
 * beside line i of the other: a split for each pair of files, and source/tokenizer.json and target/tokenizer.json
 * (datasets/pairs/import_pairs.c). */
enum { LS_PAIRS_TRAIN, LS_PAIRS_VALID, LS_PAIRS_TEST, LS_PAIRS_SPLITS };
enum { LS_PAIRS_LENGTH = 100 };
typedef struct ls_pairs_import {
    size_t      size;                    /* sizeof(ls_pairs_import)                                     */
    const char *source[LS_PAIRS_SPLITS]; /* files; NULL: no such split                                  */
    const char *target[LS_PAIRS_SPLITS];
    const char *out;
    const char *tokenizer;  /* "bpe", "words" or "chars" (trained on the files of train), "bytes", or a path        */
    int32_t     vocabulary; /* bpe: tokens to learn, 0: LS_TEXT_VOCABULARY; words: limit, 0: none                   */
    int64_t     min_count;  /* words: smallest count of a word with a token of its own; 0: 1                        */
    bool        lowercase;  /* the tokenizers that are trained lower-case texts                                     */
    bool        separate;   /* a vocabulary for each side; false: one for both                                      */
    int64_t     max_length; /* longest sentence, tokens without the end token; 0: LS_PAIRS_LENGTH                   */
    bool        skip_long;  /* leave pairs with longer sentences out; false: they are an error                      */
    void (*progress)(void *context, int64_t bytes, int64_t of); /* (optional) */
    void *context;
    /* Results, by split. */
    int64_t pairs[LS_PAIRS_SPLITS];
    int64_t empty[LS_PAIRS_SPLITS];    /* pairs left out because a line is empty or white space  */
    int64_t too_long[LS_PAIRS_SPLITS]; /* pairs left out because of max_length                   */
    int64_t replaced[LS_PAIRS_SPLITS]; /* invalid UTF-8 sequences, replaced by U+FFFD            */
    int64_t tokens[LS_PAIRS_SPLITS][2], longest[LS_PAIRS_SPLITS][2]; /* of source and target, without end tokens */
    int32_t found[2]; /* sizes of the vocabularies of source and target         */
} ls_pairs_import;
ls_status ls_import_pairs(ls_pairs_import *options);

/* Imports labelled texts, for classification or regression of texts and of pairs of texts, from files with one sample
 * per record: train, valid and test, and tokenizer.json beside them (datasets/labelled/import_labelled.c).  A file is
 * .csv or .tsv (quotes are ordinary characters) with a header line, or .jsonl.  LS_ERR_DATA: FILE:LINE:COLUMN: ... */
enum { LS_LABELLED_TRAIN, LS_LABELLED_VALID, LS_LABELLED_TEST, LS_LABELLED_SPLITS };
enum { LS_LABELLED_LENGTH = 128 };
typedef struct ls_labelled_import {
    size_t      size;                     /* sizeof(ls_labelled_import)                                              */
    const char *file[LS_LABELLED_SPLITS]; /* NULL: no such split                                                     */
    const char *out;
    const char *text, *second; /* columns of the text and of the second text of a pair; NULL: the column sentence or
                                  text; sentence1 and sentence2, premise and hypothesis, question and sentence, ... */
    const char *label;         /* column of the label; NULL: label                                                   */
    bool        regression;    /* labels are numbers to predict; false: only if one of them is not a whole number    */
    double      valid;         /* without a file for `valid`: random part of the samples of train that becomes it    */
    const char *tokenizer;     /* a path, or "bpe", "words" or "chars" (trained on the texts of train), or "bytes"   */
    int32_t     vocabulary;    /* bpe: tokens to learn, 0: LS_TEXT_VOCABULARY; words: limit, 0: none                 */
    int64_t     min_count;     /* words: smallest count of a word with a token of its own; 0: 1                      */
    bool        lowercase;     /* the tokenizer that is trained lower-cases texts                                    */
    int64_t     max_length; /* longer samples are cut, tokens, those around the texts included; 0: LS_LABELLED_LENGTH */
    void (*progress)(void *context, int64_t samples, int64_t of); /* (optional) */
    void *context;
    /* Results, by split. */
    int64_t samples[LS_LABELLED_SPLITS], tokens[LS_LABELLED_SPLITS], longest[LS_LABELLED_SPLITS];
    int64_t empty[LS_LABELLED_SPLITS];    /* samples left out because a text is empty or white space */
    int64_t cut[LS_LABELLED_SPLITS];      /* samples cut to max_length                               */
    int64_t replaced[LS_LABELLED_SPLITS]; /* invalid UTF-8 sequences, replaced by U+FFFD             */
    int     classes;                      /* 0: a regression                                         */
    int32_t found;                        /* size of the vocabulary                                  */
} ls_labelled_import;
ls_status ls_import_labelled(ls_labelled_import *options);

/* Imports a CSV or TSV file with a header line: train.h5 and valid.h5 with the arrays /x (N x F, float64) and /y,
 * or with one array per column.  A target whose first row is text becomes class indices and /class_names; integers are
 * stored as int32, so that they can be classes or numbers; other targets as float64.  LS_ERR_DATA:
 * FILE:LINE:COLUMN: ... */
typedef struct ls_csv_import {
    size_t             size; /* sizeof(ls_csv_import) */
    const char        *file, *out;
    char               separator; /* 0: the most frequent one of comma, semicolon and tab in the header line */
    int                targets, drops;
    const char *const *target;     /* names of the columns to predict                                          */
    const char *const *drop;       /* names of columns to leave out                                            */
    bool               named;      /* one array per column, with its name                                      */
    double             valid;      /* part of the rows to hold out, 0 to 1; 0: no split `valid`                */
    bool               valid_last; /* hold out the last rows (time series); false: random rows             */
    void (*progress)(void *context, int64_t bytes, int64_t of); /* (optional)                              */
    void *context;
    /* Results. */
    int64_t train_rows, valid_rows;
    int     features, classes; /* classes 0: no target has class names                                     */
} ls_csv_import;
ls_status ls_import_csv(ls_csv_import *options);

/* ---- image files -------------------------------------------------------------------------------------------------
 * JPEG (grey, RGB, CMYK, YCCK, progressive), PNG, BMP and Netpbm files (PBM, PGM, PPM), recognised by their first
 * bytes.  The result is that of Pillow, to the byte:
 *
 *     PIL.ImageOps.exif_transpose(PIL.Image.open(path)).convert("RGB").resize((width, height), BILINEAR)
 *
 * Damaged files, animations, 16-bit grey and images of more than 64 million pixels are refused. */

/* Reads an image file as `channels` (1: grey, 3: RGB) x height x width bytes, in planes.  options NULL: bilinear,
 * stretched, upright. */
ls_status ls_image_read(const char *path, const ls_image_options *options, int channels, int height, int width,
                        uint8_t *pixels);
/* Writes height x width x channels bytes (interleaved) as a PNG file, under a temporary name that is then renamed. */
ls_status ls_image_write(const char *path, int channels, int height, int width, const uint8_t *pixels);

/* ---- sampler ------------------------------------------------------------------------------------------------------
 * Returns the sample at position `at` of epoch `epoch`.  The order is a permutation of 0 to count - 1 that is a pure
 * function of (seed, epoch, at): equal for any number of ranks, and nothing is stored. */
int64_t ls_sample_at(uint64_t seed, int64_t epoch, int64_t count, int64_t at);

/* ---- loader -------------------------------------------------------------------------------------------------------
 * Threads that prefetch batches.  They deliver this rank's part of each global batch, the same for any number of
 * threads.  The last batch of an epoch may be short, so that an epoch has each sample once. */
typedef struct ls_loader ls_loader;
typedef struct ls_loader_options {
    size_t      size;                 /* sizeof(ls_loader_options); the macro sets it */
    int64_t     batch;                /* samples of the global batch                                        */
    int         shards, ranks, rank;  /* equal to those of the trainer                                      */
    uint64_t    seed;                 /* of the sample order                                                */
    bool        in_order;             /* file order, for evaluation; false: shuffled                        */
    int64_t     epoch, sample;        /* start: the samples of that epoch that were already consumed        */
    int64_t     epochs;               /* end before this epoch; 0: no end                                   */
    int         prefetch;             /* batches to prefetch; 0: 4                                          */
    const char *input[LS_MAX_INPUTS]; /* names of the graph's inputs; NULL: the names of the columns        */
    int         threads;              /* 0: 1                                                               */
} ls_loader_options;
#define ls_loader_new(loader, dataset, ...)                                                                            \
    ls__loader_new((loader), (dataset), &(ls_loader_options){.size = sizeof(ls_loader_options), __VA_ARGS__})
ls_status ls__loader_new(ls_loader **l, ls_dataset *d, const ls_loader_options *options);
void      ls_loader_free(ls_loader *l);

/* Position of a batch in the run. */
typedef struct ls_position {
    int64_t epoch;      /* epoch of the batch                             */
    int64_t sample;     /* samples of the epoch consumed after the batch  */
    bool    epoch_ends; /* the batch is the last one of its epoch         */
} ls_position;

/* Sets *batch to the next batch, valid until the next call.  Returns false at the end, and after an error, which
 * ls_loader_status returns. */
bool        ls_loader_next(ls_loader *l, ls_batch *batch);
ls_position ls_loader_position(const ls_loader *l);
ls_status   ls_loader_status(const ls_loader *l);

LS_PUBLIC_END
#endif
