/* SPDX-License-Identifier: Apache-2.0
 * `lockstep data import images`: a dataset from a tree of image files. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "launch/commands/data/cmd_data_internal.h"
#include "launch/commands/command_run.h"
#include "launch/report/unit_text.h"
#include "launch/run/progress.h"

/* Duplicates that are printed; the summary has their number. */
enum { MAX_DUPLICATES = 10, MAX_SIDE = 16384 };

typedef struct image_import {
    ls_run run;
    ls_bar bar;
    double start;
    int    duplicates;
} image_import;

static ls_status agree(void *context, ls_status own)
{
    image_import *m = context;
    return ls_comm_agree(m->run.comm, own);
}

static void progress(void *context, int64_t files, int64_t of)
{
    image_import *m    = context;
    double        rate = (double)files / fmax(ls__clock_s() - m->start, 1e-9);
    ls_bar_update(&m->bar, &(ls_bar_state){.what          = "images",
                                           .step          = files * m->run.ranks,
                                           .steps         = of * m->run.ranks,
                                           .loss          = NAN,
                                           .samples_per_s = rate * m->run.ranks,
                                           .seconds_left  = (double)(of - files) / rate});
}

static void note(void *context, ls_images_note kind, const char *text)
{
    static const char *const names[] = {
        [LS_IMAGES_UNREADABLE] = "unreadable", [LS_IMAGES_DUPLICATE] = "duplicate", [LS_IMAGES_REMARK] = "note"};
    image_import *m = context;
    if (kind == LS_IMAGES_DUPLICATE && ++m->duplicates > MAX_DUPLICATES) return;
    ls_bar_close(&m->bar);
    printf("%-12s%s\n", names[kind], text);
}

static void print_summary(const ls_images_import *o)
{
    static const char *const splits[] = {"train", "valid", "test"};
    char                     count[32];
    printf("%s:", o->out);
    for (int s = 0, shown = 0; s < 3; s++) {
        if (!o->count[s]) continue;
        ls__count_text(count, sizeof count, o->count[s]);
        printf("%s %s %s", shown++ ? "," : "", count, splits[s]);
    }
    printf("; %s of %d x %d x %d, %d classes\n", o->keep ? "image files, decoded to images" : "images", o->channels,
           o->height, o->width, o->classes_found);
    printf("mean");
    for (int c = 0; c < o->channels; c++) printf(" %.4f", (double)o->mean[c]);
    printf(", std");
    for (int c = 0; c < o->channels; c++) printf(" %.4f", (double)o->std[c]);
    printf("; %lld put upright, %lld unreadable, %lld duplicates, %lld of them in another split\n",
           (long long)o->rotated, (long long)o->unreadable, (long long)o->duplicates, (long long)o->across);
}

/* Reads --size: N or HxW. */
static ls_status read_size(const ls_args *args, ls_images_import *o)
{
    const char *text = ls_args_option(args, "size");
    if (!text) return LS_OK;
    char *end;
    long  height = strtol(text, &end, 10), width = height;
    if (end != text && *end == 'x' && end[1]) width = strtol(end + 1, &end, 10);
    LS_CHECK(end != text && !*end && height >= 1 && height <= MAX_SIDE && width >= 1 && width <= MAX_SIDE, LS_ERR_USAGE,
             "data import images: --size: expected N or HxW, 1 to %d pixels a side, found '%s'", MAX_SIDE, text);
    o->height = (int)height;
    o->width  = (int)width;
    return LS_OK;
}

/* Reads an option of two words; returns whether it is the second. */
static ls_status read_word(const ls_args *args, const char *name, const char *first, const char *second,
                           bool *is_second)
{
    const char *text = ls_args_option(args, name);
    LS_CHECK(!text || !strcmp(text, first) || !strcmp(text, second), LS_ERR_USAGE,
             "data import images: --%s: expected %s or %s, found '%s'", name, first, second, text);
    *is_second = text && !strcmp(text, second);
    return LS_OK;
}

/* Reads --interpolation, --fit, --orientation, --store and --on-error. */
static ls_status read_words(const ls_args *args, ls_images_import *o)
{
    for (int i = 0; ls_image_option_name(i); i++) {
        const char      *text  = ls_args_option(args, ls_image_option_name(i));
        ls_image_options other = o->options;
        LS_CHECK(!text || ls_image_option_set(&other, i, text), LS_ERR_USAGE,
                 "data import images: --%s: unknown value '%s'" LS_HINT "lockstep data import images --help",
                 ls_image_option_name(i), text);
        o->options = other;
    }
    LS_TRY(read_word(args, "store", "pixels", "files", &o->keep));
    return read_word(args, "on-error", "fail", "skip", &o->skip);
}

