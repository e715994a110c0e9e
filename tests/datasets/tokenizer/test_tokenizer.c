/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * Encoding and decoding for each kind, cuts of texts, files in pieces, and the memory limit of word counts. */
#include "core/base/philox.h"
#include "datasets/tokenizer/growable.h"
#include "datasets/tokenizer/training/text_pieces.h"
#include "datasets/tokenizer/training/tokenizer_words.h"
#include "datasets/tokenizer/unicode/unicode.h"
#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/datasets/tokenizer/mixed_text.h"
#include "tests/unit.h"

static void check_tokens(const ls_tokens *list, int n, const int32_t *want)
{
    assert_int_equal(list->count, n);
    for (int i = 0; i < n; i++) assert_int_equal(list->id[i], want[i]);
}

static ls_tokenizer *learn(ls_tokenizer_kind kind, int32_t size, const char *text, bool end)
{
    char          folder[FILES_PATH], path[FILES_PATH + 16];
    const char   *file = path;
    ls_tokenizer *t;
    folder_make(folder);
    snprintf(path, sizeof path, "%s/text", folder);
    file_write(path, text, strlen(text));
    assert_ok(ls_tokenizer_train(&t, .kind = kind, .size = size, .files = 1, .file = &file, .end = end));
    folder_remove(folder);
    return t;
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
    assert_int_equal(list.replaced, 0);
    assert_ok(ls_tokenizer_decode(t, list.id, list.count, &back));
    assert_int_equal(back.bytes, sizeof text - 1);
    assert_memory_equal(back.data, text, sizeof text);
    list.count = 0;
    assert_ok(ls_tokenizer_encode_plain(t, text, sizeof text - 1, &list));
    assert_int_equal(list.count, sizeof text - 1);
    assert_fails(ls_tokenizer_decode(t, (int32_t[]){1, 257}, 2, &back), LS_ERR_DATA,
                 "token 1: expected 0 to 256, found 257");
    assert_fails(ls_tokenizer_decode(t, (int32_t[]){-1}, 1, &back), LS_ERR_DATA,
                 "token 0: expected 0 to 256, found -1");
    ls_tokens_free(&list);
    ls_string_free(&back);
    ls_tokenizer_free(t);
}

static void test_chars(void **state)
{
    ls_tokenizer *t    = learn(LS_TOKENIZER_CHARS, 0,
                               "b\xc3\xa9"
                                  "a\xf0\x9f\x98\x80"
                                  "a\xff\n",
                               true);
    ls_tokens     list = {0};
    size_t        bytes;
    assert_int_equal(ls_tokenizer_size(t), 7); /* \n a b é U+FFFD and a face, by code; <|endoftext|> */
    assert_int_equal(ls_tokenizer_end(t), 6);
    assert_ok(ls_tokenizer_encode(t, "ab\xc3\xa9\xf0\x9f\x98\x80\xe2\x82\n<|endoftext|>", 24, &list));
    check_tokens(&list, 7, (int32_t[]){1, 2, 3, 5, 4, 0, 6});
    assert_int_equal(list.replaced, 1);
    assert_memory_equal(ls_tokenizer_token(t, 5, &bytes), "\xf0\x9f\x98\x80", 4);
    assert_int_equal(bytes, 4);
    assert_fails(ls_tokenizer_encode(t, "abc", 3, &list), LS_ERR_DATA, "the character U+0063 c has no token");
    assert_fails(ls_tokenizer_encode(t, "\x1b", 1, &list), LS_ERR_DATA, "the character U+001B has no token");
    assert_null(strchr(ls_error_message(), '\x1b'));
    ls_tokens_free(&list);
    ls_tokenizer_free(t);
}

