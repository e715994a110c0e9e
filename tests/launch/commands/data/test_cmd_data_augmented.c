/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * `lockstep data inspect DATASET --augment RECIPE`: the picture shows the samples as training reads them. */
#include "datasets/datasets.h"
#include "tests/launch/run_program.h"

/* Digits of 28 x 28 are drawn at twice their size, in cells with 4 pixels between and 16 below for a text. */
enum { SIDE = 28, FACTOR = 2, GAP = 4, TEXT = 16, STEP_X = SIDE * FACTOR + GAP, STEP_Y = STEP_X + TEXT };
enum { COLUMNS = 12, ROWS = 8, WIDTH = COLUMNS * STEP_X + GAP, HEIGHT = ROWS * STEP_Y + GAP };

static uint8_t sheet[HEIGHT * WIDTH];

static void read_sheet(const char *path)
{
    if (ls_image_read(path, NULL, 1, HEIGHT, WIDTH, sheet) != LS_OK) fail_msg("%s", ls_error_message());
}

static uint8_t pixel(int row, int column, int y, int x)
{
    return sheet[(GAP + row * STEP_Y + y * FACTOR) * WIDTH + GAP + column * STEP_X + x * FACTOR];
}

static bool same(int row, int column, int other, bool mirrored)
{
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            if (pixel(row, column, y, x) != pixel(row, other, y, mirrored ? SIDE - 1 - x : x)) return false;
    return true;
}

static int enter(void **state)
{
    folder_enter();
    return 0;
}

static int leave(void **state)
{
    folder_leave();
    return 0;
}

static void flips_are_drawn(void **state)
{
    int mirrored = 0;
    assert_int_equal(run("data inspect digits --augment lenet5-digits data.augment.flip=true --png a.png"), 0);
    assert_non_null(
        strstr(text_of("out"), "digits: 8 samples of train, as they are and in epochs 0 to 10 of lenet5-digits"));
    read_sheet("a.png");
    for (int row = 0; row < ROWS; row++)
        for (int column = 1; column < COLUMNS; column++) {
            bool plain = same(row, column, 0, false), turned = same(row, column, 0, true);
            assert_true(plain || turned);
            mirrored += turned;
        }
    assert_in_range(mirrored, 20, 68); /* of 88 */
}

/* Epoch 3 is drawn in the same way wherever it stands, and for a folder of the same images. */
static void epochs_are_those_of_training(void **state)
{
    static uint8_t first[HEIGHT * WIDTH];
    const char    *options = "data.augment.mixup=1 data.augment.rotate=20";
    char           line[256];
    snprintf(line, sizeof line, "data inspect digits --augment lenet5-digits %s --png a.png", options);
    assert_int_equal(run(line), 0);
    read_sheet("a.png");
    memcpy(first, sheet, sizeof first);
    snprintf(line, sizeof line, "data inspect digits --augment lenet5-digits %s --epoch 3 --png b.png", options);
    assert_int_equal(run(line), 0);
    read_sheet("b.png");
    for (int row = 0; row < ROWS; row++)
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                int at = (GAP + row * STEP_Y + y * FACTOR) * WIDTH + GAP + 4 * STEP_X + x * FACTOR;
                assert_int_equal(pixel(row, 1, y, x), first[at]);
            }
    assert_false(same(0, 1, 2, false));
}

static void the_picture_is_beside_the_data(void **state)
{
    assert_int_equal(run("data inspect digits --augment lenet5-digits data.augment.crop=2"), 0);
    assert_true(exists("digits-augmented.png"));
}

static void refused(void **state)
{
    static const struct {
        const char *line, *part;
    } cases[] = {
        {"data inspect digits --augment lenet5-digits", "data.augment: expected at least one option"},
        {"data inspect digits --augment lenet5-digits data.augment.crop=99",
         "data.augment.crop: expected less than 28"},
        {"data inspect digits --epoch 2", "--epoch: expected with --augment RECIPE"},
        {"data inspect digits data.augment.flip=true", "data.augment.flip=true: expected with --augment RECIPE"},
        {"data inspect digits --augment lenet5-digits data.augment.flip=true --epoch -1", "--epoch"},
        {"data inspect digits --augment no-such-recipe", "recipe 'no-such-recipe' does not exist"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(run(cases[i].line), 2);
        if (!strstr(text_of("err"), cases[i].part)) fail_msg("expected '%s' in: %s", cases[i].part, text_of("err"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(flips_are_drawn),
                                       cmocka_unit_test(epochs_are_those_of_training),
                                       cmocka_unit_test(the_picture_is_beside_the_data), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, enter, leave);
}
