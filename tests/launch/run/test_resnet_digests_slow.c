/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi slow
 * timeout: 1800
 * ResNet-20 with batch norm over the global batch, crop, flip, mixup, an average of the parameters and an uneven last
 * batch: one digest for all ranks and threads, and after a kill.  A prediction of one file has the bits of the
 * evaluation. */
#define RUN "train ./resnet.yaml "
#define STEPS 6
#include "tests/launch/train_runs.h"

#include <math.h>

#include "launch/run/run_setup.h"

#include "core/graph/program.h"
#include "dist/trainer/trainer_internal.h" /* after run_setup.h: its type `phase` is a parameter's name there */

enum { EDGE = 32, CLASSES = 3, TRAIN = 30, TEST = 5, PIXELS = 3 * EDGE * EDGE };

/* An image with a pattern of its class and noise. */
static void write_image(const char *split, int class, int number)
{
    char          path[64];
    unsigned char pixel[PIXELS];
    uint32_t      noise = (uint32_t)(class * 1000 + number + (*split == 't' && split[1] == 'e') * 500 + 1);
    snprintf(path, sizeof path, "images/%s/c%d/%03d.ppm", split, class, number);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    for (int i = 0; i < PIXELS; i++) {
        noise    = noise * 1664525 + 1013904223;
        pixel[i] = (unsigned char)((noise >> 26) + (uint32_t)(i / 3 % EDGE * (class + 1) * 16 % 192));
    }
    fprintf(f, "P6\n%d %d\n255\n", EDGE, EDGE);
    assert_int_equal(fwrite(pixel, 1, sizeof pixel, f), sizeof pixel);
    fclose(f);
}

static int prepare(void **state)
{
    folder_enter();
    for (int class = 0; class < CLASSES; class ++) {
        char command[128];
        snprintf(command, sizeof command, "mkdir -p images/train/c%d images/test/c%d", class, class);
        assert_int_equal(system(command), 0);
        for (int i = 0; i < TRAIN; i++) write_image("train", class, i);
        for (int i = 0; i < TEST; i++) write_image("test", class, i);
    }
    if (run("data import images images data")) fail_msg("%s", text_of("err"));
    FILE *recipe = fopen("resnet.yaml", "w");
    assert_non_null(recipe);
    fputs("data: {path: ./data, augment: {crop: 4, flip: true, mixup: 0.2}}\n"
          "model: {name: resnet_cifar, options: {depth: 20}, norm_over: batch}\n"
          "train: {batch: 32, epochs: 2, label_smoothing: 0.1}\n"
          "optim: {name: momentum, lr: 0.05, weight_decay: 0.0005, ema: 0.9}\n"
          "schedule: {name: onecycle}\nlog: {every: 1}\ncheckpoint: {every: 2}\n",
          recipe);
    fclose(recipe);
    return 0;
}

static void one_digest_on_any_ranks_and_threads(void **state)
{
    static const int counts[] = {1, 2, 3, 4, 8};
    make_reference();
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (int threads = 1; threads <= 3; threads++) {
            char what[64];
            snprintf(what, sizeof what, "%d ranks x %d threads", counts[i], threads);
            int code = run(RUN "run.dir=other --fresh", .ranks = counts[i], .threads = threads, .seconds = 400);
            if (code) fail_msg("%s: exit code %d\n%s", what, code, text_of("err"));
            must_be_like_reference("other", what);
        }
}

static void one_digest_after_a_kill(void **state)
{
    static const struct {
        int step, before, after;
    } cases[] = {{2, 2, 3}, {4, 4, 8}, {3, 3, 1}};
    make_reference();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kill_at(cases[i].step, cases[i].before, "KILL");
        continue_on(cases[i].after);
        assert_int_equal(system("rm -rf killed"), 0);
    }
    assert_true(interrupted >= 1); /* a run may end before the kill */
}

/* ---- prediction -------------------------------------------------------------------------------------------------- */

typedef struct found {
    double probability[CLASSES];
    char   name[CLASSES][8];
} found;

static ls_status take(const ls_prediction *p, void *context)
{
    found *f = context;
    assert_int_equal(p->classes, CLASSES);
    for (int i = 0; i < CLASSES; i++) {
        f->probability[i] = p->probability[i];
        snprintf(f->name[i], sizeof f->name[i], "%s", p->name[i]);
    }
    return LS_OK;
}

/* The probability of a class as `predict` computes it from logits. */
static double probability_of(const float *logits, int class)
{
    double largest = logits[0], sum = 0;
    for (int i = 1; i < CLASSES; i++) largest = fmax(largest, logits[i]);
    for (int i = 0; i < CLASSES; i++) sum += exp(logits[i] - largest);
    return exp(logits[class] - largest) / sum;
}

/* Evaluates the test split as one batch, and predicts the file of each of its samples alone. */
static void predictions_have_the_bits_of_the_evaluation(void **state)
{
    ls_comm    *comm;
    ls_run     *r;
    ls_loader  *loader;
    ls_batch    batch;
    ls_metrics  metrics;
    ls_dataset *split;
    make_reference();
    assert_int_equal(ls_comm_self(&comm), LS_OK);
    assert_int_equal(ls_run_open(&r, comm, "reference", NULL), LS_OK);
    assert_int_equal(ls_run_data(r, LS_SPLITS_TEST), LS_OK);
    split = r->test;
    assert_int_equal(ls_loader_new(&loader, split, .batch = CLASSES * TEST, .shards = r->shards, .ranks = 1,
                                   .in_order = true, .epochs = 1),
                     LS_OK);
    assert_true(ls_loader_next(loader, &batch));
    assert_int_equal(batch.rows, CLASSES * TEST);
    assert_int_equal(ls_trainer_eval(r->trainer, &batch, &metrics), LS_OK);
    const phase *eval   = &r->trainer->eval;
    const float *logits = ls__program_value(eval->program, &eval->run, r->logits);
    for (int i = 0; i < CLASSES * TEST; i++) {
        char        path[64];
        const char *file = path;
        found       f;
        snprintf(path, sizeof path, "images/test/c%d/%03d.ppm", i / TEST, i % TEST);
        assert_int_equal(
            ls_run_predict(r, &(ls_predict_options){.files = 1, .file = &file, .each = take, .context = &f}), LS_OK);
        for (int k = 0; k < CLASSES; k++) {
            const double want = probability_of(logits + i * CLASSES, f.name[k][1] - '0');
            if (memcmp(&want, &f.probability[k], sizeof want) != 0)
                fail_msg("%s: %s: predicted %.17g, evaluated %.17g", path, f.name[k], f.probability[k], want);
        }
    }
    ls_loader_free(loader);
    ls_run_free(r);
    ls_comm_free(comm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_digest_on_any_ranks_and_threads),
                                       cmocka_unit_test(one_digest_after_a_kill),
                                       cmocka_unit_test(predictions_have_the_bits_of_the_evaluation)};
    return cmocka_run_group_tests(tests, prepare, tear_down);
}
