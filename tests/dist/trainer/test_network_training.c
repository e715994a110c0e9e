/* SPDX-License-Identifier: Apache-2.0
 * ranks: 1 2 4
 * ResNet-18 equals torchvision's on any number of ranks, because batch norm is over the global batch: the running
 * statistics and the logits of inference after a step, and ten training losses. */
#include "dist/dist.h"
#include "tests/golden.h"

enum { BATCH = 8, PIXELS = 3 * 64 * 64 };

static ls_comm *comm;

static void check_array(const golden *file, ls_params *params, const char *name)
{
    const golden_array *want = golden_get(file, name);
    const int           i    = ls_params_find(params, name);
    assert_true(i >= 0);
    golden_close_to(file, name, want->count, ls_params_get(params, i, NULL, NULL, NULL), want->f32, 1e-5, 1e-5);
}

/* The logits of all samples, with the parameters of the trainer. */
static void check_logits(const golden *file, ls_graph *g, ls_params *params, ls_tensor *logits, const float *image)
{
    const golden_array *want = golden_get(file, "logits");
    ls_model           *m;
    if (ls_model_new(&m, g, params, &logits, 1, BATCH) != LS_OK) fail_msg("%s", ls_error_message());
    ls_batch all = {.inputs = 1, .name = {"image"}, .data = {image}, .rows = BATCH, .global_rows = BATCH};
    if (ls_model_run(m, &all) != LS_OK) fail_msg("%s", ls_error_message());
    golden_close_to(file, "logits", want->count, ls_model_output(m, 0), want->f32, 1e-4, 1e-4);
    ls_model_free(m);
}

static const char *const statistics[] = {"bn1.running_mean", "bn1.running_var", "layer2.0.downsample.1.running_var",
                                         "layer4.1.bn2.running_mean"};

static void training_equals_torchvision(void **state)
{
    static float   image[2][BATCH * PIXELS];
    static int32_t label[2][BATCH];
    golden         file = golden_open("resnet.txt");
    (void)state;
    assert_true(golden_next(&file));
    const golden_array *want   = golden_get(&file, "losses");
    ls_graph           *g      = ls_graph_new();
    ls_tensor          *logits = ls_resnet(g, ls_input(g, "image", LS_F32, 3, 64, 64), 10, .depth = 18),
              *target          = ls_input(g, "label", LS_I32);
    ls_trainer *t;
    if (ls_trainer_new(&t, g, ls_cross_entropy(logits, target), .comm = comm, .batch = BATCH,
                       .optim = ls_momentum(.lr = 0.001, .momentum = 0.9f), .seed = 1) != LS_OK)
        fail_msg("%s", ls_error_message());
    golden_weights(ls_trainer_params(t));
    for (int k = 0; k < 2; k++) {
        char name[24];
        snprintf(name, sizeof name, "image%d", k);
        golden_fill(name, BATCH * PIXELS, 2, image[k]);
        snprintf(name, sizeof name, "label%d", k);
        golden_labels(name, BATCH, 10, label[k]);
    }
    const ls_batch_partition share = ls_trainer_share(t, BATCH);
    assert_int_equal(want->count, 10);
    for (int step = 0; step < 10; step++) {
        ls_metrics metrics;
        ls_batch   b = {.inputs      = 2,
                        .name        = {"image", "label"},
                        .data        = {image[step % 2] + share.first * PIXELS, label[step % 2] + share.first},
                        .rows        = share.rows,
                        .first       = share.first,
                        .global_rows = BATCH};
        if (ls_trainer_step(t, &b, &metrics) != LS_OK) fail_msg("%s", ls_error_message());
        const float loss = (float)metrics.loss;
        golden_close_to(&file, "loss", 1, &loss, want->f32 + step, 1e-3, 1e-4);
        for (size_t i = 0; step == 0 && i < sizeof statistics / sizeof *statistics; i++)
            check_array(&file, ls_trainer_params(t), statistics[i]);
        if (step == 0) check_logits(&file, g, ls_trainer_params(t), logits, image[0]);
    }
    ls_trainer_free(t);
    ls_graph_free(g);
    golden_close(&file);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(training_equals_torchvision)};
    if (ls_comm_mpi(&comm, &argc, &argv) != LS_OK) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ls_comm_free(comm);
    return failed;
}
