/* SPDX-License-Identifier: Apache-2.0 */
/* labels: io */
/* Import of text files: decoding the tokens gives the text, for any cut into pieces, splits and files. */
#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/unit.h"

enum { LONG = 3 << 20 };
static char root[FILES_PATH];

static int set_up(void **state)
{
    folder_make(root);
    return chdir(root);
}

static int tear_down(void **state)
{
    folder_remove(root);
    return 0;
}

/* Decodes a split, without <|endoftext|>. */
static ls_string text_of(const char *folder, const char *split, ls_dataset_info *info)
{
    ls_dataset   *d;
    ls_tokenizer *t;
    ls_string     text = {0};
    assert_ok(ls_dataset_open(&d, folder, split));
    assert_ok(ls_tokenizer_load(&t, folder));
    *info        = ls_dataset_info_of(d);
    int32_t *ids = malloc((size_t)info->tokens * sizeof *ids);
    int64_t  n   = 0;
    assert_ok(ls_dataset_tokens(d, 0, info->tokens, ids));
    for (int64_t i = 0; i < info->tokens; i++)
        if (ids[i] != ls_tokenizer_end(t)) ids[n++] = ids[i];
    assert_ok(ls_tokenizer_decode(t, ids, n, &text));
    assert_int_equal(text.bytes, info->bytes);
    free(ids);
    ls_tokenizer_free(t);
    ls_dataset_free(d);
    return text;
}

/* A text of characters of one to four bytes, with some words; `gaps`: spaces between them. */
static size_t make_text(char *text, size_t most, bool gaps)
{
    static const char *const parts[] = {"a", "bc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x99\x82", "xyz", "q"};
    unsigned                 x       = 7;
    size_t                   n       = 0;
    while (n + 8 < most) {
        x                = x * 1664525u + 1013904223u;
        const char *part = parts[(x >> 24) % 7];
        memcpy(text + n, part, strlen(part));
        n += strlen(part);
        if (gaps && (x >> 16 & 7) == 0) text[n++] = x >> 13 & 1 ? '\n' : ' ';
    }
    return n;
}

static void long_texts_come_back(void **state)
{
    static const char *const tokenizers[] = {"bytes", "chars", "bpe"};
    char                    *text         = malloc(LONG);
    for (int gaps = 0; gaps < 2; gaps++) { /* without spaces, few places allow a cut */
        size_t n = make_text(text, LONG, gaps);
        file_write("long.txt", text, n);
        for (int k = 0; k < 3; k++) {
            const char     *files[] = {"long.txt"};
            ls_text_import  o       = {.size       = sizeof(ls_text_import),
                                       .files      = 1,
                                       .file       = files,
                                       .out        = "out",
                                       .tokenizer  = tokenizers[k],
                                       .vocabulary = k == 2 ? 300 : 0,
                                       .valid      = 0.3,
                                       .shards     = 2};
            ls_dataset_info info;
            if (k == 2 && !gaps) continue; /* one word of 3 MB; test_tokenizer.c tests such words */
            assert_ok(ls_import_text(&o));
            assert_int_equal(o.replaced, 0);
            assert_int_equal(o.bytes, n);
            ls_string train = text_of("out", "train", &info), valid = text_of("out", "valid", &info);
            assert_int_equal(train.bytes + valid.bytes, n);
            assert_memory_equal(train.data, text, train.bytes);
            assert_memory_equal(valid.data, text + train.bytes, valid.bytes);
            int64_t cut = (int64_t)((double)n * (1 - 0.3));
            assert_in_range(cut - (int64_t)train.bytes, 0, 3); /* between two characters */
            assert_int_not_equal((unsigned char)valid.data[0] & 0xc0, 0x80);
            ls_string_free(&train);
            ls_string_free(&valid);
            folder_remove("out");
        }
    }
    free(text);
}

static void no_character_is_cut(void **state)
{
    const char *files[] = {"faces.txt"};
    char        text[160];
    for (int i = 0; i < 160; i += 4) memcpy(text + i, "\xf0\x9f\x99\x82", 4);
    file_write("faces.txt", text, sizeof text);
    for (int part = 1; part < 20; part++) {
        ls_text_import o = {.size      = sizeof(ls_text_import),
                            .files     = 1,
                            .file      = files,
                            .out       = "out",
                            .tokenizer = "chars",
                            .valid     = part / 20.0 + 0.01,
                            .shards    = 1};
        assert_ok(ls_import_text(&o));
        assert_int_equal(o.replaced, 0);
        assert_int_equal(o.train_tokens + o.valid_tokens, 40);
        assert_in_range(o.valid_tokens, (int64_t)(40 * o.valid), (int64_t)(40 * o.valid) + 1);
        folder_remove("out");
    }
}

