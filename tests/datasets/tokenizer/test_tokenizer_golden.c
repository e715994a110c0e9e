/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * Tokens equal those of Hugging Face's `tokenizers` with the same files, and training on the same text gives the same
 * merges.  tests/golden/make_tokenizer.py wrote the expected values. */
#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/datasets/tokenizer/mixed_text.h"
#include "tests/golden.h"
#include "tests/unit.h"

typedef struct data {
    char  *text; /* all lines */
    size_t line[MIXED_LINES + 1];
    char  *shakespeare; /* NULL: the file is missing */
    size_t shakespeare_bytes;
    char   shakespeare_path[FILES_PATH];
} data;
static data d;

static uint64_t       fnv(uint64_t hash, uint64_t number) { return (hash ^ number) * 0x100000001b3ull; }
static const uint64_t FNV = 0xcbf29ce484222325ull;

static uint64_t hash_tokens(uint64_t hash, const ls_tokens *list)
{
    for (int64_t i = 0; i < list->count; i++) hash = fnv(hash, (uint64_t)list->id[i]);
    return hash;
}

static ls_tokenizer *load(const char *name)
{
    ls_tokenizer *t;
    char          path[FILES_PATH];
    snprintf(path, sizeof path, "%s/tests/golden/tokenizer/%s", LOCKSTEP_SOURCE, name);
    assert_ok(ls_tokenizer_load(&t, path));
    return t;
}

static int setup(void **state)
{
    const char *folder = getenv("LOCKSTEP_DATA");
    d.text             = malloc((size_t)MIXED_LINES * MIXED_LINE_BYTES);
    for (uint32_t i = 0; i < MIXED_LINES; i++) d.line[i + 1] = d.line[i] + mixed_line(i, d.text + d.line[i]);
    if (!folder) return 0;
    snprintf(d.shakespeare_path, sizeof d.shakespeare_path, "%s/shakespeare/input.txt", folder);
    int64_t bytes = file_bytes(d.shakespeare_path);
    if (bytes <= 0) return 0;
    d.shakespeare       = malloc((size_t)bytes);
    d.shakespeare_bytes = file_read(d.shakespeare_path, d.shakespeare, (size_t)bytes);
    return 0;
}

static int teardown(void **state)
{
    free(d.text);
    free(d.shakespeare);
    return 0;
}

static uint64_t hex(const golden *g, const char *key) { return strtoull(golden_text(g, key), NULL, 16); }

static int64_t whole(const golden *g, const char *key) { return strtoll(golden_text(g, key), NULL, 10); }

static void check_hash(const golden *g, int64_t count, uint64_t hash)
{
    if (count != whole(g, "count") || hash != hex(g, "hash"))
        fail_msg("case %d '%s': %lld tokens with the hash %016llx, tokenizers gives %s with %s", g->number, g->name,
                 (long long)count, (unsigned long long)hash, golden_text(g, "count"), golden_text(g, "hash"));
}

static void check_text(const golden *g)
{
    uint64_t  hash     = FNV;
    ls_string clean    = {0};
    int64_t   replaced = 0;
    for (size_t i = 0; i < d.line[MIXED_LINES]; i++) hash = fnv(hash, (unsigned char)d.text[i]);
    assert_int_equal(d.line[MIXED_LINES], whole(g, "bytes"));
    assert_int_equal(hash, hex(g, "hash"));
    assert_ok(ls__utf8_clean((uint8_t *)d.text, d.line[MIXED_LINES], &clean, &replaced));
    assert_int_equal(replaced, whole(g, "replaced"));
    ls_string_free(&clean);
}

static void check_block(const golden *g, const ls_tokenizer *t)
{
    ls_tokens list  = {0};
    int64_t   first = whole(g, "first");
    assert_ok(ls_tokenizer_encode(t, d.text + d.line[first], d.line[first + 1000] - d.line[first], &list));
    check_hash(g, list.count, hash_tokens(FNV, &list));
    ls_tokens_free(&list);
}

static void check_lines(const golden *g, const ls_tokenizer *t)
{
    ls_tokens list = {0};
    for (int i = 0; i < MIXED_LINES; i++)
        assert_ok(ls_tokenizer_encode(t, d.text + d.line[i], d.line[i + 1] - d.line[i], &list));
    check_hash(g, list.count, hash_tokens(FNV, &list));
    ls_tokens_free(&list);
}

static void check_shakespeare(const golden *g, const ls_tokenizer *t)
{
    ls_tokens list = {0};
    ls_string text = {0};
    assert_ok(ls_tokenizer_encode(t, d.shakespeare, d.shakespeare_bytes, &list));
    check_hash(g, list.count, hash_tokens(FNV, &list));
    assert_ok(ls_tokenizer_decode(t, list.id, list.count, &text));
    assert_int_equal(text.bytes, d.shakespeare_bytes);
    assert_memory_equal(text.data, d.shakespeare, text.bytes);
    ls_tokens_free(&list);
    ls_string_free(&text);
}

