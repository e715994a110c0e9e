/* SPDX-License-Identifier: Apache-2.0
 * core/base/format_text.c and enum_text.h: short texts, bytes with units, and the texts of enums. */
#include "core/base/format_text.h"

#include "core/base/enum_text.h"
#include "tests/unit.h"

static void bytes_have_binary_units(void **state)
{
    assert_string_equal(ls__bytes_text(0), "0 B");
    assert_string_equal(ls__bytes_text(1023), "1023 B");
    assert_string_equal(ls__bytes_text(1536), "1.5 KiB");
    assert_string_equal(ls__bytes_text(3.0 * (1 << 20)), "3.0 MiB");
    assert_string_equal(ls__bytes_text(4096.0 * (1ull << 40)), "4096.0 TiB");
}

/* A text may be an argument of the next one, also when its buffer is reused, and long texts are cut. */
static void texts_are_kept_and_cut(void **state)
{
    const char *first = ls__text("%d", 1), *text = first;
    for (int i = 2; i < 10; i++) text = ls__text("%s,%d", text, i);
    assert_string_equal(text, "1,2,3,4,5,6,7,8,9");
    assert_string_equal(first, "1");
    assert_int_equal(strlen(ls__text("%0200d", 7)), LS_TEXT_BYTES - 1);
}

#define COLOR_LIST(X) X(COLOR_RED, "red", 3) X(COLOR_BLUE, "blue", 4)
typedef enum color { LS_ENUMERATORS(COLOR_LIST) } color;

static void enums_have_texts(void **state)
{
    static const char *const texts[] = LS_ENUM_TEXTS(COLOR_LIST);
    assert_int_equal(LS_ENUM_COUNT(COLOR_LIST), 2);
    assert_string_equal(texts[COLOR_BLUE], "blue");
    assert_null(texts[2]);
    assert_int_equal(ls__enum_find(texts, "blue"), COLOR_BLUE);
    assert_int_equal(ls__enum_find(texts, "BLUE"), -1);
}

/* An error survives a cleanup that fails as well. */
static void errors_are_restored(void **state)
{
    (void)LS_FAIL(LS_ERR_DATA, "first");
    const ls_error first = ls_error_save(LS_ERR_DATA);
    (void)LS_FAIL(LS_ERR_ENV, "second");
    assert_int_equal(ls_error_restore(&first), LS_ERR_DATA);
    assert_string_equal(ls_error_message(), "first");
    assert_non_null(strstr(ls_error_trace(), "errors_are_restored"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bytes_have_binary_units),
                                       cmocka_unit_test(texts_are_kept_and_cut), cmocka_unit_test(enums_have_texts),
                                       cmocka_unit_test(errors_are_restored)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