static void files_are_documents(void **state)
{
    const char     *files[] = {"one.txt", "none.txt", "two.txt", "three.txt"};
    int32_t         ids[64];
    int64_t         start[8];
    ls_dataset     *d;
    ls_dataset_info info;
    file_write("one.txt", "abc", 3);
    file_write("none.txt", "", 0);
    file_write("two.txt", "de<|endoftext|>f", 16);
    file_write("three.txt", "ghijkl", 6);
    ls_text_import o = {.size      = sizeof(ls_text_import),
                        .files     = 4,
                        .file      = files,
                        .out       = "out",
                        .tokenizer = "bytes",
                        .valid     = 0.16,
                        .shards    = 1}; /* 4 of 25 bytes */
    assert_ok(ls_import_text(&o));
    assert_ok(ls_dataset_open(&d, "out", "train"));
    info                            = ls_dataset_info_of(d);
    static const int32_t expected[] = {'a', 'b', 'c', 256, 'd', 'e', 256, 'f', 256, 'g', 'h'};
    assert_int_equal(info.tokens, 11);
    assert_ok(ls_dataset_tokens(d, 0, info.tokens, ids));
    assert_memory_equal(ids, expected, sizeof expected);
    assert_int_equal(info.bytes, 8); /* <|endoftext|> in the file does not count as text */
    assert_int_equal(info.documents, 4);
    assert_ok(ls_dataset_documents(d, 0, 4, start));
    assert_int_equal(start[0], 0);
    assert_int_equal(start[1], 4);
    assert_int_equal(start[2], 7);
    assert_int_equal(start[3], 9);
    ls_dataset_free(d);
    assert_ok(ls_dataset_open(&d, "out", "valid"));
    info = ls_dataset_info_of(d);
    assert_int_equal(info.tokens, 4);
    assert_int_equal(info.documents, 1);
    assert_ok(ls_dataset_tokens(d, 0, 4, ids));
    assert_int_equal(ids[0], 'i');
    ls_dataset_free(d);
    folder_remove("out");
}

static void invalid_utf8_is_counted(void **state)
{
    const char     *files[] = {"bad.txt"};
    ls_dataset_info info;
    file_write("bad.txt", "a\xff\xfe b\xe2\x82 c\xc3", 10);
    ls_text_import o = {
        .size = sizeof(ls_text_import), .files = 1, .file = files, .out = "out", .tokenizer = "chars", .shards = 1};
    assert_ok(ls_import_text(&o));
    assert_int_equal(o.replaced, 4);
    ls_string text = text_of("out", "train", &info);
    assert_string_equal(text.data, "a\xef\xbf\xbd\xef\xbf\xbd b\xef\xbf\xbd c\xef\xbf\xbd");
    ls_string_free(&text);
    folder_remove("out");
}

