/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * Training of the kind wordpiece: the pieces are those of Hugging Face's WordPieceTrainer where frequencies decide, and
 * every text of the known characters has pieces. */
#include "datasets/datasets.h"
#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/unit.h"

static const char *const text[] = {"the low lower lowest slow slower slowest",
                                   "new newer newest renewed news",
                                   "wide wider widest widen widened",
                                   "lower lower lowest newest newest widest",
                                   "Caf\xc3\xa9 caf\xc3\xa9 na\xc3\xafve",
                                   "low low low new new new wide wide",
                                   "\xe4\xb8\xad\xe6\x96\x87"};

static ls_status train(ls_tokenizer **t, int32_t size, int64_t min_count, bool lowercase)
{
    ls_text_line line[7];
    for (int i = 0; i < 7; i++) line[i] = (ls_text_line){text[i], strlen(text[i])};
    return ls_tokenizer_train(t, .kind = LS_TOKENIZER_WORDPIECE, .size = size, .min_count = min_count,
                              .lowercase = lowercase, .lines = 7, .line = line);
}

static void pieces_of_frequent_words(void **state)
{
    /* Pieces that Hugging Face's trainer makes of these texts as well. */
    static const char *const want[] = {"[PAD]", "[UNK]",  "[CLS]",  "[SEP]",  "[MASK]", "low",  "new", "wide",
                                       "lower", "lowest", "newest", "widest", "cafe",   "##st", "z",   NULL};
    ls_tokenizer            *t;
    assert_ok(train(&t, 1000, 2, true));
    assert_int_equal(ls_tokenizer_kind_of(t), LS_TOKENIZER_WORDPIECE);
    for (int i = 0; want[i]; i++) {
        const char *piece = want[i];
        char        spaced[32];
        const bool  starts = piece[0] != '[' && piece[0] != '#';
        snprintf(spaced, sizeof spaced, "%s%s", starts ? " " : "", piece[0] == '#' ? piece + 2 : piece);
        const int32_t id = ls_tokenizer_find(t, spaced);
        if ((id >= 0) != (*piece != 'z')) fail_msg("'%s' has the id %d", piece, id);
        if (i < 5) assert_int_equal(id, i);
    }
    ls_tokenizer_free(t);
}

/* The size is a limit; what was saved is loaded again; words of known characters have no unknown token. */
static void saved_and_covering(void **state)
{
    char root[FILES_PATH];
    folder_make(root);
    for (int k = 0; k < 3; k++) {
        static const struct {
            const char *text;
            bool        unknown;
        } table[] = {{"thin woods", false}, {"renewed lowest", false}, {"slow-news!", true}, {"zebra", true}};
        ls_tokenizer  *t, *u;
        ls_text_tokens e = {0};
        assert_ok(train(&t, k == 2 ? 100 : 1000, k + 1, k > 0));
        assert_true(ls_tokenizer_size(t) <= (k == 2 ? 100 : 1000));
        assert_ok(ls_tokenizer_save(t, root));
        assert_ok(ls_tokenizer_load(&u, root));
        assert_int_equal(ls_tokenizer_hash(u), ls_tokenizer_hash(t));
        for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
            const ls_text_line line    = {table[i].text, strlen(table[i].text)};
            bool               unknown = false;
            assert_ok(ls_tokenizer_encode_texts(u, &line, &line, 0, &e));
            assert_int_equal(e.id[0], 2); /* [CLS] */
            assert_int_equal(e.id[e.count - 1], 3);
            assert_int_equal(e.type[e.count - 1], 1);
            for (int64_t n = 0; n < e.count; n++) unknown = unknown || e.id[n] == 1;
            assert_int_equal(unknown, table[i].unknown);
        }
        ls_text_tokens_free(&e);
        ls_tokenizer_free(t);
        ls_tokenizer_free(u);
    }
    folder_remove(root);
}

static void sizes_are_checked(void **state)
{
    ls_tokenizer *t;
    assert_fails(train(&t, 99, 2, false), LS_ERR_USAGE, "size: expected 100 to");
    assert_fails(train(&t, 0, 2, false), LS_ERR_USAGE, "size: expected 100 to");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_of_frequent_words), cmocka_unit_test(saved_and_covering),
                                       cmocka_unit_test(sizes_are_checked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
