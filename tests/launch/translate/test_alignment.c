/* SPDX-License-Identifier: Apache-2.0 */
/* Alignments of words from the weights of tokens: words of several tokens, white space, end tokens, both formats; the
 * replacement of unknown words. */
#include <math.h>
#include <string.h>

#include "launch/translate/alignment.h"
#include "tests/unit.h"

static ls_arena *memory;

/* Tokens of the source "ab c" and of the target " x  yz", all bytes; the rows are those of ' ' x ' ' ' ' y z and the
 * end token, the columns those of a b ' ' c and the end token. */
static const float weights[7][5] = {{0, 0, 0, 0, 1}, {0.1f, 0.2f, 0.3f, 0.4f, 0}, {1, 0, 0, 0, 0},
                                    {1, 0, 0, 0, 0}, {0.5f, 0.25f, 0, 0.25f, 0},  {0, 0.25f, 0, 0.25f, 0.5f},
                                    {0, 0, 0, 0, 1}};

static ls_translated translated(ls_run *run, ls_tokens *x, ls_tokens *y)
{
    assert_ok(ls_tokenizer_bytes(&run->tokenizer));
    run->source_tokenizer = run->tokenizer;
    assert_ok(ls_tokenizer_encode(run->tokenizer, "ab c", 4, x));
    assert_ok(ls_tokenizer_encode(run->tokenizer, " x  yz", 6, y));
    return (ls_translated){
        .tokens = y->count, .token = y->id, .source = x->id, .source_tokens = 5, .weights = weights[0]};
}

static void assert_written(const ls_alignment *a, bool soft, const char *want)
{
    char  *text;
    size_t bytes;
    FILE  *f = open_memstream(&text, &bytes);
    ls_alignment_write(a, soft, f);
    fclose(f);
    assert_string_equal(text, want);
    free(text);
}

static void words_of_several_tokens(void **state)
{
    ls_run        run = {0};
    ls_tokens     x = {0}, y = {0};
    ls_translated t = translated(&run, &x, &y);
    ls_alignment  a;
    (void)state;
    ls_alignment_of(&a, &run, &t, memory);
    assert_int_equal(a.rows, 3); /* x, yz, end */
    assert_int_equal(a.cols, 3); /* ab, c, end */
    assert_written(&a, true, "0.3000,0.4000,0.0000 0.5000,0.2500,0.2500 0.0000,0.0000,1.0000");
    assert_written(&a, false, "1-0 0-1");
    assert_int_equal(ls_alignment_link(&a, 2), -1);
    a.weight[5] = 0.75f; /* a word that attends to the end of the line has no link */
    assert_written(&a, false, "1-0");
    ls_tokens_free(&x);
    ls_tokens_free(&y);
    ls_tokenizer_free(run.tokenizer);
}

static void tokens_that_are_words(void **state)
{
    static const char  words[]    = "a b a";
    const float        same[3][3] = {{0.2f, 0.7f, 0.1f}, {0.6f, 0.4f, 0}, {0, 0, 1}};
    ls_run             run        = {0};
    ls_tokens          x          = {0};
    ls_alignment       a;
    const ls_text_line line = {words, strlen(words)};
    (void)state;
    assert_ok(ls_tokenizer_train(&run.tokenizer, .kind = LS_TOKENIZER_WORDS, .lines = 1, .line = &line));
    run.source_tokenizer = run.tokenizer;
    assert_ok(ls_tokenizer_encode_line(run.tokenizer, "a b", 3, &x));
    const ls_translated t = {.tokens = 2, .token = x.id, .source = x.id, .source_tokens = 3, .weights = same[0]};
    ls_alignment_of(&a, &run, &t, memory);
    assert_written(&a, false, "1-0 0-1");
    assert_written(&a, true, "0.2000,0.7000,0.1000 0.6000,0.4000,0.0000 0.0000,0.0000,1.0000");
    const ls_translated empty = {.text = ""};
    ls_alignment_of(&a, &run, &empty, memory);
    assert_int_equal(a.rows * a.cols, 1);
    assert_written(&a, false, "");
    ls_tokens_free(&x);
    ls_tokenizer_free(run.tokenizer);
}

/* <unk> becomes the word of the line with the greatest weight, also where the end token has a greater one. */
static void unknown_words_are_replaced(void **state)
{
    static const char words[] = "a b a";
    const float  weight[4][4] = {{0.2f, 0.1f, 0.1f, 0.6f}, {0.5f, 0.2f, 0.3f, 0}, {0.1f, 0.1f, 0.8f, 0}, {0, 0, 0, 1}};
    ls_run       run          = {0};
    ls_tokens    x = {0}, y = {0};
    ls_string    text = {0};
    ls_alignment a;
    const ls_text_line line = {words, strlen(words)};
    (void)state;
    assert_ok(ls_tokenizer_train(&run.tokenizer, .kind = LS_TOKENIZER_WORDS, .lines = 1, .line = &line));
    run.source_tokenizer = run.tokenizer;
    assert_ok(ls_tokenizer_encode_line(run.tokenizer, "a Zebra  Yak", 12, &x));
    assert_ok(ls_tokenizer_encode_line(run.tokenizer, "none b none", 11, &y));
    const ls_translated t = {.tokens = 3, .token = y.id, .source = x.id, .source_tokens = 4, .weights = weight[0]};
    ls_alignment_of(&a, &run, &t, memory);
    assert_ok(ls_alignment_replace(&a, &run, &t, " a Zebra  Yak", &text));
    assert_string_equal(text.data, "a b Yak");
    ls_string_free(&text);
    ls_tokens_free(&x);
    ls_tokens_free(&y);
    ls_tokenizer_free(run.tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(words_of_several_tokens),
                                       cmocka_unit_test(tokens_that_are_words),
                                       cmocka_unit_test(unknown_words_are_replaced)};
    assert_ok(ls_arena_new(&memory, "test"));
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ls_arena_free(memory);
    return failed;
}
