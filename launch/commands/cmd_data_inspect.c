/* SPDX-License-Identifier: Apache-2.0
 * `lockstep data inspect`: prints the contents of a dataset and draws its first samples. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "launch/commands/cmd_data_internal.h"
#include "launch/tasks/task.h"

enum { BAR = 40, CLASSES_SHOWN = 32, PREVIEW = 3, PREVIEW_WIDTH = 28, DRAWN_COUNT = 10000 };
enum { COLUMNS = 12, ROWS = 8, CELL = 72, GAP = 4, TEXT = 16, LETTER_WIDTH = 3, LETTER_HEIGHT = 5, DOT = 2 };

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
        printf("  image      uint8, %d x %d x %d (channels x height x width), %.1f MB in all\n", info->channels,
               info->height, info->width, (double)info->count * info->channels * info->height * info->width / 1e6);
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

typedef struct sheet {
    int      width, height;
    uint8_t *rgb;
} sheet;

static void put(sheet *s, int y, int x, const uint8_t colour[3])
{
    if (y >= 0 && y < s->height && x >= 0 && x < s->width)
        memcpy(s->rgb + 3 * ((size_t)y * (size_t)s->width + (size_t)x), colour, 3);
}

/* Letters of 3 x 5 dots.  A row is an octal digit, with its highest bit at the left. */
static const struct {
    char letter;
    char rows[LETTER_HEIGHT + 1];
} font[] = {{'0', "75557"}, {'1', "26227"}, {'2', "71747"}, {'3', "71717"}, {'4', "55711"}, {'5', "74717"},
            {'6', "74757"}, {'7', "71122"}, {'8', "75757"}, {'9', "75717"}, {'A', "75755"}, {'B', "65656"},
            {'C', "74447"}, {'D', "65556"}, {'E', "74647"}, {'F', "74644"}, {'G', "74557"}, {'H', "55755"},
            {'I', "72227"}, {'J', "11157"}, {'K', "55655"}, {'L', "44447"}, {'M', "57755"}, {'N', "65555"},
            {'O', "75557"}, {'P', "75744"}, {'Q', "75571"}, {'R', "75655"}, {'S', "74717"}, {'T', "72222"},
            {'U', "55557"}, {'V', "55552"}, {'W', "55775"}, {'X', "55255"}, {'Y', "55222"}, {'Z', "71247"},
            {'-', "00700"}, {'_', "00007"}, {'.', "00002"}, {'/', "11244"}};

static void draw_text(sheet *s, int y, int x, const char *text, int most)
{
    static const uint8_t colour[3] = {70, 70, 80};
    for (; *text && most; text++, most--, x += (LETTER_WIDTH + 1) * DOT) {
        char upper = *text >= 'a' && *text <= 'z' ? (char)(*text - 32) : *text;
        for (size_t k = 0; k < sizeof font / sizeof *font; k++) {
            if (font[k].letter != upper) continue;
            for (int i = 0; i < LETTER_HEIGHT * DOT; i++)
                for (int j = 0; j < LETTER_WIDTH * DOT; j++)
                    if ((font[k].rows[i / DOT] - '0') & (4 >> j / DOT)) put(s, y + i, x + j, colour);
        }
    }
}

static void draw_sample(sheet *s, const view *v, int top, int left, int size_y, int size_x)
{
    size_t plane = (size_t)v->info.height * (size_t)v->info.width;
    for (int i = 0; i < size_y; i++)
        for (int j = 0; j < size_x; j++) {
            size_t at =
                (size_t)(i * v->info.height / size_y) * (size_t)v->info.width + (size_t)(j * v->info.width / size_x);
            uint8_t colour[3];
            for (int c = 0; c < 3; c++) colour[c] = v->pixels[(v->info.channels < 3 ? 0 : (size_t)c * plane) + at];
            put(s, top + i, left + j, colour);
        }
}

static ls_status draw_samples(view *v, const char *path)
{
    int shown   = v->info.count < COLUMNS * ROWS ? (int)v->info.count : COLUMNS * ROWS,
        columns = shown < COLUMNS ? shown : COLUMNS;
    int rows    = (shown + columns - 1) / columns,
        longest = v->info.height > v->info.width ? v->info.height : v->info.width;
    /* Small images are scaled by whole factors, so that they stay sharp. */
    int    size   = longest <= CELL ? CELL / longest * longest : CELL;
    int    size_y = size * v->info.height / longest, size_x = size * v->info.width / longest;
    sheet  s     = {.width = columns * (size + GAP) + GAP, .height = rows * (size + TEXT + GAP) + GAP};
    size_t bytes = 3 * (size_t)s.width * (size_t)s.height;
    s.rgb        = malloc(bytes);
    LS_CHECK(s.rgb, LS_ERR_ENV, "%s: no memory for %zu bytes of a picture", path, bytes);
    memset(s.rgb, 245, bytes);
    if (size_y < 1) size_y = 1;
    if (size_x < 1) size_x = 1;
    ls_status status = LS_OK;
    for (int k = 0; k < shown && status == LS_OK; k++) {
        int32_t label;
        int     top = GAP + k / columns * (size + TEXT + GAP), left = GAP + k % columns * (size + GAP);
        status = ls_dataset_read(v->d, k, v->pixels, &label);
        if (status != LS_OK) break;
        draw_sample(&s, v, top, left, size_y, size_x);
        draw_text(&s, top + size + DOT, left, v->info.class_names[label], size / ((LETTER_WIDTH + 1) * DOT));
    }
    if (status == LS_OK) status = ls_image_write(path, 3, s.height, s.width, s.rgb);
    free(s.rgb);
    return status;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static ls_status inspect_open(ls_dataset *d, const char *png)
{
    const ls_dataset_info info = ls_dataset_info_of(d);
    if (ls_task_of(&info) == &ls__task_language_model) return ls__data_inspect_text(d);
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
    else
        LS_TRY(ls_dataset_open(&d, path, NULL));
    picture_beside(beside, sizeof beside, path, NULL);
    ls_status status = inspect_open(d, png ? png : beside);
    ls_dataset_free(d);
    return status;
}

static ls_status inspect(int argc, char **argv)
{
    static ls_args args;
    LS_TRY(ls_args_parse(&args, argc, argv));
    return ls__data_inspect(args.positional[0], ls_args_option(&args, "png"));
}

const ls_command ls__command_data_inspect = {
    .name      = "data inspect",
    .arguments = "DATASET",
    .text      = "print shapes, classes, tokens and the first samples of a dataset",
    .help      = "DATASET is a folder, a file train.h5, or a known name (mnist, shakespeare, cifar10, digits).",
    .options   = LS_OPTIONS({"png", "FILE", "picture of the first images; default: next to the dataset"}),
    .run       = inspect,
};
