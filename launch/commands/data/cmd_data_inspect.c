/* SPDX-License-Identifier: Apache-2.0
 * `lockstep data inspect`: prints the contents of a dataset and draws its first samples. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "launch/commands/data/cmd_data_internal.h"
#include "launch/report/contact_sheet.h"
#include "launch/tasks/task.h"

enum { BAR = 40, CLASSES_SHOWN = 32, PREVIEW = 3, PREVIEW_WIDTH = 28, DRAWN_COUNT = 10000, MADE_COUNT = 1000 };
enum { COLUMNS = 12, ROWS = 8 };

/* An open dataset of images and room for one sample. */
typedef struct view {
    ls_dataset     *d;
    ls_dataset_info info;
    uint8_t        *pixels; /* one sample, C x H x W */
} view;

/* ---- counts ------------------------------------------------------------------------------------------------------ */

static void print_floats(const char *name, const float *values, int n)
{
    printf("  %-10s", name);
    for (int c = 0; c < n; c++) printf(" %.4f", (double)values[c]);
}

static void print_classes(const ls_dataset_info *info, const int64_t *count)
{
    int64_t most = 1, least = INT64_MAX;
    int     width = 1;
    for (int c = 0; c < info->classes; c++) {
        if (count[c] > most) most = count[c];
        if (count[c] < least) least = count[c];
        int length = (int)strlen(info->class_names[c]);
        if (c < CLASSES_SHOWN && length > width) width = length < 24 ? length : 24;
    }
    printf("  classes    %d, of %lld to %lld samples\n", info->classes, (long long)least, (long long)most);
    for (int c = 0; c < info->classes && c < CLASSES_SHOWN; c++) {
        int bar = (int)((double)count[c] * BAR / (double)most + 0.5);
        printf("    %-*.*s %8lld  %5.1f %%  ", width, width, info->class_names[c], (long long)count[c],
               100.0 * (double)count[c] / (double)info->count);
        for (int i = 0; i < bar; i++) printf("█");
        printf("\n");
    }
    if (info->classes > CLASSES_SHOWN) printf("    ... and %d more\n", info->classes - CLASSES_SHOWN);
}

static void print_storage(const ls_dataset_info *info)
{
    double pixels = (double)info->count * info->channels * info->height * info->width;
    printf("  image      %s, %d x %d x %d (channels x height x width), %.1f MB in all\n",
           info->stored_bytes ? "image files, decoded to uint8" : "uint8", info->channels, info->height, info->width,
           (info->stored_bytes ? (double)info->stored_bytes : pixels) / 1e6);
}

static ls_status print_counts(view *v)
{
    const ls_dataset_info *info  = &v->info;
    int64_t               *count = calloc((size_t)info->classes, sizeof *count);
    ls_status status = count ? LS_OK : LS_FAIL(LS_ERR_ENV, "%s: no memory for %d classes", info->path, info->classes);
    for (int64_t i = 0; i < info->count && status == LS_OK; i++) {
        int32_t label;
        status = ls_dataset_read(v->d, i, NULL, &label);
        if (status == LS_OK) count[label]++;
    }
    if (status == LS_OK) {
        printf("%s: %s, %lld samples\n", info->path, info->split, (long long)info->count);
        print_storage(info);
        print_floats("mean", info->mean, info->channels);
        print_floats("  std", info->std, info->channels);
        printf("  (of pixels scaled to 0..1)\n");
        print_classes(info, count);
    }
    free(count);
    return status;
}

/* ---- samples as text --------------------------------------------------------------------------------------------- */

static float grey(const view *v, int y, int x)
{
    static const float weight[3] = {0.299f, 0.587f, 0.114f};
    size_t plane = (size_t)v->info.height * (size_t)v->info.width, at = (size_t)y * (size_t)v->info.width + (size_t)x;
    if (v->info.channels < 3) return v->pixels[at];
    float sum = 0;
    for (int c = 0; c < 3; c++) sum += weight[c] * (float)v->pixels[(size_t)c * plane + at];
    return sum;
}

/* Returns the mean grey value of one cell of a grid of `cells` x `cells_high` over the image. */
static float cell_mean(const view *v, int row, int cells_high, int column, int cells)
{
    int   top = row * v->info.height / cells_high, bottom = (row + 1) * v->info.height / cells_high;
    int   left = column * v->info.width / cells, right = (column + 1) * v->info.width / cells;
    float sum = 0;
    if (bottom == top) bottom++;
    if (right == left) right++;
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++) sum += grey(v, y, x);
    return sum / (float)((bottom - top) * (right - left));
}

