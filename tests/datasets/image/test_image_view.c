/* SPDX-License-Identifier: Apache-2.0
 * Views of an image dataset: classes, samples of each class, size, normalisation. */
#include "core/base/arena.h"
#include "datasets/files/dataset.h"
#include "datasets/image/image_decode.h"
#include "tests/unit.h"

enum { CHANNELS = 3, HEIGHT = 4, WIDTH = 6, PIXELS = CHANNELS * HEIGHT * WIDTH, COUNT = 60, CLASSES = 4 };

static uint8_t pixel_of(int64_t sample, int p) { return (uint8_t)(sample * 37 + p * 11 + p * p); }

static ls_status read_pattern(ls_dataset *d, int64_t i, uint8_t *pixels, int32_t *label)
{
    (void)d;
    for (int p = 0; pixels && p < PIXELS; p++) pixels[p] = pixel_of(i, p);
    *label = (int32_t)(i * i % CLASSES + i % 2 * 2) % CLASSES;
    return LS_OK;
}

static void close_pattern(ls_dataset *d) { free(d); }

static ls_dataset *pattern(void)
{
    static const char *const names[] = {"ant", "bee", "cow", "dog"};
    ls_dataset              *d       = calloc(1, sizeof *d);
    assert_ok(ls_arena_new(&d->arena, "pattern"));
    d->info  = (ls_dataset_info){"train", "pattern", COUNT, CHANNELS, HEIGHT, WIDTH, CLASSES, {0}, {1, 1, 1}, names};
    d->read  = read_pattern;
    d->close = close_pattern;
    return d;
}

static int32_t class_of(int64_t i)
{
    int32_t label;
    assert_ok(read_pattern(NULL, i, NULL, &label));
    return label;
}

static void classes_are_numbered_anew(void **state)
{
    ls_dataset *d = pattern();
    assert_ok(ls_dataset_view(&d, .class_name = (const char *[]){"dog", "ant", NULL}));
    int64_t at = 0;
    assert_int_equal(d->info.classes, 2);
    assert_string_equal(d->info.class_names[0], "ant");
    assert_string_equal(d->info.class_names[1], "dog");
    for (int64_t i = 0; i < COUNT; i++) { /* the samples keep their order */
        uint8_t pixels[PIXELS];
        int32_t label;
        if (class_of(i) != 0 && class_of(i) != 3) continue;
        assert_ok(ls_dataset_read(d, at++, pixels, &label));
        assert_int_equal(label, class_of(i) == 3);
        assert_int_equal(pixels[PIXELS - 1], pixel_of(i, PIXELS - 1));
    }
    assert_int_equal(d->info.count, at);
    ls_dataset_free(d);
}

/* Fills `of_class` with the number of samples of each class, and `mask` with a bit for each sample. */
static void count_classes(ls_dataset *d, int of_class[CLASSES], uint64_t *mask)
{
    memset(of_class, 0, sizeof(int[CLASSES]));
    *mask = 0;
    for (int64_t i = 0; i < d->info.count; i++) {
        uint8_t pixels[PIXELS];
        int32_t label;
        int64_t sample = 0;
        assert_ok(ls_dataset_read(d, i, pixels, &label));
        of_class[label]++;
        while (pixel_of(sample, 0) != pixels[0]) sample++;
        *mask |= UINT64_C(1) << sample;
    }
}

static void samples_of_each_class(void **state)
{
    static const struct {
        int64_t  per_class;
        uint64_t seed;
    } cases[] = {{3, 1}, {5, 1}, {3, 2}};
    uint64_t mask[3];
    for (int k = 0; k < 3; k++) {
        ls_dataset *d = pattern();
        int         of_class[CLASSES];
        assert_ok(ls_dataset_view(&d, .per_class = cases[k].per_class, .seed = cases[k].seed));
        count_classes(d, of_class, &mask[k]);
        for (int c = 0; c < CLASSES; c++) {
            int all = 0;
            for (int64_t i = 0; i < COUNT; i++) all += class_of(i) == c;
            assert_int_equal(of_class[c], all < cases[k].per_class ? all : cases[k].per_class);
        }
        ls_dataset_free(d);
    }
    assert_true((mask[0] & mask[1]) == mask[0]); /* more samples contain the fewer ones */
    assert_true(mask[0] != mask[2]);
}

