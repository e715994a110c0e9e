/* SPDX-License-Identifier: Apache-2.0
 * labels: mpi
 * timeout: 300
 * Classification and regression of texts from the command line: one digest for any number of ranks and threads, with
 * ZeRO, accumulation and in both precisions; evaluation, prediction, fine-tuning from a run, and mistakes. */
#include "tests/launch/train_runs.h"

/* Reviews of two classes, or with numbers; the order of the words says nothing. */
static void write_reviews(const char *path, int count, bool numbers)
{
    static const char *const word[3][6] = {{"good", "fine", "great", "warm", "bright", "rich"},
                                           {"bad", "dull", "poor", "cold", "flat", "thin"},
                                           {"the", "film", "story", "is", "very", "an"}};
    FILE                    *f          = fopen(path, "w");
    uint32_t                 s          = 7;
    fprintf(f, "sentence\tlabel\n");
    for (int i = 0; i < count; i++) {
        const int good = i % 2, length = 1 + i % 13, at = i / 2 % length;
        for (int k = 0; k < length; k++) {
            s = s * 1664525u + 1013904223u;
            fprintf(f, "%s%s", k ? " " : "", k == at ? word[!good][s >> 8 & 3] : word[2][(s >> 10) % 6]);
        }
        if (numbers)
            fprintf(f, "\t%.2f\n", good ? 1.25 : -0.75);
        else
            fprintf(f, "\t%s\n", good ? "positive" : "negative");
    }
    fclose(f);
}

static void import(const char *file, const char *out, const char *tokenizer)
{
    char command[512];
    snprintf(command, sizeof command, "data import labelled %s %s --tokenizer %s --valid 0.2", file, out, tokenizer);
    assert_int_equal(run(command), 0);
}

static int enter(void **state)
{
    folder_enter();
    write_reviews("reviews.tsv", 400, false);
    write_reviews("scores.tsv", 400, true);
    import("reviews.tsv", "reviews", "words");
    import("scores.tsv", "scores", "words");
    import("reviews.tsv", "chars", "chars");
    return 0;
}

#define MODEL                                                                                                          \
    "train.batch=20 train.epochs=3 optim.name=adamw optim.lr=0.01 log.every=1 model.name=encoder "                     \
    "'model.options={layers: 1, heads: 2, width: 16, hidden: 32, pool: mean, dropout: 0.1}' "
#define TRAIN "train ./r.yaml " MODEL

static void digest(const char *options, const char *data, int ranks, int threads, char text[40])
{
    char  command[1024];
    FILE *f = fopen("r.yaml", "w");
    fprintf(f, "data: {path: %s}\n", data);
    fclose(f);
    snprintf(command, sizeof command, TRAIN "run.dir=m %s", options);
    assert_int_equal(system("rm -rf m"), 0);
    assert_int_equal(run(command, .ranks = ranks, .threads = threads), 0);
    const char *found = strstr(text_of("out"), "digest ");
    assert_non_null(found);
    snprintf(text, 40, "%.31s", found);
}

static void one_digest(void **state)
{
    static const struct {
        int         ranks, threads;
        const char *options;
    } table[]                          = {{1, 2, ""},
                                          {2, 1, ""},
                                          {3, 1, "train.zero=2"},
                                          {4, 1, "train.zero=1"},
                                          {2, 2, ""},
                                          {2, 1, "train.zero=2"},
                                          {1, 1, "train.accumulate=2"}};
    static const char *const kind[][2] = {{"reviews", ""}, {"reviews", "train.precision=bfloat16"}, {"scores", ""}};
    for (size_t k = 0; k < 3; k++) {
        char first[40], other[40], options[128];
        digest(kind[k][1], kind[k][0], 1, 1, first);
        for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
            if (k && i > 2) break;
            snprintf(options, sizeof options, "%s %s", kind[k][1], table[i].options);
            digest(options, kind[k][0], table[i].ranks, table[i].threads, other);
            assert_string_equal(other, first);
        }
    }
}

static double metric_of(const char *run_dir, const char *key)
{
    json_t *events = events_of(run_dir);
    double  value  = -1;
    size_t  i;
    json_t *event;
    json_array_foreach(events, i, event) if (!strcmp(string(event, "event"), "eval")) value =
        json_number_value(json_object_get(event, key));
    json_decref(events);
    return value;
}

static void learns_and_predicts(void **state)
{
    assert_int_equal(run("train ./r.yaml data.path=reviews run.dir=a " MODEL, .ranks = 2), 0);
    assert_true(metric_of("a", "accuracy") >= 0.95);
    assert_int_equal(run("eval a", .ranks = 3), 0);
    assert_non_null(strstr(text_of("out"), "valid accuracy"));
    save_text("lines", "the film is great\na dull story\n");
    assert_int_equal(run("predict a lines --top 1", .ranks = 2), 0);
    const char *out = text_of("out"), *good = strstr(out, "positive");
    assert_non_null(strstr(out, "the film is great"));
    assert_non_null(good);
    assert_true(good < strstr(out, "negative"));
    assert_int_equal(run("predict a lines --out lines.tsv"), 0);
    assert_non_null(strstr(text_of("lines.tsv"), "label\tprobability\ttext\npositive\t"));
    assert_int_equal(run("train ./r.yaml data.path=scores run.dir=b " MODEL, .ranks = 2), 0);
    assert_true(metric_of("b", "pearson") >= 0.9);
    assert_int_equal(run("predict b lines --out values.tsv"), 0);
    assert_non_null(strstr(text_of("values.tsv"), "value\ttext\n"));
}