/* Prints the first samples as text, two rows of cells per line, as half blocks. */
static ls_status print_samples(view *v)
{
    static const char *const block[4] = {" ", "▀", "▄", "█"};
    int                      wide     = v->info.width < PREVIEW_WIDTH ? v->info.width : PREVIEW_WIDTH,
        high                          = (v->info.height * wide / v->info.width + 1) / 2 * 2;
    if (high > 2 * PREVIEW_WIDTH) high = 2 * PREVIEW_WIDTH;
    if (high < 2) high = 2;
    int   shown = v->info.count < PREVIEW ? (int)v->info.count : PREVIEW;
    char *text  = calloc((size_t)high / 2 * (size_t)shown, (size_t)wide * 3 + 1);
    LS_CHECK(text, LS_ERR_ENV, "%s: no memory for a preview", v->info.path);
    printf(" ");
    for (int k = 0; k < shown; k++) {
        int32_t   label;
        ls_status status = ls_dataset_read(v->d, k, v->pixels, &label);
        if (status != LS_OK) {
            free(text);
            return ls__trace(status, __FILE__, __LINE__, __func__);
        }
        printf(" %-*.*s", wide, wide, v->info.class_names[label]);
        for (int row = 0; row < high / 2; row++)
            for (int x = 0; x < wide; x++) {
                bool above = cell_mean(v, 2 * row, high, x, wide) > 127,
                     below = cell_mean(v, 2 * row + 1, high, x, wide) > 127;
                strcat(text + (size_t)(row * shown + k) * ((size_t)wide * 3 + 1), block[above + 2 * below]);
            }
    }
    for (int row = 0; row < high / 2; row++) {
        printf("\n ");
        for (int k = 0; k < shown; k++) printf(" %s", text + (size_t)(row * shown + k) * ((size_t)wide * 3 + 1));
    }
    printf("\n");
    free(text);
    return LS_OK;
}

/* ---- samples as a picture ---------------------------------------------------------------------------------------- */

