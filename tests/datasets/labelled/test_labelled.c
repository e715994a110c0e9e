/* SPDX-License-Identifier: Apache-2.0 */
/* labels: io */
/* leaks: foreign (libhdf5 keeps memory of damaged files) */
/* Labelled texts: CSV, TSV and JSON Lines become samples, classes or numbers; mistakes are named by line and column;
 * batches are as wide as their longest sample; damaged files are refused. */
#include <hdf5.h>

#include "datasets/datasets.h"
#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/unit.h"

#define WORDPIECE LOCKSTEP_SOURCE "/tests/golden/tokenizer/wordpiece.json"

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

static ls_labelled_import plain(const char *file)
{
    return (ls_labelled_import){.size = sizeof(ls_labelled_import), .file = {file}, .out = "out", .tokenizer = "bytes"};
}

/* Compares the sample i with a text.  The tokenizer is that of bytes. */
static void assert_sample(ls_dataset *d, int64_t i, const char *text, double label)
{
    ls_labelled_text got = {0};
    assert_ok(ls_dataset_text(d, i, &got));
    assert_int_equal(got.tokens.count, strlen(text));
    for (size_t b = 0; b < strlen(text); b++) assert_int_equal(got.tokens.id[b], (unsigned char)text[b]);
    assert_float_equal(got.label, label, 1e-6);
    assert_int_equal(got.second, got.tokens.count);
    ls_tokens_free(&got.tokens);
}

/* ---- formats ----------------------------------------------------------------------------------------------------- */

/* The same four samples in each format. */
static void formats_agree(void **state)
{
    static const char *const file[][2] = {
        {"a.tsv", "label\tsentence\n1\tgood \"film\n-1\t  bad, dull \n\n1\t \n1\tcaf\xc3\xa9\r\n0\tok\n"},
        {"a.csv",
         "id,sentence,label\n7,\"good \"\"film\",1\n8,\"  bad, dull \",-1\n9,,1\n10,caf\xc3\xa9,+1\n11,ok,0\n"},
        {"a.jsonl", "{\"sentence\": \"good \\\"film\", \"label\": 1}\n{\"label\": -1, \"sentence\": \"bad, dull\"}\n\n"
                    "{\"sentence\": \"\", \"label\": 1}\n{\"sentence\": \"caf\\u00e9\", \"label\": 1, \"x\": [2]}\n"
                    "{\"sentence\": \"ok\", \"label\": 0}"}};
    for (int k = 0; k < 3; k++) {
        ls_dataset        *d;
        ls_labelled_import o = plain(file[k][0]);
        int                files, checked;
        text_write(file[k][0], file[k][1]);
        assert_ok(ls_import_labelled(&o));
        assert_int_equal(o.samples[LS_LABELLED_TRAIN], 4);
        assert_int_equal(o.empty[LS_LABELLED_TRAIN], 1);
        assert_int_equal(o.classes, 3);
        assert_int_equal(o.found, 257);
        assert_ok(ls_dataset_open(&d, "out", "train"));
        const ls_dataset_info info = ls_dataset_info_of(d);
        assert_int_equal(info.kind, LS_DATA_LABELLED);
        assert_int_equal(info.vocabulary, 257);
        assert_string_equal(info.class_names[0], "-1");
        assert_string_equal(info.class_names[2], "1");
        assert_int_equal(info.context, 12);
        assert_sample(d, 0, "good \"film", 2);
        assert_sample(d, 1, "bad, dull", 0);
        assert_sample(d, 2, "caf\xc3\xa9", 2);
        assert_sample(d, 3, "ok", 1);
        ls_labelled_text text = {0};
        assert_fails(ls_dataset_text(d, 4, &text), LS_ERR_USAGE, "expected 0 to 3, found 4");
        assert_ok(ls_dataset_verify(d, &files, &checked));
        assert_int_equal(checked, 1);
        ls_dataset_free(d);
        folder_remove("out");
    }
}

