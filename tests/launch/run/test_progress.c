/* SPDX-License-Identifier: Apache-2.0 */
#include "launch/report/unit_text.h"
#include "launch/run/progress.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void formats_times(void **state)
{
    static const struct {
        double      seconds;
        const char *text;
    } cases[] = {{0, "0:00"}, {7.4, "0:07"}, {754, "12:34"}, {3723, "1:02:03"}, {3 * 86400 + 4 * 3600, "3 d 04 h"}};
    char text[32];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls__time_text(text, sizeof text, cases[i].seconds);
        assert_string_equal(text, cases[i].text);
    }
}

static void formats_counts(void **state)
{
    static const struct {
        int64_t     n;
        const char *text;
    } cases[] = {{0, "0"}, {999, "999"}, {1000, "1,000"}, {1234567, "1,234,567"}, {-4321, "-4,321"}, {-321, "-321"}};
    char text[32];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls__count_text(text, sizeof text, cases[i].n);
        assert_string_equal(text, cases[i].text);
    }
}

static int columns(const char *text)
{
    int n = 0;
    for (; *text; text++) {
        if (*text == '\033') {
            while (*text != 'm') text++;
            continue;
        }
        n += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return n;
}

/* The bar fits one line of the terminal at any width. */
static void fits_the_terminal(void **state)
{
    ls_bar_state s = {.what          = "train",
                      .step          = 1460,
                      .steps         = 2350,
                      .epoch         = 2,
                      .epochs        = 12,
                      .loss          = 0.0412,
                      .samples_per_s = 11930,
                      .seconds_left  = 41};
    char         text[640];
    for (int width = 12; width < 300; width++)
        for (int color = 0; color < 2; color++) {
            ls__bar_text(text, sizeof text, &s, width, color);
            assert_true(columns(text) < width);
        }
    ls__bar_text(text, sizeof text, &s, 100, false);
    assert_non_null(strstr(text, "train 2/12 "));
    assert_non_null(strstr(text, " 62 %"));
    assert_non_null(strstr(text, "1,460/2,350  loss 0.0412  11,930/s  0:41 left"));
    assert_null(strchr(text, '\033'));
}

static void omits_unknown_values(void **state)
{
    ls_bar_state s = {.what = "train", .step = 3, .loss = NAN, .samples_per_s = NAN, .seconds_left = NAN};
    char         text[640];
    ls__bar_text(text, sizeof text, &s, 100, false);
    assert_string_equal(text, "train  step 3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_times),
        cmocka_unit_test(formats_counts),
        cmocka_unit_test(fits_the_terminal),
        cmocka_unit_test(omits_unknown_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