static ls_status draw_samples(view *v, const char *path)
{
    int shown   = v->info.count < COLUMNS * ROWS ? (int)v->info.count : COLUMNS * ROWS,
        columns = shown < COLUMNS ? shown : COLUMNS;
    ls_sheet  s;
    ls_status status;
    LS_TRY(ls_sheet_open(&s, &v->info, (shown + columns - 1) / columns, columns));
    for (int k = 0; k < shown; k++) {
        int32_t label;
        LS_TRY_GOTO(status, ls_dataset_read(v->d, k, v->pixels, &label), failed);
        ls_sheet_draw(&s, k / columns, k % columns, v->pixels, v->info.class_names[label]);
    }
    return ls_sheet_write(&s, path);
failed:
    ls_sheet_close(&s);
    return status;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static ls_status inspect_open(ls_dataset *d, const char *png)
{
    const ls_dataset_info info = ls_dataset_info_of(d);
    if (ls_task_of(&info) == &ls__task_language_model) return ls__data_inspect_text(d);
    if (info.kind == LS_DATA_PAIRS) return ls__data_inspect_pairs(d);
    if (info.kind == LS_DATA_LABELLED) return ls__data_inspect_labelled(d);
    view v   = {.d = d, .info = info};
    v.pixels = malloc((size_t)v.info.channels * (size_t)v.info.height * (size_t)v.info.width);
    LS_CHECK(v.pixels, LS_ERR_ENV, "%s: no memory for a sample", v.info.path);
    ls_status status = print_counts(&v);
    if (status == LS_OK) status = print_samples(&v);
    if (status == LS_OK && png) {
        status = draw_samples(&v, png);
        if (status == LS_OK) printf("  picture    %s\n", png);
    }
    free(v.pixels);
    return status;
}

/* Returns the default path of the picture: train.h5 -> train.png; FOLDER -> FOLDER/train.png; digits -> digits.png in
 * the current folder. */
static void picture_beside(char *png, size_t bytes, const char *path, const char *split)
{
    size_t length = strlen(path);
    if (split)
        snprintf(png, bytes, "%s/%.63s.png", path, split);
    else
        snprintf(png, bytes, "%.*s.png", (int)(length > 3 && !strcmp(path + length - 3, ".h5") ? length - 3 : length),
                 path);
}

/* Inspects every split of a folder.  Draws a picture of each; with --png one picture, of train or else of the first
 * split.
 */
static ls_status inspect_folder(const char *path, const char *png)
{
    char splits[LS_MAX_SPLITS][LS_SPLIT_NAME], beside[LS_DATA_PATH + LS_SPLIT_NAME + 8];
    int  count, drawn = 0;
    LS_TRY(ls_dataset_splits(path, splits, &count));
    LS_CHECK(count, LS_ERR_DATA, "%s: has no .h5 files" LS_HINT "make a dataset with `lockstep data import`", path);
    for (int i = 0; i < count; i++)
        if (!strcmp(splits[i], "train")) drawn = i;
    for (int i = 0; i < count; i++) {
        ls_dataset *d;
        LS_TRY(ls_dataset_open(&d, path, splits[i]));
        picture_beside(beside, sizeof beside, path, splits[i]);
        ls_status status = inspect_open(d, !png ? beside : i == drawn ? png : NULL);
        ls_dataset_free(d);
        if (status != LS_OK) return ls__trace(status, __FILE__, __LINE__, __func__);
    }
    return LS_OK;
}

ls_status ls__data_inspect(const char *name, const char *png)
{
    char        path[LS_DATA_PATH], beside[LS_DATA_PATH + 8];
    struct stat st;
    ls_dataset *d;
    LS_TRY(ls_data_resolve(name, NULL, path, sizeof path));
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return inspect_folder(path, png);
    if (!strcmp(path, "digits"))
        LS_TRY(ls_dataset_digits(&d, "train", DRAWN_COUNT, 1));
    else if (ls_made_pairs_named(path))
        LS_TRY(ls_dataset_made_pairs(&d, path, "train", &(ls_made_pairs){MADE_COUNT, 1, 10, 1}));
    else
        LS_TRY(ls_dataset_open(&d, path, NULL));
    picture_beside(beside, sizeof beside, path, NULL);
    ls_status status = inspect_open(d, png ? png : beside);
    ls_dataset_free(d);
    return status;
}

/* Draws the dataset as the recipe of --augment changes it. */
static ls_status inspect_augmented(const ls_args *args, const char *png)
{
    static char *override[LS_MAX_ARGS + 1];
    char         path[LS_DATA_PATH + 16];
    ls_recipe   *r;
    long long    epoch;
    LS_TRY(ls_args_int(args, "epoch", 0, 1000000000, 0, &epoch));
    snprintf(path, sizeof path, "data.path=%.*s", LS_DATA_PATH - 1, args->positional[0]);
    override[0] = path;
    for (int i = 0; i < args->overrides; i++) override[i + 1] = args->override[i];
    LS_TRY(ls_recipe_load(&r, ls_args_option(args, "augment"), args->overrides + 1, override));
    ls_status status = ls_sheet_augmented(r, epoch, png);
    ls_recipe_free(r);
    return status;
}

static ls_status inspect(int argc, char **argv)
{
    static ls_args args;
    LS_TRY(ls_args_parse(&args, argc, argv));
    const char *png = ls_args_option(&args, "png");
    if (ls_args_option(&args, "augment")) return inspect_augmented(&args, png);
    LS_CHECK(!args.overrides && !ls_args_option(&args, "epoch"), LS_ERR_USAGE,
             "data inspect: %s: expected with --augment RECIPE", args.overrides ? args.override[0] : "--epoch");
    return ls__data_inspect(args.positional[0], png);
}

const ls_command ls__command_data_inspect = {
    .name      = "data inspect",
    .arguments = "DATASET [key=value ...]",
    .text      = "print shapes, classes, tokens and the first samples of a dataset",
    .help = "DATASET is a folder, a file train.h5, or a known name (mnist, shakespeare, multi30k, cifar10, digits, "
            "made:reverse).\n"
            "With --augment, the picture shows what eight samples become in training: a row for each, as it is\n"
            "and in consecutive epochs.  key=value overrides keys of the recipe.\n"
            "\n"
            "  lockstep data inspect mnist --augment cnn-mnist data.augment.rotate=15",
    .options =
        LS_OPTIONS({"png", "FILE", "picture of the first images; default: next to the dataset"},
                   {"augment", "RECIPE", "draw images as data.augment of a recipe changes them; default: as they are"},
                   {"epoch", "N", "with --augment: first epoch to draw; default 0"}),
    .run = inspect,
};
