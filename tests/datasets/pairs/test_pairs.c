/* SPDX-License-Identifier: Apache-2.0 */
/* labels: io */
/* Pairs of sentences: what an import writes is read back, lines that cannot be used are counted or refused, and damaged
 * files are refused. */
#include <hdf5.h>
#include <zlib.h>

#include "datasets/datasets.h"
#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/unit.h"

static char root[FILES_PATH];

static int set_up(void **state)
{
    folder_make(root);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return chdir(root);
}

static int tear_down(void **state)
{
    folder_remove(root);
    return 0;
}

static void text_write(const char *path, const char *text) { file_write(path, text, strlen(text)); }

static ls_pairs_import plain(const char *source, const char *target)
{
    return (ls_pairs_import){
        .size = sizeof(ls_pairs_import), .source = {source}, .target = {target}, .out = "out", .tokenizer = "bytes"};
}

static void assert_pair(ls_dataset *d, int64_t i, const char *source, const char *target)
{
    static ls_pair pair; /* kept: its memory is used again */
    assert_ok(ls_dataset_pair(d, i, &pair));
    assert_string_equal(pair.source.data, source);
    assert_string_equal(pair.target.data, target);
    assert_int_equal(pair.source.bytes, strlen(source));
    const ls_tokens *side[] = {&pair.source_tokens, &pair.target_tokens};
    for (int k = 0; k < 2; k++) {
        const char *text = k ? target : source;
        assert_int_equal(side[k]->count, strlen(text)); /* tokens are bytes */
        for (size_t b = 0; b < strlen(text); b++) assert_int_equal(side[k]->id[b], (unsigned char)text[b]);
    }
    if (i == 1) ls_pair_free(&pair);
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static void lines_come_back(void **state)
{
    ls_dataset *d;
    int         files, checked;
    gzFile      f = gzopen("a.gz", "wb");
    gzputs(f, "a dog\r\n\n  two  dogs \t\r\nempty here\n\xc3\xa9\xff|\n \t\r\nlast");
    gzclose(f);
    text_write("b", "ein Hund\nleer\nzwei Hunde\n\r\n\xe2\x82|\nleer\nletzte\n");
    ls_pairs_import o       = plain("a.gz", "b");
    o.source[LS_PAIRS_TEST] = o.target[LS_PAIRS_TEST] = "b";
    assert_ok(ls_import_pairs(&o));
    assert_int_equal(o.pairs[LS_PAIRS_TRAIN], 4);
    assert_int_equal(o.empty[LS_PAIRS_TRAIN], 3);
    assert_int_equal(o.replaced[LS_PAIRS_TRAIN], 2);
    assert_int_equal(o.pairs[LS_PAIRS_TEST], 6);
    assert_int_equal(o.empty[LS_PAIRS_TEST], 1);
    assert_int_equal(o.replaced[LS_PAIRS_TEST], 2);
    assert_int_equal(o.longest[LS_PAIRS_TRAIN][1], 10);
    assert_int_equal(o.found[0], 257);
    assert_ok(ls_dataset_open(&d, "out", "train"));
    assert_int_equal(ls_dataset_info_of(d).count, 4);
    assert_pair(d, 0, "a dog", "ein Hund");
    assert_pair(d, 1, "two  dogs", "zwei Hunde");
    assert_pair(d, 2, "\xc3\xa9\xef\xbf\xbd|", "\xef\xbf\xbd|");
    assert_pair(d, 3, "last", "letzte");
    ls_pair pair = {0};
    assert_fails(ls_dataset_pair(d, 4, &pair), LS_ERR_USAGE, "expected 0 to 3, found 4");
    assert_fails(ls_dataset_read(d, 0, NULL, NULL), LS_ERR_USAGE, "ls_dataset_pair");
    assert_ok(ls_dataset_verify(d, &files, &checked));
    assert_int_equal(checked, 1);
    ls_dataset_free(d);
    folder_remove("out");
}

/* Both sides of a joint tokenizer are learnt from both files; --separate learns one for each. */
static void vocabularies(void **state)
{
    char            text[2][4096] = {"", ""};
    ls_tokenizer   *t;
    ls_dataset     *d;
    ls_dataset_info info;
    for (int i = 0; i < 40; i++) {
        snprintf(text[0] + strlen(text[0]), 64, "the dog number %d\n", i % 7);
        snprintf(text[1] + strlen(text[1]), 64, "der Hund %d\n", i % 7);
    }
    text_write("en", text[0]);
    text_write("de", text[1]);
    for (int separate = 0; separate < 2; separate++) {
        ls_pairs_import o = plain("en", "de");
        o.tokenizer       = "bpe";
        o.vocabulary      = 270;
        o.separate        = separate;
        assert_ok(ls_import_pairs(&o));
        assert_ok(ls_dataset_open(&d, "out", "train"));
        info = ls_dataset_info_of(d);
        assert_int_equal(info.joint, !separate);
        assert_int_equal(!strcmp(info.source_tokenizer_hash, info.tokenizer_hash), !separate);
        for (int side = 0; side < 2; side++) {
            char        hash[24];
            const char *word = side ? " Hund" : " dog", *other = side ? " dog" : " Hund";
            ls_tokens   ids[2] = {{0}, {0}};
            assert_ok(ls_tokenizer_load(&t, side ? "out/target" : "out/source"));
            snprintf(hash, sizeof hash, "%016llx", (unsigned long long)ls_tokenizer_hash(t));
            assert_string_equal(hash, side ? info.tokenizer_hash : info.source_tokenizer_hash);
            assert_int_equal(ls_tokenizer_end(t), side ? info.end : info.source_end);
            assert_ok(ls_tokenizer_encode(t, word, strlen(word), &ids[0]));
            assert_ok(ls_tokenizer_encode(t, other, strlen(other), &ids[1]));
            assert_true(ids[0].count <= 2);
            assert_int_equal(ids[1].count > 2, separate);
            for (int k = 0; k < 2; k++) ls_tokens_free(&ids[k]);
            ls_tokenizer_free(t);
        }
        ls_dataset_free(d);
        folder_remove("out");
    }
}

/* Words, lower-cased by the tokenizer: the lines remain as they are. */
static void words(void **state)
{
    ls_dataset *d;
    ls_pair     pair = {0};
    text_write("x", "The Dog\nthe cat\nempty\n");
    text_write("y", "Der Hund\ndie KATZE \n\u3000\u00a0\n");
    ls_pairs_import o = plain("x", "y");
    o.tokenizer       = "words";
    o.lowercase       = true;
    o.min_count       = 2;
    assert_ok(ls_import_pairs(&o));
    assert_int_equal(o.found[0], 3); /* <unk>, <eos>, the */
    assert_int_equal(o.pairs[LS_PAIRS_TRAIN], 2);
    assert_int_equal(o.empty[LS_PAIRS_TRAIN], 1); /* white space of other scripts */
    o.min_count  = 0;
    o.vocabulary = 5;
    assert_ok(ls_import_pairs(&o));
    assert_int_equal(o.found[0], 5); /* the, cat, der */
    assert_ok(ls_dataset_open(&d, "out", "train"));
    assert_int_equal(ls_dataset_info_of(d).end, 1);
    assert_string_equal(ls_dataset_info_of(d).tokenizer, "words");
    assert_ok(ls_dataset_pair(d, 0, &pair));
    assert_string_equal(pair.target.data, "Der Hund");
    assert_true(pair.source_tokens.count == 2 && pair.source_tokens.id[0] == 2 && pair.source_tokens.id[1] == 0);
    assert_true(pair.target_tokens.count == 2 && pair.target_tokens.id[0] == 4 && pair.target_tokens.id[1] == 0);
    ls_pair_free(&pair);
    ls_dataset_free(d);
    folder_remove("out");
}

/* ---- lines that are refused -------------------------------------------------------------------------------------- */

static void refused_imports(void **state)
{
    ls_pairs_import o;
    text_write("one", "a\n");
    text_write("two", "a\nb\n");
    text_write("nothing", "");
    text_write("blank", " \n\t\r\n");
    text_write("umlaut", "\xc3\xbc\n");
    file_write("damaged.gz", "\x1f\x8b\x08\0\0\0\0\0\0\3garbage", 17);
    static const struct {
        const char *source, *target, *message;
    } files[] = {
        {"one", "two", "two: has 2 lines, but one has 1; expected line i of one file to translate line i of the other"},
        {"nothing", "one", "nothing: expected one sentence per line, found an empty file"},
        {"two", "blank", "two: expected at least one line with text that has a line with text in blank"},
        {"missing", "one", "missing: No such file or directory"},
        {"one", "damaged.gz", "damaged.gz: cannot be read"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        o = plain(files[i].source, files[i].target);
        assert_fails(ls_import_pairs(&o), LS_ERR_DATA, files[i].message);
        assert_int_equal(access("out", F_OK), -1);
    }
    o                        = plain("two", "two");
    o.tokenizer              = "chars";
    o.source[LS_PAIRS_VALID] = o.target[LS_PAIRS_VALID] = "umlaut";
    assert_fails(ls_import_pairs(&o), LS_ERR_DATA, "umlaut:1: text: the character U+00FC");
    assert_int_equal(access("out", F_OK), -1);
    o.target[LS_PAIRS_VALID] = NULL;
    assert_fails(ls_import_pairs(&o), LS_ERR_USAGE, "import pairs: valid: expected two files, found one");
    o           = plain("one", "one");
    o.tokenizer = "none/tokenizer.json";
    assert_fails(ls_import_pairs(&o), LS_ERR_USAGE,
                 "expected bytes, chars, bpe, words, wordpiece or the path of a tokenizer");
    o.tokenizer  = "chars";
    o.vocabulary = 300;
    assert_fails(ls_import_pairs(&o), LS_ERR_USAGE, "--vocab 300: the tokenizer chars has a fixed size");
    o           = plain("one", "one");
    o.min_count = 2;
    assert_fails(ls_import_pairs(&o), LS_ERR_USAGE, "--min-count 2: expected with the tokenizer words, found bytes");
    o           = plain("one", "one");
    o.lowercase = true;
    assert_fails(ls_import_pairs(&o), LS_ERR_USAGE, "--lowercase: expected with a tokenizer that is trained");
    o          = plain("one", "one");
    o.separate = true;
    assert_fails(ls_import_pairs(&o), LS_ERR_USAGE, "--separate: the tokenizer bytes has one vocabulary");
    o            = plain("one", "one");
    o.max_length = 1 << 20;
    assert_fails(ls_import_pairs(&o), LS_ERR_USAGE, "--max-length: expected 1 to 65535 tokens");
}

static void long_sentences(void **state)
{
    ls_dataset *d;
    text_write("x", "12345\n123456\n1\n1234567\n");
    text_write("y", "1\n1\n123456\n1\n");
    ls_pairs_import o = plain("x", "y");
    o.max_length      = 5;
    assert_fails(ls_import_pairs(&o), LS_ERR_DATA,
                 "x:2: the sentence has 6 tokens; expected at most 5 (3 pairs of the file are longer)");
    assert_int_equal(access("out", F_OK), -1);
    o.skip_long = true;
    assert_ok(ls_import_pairs(&o));
    assert_int_equal(o.too_long[LS_PAIRS_TRAIN], 3);
    assert_int_equal(o.pairs[LS_PAIRS_TRAIN], 1);
    assert_ok(ls_dataset_open(&d, "out", "train"));
    assert_int_equal(ls_dataset_info_of(d).source_length, 8);
    assert_pair(d, 0, "12345", "1");
    ls_dataset_free(d);
    /* The folder has a split that another import would not replace. */
    assert_int_equal(rename("out/train.h5", "out/other.h5"), 0);
    assert_fails(ls_import_pairs(&o), LS_ERR_USAGE, "out: has the split 'other'");
    folder_remove("out");
    o.max_length = 1;
    o.target[0]  = "x";
    text_write("x", "12\n");
    assert_fails(ls_import_pairs(&o), LS_ERR_DATA, "x: expected a pair of at most 1 tokens, found none");
}

/* ---- damaged files ----------------------------------------------------------------------------------------------- */

/* Replaces an array of the file by one of another type or length; length 0: removes it. */
static void put_array(hid_t file, const char *name, hid_t type, hsize_t count, hsize_t chunk, const int64_t *value)
{
    H5Ldelete(file, name, H5P_DEFAULT);
    if (!count) return;
    hid_t space = H5Screate_simple(1, &count, NULL), p = H5Pcreate(H5P_DATASET_CREATE);
    if (chunk) H5Pset_chunk(p, 1, &chunk);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, p, H5P_DEFAULT);
    if (set < 0 || H5Dwrite(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) < 0) abort();
    H5Dclose(set);
    H5Pclose(p);
    H5Sclose(space);
}

static void put_number(hid_t file, const char *name, int64_t value)
{
    H5Adelete(file, name);
    hid_t space = H5Screate(H5S_SCALAR), a = H5Acreate2(file, name, H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    if (a < 0 || H5Awrite(a, H5T_NATIVE_INT64, &value) < 0) abort();
    H5Aclose(a);
    H5Sclose(space);
}

static void damaged_files(void **state)
{
    static const struct {
        const char *message, *array; /* array NULL: an attribute */
        hid_t      *type;            /* NULL: int64 or uint32, as it should be */
        hsize_t     count, chunk;
        int64_t     value[5];
        const char *attribute;
    } damage[] = {
        {"has no data set /pair_starts", "pair_starts", NULL, 0, 0, {0}, NULL},
        {"/pair_starts: expected 2 N + 1 values for N pairs", "pair_starts", NULL, 4, 0, {0, 1, 2, 3}, NULL},
        {"/pair_starts: expected 2 N + 1 values for N pairs", "pair_starts", NULL, 1, 0, {0}, NULL},
        {"/line_starts: expected 5 values, as /pair_starts has, found 3", "line_starts", NULL, 3, 0, {0, 1, 2}, NULL},
        {"/pair_starts: value 2 is 1;", "pair_starts", NULL, 5, 0, {0, 2, 1, 4, 6}, NULL},
        {"/pair_starts: value 4 is 7;", "pair_starts", NULL, 5, 0, {0, 1, 3, 4, 7}, NULL},
        {"/pair_starts: value 0 is -1;", "pair_starts", NULL, 5, 0, {-1, 1, 3, 4, 6}, NULL},
        {"/pair_starts: expected values from 0 to 6", "pair_starts", NULL, 5, 0, {0, 1, 3, 4, 5}, NULL},
        {"/pair_starts: expected contiguous little-endian values", "pair_starts", NULL, 5, 2, {0, 1, 3, 4, 6}, NULL},
        {"/pair_starts: expected contiguous little-endian values",
         "pair_starts",
         &H5T_STD_I64BE_g,
         5,
         0,
         {0, 1, 3, 4, 6},
         NULL},
        {"/pair_starts: expected N values of type int64 in one dim",
         "pair_starts",
         &H5T_STD_I32LE_g,
         5,
         0,
         {0, 1, 3, 4, 6},
         NULL},
        {"/pair_tokens: expected N values of type uint32 in one dim", "pair_tokens", &H5T_STD_I32LE_g, 5, 0, {0}, NULL},
        {"attribute 'source_vocabulary': expected 1 to", NULL, NULL, 0, 0, {0}, "source_vocabulary"},
        {"attribute 'target_end': expected the id of a token, 0 to 256, found 257",
         NULL,
         NULL,
         0,
         0,
         {257},
         "target_end"},
        {"attribute 'joint': expected 0, because source and target have vocabularies of 300 and 257 tokens",
         NULL,
         NULL,
         0,
         0,
         {300},
         "source_vocabulary"},
        {"attribute 'lockstep_format': expected 1, found 2", NULL, NULL, 0, 0, {2}, "lockstep_format"},
        /* These are found when a pair is read. */
        {"/pair_tokens: pair 0: token 1 of the target is 257; expected 0 to 256",
         "pair_tokens",
         &H5T_STD_U32LE_g,
         6,
         0,
         {97, 98, 257, 99, 100},
         NULL},
        {"/line_starts: value 1 is 9; expected values that increase by at most 67108864, up to 6",
         "line_starts",
         NULL,
         5,
         0,
         {0, 9, 1, 2, 3},
         NULL},
    };
    text_write("x", "1\n4\n");
    text_write("y", "23\n56\n");
    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        ls_dataset     *d    = NULL;
        ls_pair         pair = {0};
        ls_pairs_import o    = plain("x", "y");
        assert_ok(ls_import_pairs(&o));
        hid_t file = H5Fopen("out/train.h5", H5F_ACC_RDWR, H5P_DEFAULT);
        if (damage[i].array)
            put_array(file, damage[i].array, damage[i].type ? *damage[i].type : H5T_STD_I64LE, damage[i].count,
                      damage[i].chunk, damage[i].value);
        else
            put_number(file, damage[i].attribute, damage[i].value[0]);
        H5Fclose(file);
        ls_status status = ls_dataset_open(&d, "out", "train");
        if (status == LS_OK) status = ls_dataset_pair(d, 0, &pair);
        assert_fails(status, LS_ERR_DATA, damage[i].message);
        ls_pair_free(&pair);
        ls_dataset_free(d);
        folder_remove("out");
    }
}

/* A changed byte is found by its checksum, and a split in several files is refused. */
static void changed_files(void **state)
{
    ls_dataset     *d;
    int             files, checked;
    ls_pairs_import o = plain("x", "y");
    text_write("x", "abcdefgh\n");
    text_write("y", "abcdefgh\n");
    assert_ok(ls_import_pairs(&o));
    char   data[1 << 16];
    size_t bytes = file_read("out/train.h5", data, sizeof data);
    char  *line  = memmem(data, bytes, "abcdefgh", 8);
    assert_non_null(line);
    line[3] = '!';
    file_write("out/train.h5", data, bytes);
    assert_ok(ls_dataset_open(&d, "out", "train"));
    assert_fails(ls_dataset_verify(d, &files, &checked), LS_ERR_DATA, "attribute 'checksum'");
    ls_dataset_free(d);
    file_write("out/train-00000-of-00002.h5", data, bytes);
    file_write("out/train-00001-of-00002.h5", data, bytes);
    unlink("out/train.h5");
    assert_fails(ls_dataset_open(&d, "out", "train"), LS_ERR_DATA, "expected one file for a split of pairs, found 2");
    folder_remove("out");
}

/* ---- made pairs -------------------------------------------------------------------------------------------------- */

static int by_character(const void *x, const void *y) { return *(const char *)x - *(const char *)y; }

/* The target of made pairs, computed from the line of the source: digits at even places, spaces between them. */
static void expected_target(const char *path, const char *source, char *target)
{
    const int n = ((int)strlen(source) + 1) / 2;
    char      digits[64];
    for (int i = 0; i < n; i++) digits[i] = source[2 * (strcmp(path, "made:reverse") ? i : n - 1 - i)];
    if (!strcmp(path, "made:sort")) qsort(digits, (size_t)n, 1, by_character);
    for (int i = 0; i < n; i++) sprintf(target + 2 * i, "%c%s", digits[i], i < n - 1 ? " " : "");
}

static void made_pairs(void **state)
{
    static const char *const tasks[] = {"made:copy", "made:reverse", "made:sort"};
    const ls_made_pairs      o       = {.count = 400, .min_length = 3, .max_length = 12, .seed = 7};
    for (int k = 0; k < 3; k++) {
        ls_dataset *d, *again;
        ls_pair     pair = {0}, same = {0};
        int         files, checked;
        int64_t     of_length[13] = {0};
        assert_ok(ls_dataset_made_pairs(&d, tasks[k], "train", &o));
        assert_ok(ls_dataset_made_pairs(&again, tasks[k], "train", &(ls_made_pairs){10, 3, 12, 7}));
        const ls_dataset_info info = ls_dataset_info_of(d);
        assert_true(info.made && info.joint && info.count == 400);
        assert_int_equal(info.classes, 12); /* <unk>, <eos> and the digits */
        assert_int_equal(info.target_length, 16);
        assert_ok(ls_dataset_verify(d, &files, &checked));
        for (int64_t i = 0; i < info.count; i++) {
            char target[64];
            assert_ok(ls_dataset_pair(d, i, &pair));
            expected_target(tasks[k], pair.source.data, target);
            assert_string_equal(pair.target.data, target);
            assert_int_equal(pair.source_tokens.count, (strlen(target) + 1) / 2);
            of_length[pair.source_tokens.count]++;
            for (int64_t t = 0; t < pair.target_tokens.count; t++) /* equal digits are equal tokens, on both sides */
                for (int64_t u = 0; u < pair.source_tokens.count; u++)
                    assert_true((pair.target_tokens.id[t] == pair.source_tokens.id[u]) ==
                                (target[2 * t] == pair.source.data[2 * u]));
            if (i >= 10) continue;
            assert_ok(ls_dataset_pair(again, i, &same)); /* the pair does not depend on the number of pairs */
            assert_string_equal(pair.source.data, same.source.data);
        }
        for (int n = 3; n <= 12; n++) assert_true(of_length[n] > 20 && of_length[n] < 65);
        ls_pair_free(&pair);
        ls_pair_free(&same);
        ls_dataset_free(d);
        ls_dataset_free(again);
    }
}

/* No sequence of one split is in another one. */
static void made_splits_are_disjoint(void **state)
{
    static const char *const split[]      = {"train", "valid", "test"};
    static char              owner[10000] = {0}; /* of each sequence of four digits: 1 + its split */
    for (int k = 0; k < 3; k++) {
        ls_dataset *d;
        ls_pair     pair = {0};
        int         seen = 0;
        assert_ok(ls_dataset_made_pairs(&d, "made:copy", split[k], &(ls_made_pairs){5000, 4, 4, 1}));
        for (int64_t i = 0; i < 5000; i++) {
            int number = 0;
            assert_ok(ls_dataset_pair(d, i, &pair));
            for (int c = 0; c < 7; c += 2) number = 10 * number + pair.source.data[c] - '0';
            assert_true(owner[number] == 0 || owner[number] == k + 1);
            seen += !owner[number];
            owner[number] = (char)(k + 1);
        }
        assert_true(k ? seen > 500 && seen < 750 : seen > 3500); /* 1 of 16 and 14 of 16 of 10,000 */
        ls_pair_free(&pair);
        ls_dataset_free(d);
    }
}

static void refused_made_pairs(void **state)
{
    static const struct {
        const char   *path, *split, *message;
        ls_made_pairs o;
    } table[] = {{"made:double", "train", "made:double: expected made:copy, made:reverse or made:sort", {1, 1, 2, 1}},
                 {"made:", "train", "expected made:copy", {1, 1, 2, 1}},
                 {"made:copy", "dev", "has no split 'dev'", {1, 1, 2, 1}},
                 {"made:copy", "train", "expected at least 1 pair, found 0", {0, 1, 2, 1}},
                 {"made:copy", "train", "found 3 to 2", {1, 3, 2, 1}},
                 {"made:copy", "train", "found 0 to 2", {1, 0, 2, 1}},
                 {"made:copy", "train", "found 1 to 1001", {1, 1, 1001, 1}},
                 {"made:copy", "train", "out of memory", {1LL << 40, 1, 1000, 1}}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_dataset *d;
        assert_true(ls_dataset_made_pairs(&d, table[i].path, table[i].split, &table[i].o) != LS_OK);
        assert_null(d);
        if (!strstr(ls_error_message(), table[i].message))
            fail_msg("expected '%s', found '%s'", table[i].message, ls_error_message());
    }
    /* Some split has no sequence of one digit: 1 of 16 belongs to it. */
    int none = 0;
    for (uint64_t seed = 0; seed < 4; seed++) {
        ls_dataset *d;
        none += ls_dataset_made_pairs(&d, "made:copy", "valid", &(ls_made_pairs){1, 1, 1, seed}) == LS_ERR_USAGE;
        ls_dataset_free(d);
    }
    assert_true(none > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines_come_back),
                                       cmocka_unit_test(vocabularies),
                                       cmocka_unit_test(words),
                                       cmocka_unit_test(refused_imports),
                                       cmocka_unit_test(long_sentences),
                                       cmocka_unit_test(damaged_files),
                                       cmocka_unit_test(changed_files),
                                       cmocka_unit_test(made_pairs),
                                       cmocka_unit_test(made_splits_are_disjoint),
                                       cmocka_unit_test(refused_made_pairs)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
