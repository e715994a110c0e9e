/* SPDX-License-Identifier: Apache-2.0
 * Augmentation: each step against an exact expectation, and a function of (seed, epoch, sample) alone. */
#include <math.h>

#include "core/base/arena.h"
#include "datasets/files/dataset.h"
#include "tests/unit.h"

enum { CHANNELS = 3, HEIGHT = 5, WIDTH = 7, PIXELS = CHANNELS * HEIGHT * WIDTH, COUNT = 300, EPOCHS = 3 };

static uint8_t pixel_of(int64_t sample, int p) { return (uint8_t)(1 + (sample * 131 + p * p * 7 + p * 29) % 255); }

static ls_status read_waves(ls_dataset *d, int64_t i, uint8_t *pixels, int32_t *label)
{
    (void)d;
    for (int p = 0; p < PIXELS; p++) pixels[p] = pixel_of(i, p);
    *label = (int32_t)i;
    return LS_OK;
}

static void close_waves(ls_dataset *d) { free(d); }

/* A dataset whose label is the index of the sample.  A pixel becomes byte / 255. */
static ls_dataset *waves(const ls_augment *augment)
{
    ls_dataset *d = calloc(1, sizeof *d);
    assert_ok(ls_arena_new(&d->arena, "waves"));
    d->info  = (ls_dataset_info){"train", "waves", COUNT, CHANNELS, HEIGHT, WIDTH, COUNT, {0}, {1, 1, 1}, NULL};
    d->read  = read_waves;
    d->close = close_waves;
    if (augment) assert_ok(ls_dataset_augment(d, augment));
    return d;
}

/* The images of EPOCHS epochs, by epoch and sample. */
typedef float album[EPOCHS][COUNT][PIXELS];

static void keep(const ls_batch *b, int64_t epoch, album out)
{
    for (int64_t r = 0; r < b->rows; r++) {
        int32_t i = ((const int32_t *)b->data[1])[r];
        memcpy(out[epoch][i], (const float *)b->data[0] + r * PIXELS, sizeof out[epoch][i]);
    }
}

static void load(const ls_augment *augment, ls_loader_options o, album out)
{
    ls_dataset *d = waves(augment);
    ls_batch    b;
    o.size   = sizeof o;
    o.epochs = EPOCHS;
    for (o.rank = 0; o.rank < o.ranks; o.rank++) {
        ls_loader *l;
        assert_ok(ls__loader_new(&l, d, &o));
        while (ls_loader_next(l, &b)) keep(&b, ls_loader_position(l).epoch, out);
        assert_ok(ls_loader_status(l));
        ls_loader_free(l);
    }
    ls_dataset_free(d);
}

static const ls_loader_options one_rank = {.batch = 16, .shards = 1, .ranks = 1, .seed = 3};

static bool shows(const float *image, const uint8_t *bytes)
{
    for (int p = 0; p < PIXELS; p++)
        if (image[p] != (float)bytes[p] / 255.0f) return false;
    return true;
}

/* ---- crop and flips ---------------------------------------------------------------------------------------------- */

/* Pads a side by one pixel after the other, as a person would draw it. */
static int padded(int i, int n, ls_crop_mode mode)
{
    int at = 0, step = 1;
    if (mode == LS_CROP_ZEROS) return i < 0 || i >= n ? -1 : i;
    for (int k = 0; k < abs(i); k++) {
        if (at + step < 0 || at + step >= n) step = -step;
        at += i < 0 && k == 0 ? 1 : step;
    }
    return i < 0 ? abs(i) : at;
}

static void expect(int64_t sample, int top, int left, ls_crop_mode mode, bool mirrored, bool upside_down, uint8_t *y)
{
    for (int c = 0; c < CHANNELS; c++)
        for (int i = 0; i < HEIGHT; i++)
            for (int j = 0; j < WIDTH; j++) {
                int u = padded((upside_down ? HEIGHT - 1 - i : i) + top, HEIGHT, mode),
                    v = padded((mirrored ? WIDTH - 1 - j : j) + left, WIDTH, mode);
                *y++  = u < 0 || v < 0 ? 0 : pixel_of(sample, (c * HEIGHT + u) * WIDTH + v);
            }
}

