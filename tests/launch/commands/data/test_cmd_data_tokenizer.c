/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * `lockstep data train-tokenizer`: results, and refused arguments. */
#include "tests/launch/run_program.h"

#include "datasets/datasets.h"

static void write_text(const char *path, const char *text, int times)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    for (int i = 0; i < times; i++) fputs(text, f);
    fclose(f);
}

static void check_loads(const char *path, ls_tokenizer_kind kind, int size, int end)
{
    ls_tokenizer *t;
    if (ls_tokenizer_load(&t, path) != LS_OK) fail_msg("%s", ls_error_message());
    assert_int_equal(ls_tokenizer_kind_of(t), kind);
    assert_int_equal(ls_tokenizer_size(t), size);
    assert_int_equal(ls_tokenizer_end(t), end);
    ls_tokenizer_free(t);
}

static void learns_bpe(void **state)
{
    folder_enter();
    write_text("one.txt", "the cat sat on the mat\n", 50);
    write_text("two.txt", "the dog sat on the log\xff\n", 50);
    assert_int_equal(run("data train-tokenizer --vocabulary 270 one.txt two.txt tokens"), 0);
    assert_non_null(strstr(text_of("out"), "tokens/tokenizer.json: bpe, 270 tokens"));
    assert_non_null(strstr(text_of("err"), "50 sequences of bytes that are not UTF-8"));
    folder_leave();
}

static void saves_the_tokenizer(void **state)
{
    folder_enter();
    write_text("text", "aaaa bbbb\n", 3);
    assert_int_equal(run("data train-tokenizer text made"), 0);
    assert_non_null(strstr(text_of("err"), "instead of 8192"));
    check_loads("made", LS_TOKENIZER_BPE, 262, 261); /* aa, bb, aaaa, bbbb, " bbbb" */
    assert_int_equal(run("data train-tokenizer --kind chars --end text chars"), 0);
    check_loads("chars/tokenizer.json", LS_TOKENIZER_CHARS, 5, 4);
    assert_int_equal(run("data train-tokenizer --kind words --vocabulary 3 --lowercase text words"), 0);
    assert_non_null(strstr(text_of("out"), "words/tokenizer.json: words, 3 tokens"));
    check_loads("words", LS_TOKENIZER_WORDS, 3, 1);
    folder_leave();
}

static void refuses_wrong_arguments(void **state)
{
    static const struct {
        const char *arguments;
        int         code;
        const char *text;
    } wrong[] = {
        {"data train-tokenizer empty made", 3, "empty: expected text, found none"},
        {"data train-tokenizer nowhere made", 3, "nowhere: No such file"},
        {"data train-tokenizer . made", 3, "cannot be read: Is a directory"},
        {"data train-tokenizer text", 2, "TEXT ... OUT"},
        {"data train-tokenizer --kind bytes text made", 2, "kind bytes has nothing to learn"},
        {"data train-tokenizer --kind word text made", 2, "expected bpe, words, wordpiece or chars, found 'word'"},
        {"data train-tokenizer --kind chars --vocabulary 300 text made", 2, "leave the option out"},
        {"data train-tokenizer --vocabulary 256 text made", 2, "257"},
        {"data train-tokenizer text no/such/place", 4, "cannot be written"},
    };
    folder_enter();
    write_text("empty", "", 1);
    write_text("text", "some text\n", 1);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(run(wrong[i].arguments), wrong[i].code);
        if (!strstr(text_of("err"), wrong[i].text))
            fail_msg("%s: '%s' is not in: %s", wrong[i].arguments, wrong[i].text, text_of("err"));
    }
    assert_false(exists("made"));
    folder_leave();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(learns_bpe), cmocka_unit_test(saves_the_tokenizer),
                                       cmocka_unit_test(refuses_wrong_arguments)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
