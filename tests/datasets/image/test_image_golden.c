/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * Image files of all kinds are read with Pillow's bytes, or refused by name: tests/golden/images.bin.gz, written by
 * make_images.py. */
#include <zlib.h>

#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/unit.h"

enum { BYTES = 1 << 24, NAME = 256 };

static uint8_t data[BYTES];
static char    folder[FILES_PATH], path[FILES_PATH + 16];
static size_t  bytes;

typedef struct golden_case {
    char             name[NAME];
    bool             refused;
    int              channels, height, width;
    ls_image_options options;
    const uint8_t   *file, *expected;
    size_t           file_bytes, expected_bytes;
} golden_case;

static uint32_t number(size_t *at, int n)
{
    uint32_t value = 0;
    for (int i = 0; i < n; i++) value |= (uint32_t)data[(*at)++] << 8 * i;
    return value;
}

static golden_case read_case(size_t *at)
{
    golden_case c = {.refused = false};
    size_t      n = number(at, 1);
    memcpy(c.name, data + *at, n);
    *at += n;
    c.refused               = number(at, 1);
    c.channels              = (int)number(at, 1);
    c.options.interpolation = number(at, 1) ? LS_BICUBIC : LS_BILINEAR;
    c.options.fit           = number(at, 1) ? LS_FIT_CROP : LS_FIT_STRETCH;
    c.options.as_stored     = number(at, 1);
    c.height                = (int)number(at, 2);
    c.width                 = (int)number(at, 2);
    c.file_bytes            = number(at, 4);
    c.expected_bytes        = number(at, 4);
    c.file                  = data + *at;
    c.expected              = c.file + c.file_bytes;
    *at += c.file_bytes + c.expected_bytes;
    assert_true(*at <= bytes);
    return c;
}

static int setup(void **state)
{
    folder_make(folder);
    snprintf(path, sizeof path, "%s/picture", folder);
    gzFile f = gzopen(LOCKSTEP_SOURCE "/tests/golden/images.bin.gz", "rb");
    int    n = f ? gzread(f, data, BYTES) : -1;
    bytes    = n > 0 ? (size_t)n : 0;
    return !f || gzclose(f) != Z_OK || n <= 0 || n == BYTES;
}

static int teardown(void **state)
{
    folder_remove(folder);
    return 0;
}

/* Returns whether the pixels, which are planes, equal Pillow's, which are interleaved. */
static bool same_pixels(const golden_case *c, const uint8_t *found)
{
    size_t plane = (size_t)c->height * (size_t)c->width, channels = (size_t)c->channels;
    for (size_t i = 0; i < plane * channels; i++) {
        uint8_t expected = c->expected[i], value = found[i % channels * plane + i / channels];
        if (value == expected) continue;
        print_error("%s: pixel %zu, channel %zu: expected %d, found %d\n", c->name, i / channels, i % channels,
                    expected, value);
        return false;
    }
    return true;
}

static bool check_case(const golden_case *c)
{
    static uint8_t found[1 << 16];
    assert_in_range(c->height * c->width * c->channels, 1, sizeof found);
    file_write(path, c->file, c->file_bytes);
    ls_status status = ls_image_read(path, &c->options, c->channels, c->height, c->width, found);
    if (!c->refused) {
        if (status != LS_OK) print_error("%s: %s\n", c->name, ls_error_message());
        return status == LS_OK && same_pixels(c, found);
    }
    char part[NAME] = {0};
    memcpy(part, c->expected, c->expected_bytes);
    const char *message = ls_error_message();
    bool        ok      = status == LS_ERR_DATA && !strncmp(message, path, strlen(path)) && strstr(message, part);
    if (!ok) print_error("%s: expected \"%s\", found status %d, %s\n", c->name, part, (int)status, message);
    return ok;
}

static void run_cases(bool refused, int at_least)
{
    int cases = 0, failed = 0;
    for (size_t at = 0; at < bytes;) {
        golden_case c = read_case(&at);
        if (c.refused != refused) continue;
        cases++;
        failed += !check_case(&c);
    }
    assert_int_equal(failed, 0);
    assert_true(cases >= at_least);
}

static void pixels_are_those_of_pillow(void **state) { run_cases(false, 250); }

static void other_files_are_refused_by_name(void **state) { run_cases(true, 60); }

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pixels_are_those_of_pillow),
                                       cmocka_unit_test(other_files_are_refused_by_name)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