/* Numbers that are no whole numbers are values; texts are classes in sorted order, the same in all splits. */
static void labels(void **state)
{
    ls_dataset        *d;
    ls_labelled_import o = plain("n.csv");
    text_write("n.csv", "text,label\na,1\nb,2.5\nc,-3e-2\n");
    assert_ok(ls_import_labelled(&o));
    assert_int_equal(o.classes, 0);
    assert_ok(ls_dataset_open(&d, "out", "train"));
    assert_int_equal(ls_dataset_info_of(d).classes, 0);
    assert_sample(d, 1, "b", 2.5);
    assert_sample(d, 2, "c", -0.03);
    ls_dataset_free(d);
    folder_remove("out");

    text_write("t.tsv", "text\ttopic\na\tsport\nb\tart\nc\tsport\n");
    text_write("v.tsv", "topic\ttext\nsport\tx\n");
    o                         = plain("t.tsv");
    o.file[LS_LABELLED_VALID] = "v.tsv";
    o.label                   = "topic";
    assert_ok(ls_import_labelled(&o));
    assert_int_equal(o.classes, 2);
    assert_ok(ls_dataset_open(&d, "out", "valid"));
    assert_string_equal(ls_dataset_info_of(d).class_names[0], "art");
    assert_sample(d, 0, "x", 1);
    ls_dataset_free(d);
    folder_remove("out");

    text_write("w.csv", "text,label\na,1\nb,2\n");
    o            = plain("w.csv");
    o.regression = true;
    assert_ok(ls_import_labelled(&o));
    assert_int_equal(o.classes, 0);
    folder_remove("out");
}

/* A tenth of the samples becomes valid, the same at each import. */
static void part_is_held_out(void **state)
{
    ls_dataset        *d[2];
    ls_labelled_import o = plain("h.tsv");
    char               text[8192];
    int                seen[100] = {0};
    snprintf(text, sizeof text, "text\tlabel\n");
    for (int i = 0; i < 100; i++) snprintf(text + strlen(text), 32, "%c%c\t%d\n", 33 + i / 10, 33 + i % 10, i % 2);
    text_write("h.tsv", text);
    o.valid = 0.1;
    assert_ok(ls_import_labelled(&o));
    assert_int_equal(o.samples[LS_LABELLED_TRAIN], 90);
    assert_int_equal(o.samples[LS_LABELLED_VALID], 10);
    for (int s = 0; s < 2; s++) {
        ls_labelled_text sample = {0};
        assert_ok(ls_dataset_open(&d[s], "out", s ? "valid" : "train"));
        for (int64_t i = 0; i < ls_dataset_info_of(d[s]).count; i++) {
            assert_ok(ls_dataset_text(d[s], i, &sample));
            seen[(sample.tokens.id[0] - 33) * 10 + sample.tokens.id[1] - 33]++;
        }
        ls_tokens_free(&sample.tokens);
        ls_dataset_free(d[s]);
    }
    for (int i = 0; i < 100; i++) assert_int_equal(seen[i], 1);
    folder_remove("out");
}

/* Pairs of texts have the types and special tokens of the tokenizer, and are cut as transformers cuts them. */
static void pairs_and_batches(void **state)
{
    ls_dataset        *d;
    ls_loader         *l;
    ls_batch           b;
    ls_tokenizer      *t;
    ls_labelled_import o      = plain("p.csv");
    ls_text_tokens     tokens = {0};
    int64_t            rows = 0, widths = 0;
    text_write("p.csv",
               "premise,hypothesis,label\nthe cat,a dog runs,yes\na,b,no\nthe cat sat on the mat the cat,a,no\n");
    o.tokenizer  = WORDPIECE;
    o.max_length = 9;
    assert_ok(ls_import_labelled(&o));
    assert_int_equal(o.cut[LS_LABELLED_TRAIN] >= 1, 1);
    assert_int_equal(o.longest[LS_LABELLED_TRAIN], 9);
    assert_ok(ls_tokenizer_load(&t, "out"));
    assert_ok(ls_dataset_open(&d, "out", "train"));
    assert_ok(ls_loader_new(&l, d, .batch = 2, .shards = 1, .ranks = 1, .epochs = 1));
    while (ls_loader_next(l, &b)) {
        static const char *const text[][2] = {
            {"the cat", "a dog runs"}, {"a", "b"}, {"the cat sat on the mat the cat", "a"}};
        const int32_t *id = b.data[0], *type = b.data[1], *length = b.data[2], *label = b.data[3];
        const int64_t  width   = b.dim0[0];
        int64_t        longest = 0;
        assert_string_equal(b.name[0], "tokens");
        assert_int_equal(width, b.dim0[1]);
        for (int64_t r = 0; r < b.rows; r++) {
            int found = -1;
            for (int k = 0; k < 3; k++) {
                const ls_text_line first = {text[k][0], strlen(text[k][0])}, second = {text[k][1], strlen(text[k][1])};
                assert_ok(ls_tokenizer_encode_texts(t, &first, &second, 9, &tokens));
                if (tokens.count != length[r] || memcmp(tokens.id, id + r * width, 4 * (size_t)tokens.count)) continue;
                assert_memory_equal(tokens.type, type + r * width, 4 * (size_t)tokens.count);
                found = k;
            }
            assert_int_not_equal(found, -1);
            assert_int_equal(label[r], found == 0); /* no, yes */
            for (int64_t k = length[r]; k < width; k++) assert_int_equal(id[r * width + k] | type[r * width + k], 0);
            longest = length[r] > longest ? length[r] : longest;
        }
        assert_int_equal(width, (longest + 3) / 4 * 4);
        rows += b.rows;
        widths += width;
    }
    assert_ok(ls_loader_status(l));
    assert_int_equal(rows, 3);
    assert_true(widths > 0);
    ls_text_tokens_free(&tokens);
    ls_loader_free(l);
    ls_dataset_free(d);
    ls_tokenizer_free(t);
    folder_remove("out");
}