static ls_status read_options(const ls_args *args, ls_images_import *o)
{
    long long shards, channels, seed;
    LS_TRY(ls_args_int(args, "shards", 1, LS_IMPORT_MAX_SHARDS, 1, &shards));
    LS_TRY(ls_args_int(args, "channels", 1, 3, 3, &channels));
    LS_TRY(ls_args_int(args, "seed", 0, INT32_MAX, 1, &seed));
    LS_TRY(ls_args_real(args, "split", 0, 0.99, -1, &o->valid));
    LS_TRY(read_size(args, o));
    LS_TRY(read_words(args, o));
    o->folder   = args->positional[0];
    o->out      = args->positional[1];
    o->test     = ls_args_option(args, "test");
    o->classes  = ls_args_option(args, "classes");
    o->shards   = (int)shards;
    o->channels = (int)channels;
    o->seed     = (uint64_t)seed;
    return LS_OK;
}

static ls_status import(image_import *m, const ls_args *args)
{
    ls_images_import o = {.size     = sizeof o,
                          .rank     = m->run.rank,
                          .ranks    = m->run.ranks,
                          .agree    = agree,
                          .progress = progress,
                          .note     = note,
                          .context  = m};
    LS_TRY_COLLECTIVE(&m->run, read_options(args, &o));
    /* Ranks wait as long as the slowest one decodes, or as rank 0 writes. */
    LS_TRY(ls_comm_watchdog(m->run.comm, LS_WATCHDOG_SETTINGS(.off = true)));
    m->start = ls__clock_s();
    ls_bar_open(&m->bar, m->run.is_root);
    ls_status status = ls_import_images(&o);
    ls_bar_close(&m->bar);
    if (status == LS_OK && m->run.is_root) print_summary(&o);
    return status;
}

static ls_status import_images(int argc, char **argv)
{
    static image_import m;
    static ls_args      args;
    ls_status           status = ls_command_start(&m.run, &args, argc, argv);
    if (status == LS_OK) status = import(&m, &args);
    ls_command_finish(&m.run, status);
    return status;
}

const ls_command ls__command_data_import_images = {
    .name      = "data import images",
    .arguments = "DIR OUT",
    .text      = "make a dataset from folders of image files",
    .help =
        "DIR holds one folder per class, or the folders train and valid (or val) or test with the folders of the "
        "classes.  The\n"
        "labels are the positions of the classes of train, sorted bytewise, as in torchvision.  OUT becomes a folder "
        "with train.h5\n"
        "and valid.h5 or test.h5.\n"
        "\n"
        "JPEG, PNG, BMP, PBM, PGM and PPM files are recognised by their content and read with the bytes of Pillow: "
        "put upright by\n"
        "EXIF, converted to RGB without alpha, resized.  Files that cannot be read are listed.  Files of equal "
        "content in different\n"
        "splits or classes are reported.  All threads decode; under mpirun all ranks, with OUT in a folder that they "
        "share.  The\n"
        "dataset has the same bytes for any number of ranks.\n"
        "\n"
        "  lockstep data import images flowers data/flowers --size 224 --fit crop --split 0.2\n"
        "  mpirun -np 4 lockstep data import images photos data/photos --size 64x96 --on-error skip",
    .options = LS_OPTIONS(
        {"size", "HxW", "pixels a side: N, or height and width; default: that of the first image, required of all"},
        {"fit", "HOW", "stretch: resize to that size; crop: cover it, then cut out the centre; default stretch"},
        {"interpolation", "NAME", "filter of the resize, bilinear or bicubic, with antialiasing; default bilinear"},
        {"orientation", "HOW", "upright: apply the orientation in EXIF; stored: ignore it; default upright"},
        {"channels", "N", "1: grey, 3: RGB; default 3"},
        {"store", "WHAT",
         "pixels: decode now; files: keep the bytes of the image files and decode them while training, to the same "
         "pixels, which takes less room for large images; default pixels"},
        {"test", "DIR", "folder with the classes of the split test; default: DIR/test, if it exists"},
        {"split", "FRACTION",
         "fraction of each class of train, chosen by content, that becomes the split valid; 0: none; default 0.1 "
         "where DIR has no valid or test, else 0"},
        {"seed", "N", "seed of that choice; default 1"},
        {"classes", "FILE", "names of the classes, one a line, in the order of the labels; default: the folders"},
        {"on-error", "POLICY",
         "fail: a file that cannot be read is an error, after all are listed; skip: leave it out; default fail"},
        {"shards", "N", "number of files that each split is cut into; default 1"}),
    .run = import_images,
};
