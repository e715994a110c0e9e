/* SPDX-License-Identifier: Apache-2.0 */
/* labels: io */
/* `lockstep data import pairs` and what it prints, `data verify` and `data inspect` of pairs, and wrong inputs. */
#include "tests/launch/run_program.h"

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_true(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void put_files(void)
{
    put("en", "a dog runs\n\na red car\nthe end\x1b[31m\xff\n");
    put("de", "ein Hund rennt\nleer\nein rotes Auto\ndas Ende\n");
    put("long", "a b c d e f g\nx\nx\nx\n");
    put("blank", "\n\n");
    put("nothing", "");
}

static void has(const char *file, const char *part)
{
    if (!strstr(text_of(file), part)) fail_msg("'%s' is not in: %s", part, text_of(file));
}

static void pairs_are_imported(void **state)
{
    folder_enter();
    put_files();
    assert_int_equal(run("data import pairs en de made --valid de en --test=en de --tokenizer words --separate"), 0);
    has("out", "made: train: 3 pairs, 8 + 8 tokens (source + target), at most 3 + 3 in a sentence\n");
    has("out", "made: train: 1 pairs with an empty line were left out\n");
    has("out", "made: train: 1 sequences that are not UTF-8 were replaced by U+FFFD\n");
    has("out", "made: valid: 3 pairs");
    has("out", "made: test: 3 pairs");
    has("out", "made: vocabularies of 9 (source) and 9 (target) tokens\n");
    assert_int_equal(run("data verify made"), 0);
    has("out", "made: train: 3 pairs in 1 file: ok, checksums match\n");
    assert_int_equal(run("data inspect made/train.h5"), 0);
    has("out", "made/train.h5: train, 3 pairs\n");
    has("out",
        "source     11 tokens with end tokens, 3.7 in a sentence, at most 4; tokenizer words, vocabulary of 9\n");
    has("out", "       1 to 4             3 100.0 % ");
    has("out", "  batches    of 128 pairs by length: 8.3 % padding, 1 different widths in 1 batches\n");
    has("out", "  0    a dog runs\n       |a |dog |runs |\n       ein Hund rennt\n       |ein |Hund |rennt |\n");
    has("out", "the end\\x1b[31m"); /* escaped: it would steer the terminal */
    assert_null(strchr(text_of("out"), '\x1b'));
    /* The tokenizer of another import. */
    assert_int_equal(run("data import pairs de en other --tokenizer words"), 0);
    assert_int_equal(rename("other/source/tokenizer.json", "made/source/tokenizer.json"), 0);
    assert_int_equal(run("data inspect made"), 3);
    has("err", "made/source/tokenizer.json: is not the tokenizer of the dataset in this folder");
    assert_int_equal(run("data verify made"), 3);
    assert_int_equal(unlink("made/source/tokenizer.json"), 0);
    assert_int_equal(run("data verify made"), 3);
    has("err", "source/tokenizer.json");
    folder_leave();
}

static void wrong_inputs_are_refused(void **state)
{
    static const struct {
        const char *arguments;
        int         code;
        const char *text;
    } wrong[] = {
        {"en de", 2, "SRC TGT OUT"},
        {"en missing made", 3, "missing: No such file or directory"},
        {"en nothing made", 3, "nothing: expected one sentence per line, found an empty file"},
        {"en blank made", 3, "blank: has 2 lines, but en has 4"},
        {"blank blank made", 3, "blank: expected at least one line with text"},
        {"en . made", 3, ".: cannot be read"},
        {"en long made --max-length 3 --tokenizer words", 3,
         "long:1: the sentence has 7 tokens; expected at most 3 (1 pairs of the file are longer)"},
        {"en de made --max-length 0", 2, "--max-length: expected"},
        {"en de made --max-length 99999999", 2, "--max-length: expected"},
        {"en de made --vocab 12", 2, "size: expected 257"},
        {"en de made --vocab 300 --tokenizer bytes", 2, "--vocab 300: the tokenizer bytes has a fixed size"},
        {"en de made --min-count 2", 2, "--min-count 2: expected with the tokenizer words, found bpe"},
        {"en de made --tokenizer word", 2, "expected bytes, chars, bpe, words, wordpiece or the path of a tokenizer"},
        {"en de made --tokenizer en", 3, "en, line 1"},
        {"en de made --separate --tokenizer bytes", 2, "--separate: the tokenizer bytes has one vocabulary"},
        {"en de made --valid en", 2, "--valid: expected SRC TGT, found the end of the line"},
        {"en de made --valid en de --valid en de", 2, "--valid: expected once, found several"},
        {"en de made --test en long --tokenizer chars", 3, "long:1: text: the character"},
        {"en de no/such", 4, "no"},
    };
    char line[256];
    folder_enter();
    put_files();
    put("no", "a file in the way of a folder");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(line, sizeof line, "data import pairs %s", wrong[i].arguments);
        const int code = run(line);
        if (code != wrong[i].code) fail_msg("%s: exit code %d: %s", line, code, text_of("err"));
        has("err", wrong[i].text);
        assert_int_equal(access("made", F_OK), -1);
    }
    folder_leave();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pairs_are_imported),
                                       cmocka_unit_test(wrong_inputs_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