static void another_size_has_the_bytes_of_the_resize(void **state)
{
    enum { SIDE = 9 };
    ls_dataset *d = pattern();
    ls_pixels   p = {0};
    uint8_t     planes[CHANNELS * SIDE * SIDE];
    int32_t     label;
    assert_ok(ls_dataset_view(&d, .side = SIDE, .interpolation = LS_BICUBIC, .mean = {0.5f, 0, 0}, .std = {2, 2, 2}));
    assert_int_equal(d->info.height, SIDE);
    assert_int_equal(d->info.width, SIDE);
    assert_true(d->info.mean[0] == 0.5f && d->info.std[2] == 2);
    assert_ok(ls_dataset_read(d, 7, planes, &label));
    assert_int_equal(label, class_of(7));
    assert_ok(ls_dataset_read(d, 7, NULL, &label));
    assert_ok(ls__pixels_new("pattern", &p, WIDTH, HEIGHT, CHANNELS));
    for (int c = 0; c < CHANNELS; c++)
        for (int k = 0; k < HEIGHT * WIDTH; k++) p.data[k * CHANNELS + c] = pixel_of(7, c * HEIGHT * WIDTH + k);
    assert_ok(ls__image_resize("pattern", &p, SIDE, SIDE, LS_BICUBIC));
    for (int c = 0; c < CHANNELS; c++)
        for (int k = 0; k < SIDE * SIDE; k++) assert_int_equal(planes[c * SIDE * SIDE + k], p.data[k * CHANNELS + c]);
    free(p.data);
    ls_dataset_free(d);
}

/* Each plane has the same permutation, which is not the identity, in every dataset of this size. */
static void shuffled_pixels(void **state)
{
    enum { PLANE = HEIGHT * WIDTH };
    ls_dataset *d = pattern();
    uint8_t     first[PIXELS], second[PIXELS];
    int         from[PLANE], moved = 0;
    int32_t     label;
    assert_ok(ls_dataset_view(&d, .shuffles = true));
    assert_ok(ls_dataset_read(d, 1, first, &label));
    assert_ok(ls_dataset_read(d, 2, second, &label));
    for (int k = 0; k < PLANE; k++) {
        from[k] = -1; /* the position that explains both images */
        for (int p = 0; p < PLANE; p++)
            if (first[k] == pixel_of(1, p) && second[k] == pixel_of(2, p)) from[k] = p;
        assert_true(from[k] >= 0);
        moved += from[k] != k;
        for (int other = 0; other < k; other++) assert_int_not_equal(from[other], from[k]);
        for (int c = 1; c < CHANNELS; c++) assert_int_equal(first[c * PLANE + k], pixel_of(1, c * PLANE + from[k]));
    }
    assert_true(moved > PLANE / 2);
    ls_dataset_free(d);
}

static void unfit_options_are_refused(void **state)
{
    ls_dataset *d = pattern(), *before = d;
    assert_fails(ls_dataset_view(&d, .class_name = (const char *[]){"ant", "cat", NULL}), LS_ERR_USAGE,
                 "classes: expected names of classes in pattern, found 'cat'");
    assert_fails(ls_dataset_view(&d, .class_name = (const char *[]){"ant", NULL}), LS_ERR_USAGE,
                 "classes: expected at least two names, found one");
    assert_fails(ls_dataset_view(&d, .side = 1 << 20), LS_ERR_USAGE, "size: expected 0 to 16384 pixels");
    assert_fails(ls_dataset_view(&d, .std = {1, -1, 1}), LS_ERR_USAGE, "std: expected a positive number");
    assert_ptr_equal(d, before);
    ls_dataset_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(classes_are_numbered_anew),
                                       cmocka_unit_test(samples_of_each_class),
                                       cmocka_unit_test(another_size_has_the_bytes_of_the_resize),
                                       cmocka_unit_test(shuffled_pixels), cmocka_unit_test(unfit_options_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