/* The most frequent words first, equal ones by their bytes; newlines are <eos>. */
static void test_spaced_words(void **state)
{
    static const char *const want[] = {"<unk> ", "\n", "the ", "A ", "a ", "\xc3\xa9 ", "z "};
    static const char        text[] = "the A\xc2\xa0the\u3000<eos>\n\xc3\xa9 <unk>\tthe\r\na z",
                      other[]       = "the <unk> zz\n z <eos>x  A<eos>";
    ls_tokenizer *t                 = learn(LS_TOKENIZER_WORDS, 0, text, false);
    ls_tokens     list              = {0};
    ls_string     back              = {0};
    size_t        bytes;
    assert_int_equal(ls_tokenizer_size(t), 7);
    assert_int_equal(ls_tokenizer_unknown(t), 0);
    assert_int_equal(ls_tokenizer_end(t), 1);
    static const int order[] = {0, 1, 2, 3, 4, 6, 5};
    for (int i = 0; i < 7; i++) {
        const char *token = ls_tokenizer_token(t, i, &bytes);
        assert_int_equal(bytes, strlen(want[order[i]]));
        assert_memory_equal(token, want[order[i]], bytes);
    }
    assert_ok(ls_tokenizer_encode(t, other, strlen(other), &list));
    check_tokens(&list, 7, (int32_t[]){2, 0, 0, 1, 5, 0, 0});
    list.count = 0;
    assert_ok(ls_tokenizer_encode(t, "the  A\nthe q", 12, &list));
    assert_ok(ls_tokenizer_decode(t, list.id, list.count, &back));
    assert_string_equal(back.data, "the A \nthe <unk> ");
    ls_tokens_free(&list);
    ls_string_free(&back);
    ls_tokenizer_free(t);
    char        folder[FILES_PATH], path[FILES_PATH + 16];
    const char *file = path;
    folder_make(folder);
    snprintf(path, sizeof path, "%s/text", folder);
    file_write(path, text, strlen(text));
    assert_ok(
        ls_tokenizer_train(&t, .kind = LS_TOKENIZER_WORDS, .size = 5, .lowercase = true, .files = 1, .file = &file));
    assert_int_equal(ls_tokenizer_size(t), 5);
    assert_true(ls_tokenizer_lowercase(t));
    assert_ok(ls_tokenizer_encode(t, "THE a A z", 9, &list));
    check_tokens(&list, 4, (int32_t[]){2, 3, 3, 4});
    ls_tokens_free(&list);
    ls_tokenizer_free(t);
    assert_fails(ls_tokenizer_train(&t, .kind = LS_TOKENIZER_WORDS, .size = 2, .files = 1, .file = &file), LS_ERR_USAGE,
                 "size: expected 0 or 3");
    folder_remove(folder);
}

/* Merges with known results: overlapping pairs, ties, the smallest count. */
static void test_merges(void **state)
{
    static const char *const want[] = {"aa", "aaa", "ab"};
    ls_tokenizer            *t      = learn(LS_TOKENIZER_BPE, 260, "aaa ab aaa ab aaa", false);
    size_t                   bytes;
    for (int i = 0; i < 3; i++) {
        const char *token = ls_tokenizer_token(t, 256 + i, &bytes);
        if (bytes != strlen(want[i]) || memcmp(token, want[i], bytes))
            fail_msg("merge %d makes '%.*s', expected '%s'", i, (int)bytes, token, want[i]);
    }
    assert_int_equal(ls_tokenizer_end(t), 259);
    ls_tokenizer_free(t);
}

static void check_words(const char *text, const char *want)
{
    char   got[256] = "";
    size_t bytes    = strlen(text);
    for (size_t i = 0, n; i < bytes; i += n) {
        n = ls__word(ls__unicode_classes(), (const uint8_t *)text + i, bytes - i);
        sprintf(got + strlen(got), "[%.*s]", (int)n, text + i);
    }
    assert_string_equal(got, want);
}

static void test_words(void **state)
{
    check_words("Hello  world! it's", "[Hello][ ][ world][!][ it]['s]");
    check_words("we'll 'quote' I'D", "[we]['ll][ '][quote]['][ I]['][D]");
    check_words("a1 23b\n\n x \n", "[a][1][ 23][b][\n\n][ x][ \n]");
    check_words("a\n\nb\n", "[a][\n][\n][b][\n]");
    check_words("\xc2\xa0x \xc3\xa9t\xc3\xa9", "[\xc2\xa0][x][ \xc3\xa9t\xc3\xa9]");
    check_words("x\xc2\xb2\xe2\x85\xa3!?", "[x][\xc2\xb2\xe2\x85\xa3][!?]");
    check_words("'", "[']");
    check_words(" ", "[ ]");
}

static void test_byte_chars(void **state)
{
    bool seen[512] = {false};
    for (int b = 0; b < 256; b++) {
        uint32_t code = ls__byte_char(b);
        assert_in_range(code, 0x21, 0x143);
        assert_false(seen[code]);
        seen[code] = true;
        assert_int_equal(ls__char_byte(code), b);
    }
    assert_int_equal(ls__byte_char(' '), 0x120);
    assert_int_equal(ls__byte_char('\n'), 0x10A);
    assert_int_equal(ls__char_byte(0x144), -1);
    assert_int_equal(ls__char_byte(' '), -1);
}