/* ---- mistakes ---------------------------------------------------------------------------------------------------- */

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *file, *text, *says;
    } table[] = {
        {"e.tsv", "", "expected a header line with the names of the columns, found an empty file"},
        {"e.txt", "x", "expected a name that ends with .csv, .tsv or .jsonl"},
        {"e.tsv", "a\tlabel\nx\t1\n", "e.tsv:1: expected a column with a known name of a text"},
        {"e.tsv", "sentence\tclass\nx\t1\n",
         "e.tsv:1: expected the column 'label' of the label, found: sentence, class"},
        {"e.tsv", "sentence\tlabel\nx\t1\ny\n", "e.tsv:3:1: expected 2 fields, as the header line has, found 1"},
        {"e.tsv", "sentence\tlabel\nx\ty\t1\n", "e.tsv:2:5: expected 2 fields, as the header line has, found 3"},
        {"e.tsv", "sentence\tlabel\nx\t1\ny\t\n", "e.tsv:3:3: expected a label, found nothing"},
        {"e.tsv", "sentence\tlabel\nx\t1\ny\t1\n", "expected at least two classes, found only '1'"},
        {"e.tsv", "sentence\tlabel\n \t1\n", "expected at least one sample with a text, found none"},
        {"e.tsv", "sentence\tlabel\n", "expected at least one sample with a text, found none"},
        {"e.csv", "sentence,label\n\"x,1\n", "e.csv:2:1: the quoted field is not closed"},
        {"e.csv", "sentence,label\nx\"y,1\n", "e.csv:2:2: a quote inside a field without quotes"},
        {"e.csv", "sentence,label\na,b,1\n", "a text with the separator in it is put in quotes"},
        {"e.jsonl", "", "expected one sentence per line, found an empty file"},
        {"e.jsonl", "\n \n", "expected one JSON object per line, found none"},
        {"e.jsonl", "{\"sentence\": \"x\", \"label\": 1}\n{\"sentence\": \"x\" \"label\": 1}\n",
         "e.jsonl:2:24: expected a JSON object"},
        {"e.jsonl", "[1]\n", "e.jsonl:1:1: expected a JSON object"},
        {"e.jsonl", "{\"sentence\": \"x\", \"label\": 1}\n{\"label\": 1}\n",
         "e.jsonl:2: expected a string as the value of 'sentence', found no such key"},
        {"e.jsonl", "{\"sentence\": \"x\", \"label\": [1]}\n",
         "e.jsonl:1: expected a string or a number as the value of 'label'"},
        {"e.jsonl", "{\"sentence\": \"x\", \"sentence\": \"y\"}\n", "e.jsonl:1:"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_labelled_import o = plain(table[i].file);
        text_write(table[i].file, table[i].text);
        const ls_status status = ls_import_labelled(&o);
        if (status == LS_OK) fail_msg("case %zu", i);
        assert_fails(status, status == LS_ERR_USAGE ? LS_ERR_USAGE : LS_ERR_DATA, table[i].says);
        assert_int_equal(folder_count("out"), -1);
    }
}

