/* SPDX-License-Identifier: Apache-2.0
 * labels: mpi timeout: 240 Regression and classification of arrays by command line: scores, equal bits on several
 * ranks, predictions in the units of the file, and input that is refused. */
#include <math.h>

#include "datasets/datasets.h"
#include "tests/launch/train_runs.h"

enum { SAMPLES = 600, WIDTH = 4 };

static void sample(int i, float x[WIDTH], float *y, int32_t *kind)
{
    for (int k = 0; k < WIDTH; k++) x[k] = 50 + 3 * sinf((float)(i * (k + 2)) * 0.37f + (float)k);
    *y    = 1000 + 20 * (x[0] - 50) - 10 * (x[1] - 50);
    *kind = x[2] > 50;
}

static int make_files(void **state)
{
    folder_enter();
    const ls_array_output out[] = {{.name = "x", .type = LS_ARRAY_F32, .rank = 1, .dim = {WIDTH}},
                                   {.name = "y", .type = LS_ARRAY_F32},
                                   {.name = "kind", .type = LS_ARRAY_I32}};
    ls_array_writer      *w;
    assert_int_equal(ls_array_writer_new(&w, "a.h5", SAMPLES, out, 3), LS_OK);
    for (int i = 0; i < SAMPLES; i++) {
        float   x[WIDTH], y;
        int32_t kind;
        sample(i, x, &y, &kind);
        assert_int_equal(ls_array_writer_add(w, (const void *const[]){x, &y, &kind}), LS_OK);
    }
    assert_int_equal(ls_array_writer_close(w), LS_OK);
    ls_array_writer_free(w);
    FILE *f = fopen("r.yaml", "w");
    fputs("data: {path: a.h5, inputs: [x], targets: [y]}\nmodel: {name: mlp, options: {hidden: 32}}\n"
          "train: {batch: 60, epochs: 12}\noptim: {name: adam, lr: 0.005}\n",
          f);
    return fclose(f);
}

/* Volumes of 2 x 6 x 7 x 8 and sequences of 2 x 24 in two classes: the direction in which a wave travels. */
enum { D = 6, H = 7, W = 8, T = 24, FIELDS = 240 };

static void write_fields(const char *path)
{
    const ls_array_output out[] = {{.name = "volume", .type = LS_ARRAY_F32, .rank = 4, .dim = {2, D, H, W}},
                                   {.name = "sequence", .type = LS_ARRAY_F32, .rank = 2, .dim = {2, T}},
                                   {.name = "kind", .type = LS_ARRAY_I32}};
    ls_array_writer      *w;
    static float          volume[2 * D * H * W], sequence[2 * T];
    assert_int_equal(ls_array_writer_new(&w, path, FIELDS, out, 3), LS_OK);
    for (int i = 0; i < FIELDS; i++) {
        const int32_t kind = i % 2;
        const float   at = (float)i * 0.7f, turn = kind ? 1 : -1;
        for (int k = 0; k < 2 * D * H * W; k++) {
            const float depth = (float)(k / W / H % D), column = (float)(k % W);
            volume[k] = sinf(at + depth + turn * column + (float)(k / W / H / D));
        }
        for (int k = 0; k < 2 * T; k++) sequence[k] = sinf(at + (float)(k % T) + turn * (float)(k / T));
        assert_int_equal(ls_array_writer_add(w, (const void *const[]){volume, sequence, &kind}), LS_OK);
    }
    assert_int_equal(ls_array_writer_close(w), LS_OK);
    ls_array_writer_free(w);
}

static void write_recipe(const char *path, const char *input, const char *layers)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "data: {path: fields.h5, inputs: [%s], targets: [kind]}\nmodel:\n  layers: [%s, flatten, "
            "linear: {name: fc, out: 2}]\n"
            "train: {batch: 24, epochs: 6, shards: 8}\noptim: {name: adam, lr: 0.01}\nschedule: {name: constant}\n",
            input, layers);
    assert_int_equal(fclose(f), 0);
}

/* Last value of a key in metrics.jsonl. */
static double score_of(const char *run, const char *key)
{
    char        path[64], quoted[32];
    const char *last = NULL;
    snprintf(path, sizeof path, "%s/metrics.jsonl", run);
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    for (const char *p = text_of(path); (p = strstr(p, quoted)); p++) last = p + strlen(quoted);
    assert_non_null(last);
    return atof(last);
}