/* Every image is one of the possible ones, and all of these occur about as often as they should. */
static void crops_and_flips(void **state)
{
    static const ls_augment cases[] = {
        {.crop = 2},
        {.crop = 4},
        {.crop = 3, .crop_mode = LS_CROP_REFLECT},
        {.flip = true},
        {.vertical_flip = true},
        {.crop = 1, .crop_mode = LS_CROP_REFLECT, .flip = true, .vertical_flip = true},
    };
    static album images;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const ls_augment a            = cases[k];
        const int        wide         = 2 * a.crop + 1;
        const int        kinds        = wide * wide * (a.flip + 1) * (a.vertical_flip + 1);
        int              seen[81 * 4] = {0};
        load(&a, one_rank, images);
        for (int64_t n = 0; n < EPOCHS * COUNT; n++) {
            int found = -1;
            for (int kind = 0; kind < kinds; kind++) {
                uint8_t bytes[PIXELS];
                int     place = kind % (wide * wide), turn = kind / (wide * wide);
                expect(n % COUNT, place / wide - a.crop, place % wide - a.crop, a.crop_mode, a.flip && turn % 2,
                       a.vertical_flip && turn / (a.flip + 1), bytes);
                if (shows(images[n / COUNT][n % COUNT], bytes)) found = kind;
            }
            if (found < 0) fail_msg("case %zu: sample %lld is no possible image", k, (long long)n);
            seen[found]++;
        }
        double mean = (double)EPOCHS * COUNT / kinds;
        for (int kind = 0; kind < kinds; kind++)
            if (fabs(seen[kind] - mean) > 5 * sqrt(mean))
                fail_msg("case %zu: kind %d occurs %d times, expected about %g", k, kind, seen[kind], mean);
    }
}

/* ---- a function of seed, epoch and sample ------------------------------------------------------------------------ */

static const ls_augment all = {.crop = 2, .flip = true, .vertical_flip = true};

static void same_for_batches_ranks_and_restarts(void **state)
{
    static const ls_loader_options others[] = {
        {.batch = 16, .shards = 8, .ranks = 3, .seed = 3},
        {.batch = 7, .shards = 1, .ranks = 1, .seed = 3},
        {.batch = 64, .shards = 4, .ranks = 4, .seed = 3},
    };
    static album once, again;
    load(&all, one_rank, once);
    for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
        memset(again, 0, sizeof again);
        load(&all, others[k], again);
        assert_memory_equal(once, again, sizeof once);
    }
    memcpy(again, once, sizeof once);
    memset(again[1], 0, sizeof again[1]);
    memset(again[2], 0, sizeof again[2]);
    load(&all, (ls_loader_options){.batch = 16, .shards = 2, .ranks = 2, .seed = 3, .sample = 160}, again);
    assert_memory_equal(once, again, sizeof once);
}

static void epochs_and_seeds_differ(void **state)
{
    static album images, other;
    int          same = 0, equal = 0;
    load(&all, one_rank, images);
    load(&all, (ls_loader_options){.batch = 16, .shards = 1, .ranks = 1, .seed = 4}, other);
    for (int i = 0; i < COUNT; i++) {
        same += !memcmp(images[0][i], images[1][i], sizeof images[0][i]);
        equal += !memcmp(images[0][i], other[0][i], sizeof images[0][i]);
    }
    /* Two of 100 possible images are equal by chance in 1 of 100 pairs. */
    assert_in_range(same, 0, 12);
    assert_in_range(equal, 0, 12);
}

static void evaluation_is_not_augmented(void **state)
{
    static const ls_loader_options in_order = {.batch = 16, .shards = 1, .ranks = 1, .in_order = true};
    static album                   plain, changed, shuffled;
    load(NULL, in_order, plain);
    load(&all, in_order, changed);
    load(NULL, one_rank, shuffled);
    assert_memory_equal(plain, changed, sizeof plain);
    assert_memory_equal(plain, shuffled, sizeof plain);
}

static void refused(void **state)
{
    static const struct {
        ls_augment  augment;
        const char *part;
    } bad[] = {
        {{.crop = 5}, "augment.crop: expected less than 5, because the images of waves are 5 x 7, found 5"},
        {{.crop = -1}, "augment.crop: expected"},
    };
    ls_dataset *d = waves(NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(ls_dataset_augment(d, &bad[i].augment), LS_ERR_USAGE, bad[i].part);
    d->info.kind = LS_DATA_ARRAYS;
    assert_fails(ls_dataset_augment(d, &all), LS_ERR_USAGE, "expected a dataset of images");
    ls_dataset_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crops_and_flips),
        cmocka_unit_test(same_for_batches_ranks_and_restarts),
        cmocka_unit_test(epochs_and_seeds_differ),
        cmocka_unit_test(evaluation_is_not_augmented),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