static void nothing_is_left_behind(void **state)
{
    const char *one[] = {"one.txt"}, *missing[] = {"one.txt", "missing.txt"}, *none[] = {"none.txt", "none.txt"},
               *other[] = {"other.txt"}, *tiny[] = {"short.txt"};
    file_write("short.txt", "a", 1);
    file_write("one.txt", "abc abc abc abc", 15);
    file_write("none.txt", "", 0);
    file_write("other.txt", "abc xyz", 7);
    assert_ok(ls_import_text(&(ls_text_import){.size      = sizeof(ls_text_import),
                                               .files     = 1,
                                               .file      = one,
                                               .out       = "made",
                                               .tokenizer = "chars",
                                               .valid     = 0.5,
                                               .shards    = 1}));
    assert_int_equal(folder_count("made"), 3);
    const struct {
        ls_text_import o;
        ls_status      status;
        const char    *message;
    } table[] = {
        {{.files = 2, .file = missing, .tokenizer = "bytes", .valid = 0.1, .shards = 1}, LS_ERR_DATA, "missing.txt"},
        {{.files = 2, .file = none, .tokenizer = "bytes", .valid = 0.1, .shards = 1}, LS_ERR_DATA, "the text is empty"},
        {{.files = 0, .file = none, .tokenizer = "bytes", .valid = 0.1, .shards = 1},
         LS_ERR_USAGE,
         "expected at least 1 file, found none"},
        {{.files = 1, .file = one, .tokenizer = "bytes", .valid = 0.1, .shards = 20},
         LS_ERR_DATA,
         "too few for 20 files"},
        {{.files = 1, .file = tiny, .tokenizer = "bytes", .valid = 0.1, .shards = 1},
         LS_ERR_DATA,
         "short.txt: the text has 1 bytes, too few to hold out a part of 0.1"},
        {{.files = 1, .file = one, .tokenizer = "bytes", .valid = 1, .shards = 1}, LS_ERR_USAGE, "valid"},
        {{.files = 1, .file = one, .tokenizer = "word", .valid = 0.1, .shards = 1}, LS_ERR_USAGE, "found 'word'"},
        {{.files = 1, .file = one, .tokenizer = "words", .valid = 0.1, .shards = 1},
         LS_ERR_DATA,
         "too few to hold out a part of 0.1"}, /* one line */
        {{.files = 1, .file = one, .tokenizer = "bytes", .vocabulary = 9, .valid = 0.1, .shards = 1},
         LS_ERR_USAGE,
         "only bpe, words and wordpiece are trained to a size"},
        {{.files = 1, .file = other, .tokenizer = "made", .valid = 0.1, .shards = 1}, LS_ERR_DATA, ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_text_import o = table[i].o;
        o.size           = sizeof o;
        o.out            = "out";
        assert_fails(ls_import_text(&o), table[i].status, table[i].message);
        assert_int_equal(access("out", F_OK), -1);
    }
    /* The import is refused: a split of the folder belongs to another tokenizer and would not be replaced. */
    assert_fails(
        ls_import_text(&(ls_text_import){
            .size = sizeof(ls_text_import), .files = 1, .file = one, .out = "made", .tokenizer = "bytes", .shards = 1}),
        LS_ERR_USAGE, "'valid'");
    assert_int_equal(folder_count("made"), 3);
    folder_remove("made");
}

/* Each end of a line is <eos>, also that of the last line; `valid` begins with a line. */
static void words_and_lines(void **state)
{
    static const char text[] = "the dog\n\nthe \t cat\r\nThe dog ran", more[] = "a dog\n";
    /* <unk>, <eos>, dog, the, A... : dog 3, the 2, The, a, cat, ran */
    static const int32_t train[] = {3, 2, 1, 1, 3, 6, 1}, valid[] = {4, 2, 7, 1, 5, 2, 1};
    ls_dataset          *d;
    ls_tokenizer        *t;
    int32_t              id[16];
    file_write("lines", text, strlen(text));
    file_write("more", more, strlen(more));
    ls_text_import o = {.size      = sizeof o,
                        .files     = 2,
                        .file      = (const char *const[]){"lines", "more"},
                        .out       = "words",
                        .tokenizer = "words",
                        .valid     = 0.55,
                        .shards    = 1};
    assert_ok(ls_import_text(&o));
    for (int split = 0; split < 2; split++) {
        const int32_t *want = split ? valid : train;
        assert_ok(ls_dataset_open(&d, "words", split ? "valid" : "train"));
        const ls_dataset_info info = ls_dataset_info_of(d);
        assert_int_equal(info.tokens, 7);
        assert_int_equal(info.bytes, 0); /* unknown words have no length */
        assert_int_equal(info.documents, split ? 2 : 1);
        assert_ok(ls_dataset_tokens(d, 0, info.tokens, id));
        for (int i = 0; i < info.tokens; i++) assert_int_equal(id[i], want[i]);
        ls_dataset_free(d);
    }
    o.lowercase = true;
    o.min_count = 2;
    assert_ok(ls_import_text(&o));
    assert_ok(ls_tokenizer_load(&t, "words"));
    assert_int_equal(ls_tokenizer_size(t), 4); /* the, dog */
    assert_true(ls_tokenizer_lowercase(t));
    ls_tokenizer_free(t);
    folder_remove("words");
    unlink("lines");
    unlink("more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_lines),         cmocka_unit_test(long_texts_come_back),
        cmocka_unit_test(no_character_is_cut),     cmocka_unit_test(files_are_documents),
        cmocka_unit_test(invalid_utf8_is_counted), cmocka_unit_test(nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