static void a_regression_learns_and_has_equal_bits(void **state)
{
    assert_int_equal(run("train r.yaml run.dir=one"), 0);
    assert_non_null(strstr(text_of("out"), "R2             0.9"));
    assert_int_equal(run("train r.yaml run.dir=three", .ranks = 3), 0);
    assert_true(score_of("one", "r2") > 0.98);
    assert_true(score_of("one", "mae") < 6); /* in the units of the file, whose standard deviation is 47 */
    assert_true(score_of("one", "r2") == score_of("three", "r2"));
    assert_true(score_of("one", "mae") == score_of("three", "mae"));
    assert_int_equal(system("cmp one/model.safetensors three/model.safetensors"), 0);
}

/* Networks of volumes and of sequences have one digest on 1, 2 and 3 ranks, learn, and predict. */
static void volumes_and_sequences(void **state)
{
    static const char *const recipe[] = {"volumes.yaml", "sequences.yaml"};
    write_fields("fields.h5");
    write_recipe(recipe[0], "volume",
                 "pad3d: {padding: 1, mode: circular}, conv3d: {name: conv1, out: 6, kernel: 3}, relu, "
                 "max_pool3d: {kernel: 2, ceil_mode: true}, conv3d: {name: conv2, out: 8, kernel: 2, padding_d: 1, "
                 "no_bias: true}, batch_norm: {name: bn}, relu, adaptive_avg_pool3d: {size: 1}");
    write_recipe(recipe[1], "sequence",
                 "conv1d: {name: conv1, out: 6, kernel: 5, padding: 2}, relu, max_pool1d: {kernel: 2}, "
                 "conv1d: {name: conv2, out: 8, kernel: 3, groups: 2}, relu, adaptive_avg_pool1d: {size: 1}");
    for (int k = 0; k < 2; k++) {
        char line[128], dir[8];
        snprintf(dir, sizeof dir, "one%d", k);
        snprintf(line, sizeof line, "train %s run.dir=%s", recipe[k], dir);
        assert_int_equal(run(line), 0);
        if (!(score_of(dir, "accuracy") > 0.9)) fail_msg("%s: %s", recipe[k], text_of("out"));
        for (int ranks = 2; ranks <= 3; ranks++) {
            snprintf(line, sizeof line, "train %s run.dir=other%d --fresh", recipe[k], k);
            assert_int_equal(run(line, .ranks = ranks), 0);
            snprintf(line, sizeof line, "cmp one%d/model.safetensors other%d/model.safetensors", k, k);
            assert_int_equal(system(line), 0);
        }
        snprintf(line, sizeof line, "predict one%d fields.h5 --out k%d.h5", k, k);
        assert_int_equal(run(line, .ranks = 2), 0);
        snprintf(line, sizeof line, "explain %s", recipe[k]);
        assert_int_equal(run(line), 0);
        assert_non_null(strstr(text_of("out"), k ? "24 = floor((24 + 2*2 - 1*(5 - 1) - 1) / 1) + 1"
                                                 : "6 = floor((8 + 2*0 - 1*(3 - 1) - 1) / 1) + 1"));
    }
    assert_int_equal(run("train volumes.yaml run.dir=no eval.augment=flip"), 2);
    assert_non_null(strstr(text_of("err"), "eval.augment: expected a dataset of images, found arrays"));
}

static void read_predictions(const char *path, double value[SAMPLES])
{
    ls_dataset      *d;
    ls_array_columns columns = {.inputs = 1, .input = {"y"}};
    assert_int_equal(ls_dataset_open_arrays(&d, path, NULL, &columns), LS_OK);
    assert_int_equal(ls_dataset_info_of(d).count, SAMPLES);
    assert_int_equal(ls_dataset_values(d, 0, 0, SAMPLES, value), LS_OK);
    ls_dataset_free(d);
}