static void test_utf8(void **state)
{
    for (uint32_t code = 0; code < LS_UNICODE_END; code++) {
        uint8_t  out[4];
        uint32_t back, expect = code >= 0xD800 && code < 0xE000 ? LS_UTF8_INVALID : code;
        size_t   n = ls__utf8_put(out, code), m = ls__utf8_next(out, n, &back);
        if (back != expect || m != (expect == code ? n : 1)) fail_msg("U+%04X comes back as U+%04X", code, back);
        for (size_t cut = 1; cut < n && expect == code; cut++)
            if (ls__utf8_next(out, cut, &back) != cut || back != LS_UTF8_INVALID)
                fail_msg("U+%04X: %zu bytes of it are taken for whole", code, cut);
    }
}

/* ---- decode(encode(x)) = x
 * ------------------------------------------------------------------------------------------- */

/* Valid UTF-8 with characters of all lengths. */
static size_t random_text(uint64_t round, uint8_t *out)
{
    static const uint32_t most[] = {0x80, 0x80, 0x250, 0x3000, 0x10000, LS_UNICODE_END};
    size_t                at = 0, n = ls_philox(7, round, 0).v[0] % 90;
    for (size_t i = 1; i <= n; i++) {
        ls_philox4 r    = ls_philox(7, round, i);
        uint32_t   code = r.v[0] % most[r.v[1] % 6];
        if (code >= 0xD800 && code < 0xE000) code = ' ';
        for (uint32_t times = r.v[2] % 8 ? 1 : r.v[3] % 90; times > 0; times--) at += ls__utf8_put(out + at, code);
    }
    return at;
}

static void check_same_back(const ls_tokenizer *t, const uint8_t *text, size_t bytes, ls_tokens *list, ls_string *back)
{
    list->count = 0;
    back->bytes = 0;
    assert_ok(ls_tokenizer_encode(t, (const char *)text, bytes, list));
    assert_ok(ls_tokenizer_decode(t, list->id, list->count, back));
    assert_int_equal(back->bytes, bytes);
    assert_memory_equal(back->data, text, bytes);
    for (int64_t i = 0; i < list->count; i++) assert_in_range(list->id[i], 0, ls_tokenizer_size(t) - 1);
}

static void test_decode_inverts_encode(void **state)
{
    static uint8_t text[90 * 90 * 4];
    ls_tokenizer  *t[3];
    ls_tokens      list = {0};
    ls_string      back = {0};
    char           path[FILES_PATH];
    assert_ok(ls_tokenizer_bytes(&t[0]));
    for (int i = 1; i < 3; i++) {
        snprintf(path, sizeof path, "%s/tests/golden/tokenizer/%s", LOCKSTEP_SOURCE,
                 i == 1 ? "mixed-vocab.json" : "special.json");
        assert_ok(ls_tokenizer_load(&t[i], path));
    }
    for (uint64_t round = 0; round < 3000; round++) {
        size_t bytes = random_text(round, text);
        for (int i = 0; i < 3; i++) check_same_back(t[i], text, bytes, &list, &back);
    }
    assert_int_equal(list.replaced, 0);
    for (int i = 0; i < 3; i++) ls_tokenizer_free(t[i]);
    ls_tokens_free(&list);
    ls_string_free(&back);
}

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

static void test_cut(void **state)
{
    static const struct {
        const char *text;
        int         bytes, chars, bpe, words;
    } cuts[] = {
        {"some text", 9, 9, 4, 5}, /* the word may continue */
        {"some ", 5, 5, 4, 5},     /* white space may continue, and its last character belongs to the next word */
        {"some <", 5, 5, 4, 5},
        {"some <|endoftext|", 5, 5, 4, 5},
        {"some <|endoftext|>", 18, 18, 4, 5},
        {"<|end", 0, 0, 0, 0},
        {"", 0, 0, 0, 0},
        {"x = 12", 6, 6, 3, 4},
        {"it'l", 4, 4, 2, 0},
        {"it'", 3, 3, 2, 0},
        {"it's1", 5, 5, 4, 0},
        {"ab\xe2\x82", 4, 2, 0, 0}, /* an incomplete character */
        {"ab \xe2\x82", 5, 3, 2, 2},
        {"ab\xe2\x82\xac", 5, 5, 2, 0},
        {"ab\x80"
         "c",
         4, 4, 3, 0},
        {"a\x80\x80"
         "1",
         4, 4, 3, 0},
        {"1\x80"
         " ",
         3, 3, 2, 3},
        {"!\x80"
         "!",
         3, 3, 0, 0},
    };
    ls_tokenizer *t[4];
    assert_ok(ls_tokenizer_bytes(&t[0]));
    t[1] = learn(LS_TOKENIZER_CHARS, 0, "x", true);
    t[2] = learn(LS_TOKENIZER_BPE, 257, "x", true);
    t[3] = learn(LS_TOKENIZER_WORDS, 0, "x", false);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        int want[4] = {cuts[i].bytes, cuts[i].chars, cuts[i].bpe, cuts[i].words};
        for (int k = 0; k < 4; k++) {
            int got = (int)ls_tokenizer_cut(t[k], cuts[i].text, strlen(cuts[i].text));
            if (got != want[k])
                fail_msg("'%s', %s: cut at %d, expected %d", cuts[i].text, ls_tokenizer_kind_text((ls_tokenizer_kind)k),
                         got, want[k]);
        }
    }
    for (int k = 0; k < 4; k++) ls_tokenizer_free(t[k]);
}