/* A run is a folder of transformers: its model begins another run, whose classes may be others. */
static void fine_tunes_a_run(void **state)
{
    assert_int_equal(run("train ./r.yaml data.path=reviews run.dir=c train.epochs=1 train.batch=20 optim.name=adamw "
                         "model.pretrained=a 'model.options={pool: mean}'",
                         .ranks = 2),
                     0);
    assert_non_null(strstr(text_of("err"), "loaded"));
    assert_true(metric_of("c", "accuracy") >= 0.9);
    assert_int_equal(run("train ./r.yaml data.path=scores run.dir=d train.epochs=1 train.batch=20 model.pretrained=a "
                         "'model.options={pool: pooler}'",
                         .ranks = 2),
                     0); /* another head, from the first token */
}

/* A folder with the files of transformers alone classifies texts, begins a run, and the run is exported as another. */
static void folders_of_transformers(void **state)
{
    assert_int_equal(
        run("train ./r.yaml data.path=reviews run.dir=p train.batch=20 train.epochs=3 optim.name=adamw "
            "optim.lr=0.01 model.name=encoder 'model.options={layers: 1, heads: 2, width: 16, hidden: 32}'",
            .ranks = 2),
        0);
    assert_int_equal(system("mkdir hf && cp p/config.json p/model.safetensors p/tokenizer*.json hf"), 0);
    save_text("lines", "the film is great\n");
    assert_int_equal(run("predict p lines --top 1"), 0);
    const bool good = strstr(text_of("out"), "positive") != NULL;
    assert_int_equal(run("predict hf lines --top 1", .ranks = 2), 0);
    assert_non_null(strstr(text_of("out"), good ? "LABEL_1" : "LABEL_0"));
    assert_int_equal(run("train ./r.yaml data.path=reviews run.dir=q train.epochs=1 train.batch=20 optim.lr=0 "
                         "model.pretrained=hf",
                         .ranks = 2),
                     0);
    assert_int_equal(run("ckpt export q out16 --dtype float16", .ranks = 2), 0);
    assert_int_equal(run("predict out16 lines --top 1"), 0);
    assert_non_null(strstr(text_of("out"), good ? "LABEL_1" : "LABEL_0"));
    assert_int_equal(system("sed -i s/ForSequenceClassification/Model/ hf/config.json"), 0);
    assert_int_equal(run("predict hf lines"), 3);
    assert_non_null(strstr(text_of("err"), "found one without classes"));
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *command;
        int         code;
        const char *says;
    } table[] = {
        {"train ./r.yaml data.path=reviews run.dir=e model.name=lenet5", 2, "models for labelled texts: encoder"},
        {"train ./r.yaml data.path=digits run.dir=e model.name=encoder", 2, "is an encoder of texts, but"},
        {"train ./r.yaml data.path=reviews run.dir=e model.name=encoder 'model.options={vocab: 5}'", 2,
         "vocab: expected at least the"},
        {"train ./r.yaml data.path=reviews run.dir=e model.name=encoder 'model.options={context: 8, layers: 1}'", 2,
         "expected at most 8 positions"},
        {"train ./r.yaml data.path=reviews run.dir=e model.name=encoder 'model.options={pool: max}'", 2, "pool"},
        {"train ./r.yaml data.path=scores run.dir=e model.classes=3 " MODEL, 2, "expected 0 for a regression"},
        {"train ./r.yaml data.path=reviews run.dir=e model.classes=1 " MODEL, 2, "expected at least the 2 classes"},
        {"train ./r.yaml data.path=scores run.dir=a " MODEL, 2, "holds a run of another recipe"},
        {"train ./r.yaml data.path=reviews run.dir=e model.pretrained=nowhere", 3, "cannot read nowhere"},
        {"predict a nowhere.txt", 3, "nowhere.txt"},
        {"predict a empty", 3, "empty:2: expected a text"},
        {"train ./r.yaml data.path=chars run.dir=e model.pretrained=a", 2, "imported with its tokenizer"},
        {"generate a", 2, "`lockstep predict RUN TEXTS`"},
    };
    save_text("empty", "x\n\n");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const int code = run(table[i].command, .ranks = 2);
        if (code != table[i].code || !strstr(text_of("err"), table[i].says))
            fail_msg("%s: code %d, %s", table[i].command, code, text_of("err"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_digest), cmocka_unit_test(learns_and_predicts),
                                       cmocka_unit_test(fine_tunes_a_run), cmocka_unit_test(folders_of_transformers),
                                       cmocka_unit_test(mistakes_are_named)};
    return cmocka_run_group_tests(tests, enter, tear_down);
}