/* Options, and a second split that does not fit. */
static void options_are_checked(void **state)
{
    text_write("g.tsv", "sentence\tlabel\nx\t1\ny\t0\n");
    text_write("bad.tsv", "sentence\tlabel\nx\t1\ny\t2\n");
    ls_labelled_import o      = plain("g.tsv");
    o.file[LS_LABELLED_VALID] = "bad.tsv";
    assert_fails(ls_import_labelled(&o), LS_ERR_DATA, "bad.tsv:3:3: expected a label that g.tsv has, found '2'");
    assert_int_equal(folder_count("out"), -1);
    o            = plain("g.tsv");
    o.regression = true;
    o.label      = "sentence";
    o.text       = "label";
    assert_fails(ls_import_labelled(&o), LS_ERR_DATA, "g.tsv:2:1: expected a number, found 'x'");
    o       = plain("g.tsv");
    o.valid = 0.2;
    assert_fails(ls_import_labelled(&o), LS_ERR_DATA, "expected enough samples for a split valid");
    o.valid = 1;
    assert_fails(ls_import_labelled(&o), LS_ERR_USAGE, "--valid: expected a file, or a fraction");
    o            = plain("g.tsv");
    o.max_length = 3;
    assert_fails(ls_import_labelled(&o), LS_ERR_USAGE, "--max-length: expected 4 to 65535 tokens, found 3");
    o        = plain("g.tsv");
    o.second = "label";
    assert_fails(ls_import_labelled(&o), LS_ERR_USAGE, "--second: expected --text as well");
    o           = plain("g.tsv");
    o.tokenizer = "missing";
    assert_fails(ls_import_labelled(&o), LS_ERR_USAGE, "expected bytes, chars, bpe, words, wordpiece or the path");
    o = plain("no.tsv");
    assert_fails(ls_import_labelled(&o), LS_ERR_DATA, "no.tsv");
    assert_int_equal(folder_count("out"), -1);
}

/* ---- damaged files ----------------------------------------------------------------------------------------------- */

static void change(const char *name, hid_t memory, hsize_t at, const void *value)
{
    hid_t   file = H5Fopen("out/train.h5", H5F_ACC_RDWR, H5P_DEFAULT), set = H5Dopen2(file, name, H5P_DEFAULT);
    hid_t   space = H5Dget_space(set), one;
    hsize_t count = 1;
    one           = H5Screate_simple(1, &count, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &at, NULL, &count, NULL);
    assert_true(H5Dwrite(set, memory, one, space, H5P_DEFAULT, value) >= 0);
    H5Sclose(one);
    H5Sclose(space);
    H5Dclose(set);
    H5Fclose(file);
}

static void damage_is_refused(void **state)
{
    static const struct {
        const char *set;
        hsize_t     at;
        int64_t     value;
        const char *says;
    } table[] = {{"text_starts", 0, 1, "/text_starts: value 0 is 1"},
                 {"text_starts", 1, 99, "/text_starts: value 1 is 99"},
                 {"text_starts", 1, 0, "/text_starts: value 1 is 0"},
                 {"text_starts", 2, 4, "expected the last value to be 5, the length of /text_tokens, found 4"},
                 {"text_second", 1, 4, "/text_second: sample 1: expected 0 to 3, its length, found 4"},
                 {"text_second", 0, -1, "/text_second: sample 0: expected 0 to 2, its length, found -1"},
                 {"label", 0, 2, "/label: sample 0: expected a class, 0 to 1, found 2"},
                 {"label", 0, -1, "/label: sample 0: expected a class"},
                 {"text_tokens", 3, 257, "sample 1: token 1 is 257; expected 0 to 256"},
                 {"text_tokens", 3, 7, "attribute 'checksum'"}};
    text_write("c.tsv", "sentence\tlabel\nxy\t1\nabc\t0\n");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_dataset        *d = NULL;
        ls_labelled_import o = plain("c.tsv");
        int                files, checked;
        ls_labelled_text   text = {0};
        assert_ok(ls_import_labelled(&o));
        change(table[i].set, H5T_NATIVE_INT64, table[i].at, &table[i].value);
        ls_status status = ls_dataset_open(&d, "out", "train");
        if (status == LS_OK) status = ls_dataset_text(d, 1, &text);
        if (status == LS_OK) status = ls_dataset_verify(d, &files, &checked);
        assert_fails(status, LS_ERR_DATA, table[i].says);
        ls_tokens_free(&text.tokens);
        if (d) ls_dataset_free(d);
        folder_remove("out");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(formats_agree),      cmocka_unit_test(labels),
                                       cmocka_unit_test(part_is_held_out),   cmocka_unit_test(pairs_and_batches),
                                       cmocka_unit_test(mistakes_are_named), cmocka_unit_test(options_are_checked),
                                       cmocka_unit_test(damage_is_refused)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
