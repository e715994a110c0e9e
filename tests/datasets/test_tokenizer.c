/* SPDX-License-Identifier: Apache-2.0
 * The handle, the kind bytes, special tokens, and where a text may be cut. */
#include "datasets/datasets.h"
#include "tests/unit.h"

static void check_tokens(const ls_tokens *list, int n, const int32_t *want)
{
    assert_int_equal(list->count, n);
    for (int i = 0; i < n; i++) assert_int_equal(list->id[i], want[i]);
}

static void test_bytes(void **state)
{
    static const char text[] = "a\0\xff<|endoftext|><|endoftext";
    ls_tokenizer     *t;
    ls_tokens         list = {0};
    ls_string         back = {0};
    assert_ok(ls_tokenizer_bytes(&t));
    assert_int_equal(ls_tokenizer_size(t), 257);
    assert_int_equal(ls_tokenizer_end(t), 256);
    assert_int_equal(ls_tokenizer_kind_of(t), LS_TOKENIZER_BYTES);
    assert_ok(ls_tokenizer_encode(t, text, sizeof text - 1, &list));
    check_tokens(&list, 15, (int32_t[]){'a', 0, 255, 256, '<', '|', 'e', 'n', 'd', 'o', 'f', 't', 'e', 'x', 't'});
    assert_ok(ls_tokenizer_decode(t, list.id, list.count, &back));
    assert_int_equal(back.bytes, sizeof text - 1);
    assert_memory_equal(back.data, text, sizeof text);
    list.count = 0;
    assert_ok(ls_tokenizer_encode_plain(t, text, sizeof text - 1, &list));
    assert_int_equal(list.count, sizeof text - 1);
    assert_fails(ls_tokenizer_decode(t, (int32_t[]){1, 257}, 2, &back), LS_ERR_DATA, "token 1 is 257: expected 0 to 256");
    assert_fails(ls_tokenizer_decode(t, (int32_t[]){-1}, 1, &back), LS_ERR_DATA, "token 0 is -1");
    ls_tokens_free(&list);
    ls_string_free(&back);
    ls_tokenizer_free(t);
}

static void test_cut(void **state)
{
    ls_tokenizer *t;
    assert_ok(ls_tokenizer_bytes(&t));
    assert_int_equal(ls_tokenizer_cut(t, "some text", 9), 9);
    assert_int_equal(ls_tokenizer_cut(t, "some <", 6), 5);
    assert_int_equal(ls_tokenizer_cut(t, "some <|endoftext|", 17), 5);
    assert_int_equal(ls_tokenizer_cut(t, "some <|endoftext|>", 18), 18);
    assert_int_equal(ls_tokenizer_cut(t, "<|end", 5), 0);
    assert_int_equal(ls_tokenizer_cut(t, "", 0), 0);
    ls_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bytes), cmocka_unit_test(test_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