/* Cuts of the forms that are only loaded, and the texts of their tokens. */
static void test_cut_of_loaded_forms(void **state)
{
    static const struct {
        const char *file, *text;
        int         cut;
    } cuts[] = {
        {"qwen2.json", "ab cd", 2},
        {"qwen2.json", "ab12", 2},
        {"qwen2.json", "ab!(cd", 2}, /* a sign may begin a word of letters */
        {"qwen2.json", "a! b", 2},   /* and takes newlines behind it, but no space */
        {"qwen2.json", "!\nb", 2},
        {"qwen2.json", "!\n b", 0},
        {"qwen2.json", "x 1e\xcc\x81", 3}, /* é may be composed */
        {"qwen2.json", "x 1\xcc\x81", 1},
        {"gemma.json", "ab cd", 2},
        {"gemma.json", "ab  ", 2},
        {"gemma.json", "ab\xe2\x96\x81 x", 2}, /* U+2581 stands for a space */
        {"llama2.json", "ab cd", 0},           /* would get a space before it */
        {"mistral.json", "ab cd ef", 5},
        {"wordpiece.json", "ab cd.e", 3},
        {"wordpiece.json",
         "ab\x0b"
         "cd",
         0},                         /* a control character that is removed */
        {"added.json", "ab cd ", 0}, /* added tokens are searched in the lower-cased text */
    };
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        char          path[FILES_PATH];
        ls_tokenizer *t;
        snprintf(path, sizeof path, "%s/tests/golden/tokenizer/%s", LOCKSTEP_SOURCE, cuts[i].file);
        assert_ok(ls_tokenizer_load(&t, path));
        const int got = (int)ls_tokenizer_cut(t, cuts[i].text, strlen(cuts[i].text));
        if (got != cuts[i].cut) fail_msg("%s, '%s': cut at %d", cuts[i].file, cuts[i].text, got);
        ls_tokenizer_free(t);
    }
}

/* Texts of tokens: bytes, spaces, and the space that is put before a text. */
static void test_decode_of_loaded_forms(void **state)
{
    static const struct {
        const char *file, *text, *back;
    } texts[] = {
        {"gemma.json", "a \xf0\x9f\x98\x80 b\n", "a \xf0\x9f\x98\x80 b\n"},
        {"llama2.json", "a<s>b", " a<s> b"},
        {"mistral.json", "a<s>b", " a<s>b"},
        {"metaspace.json", "a  b<s>b", " a  b<s> b"},
        {"qwen2.json", "e\xcc\x81<|im_end|> 12", "\xc3\xa9<|im_end|> 12"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char          path[FILES_PATH];
        ls_tokenizer *t;
        ls_tokens     list = {0};
        ls_string     back = {0};
        snprintf(path, sizeof path, "%s/tests/golden/tokenizer/%s", LOCKSTEP_SOURCE, texts[i].file);
        assert_ok(ls_tokenizer_load(&t, path));
        assert_ok(ls_tokenizer_encode(t, texts[i].text, strlen(texts[i].text), &list));
        assert_ok(ls_tokenizer_decode(t, list.id, list.count, &back));
        assert_string_equal(back.data, texts[i].back);
        ls_tokens_free(&list);
        ls_string_free(&back);
        ls_tokenizer_free(t);
    }
}

/* Lengths of the first words by the form of cl100k. */
static void test_words_of_cl100k(void **state)
{
    static const struct {
        const char *text;
        int         digits, bytes;
    } first[] = {{"'sx", 1, 2},       {"'LLx", 1, 3}, {"'\xc5\xbfx", 1, 3}, /* U+017F is a small s */
                 {"'x", 1, 2},        {"\tab", 1, 3}, {"\nab", 1, 1},       {"1234", 1, 1},
                 {"1234", 3, 3},      {"12a", 3, 2},  {" !?\r\na", 1, 5},   {"  a", 1, 1},
                 {" \n \n  a", 1, 4}, {"  ", 1, 2},   {"  1", 1, 1}};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        const int got = (int)ls__word_cl100k(ls__unicode_classes(), first[i].digits, (const uint8_t *)first[i].text,
                                             strlen(first[i].text));
        if (got != first[i].bytes) fail_msg("'%s': %d bytes", first[i].text, got);
    }
}