static void check_array(const golden *g, const ls_tokens *list)
{
    const golden_array *want = golden_get(g, "tokens");
    for (int64_t i = 0; i < want->count && i < list->count; i++)
        if (list->id[i] != want->i32[i])
            fail_msg("case %d '%s': token %lld is %d, tokenizers gives %d", g->number, g->name, (long long)i,
                     list->id[i], want->i32[i]);
    assert_int_equal(list->count, want->count);
}

static void check_special(const golden *g, const ls_tokenizer *t)
{
    const golden_array *bytes = golden_get(g, "text");
    ls_tokens           list  = {0};
    char                text[64];
    for (int64_t i = 0; i < bytes->count; i++) text[i] = (char)bytes->i32[i];
    assert_ok(whole(g, "plain") ? ls_tokenizer_encode_plain(t, text, (size_t)bytes->count, &list)
                                : ls_tokenizer_encode(t, text, (size_t)bytes->count, &list));
    check_array(g, &list);
    ls_tokens_free(&list);
}

static ls_text_line text_of(const golden_array *bytes, char *text)
{
    for (int64_t i = 0; bytes && i < bytes->count; i++) text[i] = (char)bytes->i32[i];
    return (ls_text_line){text, bytes ? (size_t)bytes->count : 0};
}

static void check_list(const golden *g, const char *name, const int32_t *list, int64_t count)
{
    const golden_array *want = golden_get(g, name);
    assert_int_equal(count, want->count);
    for (int64_t i = 0; i < count; i++)
        if (list[i] != want->i32[i])
            fail_msg("case %d: %s %lld is %d, tokenizers gives %d", g->number, name, (long long)i, list[i],
                     want->i32[i]);
}

static void check_texts(const golden *g, const ls_tokenizer *t)
{
    char                text[2][64];
    ls_text_tokens      e      = {0};
    const golden_array *second = golden_find(g, "second");
    const ls_text_line  a = text_of(golden_find(g, "first"), text[0]), b = text_of(second, text[1]);
    const ls_status     status = ls_tokenizer_encode_texts(t, &a, second ? &b : NULL, whole(g, "max"), &e);
    assert_ok(status);
    check_list(g, "tokens", e.id, e.count);
    check_list(g, "types", e.type, e.count);
    check_list(g, "words", e.word, e.count);
    ls_text_tokens_free(&e);
}

/* A text repeated many times, which has words of any length. */
static void check_long(const golden *g, const ls_tokenizer *t)
{
    const golden_array *piece = golden_find(g, "text");
    int64_t             n     = piece ? piece->count * whole(g, "times") : whole(g, "bytes");
    char               *text  = malloc((size_t)n);
    ls_tokens           list  = {0};
    uint32_t            state = 1;
    for (int64_t i = 0; i < n; i++)
        text[i] = piece ? (char)piece->i32[i % piece->count] : "etaoinsh"[mixed_draw(&state, 8)];
    assert_ok(ls_tokenizer_encode(t, text, (size_t)n, &list));
    check_hash(g, list.count, hash_tokens(FNV, &list));
    ls_tokens_free(&list);
    free(text);
}

enum {
    SHAKESPEARE,
    MIXED,
    SPECIAL,
    WORDS,
    WORDS_LOWER,
    BPE_LOWER,
    DIGITS,
    PIECES,
    CASED,
    ADDED,
    MORE,
    TOKENIZERS = MORE + 6
};
static const char *const tokenizer_name[] = {
    "shakespeare.json",     "mixed-vocab.json", "special.json", "words.json",
    "words-lower.json",     "bpe-lower.json",   "digits.json",  "wordpiece.json",
    "wordpiece-cased.json", "added.json",       "qwen2.json",   "llama3.json",
    "gemma.json",           "llama2.json",      "mistral.json", "metaspace.json"};

