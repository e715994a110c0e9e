/* SPDX-License-Identifier: Apache-2.0
 * Every change with given parameters gives the bytes of Pillow and torchvision: tests/golden/augment.txt, written by
 * make_augment.py. */
#include <zlib.h>

#include "datasets/augment/image_augment.h"
#include "tests/unit.h"

enum { BYTES = 3 * 64 * 64, PARAMETERS = 6 };

typedef struct golden_change {
    char          name[32];
    int           kind, parameters;
    ls_augmenter  a;
    double        p[PARAMETERS];
    unsigned long crc;
} golden_change;

/* Pixel x of row y of channel c of an image of a kind. */
static int pixel(int kind, int c, int y, int x)
{
    const int value[] = {(37 * x + 91 * y + 53 * c + 5 * x * y + 11 * x * x * (c + 1)) % 256,
                         100 + (x + 2 * y + c) % 23, 77, (9 * x + 14 * y) % 256};
    return value[kind];
}

static void draw(golden_change *g)
{
    uint8_t *to = g->a.pixels;
    for (int c = 0; c < g->a.channels; c++)
        for (int y = 0; y < g->a.height; y++)
            for (int x = 0; x < g->a.width; x++) *to++ = (uint8_t)pixel(g->kind, c, y, x);
}

static void brightness(golden_change *g) { ls__colour_brightness(&g->a, (float)g->p[0]); }
static void contrast(golden_change *g) { ls__colour_contrast(&g->a, (float)g->p[0]); }
static void saturation(golden_change *g) { ls__colour_saturation(&g->a, (float)g->p[0]); }
static void hue(golden_change *g) { ls__colour_hue(&g->a, g->p[0]); }
static void nearest(golden_change *g) { ls__augment_affine(&g->a, g->p, LS_AFFINE_NEAREST); }
static void bilinear(golden_change *g) { ls__augment_affine(&g->a, g->p, LS_AFFINE_BILINEAR); }
static void turn(golden_change *g) { ls__augment_turn(&g->a, g->p[0], (int)g->p[1], (int)g->p[2], LS_AFFINE_BILINEAR); }
static void resized_crop(golden_change *g)
{
    assert_ok(ls__augment_resized_crop(&g->a, (int)g->p[0], (int)g->p[1], (int)g->p[2], (int)g->p[3]));
}
static void trivial(golden_change *g) { ls__augment_trivial(&g->a, (int)g->p[0], (int)g->p[1], g->p[2] > 0); }

static const struct {
    const char *name;
    void (*apply)(golden_change *g);
} changes[] = {
    {"brightness", brightness},
    {"contrast", contrast},
    {"saturation", saturation},
    {"hue", hue},
    {"nearest", nearest},
    {"bilinear", bilinear},
    {"turn", turn},
    {"trivial", trivial},
    {"resized_crop", resized_crop},
};
enum { CHANGES = sizeof changes / sizeof *changes };

static void check(golden_change *g, const char *line, int seen[CHANGES])
{
    int k = 0;
    while (k < CHANGES && strcmp(changes[k].name, g->name) != 0) k++;
    if (k == CHANGES) fail_msg("unknown change: %s", line);
    seen[k]++;
    draw(g);
    changes[k].apply(g);
    size_t bytes = (size_t)g->a.channels * (size_t)g->a.height * (size_t)g->a.width;
    if (crc32(0, g->a.pixels, (uInt)bytes) != g->crc) fail_msg("other bytes than Pillow: %s", line);
}

static void as_pillow(void **state)
{
    static uint8_t memory[2][BYTES];
    char           line[512], rest[512];
    int            seen[CHANGES] = {0};
    FILE          *in            = fopen(LOCKSTEP_SOURCE "/tests/golden/augment.txt", "r");
    assert_non_null(in);
    while (fgets(line, sizeof line, in)) {
        golden_change g = {.a = {.pixels = memory[0], .other = memory[1]}};
        if (*line == '#') continue;
        int n = sscanf(line, "%31s %d %d %d %d %d %511[^\n]", g.name, &g.kind, &g.a.channels, &g.a.height, &g.a.width,
                       &g.parameters, rest);
        assert_int_equal(n, 7);
        assert_true(g.parameters >= 1 && g.parameters <= PARAMETERS);
        char *at = rest;
        for (int i = 0; i < g.parameters; i++) g.p[i] = strtod(at, &at);
        g.crc = strtoul(at, NULL, 16);
        check(&g, line, seen);
    }
    fclose(in);
    for (int k = 0; k < CHANGES; k++)
        if (seen[k] < 8) fail_msg("%s: only %d cases", changes[k].name, seen[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_pillow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