static void test_untrained_kinds(void **state)
{
    const ls_text_line line = {"x", 1};
    ls_tokenizer      *t;
    assert_fails(ls_tokenizer_train(&t, .kind = LS_TOKENIZER_BYTES, .lines = 1, .line = &line), LS_ERR_USAGE,
                 "kind: expected chars, bpe, words or wordpiece");
}

typedef struct pieces {
    const ls_tokenizer *t;
    ls_string           text;
    ls_tokens           tokens;
    int                 count;
} pieces;

static ls_status take_piece(void *context, const char *text, size_t bytes)
{
    pieces *p = context;
    p->count++;
    LS_TRY(ls__string_append(&p->text, text, bytes));
    return ls_tokenizer_encode(p->t, text, bytes, &p->tokens);
}

static void test_file_in_pieces(void **state)
{
    enum { BYTES = 5 << 20 };
    char     *text = malloc(BYTES), folder[FILES_PATH], path[FILES_PATH + 16];
    pieces    p    = {.t = learn(LS_TOKENIZER_BPE, 300, "the the the and and and", true)};
    ls_tokens want = {0};
    for (size_t at = 0, line = 0; at < BYTES; line++) {
        char   one[MIXED_LINE_BYTES];
        size_t n = mixed_line((uint32_t)line, one);
        memcpy(text + at, one, n < BYTES - at ? n : BYTES - at);
        at += n;
    }
    folder_make(folder);
    snprintf(path, sizeof path, "%s/text", folder);
    file_write(path, text, BYTES);
    assert_ok(ls__text_file(p.t, path, take_piece, &p));
    assert_ok(ls_tokenizer_encode(p.t, text, BYTES, &want));
    assert_in_range(p.count, 3, 8);
    assert_int_equal(p.text.bytes, BYTES);
    assert_memory_equal(p.text.data, text, BYTES);
    assert_int_equal(p.tokens.count, want.count);
    assert_int_equal(p.tokens.replaced, want.replaced);
    assert_memory_equal(p.tokens.id, want.id, (size_t)want.count * sizeof *want.id);
    folder_remove(folder);
    ls_tokens_free(&want);
    ls_tokens_free(&p.tokens);
    ls_string_free(&p.text);
    ls_tokenizer_free((ls_tokenizer *)p.t);
    free(text);
}

static void test_rare_words_are_removed(void **state)
{
    ls_words w    = {.most = 100};
    int64_t  left = 0;
    for (int i = 0; i < 1000; i++) {
        char word[16];
        sprintf(word, "rare%d", i);
        assert_ok(ls__words_count(&w, (uint8_t *)word, strlen(word)));
        for (int k = 0; k < 10; k++) assert_ok(ls__words_count(&w, (uint8_t *)"often" + k % 2, 5 - (size_t)k % 2));
        assert_true(w.words <= 100);
    }
    assert_memory_equal(w.text + w.word[0].at, "often", 5);
    for (int64_t i = 0; i < w.words; i++) {
        if (w.word[i].count == 5000)
            left++;
        else
            assert_int_equal(w.word[i].count, 1);
    }
    assert_int_equal(left, 2);
    assert_int_equal(w.words - 2 + w.forgotten, 1000);
    ls__words_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bytes),
                                       cmocka_unit_test(test_chars),
                                       cmocka_unit_test(test_spaced_words),
                                       cmocka_unit_test(test_merges),
                                       cmocka_unit_test(test_words),
                                       cmocka_unit_test(test_byte_chars),
                                       cmocka_unit_test(test_utf8),
                                       cmocka_unit_test(test_decode_inverts_encode),
                                       cmocka_unit_test(test_cut),
                                       cmocka_unit_test(test_cut_of_loaded_forms),
                                       cmocka_unit_test(test_decode_of_loaded_forms),
                                       cmocka_unit_test(test_words_of_cl100k),
                                       cmocka_unit_test(test_untrained_kinds),
                                       cmocka_unit_test(test_file_in_pieces),
                                       cmocka_unit_test(test_rare_words_are_removed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
