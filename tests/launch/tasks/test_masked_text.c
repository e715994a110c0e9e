/* SPDX-License-Identifier: Apache-2.0
 * labels: mpi
 * timeout: 300
 * Pretraining of encoders from the command line: one digest for any number of ranks and threads, with ZeRO and
 * accumulation, in both precisions and across a restart; what follows from it; and mistakes. */
#include "tests/launch/train_runs.h"

#define MODEL                                                                                                          \
    "train.batch=16 train.epochs=1 train.max_steps=10 optim.name=adamw optim.lr=0.003 data.context=24 "                \
    "model.name=encoder "
#define SIZES "layers: 1, heads: 2, width: 16, hidden: 32, dropout: 0.1"

static void write_story(const char *path)
{
    static const char *const who[] = {"the cat", "a dog", "the old man", "one bird"}, *const does[] = {
                                                                                          "sees", "follows", "wants",
                                                                                          "finds"};
    FILE    *f = fopen(path, "w");
    uint32_t s = 3;
    for (int i = 0; i < 900; i++) {
        s = s * 1664525u + 1013904223u;
        fprintf(f, "%s %s %s, and %s.\n", who[s >> 8 & 3], does[s >> 12 & 3], who[s >> 16 & 3], does[s >> 20 & 3]);
    }
    fclose(f);
}

static int enter(void **state)
{
    folder_enter();
    write_story("story.txt");
    save_text("r.yaml", "data: {path: story}\n");
    assert_int_equal(run("data import text story.txt story --tokenizer wordpiece --vocab 100 --lowercase"), 0);
    assert_int_equal(run("data import text story.txt pieces --tokenizer bpe --vocab 300"), 0);
    return 0;
}

static void digest(const char *options, int ranks, int threads, char text[40])
{
    char command[1024];
    snprintf(command, sizeof command, "train ./r.yaml run.dir=m " MODEL "%s", options);
    assert_int_equal(run(command, .ranks = ranks, .threads = threads), 0);
    const char *found = strstr(text_of("out"), "digest ");
    assert_non_null(found);
    snprintf(text, 40, "%.31s", found);
}

static void one_digest(void **state)
{
    static const char *const kind[] = {"'model.options={" SIZES "}'", "'model.options={kind: roberta, " SIZES "}'",
                                       "'model.options={kind: distilbert, " SIZES "}' data.whole_words=true",
                                       "'model.options={" SIZES "}' train.precision=bfloat16"};
    static const struct {
        int         ranks, threads;
        const char *options;
    } table[] = {{2, 1, ""},
                 {4, 1, "train.zero=1"},
                 {3, 2, "train.zero=2"},
                 {2, 1, "train.zero=2"},
                 {1, 2, "train.accumulate=2"}};
    for (size_t k = 0; k < 4; k++) {
        char first[40], other[40], options[256];
        assert_int_equal(system("rm -rf m"), 0);
        digest(kind[k], 1, 1, first);
        for (size_t i = 0; i < sizeof table / sizeof *table && (!k || i < 3); i++) {
            snprintf(options, sizeof options, "%s %s", kind[k], table[i].options);
            assert_int_equal(system("rm -rf m"), 0);
            digest(options, table[i].ranks, table[i].threads, other);
            assert_string_equal(other, first);
        }
        /* Four steps on three ranks, the others on two. */
        assert_int_equal(system("rm -rf m"), 0);
        snprintf(options, sizeof options, "%s checkpoint.every=4 --fresh", kind[k]);
        char command[1024];
        snprintf(command, sizeof command, "train ./r.yaml run.dir=m " MODEL "%s", options);
        assert_int_equal(run(command, .ranks = 3), 0);
        assert_int_equal(system("rm -rf m/checkpoints/step-00000008 m/checkpoints/step-00000010 m/checkpoints/latest "
                                "m/model.safetensors"),
                         0);
        digest(kind[k], 2, 1, other);
        assert_string_equal(other, first);
    }
}

/* The run is a folder of transformers: it computes vectors, and begins a classification. */
static void what_follows(void **state)
{
    char text[40];
    assert_int_equal(system("rm -rf m"), 0);
    digest("'model.options={" SIZES "}'", 2, 1, text);
    assert_non_null(strstr(text_of("out"), "masked loss"));
    assert_non_null(strstr(text_of("out"), "next-sentence accuracy"));
    assert_non_null(strstr(text_of("m/config.json"), "BertForPreTraining"));
    save_text("lines", "the cat sees a dog\none bird\n");
    assert_int_equal(run("embed m lines --out v.h5"), 0);
    FILE *f = fopen("l.tsv", "w");
    fputs("sentence\tlabel\n", f);
    for (int i = 0; i < 60; i++) fprintf(f, "%s sees one bird\t%d\n", i % 2 ? "the cat" : "a dog", i % 2);
    fclose(f);
    assert_int_equal(run("data import labelled l.tsv labels --tokenizer m --valid 0.2"), 0);
    assert_int_equal(run("train ./r.yaml data.path=labels run.dir=n train.epochs=2 train.batch=8 optim.name=adamw "
                         "model.pretrained=m",
                         .ranks = 2),
                     0);
    assert_non_null(strstr(text_of("err"), "initial values"));
    assert_int_equal(run("eval n", .ranks = 2), 0);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *options;
        int         code;
        const char *says;
    } table[] = {
        {"data.path=pieces " MODEL, 3, "the tokenizer has no token [CLS]"},
        {MODEL "data.context=600", 2, "expected 8 to 512, the positions of the model, found 600"},
        {MODEL "data.context=7", 2, "expected 8 to 512"},
        {MODEL "data.mask=0", 2, "data.mask"},
        {MODEL "train.label_smoothing=0.1", 2, "expected 0 with masked words"},
        {MODEL "'model.options={kind: electra}'", 2, "kind"},
        {MODEL "'model.options={vocab: 10}'", 2, "vocab: expected at least the"},
        {"data.path=pieces data.whole_words=true " MODEL, 3, "the tokenizer has no token [CLS]"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char command[1024];
        snprintf(command, sizeof command, "train ./r.yaml run.dir=e %s", table[i].options);
        const int code = run(command, .ranks = 2);
        if (code != table[i].code || !strstr(text_of("err"), table[i].says))
            fail_msg("%s: code %d, %s", command, code, text_of("err"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_digest), cmocka_unit_test(what_follows),
                                       cmocka_unit_test(mistakes_are_named)};
    return cmocka_run_group_tests(tests, enter, tear_down);
}