static void test_tokens(void **state)
{
    golden        g = golden_open("tokenizer/tokens.txt");
    ls_tokenizer *all[TOKENIZERS];
    int           lines = 0;
    for (int k = 0; k < TOKENIZERS; k++) all[k] = load(tokenizer_name[k]);
    const ls_tokenizer *small = all[SHAKESPEARE], *mixed = all[MIXED];
    assert_int_equal(ls_tokenizer_end(small), 999);
    assert_int_equal(ls_tokenizer_end(mixed), 999);
    while (golden_next(&g)) {
        const char *which = golden_text(&g, "tokenizer");
        int         k     = 0;
        while (which && strcmp(which, tokenizer_name[k])) assert_true(++k < TOKENIZERS);
        const ls_tokenizer *t = all[k];
        if (!strcmp(g.name, "mixed_text")) check_text(&g);
        if (!strcmp(g.name, "block")) check_block(&g, t);
        if (!strcmp(g.name, "each_line")) check_lines(&g, t);
        if (!strcmp(g.name, "shakespeare") && d.shakespeare) check_shakespeare(&g, small);
        if (!strcmp(g.name, "long") || !strcmp(g.name, "letters")) check_long(&g, small);
        if (!strcmp(g.name, "special")) check_special(&g, t);
        if (!strcmp(g.name, "texts")) check_texts(&g, all[PIECES]);
        if (!strcmp(g.name, "line")) {
            int64_t   i    = whole(&g, "index");
            ls_tokens list = {0};
            assert_ok(ls_tokenizer_encode(mixed, d.text + d.line[i], d.line[i + 1] - d.line[i], &list));
            check_array(&g, &list);
            ls_tokens_free(&list);
            lines++;
        }
    }
    assert_int_equal(lines, 300);
    golden_close(&g);
    for (int k = 0; k < TOKENIZERS; k++) ls_tokenizer_free(all[k]);
}

/* Training on the same text to the same size gives the same merges, and so the same tokenizer. */
static void test_training_gives_the_same_merges(void **state)
{
    char          folder[FILES_PATH], path[FILES_PATH + 16];
    const char   *file     = path;
    int64_t       replaced = 0;
    ls_tokenizer *t, *want = load("mixed-merges.txt");
    folder_make(folder);
    snprintf(path, sizeof path, "%s/text", folder);
    file_write(path, d.text, d.line[MIXED_LINES]);
    assert_ok(ls_tokenizer_train(&t, .kind = LS_TOKENIZER_BPE, .size = 1000, .files = 1, .file = &file,
                                 .replaced = &replaced));
    assert_int_equal(ls_tokenizer_hash(t), ls_tokenizer_hash(want));
    assert_true(replaced > 10000);
    ls_tokenizer_free(t);
    ls_tokenizer_free(want);
    static const struct {
        const char       *name;
        ls_tokenizer_kind kind;
        int32_t           size;
        int64_t           min_count;
        bool              lowercase;
    } more[] = {{"words.json", LS_TOKENIZER_WORDS, 500, 0, false},
                {"words-lower.json", LS_TOKENIZER_WORDS, 0, 2, true},
                {"bpe-lower.json", LS_TOKENIZER_BPE, 400, 0, true}};
    for (size_t k = 0; k < sizeof more / sizeof *more; k++) {
        want = load(more[k].name);
        assert_ok(ls_tokenizer_train(&t, .kind = more[k].kind, .size = more[k].size, .min_count = more[k].min_count,
                                     .lowercase = more[k].lowercase, .files = 1, .file = &file));
        assert_int_equal(ls_tokenizer_size(t), ls_tokenizer_size(want));
        assert_int_equal(ls_tokenizer_hash(t), ls_tokenizer_hash(want));
        ls_tokenizer_free(t);
        ls_tokenizer_free(want);
    }
    if (d.shakespeare) {
        want = load("shakespeare.json");
        file = d.shakespeare_path;
        assert_ok(ls_tokenizer_train(&t, .kind = LS_TOKENIZER_BPE, .size = 1000, .files = 1, .file = &file));
        assert_int_equal(ls_tokenizer_hash(t), ls_tokenizer_hash(want));
        ls_tokenizer_free(t);
        ls_tokenizer_free(want);
    }
    folder_remove(folder);
}

/* Words that cross the pieces in which a file is read: many pieces give the same tokens as one. */
static void test_pieces(void **state)
{
    ls_tokenizer *t[TOKENIZERS];
    for (int k = 0; k < TOKENIZERS; k++) {
        t[k]                 = load(tokenizer_name[k]);
        ls_tokens whole_text = {0}, pieces = {0};
        size_t    bytes = d.line[600];
        assert_ok(ls_tokenizer_encode(t[k], d.text, bytes, &whole_text));
        for (size_t at = 0, end = 0; at < bytes;) {
            end        = end + 97 < bytes ? end + 97 : bytes;
            size_t cut = end == bytes ? bytes - at : ls_tokenizer_cut(t[k], d.text + at, end - at);
            assert_true(cut <= end - at);
            assert_ok(ls_tokenizer_encode(t[k], d.text + at, cut, &pieces));
            at += cut;
        }
        assert_int_equal(pieces.count, whole_text.count);
        assert_memory_equal(pieces.id, whole_text.id, (size_t)pieces.count * sizeof *pieces.id);
        ls_tokens_free(&whole_text);
        ls_tokens_free(&pieces);
        ls_tokenizer_free(t[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tokens),
                                       cmocka_unit_test(test_training_gives_the_same_merges),
                                       cmocka_unit_test(test_pieces)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