static void predictions_have_the_units_of_the_file(void **state)
{
    double value[SAMPLES], other[SAMPLES], worst = 0;
    assert_int_equal(run("predict one a.h5 --out p.h5"), 0);
    assert_non_null(strstr(text_of("out"), "samples        600\npredictions    p.h5\nfile loss"));
    assert_int_equal(run("predict one a.h5 --out q.h5", .ranks = 2), 0);
    read_predictions("p.h5", value);
    read_predictions("q.h5", other);
    assert_memory_equal(value, other, sizeof value);
    for (int i = 0; i < SAMPLES; i++) {
        float   x[WIDTH], y;
        int32_t kind;
        sample(i, x, &y, &kind);
        worst = fmax(worst, fabs(value[i] - (double)y));
    }
    assert_true(worst < 40);
    /* In bfloat16 the values differ, by its precision. */
    assert_int_equal(run("predict one a.h5 --out b.h5 --precision bfloat16", .ranks = 2), 0);
    read_predictions("b.h5", other);
    assert_memory_not_equal(value, other, sizeof value);
    for (int i = 0; i < SAMPLES; i++) assert_true(fabs(value[i] - other[i]) < 2);
    assert_int_equal(run("predict one a.h5 --out c.h5 --precision float32"), 0);
    read_predictions("c.h5", other);
    assert_memory_equal(value, other, sizeof value);
}

static void an_integer_target_is_a_classification(void **state)
{
    assert_int_equal(run("train r.yaml data.targets=kind run.dir=kind"), 0);
    assert_true(score_of("kind", "accuracy") > 0.9);
    assert_int_equal(run("eval kind"), 0);
    assert_non_null(strstr(text_of("out"), "test accuracy"));
    assert_int_equal(run("predict kind a.h5 --out k.h5", .ranks = 2), 0);
    ls_dataset      *d;
    ls_array_columns columns = {.inputs = 2, .input = {"kind", "probability"}};
    assert_int_equal(ls_dataset_open_arrays(&d, "k.h5", NULL, &columns), LS_OK);
    assert_int_equal(ls_dataset_info_of(d).count, SAMPLES);
    ls_dataset_free(d);
    assert_int_equal(run("train r.yaml data.targets=kind train.loss=mae run.dir=value"), 0);
    assert_null(strstr(text_of("out"), "accuracy"));
}

static void inputs_are_joined(void **state)
{
    assert_int_equal(run("train r.yaml data.inputs=[x,kind] data.targets=[y] run.dir=both"), 0);
    assert_int_equal(run("explain r.yaml data.inputs=[x,kind]"), 0);
    assert_non_null(strstr(text_of("out"), "concat"));
}

static void bad_input_is_refused(void **state)
{
    static const struct {
        const char *arguments;
        int         code;
        const char *message;
    } table[] = {
        {"train r.yaml data.targets=none", 3, "a.h5: /none: no such array"},
        {"train r.yaml data.path=digits", 2, "data.inputs: expected data.path to name a file"},
        {"train r.yaml train.loss=cross_entropy", 3, "/y: expected integers, the classes, found float32"},
        {"train r.yaml data.inputs=[]", 2, "data.inputs=[]: expected a list of 1 to 32 names"},
        {"train r.yaml data.inputs=[x,x]", 2, "expected a list of 1 to 32 names"},
        {"train r.yaml model.classes=3", 2, "model.classes: expected 0 for a regression"},
        {"predict one a.h5", 2, "--out: expected the HDF5 file"},
        {"predict one a.h5 a.h5 --out p.h5", 2, "expected one HDF5 file of arrays, found 2"},
        {"predict one r.yaml --out p.h5", 3, "r.yaml"},
        {"predict one k.h5 --out p.h5", 3, "k.h5: /x: no such array"},
        {"generate one", 2, "expected the run of a language model, found one for regression of arrays"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int code = run(table[i].arguments);
        if (code != table[i].code || !strstr(text_of("err"), table[i].message))
            fail_msg("`%s` ends with %d: %s", table[i].arguments, code, text_of("err"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(volumes_and_sequences),
        cmocka_unit_test(a_regression_learns_and_has_equal_bits),
        cmocka_unit_test(predictions_have_the_units_of_the_file),
        cmocka_unit_test(an_integer_target_is_a_classification),
        cmocka_unit_test(inputs_are_joined),
        cmocka_unit_test(bad_input_is_refused),
    };
    return cmocka_run_group_tests(tests, make_files, tear_down);
}
