/* SPDX-License-Identifier: Apache-2.0
 * Augmentation: each step against an exact expectation, and a function of (seed, epoch, sample) alone. */
#include <math.h>

#include "tests/datasets/augment/waves.h"

/* The images of EPOCHS epochs, by epoch and sample. */
typedef float album[EPOCHS][COUNT][PIXELS];

static void keep(const ls_batch *b, int64_t row, int64_t epoch, void *context)
{
    album  *out = context;
    int32_t i   = ((const int32_t *)b->data[1])[row];
    memcpy((*out)[epoch][i], (const float *)b->data[0] + row * PIXELS, sizeof(*out)[epoch][i]);
}

static void load(const ls_augment *augment, ls_loader_options o, album out) { walk_waves(augment, o, keep, out); }

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

/* ---- the other steps --------------------------------------------------------------------------------------------- */

/* About `erase` of the images have a rectangle of zeros, in all channels, of 2 to 33 % of the image, and no other
 * change. */
static void erases_rectangles(void **state)
{
    static album images;
    int          erased = 0;
    load(&(ls_augment){.erase = 0.4f}, one_rank, images);
    for (int64_t n = 0; n < EPOCHS * COUNT; n++) {
        const float *image = images[n / COUNT][n % COUNT];
        int          top = HEIGHT, bottom = -1, left = WIDTH, right = -1, zeros = 0;
        for (int p = 0; p < PIXELS; p++) {
            int y = p / WIDTH % HEIGHT, x = p % WIDTH;
            if (image[p] != 0) {
                assert_true(image[p] == (float)pixel_of(n % COUNT, p) / 255.0f);
                continue;
            }
            top    = y < top ? y : top;
            bottom = y > bottom ? y : bottom;
            left   = x < left ? x : left;
            right  = x > right ? x : right;
            zeros++;
        }
        if (!zeros) continue;
        erased++;
        assert_int_equal(zeros, CHANNELS * (bottom - top + 1) * (right - left + 1));
        assert_in_range(zeros, 1, CHANNELS * HEIGHT * WIDTH * 45 / 100); /* sides are rounded to whole pixels */
    }
    assert_in_range(erased, 0.3 * EPOCHS * COUNT, 0.5 * EPOCHS * COUNT);
}

/* Each option alone changes most images, and none of them when it is 0. */
static void every_option_has_an_effect(void **state)
{
    static const ls_augment one[] = {{.resized_crop = {0.1f, 0.5f}},
                                     {.rotate = 90},
                                     {.shift = 0.4f},
                                     {.trivial = true},
                                     {.brightness = 0.9f},
                                     {.contrast = 0.9f},
                                     {.saturation = 0.9f},
                                     {.hue = 0.5f},
                                     {.erase = 1}};
    static album            plain, images;
    load(NULL, one_rank, plain);
    for (size_t k = 0; k < sizeof one / sizeof *one; k++) {
        int changed = 0;
        load(&one[k], one_rank, images);
        for (int i = 0; i < COUNT; i++) changed += memcmp(plain[0][i], images[0][i], sizeof plain[0][i]) != 0;
        if (changed < COUNT * 8 / 10) fail_msg("option %zu changes only %d of %d images", k, changed, COUNT);
    }
}

/* Switching one step on leaves what another step draws. */
static void steps_are_independent(void **state)
{
    static album flipped, both;
    load(&(ls_augment){.flip = true}, one_rank, flipped);
    load(&(ls_augment){.flip = true, .erase = 1}, one_rank, both);
    for (int i = 0; i < COUNT; i++)
        for (int p = 0; p < PIXELS; p++) assert_true(both[0][i][p] == 0 || both[0][i][p] == flipped[0][i][p]);
}

/* ---- a function of seed, epoch and sample ------------------------------------------------------------------------ */

static const ls_augment all = {.crop          = 2,
                               .flip          = true,
                               .vertical_flip = true,
                               .rotate        = 20,
                               .shift         = 0.1f,
                               .resized_crop  = {0.3f, 1},
                               .trivial       = true,
                               .brightness    = 0.4f,
                               .contrast      = 0.4f,
                               .saturation    = 0.4f,
                               .hue           = 0.1f,
                               .erase         = 0.5f};

static void same_for_batches_ranks_and_restarts(void **state)
{
    static const ls_loader_options others[] = {
        {.batch = 16, .shards = 8, .ranks = 3, .seed = 3},
        {.batch = 7, .shards = 1, .ranks = 1, .seed = 3, .threads = 3},
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
    assert_in_range(same, 0, 3);
    assert_in_range(equal, 0, 3);
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
        {{.resized_crop = {0.5f, 0.2f}}, "augment.resized_crop: expected two increasing areas"},
        {{.resized_crop = {0, 1}}, "augment.resized_crop: expected two increasing areas"},
        {{.resized_crop = {0.5f, 1.5f}}, "at most 1, found [0.5, 1.5]"},
        {{.rotate = NAN}, "augment.rotate: expected a number from 0 to 180, found nan"},
        {{.hue = 0.6f}, "augment.hue: expected a number from 0 to 0.5"},
        {{.erase = -1}, "augment.erase: expected a number from 0 to 1, found -1"},
        {{.mixup = -1}, "augment.mixup: expected"},
    };
    ls_dataset *d = waves(NULL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(ls_dataset_augment(d, &bad[i].augment), LS_ERR_USAGE, bad[i].part);
    d->info.channels = 4;
    assert_fails(ls_dataset_augment(d, &(ls_augment){.contrast = 1}), LS_ERR_USAGE,
                 "augment.contrast: expected images of 1 or 3 channels, but those of waves have 4");
    assert_ok(ls_dataset_augment(d, &(ls_augment){.brightness = 1}));
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
        cmocka_unit_test(erases_rectangles),
        cmocka_unit_test(every_option_has_an_effect),
        cmocka_unit_test(steps_are_independent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
