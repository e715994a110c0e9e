/* SPDX-License-Identifier: Apache-2.0 */
/* labels: mpi */
/* lockstep embed: the same bytes on any number of ranks and with any batch, and answers to invalid input.  The rows of
 * encoders are compared with PyTorch in tests/dist/trainer/test_encoder_training.c. */
#include "tests/launch/run_program.h"

/* Writes the tokenizer of the model tests/golden/encoders/bert: 5 special tokens, 26 letters, and 10 as rests of words.
 */
static void write_tokenizer(void)
{
    FILE *f = fopen("bert/tokenizer.json", "w");
    assert_non_null(f);
    fputs("{\"version\": \"1.0\", \"added_tokens\": [", f);
    static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    for (int i = 0; i < 5; i++)
        fprintf(f,
                "%s{\"id\": %d, \"content\": \"%s\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                "\"normalized\": false, \"special\": true}",
                i ? ", " : "", i, special[i]);
    fputs("], \"normalizer\": {\"type\": \"BertNormalizer\", \"clean_text\": true, \"handle_chinese_chars\": true, "
          "\"strip_accents\": null, \"lowercase\": true}, \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"}, "
          "\"post_processor\": {\"type\": \"TemplateProcessing\", "
          "\"single\": [{\"SpecialToken\": {\"id\": \"[CLS]\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", "
          "\"type_id\": 0}}, {\"SpecialToken\": {\"id\": \"[SEP]\", \"type_id\": 0}}], "
          "\"pair\": [{\"SpecialToken\": {\"id\": \"[CLS]\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", "
          "\"type_id\": 0}}, {\"SpecialToken\": {\"id\": \"[SEP]\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"B\", "
          "\"type_id\": 1}}, {\"SpecialToken\": {\"id\": \"[SEP]\", \"type_id\": 1}}], "
          "\"special_tokens\": {\"[CLS]\": {\"id\": \"[CLS]\", \"ids\": [2], \"tokens\": [\"[CLS]\"]}, "
          "\"[SEP]\": {\"id\": \"[SEP]\", \"ids\": [3], \"tokens\": [\"[SEP]\"]}}}, "
          "\"decoder\": {\"type\": \"WordPiece\", \"prefix\": \"##\", \"cleanup\": true}, "
          "\"model\": {\"type\": \"WordPiece\", \"unk_token\": \"[UNK]\", \"continuing_subword_prefix\": \"##\", "
          "\"max_input_chars_per_word\": 100, \"vocab\": {",
          f);
    for (int i = 0; i < 5; i++) fprintf(f, "\"%s\": %d, ", special[i], i);
    for (int i = 0; i < 36; i++) fprintf(f, "%s\"%s%c\": %d", i ? ", " : "", i < 26 ? "" : "##", 'a' + i % 26, 5 + i);
    fputs("}}}\n", f);
    fclose(f);
}

static int set_up(void **state)
{
    (void)state;
    folder_enter();
    if (system("cp -r " LOCKSTEP_SOURCE "/tests/golden/encoders/bert bert && chmod -R u+w bert")) return 1;
    write_tokenizer();
    FILE *f = fopen("lines", "w");
    fputs("a\nab c\n\nx y z w v u t s r q p o n m l k j\nzz\nabc abd\ncab\r\n", f);
    fclose(f);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    folder_leave();
    return 0;
}

static void the_same_bytes_on_any_ranks(void **state)
{
    (void)state;
    assert_int_equal(run("embed bert lines"), 0);
    assert_int_equal(run("embed bert lines --out b.h5 --batch 1", .threads = 2), 0);
    assert_int_equal(run("embed bert - --out c.h5 --batch 2", .ranks = 2, .before = "cat lines |"), 0);
    assert_int_equal(run("embed bert lines --out d.h5 --batch 3", .ranks = 3), 0);
    assert_int_equal(system("cmp lines.h5 b.h5 && cmp lines.h5 c.h5 && cmp lines.h5 d.h5"), 0);
    assert_int_equal(run("embed bert lines --out e.h5 --pool cls --unscaled"), 0);
    assert_int_not_equal(system("cmp -s lines.h5 e.h5"), 0);
}

static void the_nearest_lines_are_printed(void **state)
{
    (void)state;
    assert_int_equal(run("embed bert - --nearest 2", .before = "printf 'ab c\\nzz\\nab c\\n' |"), 0);
    assert_int_equal(system("head -1 out | grep -q '^1.000  ab c$' && test $(wc -l < out) = 2"), 0);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *arguments, *before;
        int         code;
        const char *says;
    } table[] = {
        {"embed bert none", "", 2, "none: No such file"},
        {"embed bert /dev/null", "", 3, "/dev/null: expected lines of text, found none"},
        {"embed bert -", "echo a |", 2, "expected --out or --nearest, found neither"},
        {"embed bert lines --pool max", "", 2, "--pool: expected mean or cls, found 'max'"},
        {"embed bert lines --max-tokens 1", "", 2, "expected a limit of at least 2"},
        {"embed vit lines", "cp -r " LOCKSTEP_SOURCE "/tests/golden/encoders/vit vit;", 2,
         "expected an encoder of texts"},
        {"embed bert lines", "mv bert/tokenizer.json kept;", 3, "expected tokenizer.json, or vocab.json"},
        {"embed bert lines",
         "mv kept bert/tokenizer.json; sed -i 's/hidden_act\": \"gelu/hidden_act\": \"mish/' bert/config.json;", 3,
         "hidden_act: expected gelu, gelu_new, gelu_pytorch_tanh, relu or silu, found "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char command[512];
        assert_int_equal(run(table[i].arguments, .before = table[i].before), table[i].code);
        snprintf(command, sizeof command, "grep -qF -e \"%s\" err || { cat err; false; }", table[i].says);
        assert_int_equal(system(command), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_bytes_on_any_ranks),
                                       cmocka_unit_test(the_nearest_lines_are_printed),
                                       cmocka_unit_test(mistakes_are_named)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
