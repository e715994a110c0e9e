/* SPDX-License-Identifier: Apache-2.0
 * Compares a network with PyTorch's (tests/golden/values/networks.txt) on any number of ranks: names and dims of its
 * parameters, the running statistics and the logits of inference after a step, and losses of SGD with momentum. */
#ifndef LS_TESTS_NETWORK_TRAINING_H
#define LS_TESTS_NETWORK_TRAINING_H

#include "core/graph/graph.h"
#include "dist/dist.h"
#include "tests/golden.h"

enum { NETWORK_BATCH = 8, NETWORK_PIXELS = 64 };

typedef ls_tensor *network_build(ls_graph *g, ls_tensor *image);

/* The logits of all samples, with the parameters of the trainer.  Winograd's tiles round more than direct sums. */
static inline void network_check_logits(const golden *file, ls_graph *g, ls_params *params, ls_tensor *logits,
                                        const float *image)
{
    const golden_array *want      = golden_get(file, "logits");
    const double        tolerance = g->direct_convolution ? 1e-4 : 1e-3;
    ls_model           *m;
    if (ls_model_new(&m, g, params, &logits, 1, NETWORK_BATCH) != LS_OK) fail_msg("%s", ls_error_message());
    ls_batch all = {
        .inputs = 1, .name = {"image"}, .data = {image}, .rows = NETWORK_BATCH, .global_rows = NETWORK_BATCH};
    if (ls_model_run(m, &all) != LS_OK) fail_msg("%s", ls_error_message());
    golden_close_to(file, "logits", want->count, ls_model_output(m, 0), want->f32, tolerance, tolerance);
    ls_model_free(m);
}

/* The arrays of the case that are running statistics. */
static inline void network_check_statistics(const golden *file, ls_params *params)
{
    for (int a = 0; a < file->arrays; a++) {
        const golden_array *want = &file->array[a];
        if (!strstr(want->name, "running_")) continue;
        const int i = ls_params_find(params, want->name);
        assert_true(i >= 0);
        golden_close_to(file, want->name, want->count, ls_params_get(params, i, NULL, NULL, NULL), want->f32, 1e-5,
                        1e-5);
    }
}

/* The sum of the hashes of all names and dims. */
static inline void network_check_names(const golden *file, ls_params *params)
{
    uint32_t sum = 0;
    for (int i = 0; i < ls_params_count(params); i++) {
        const char    *name;
        const int64_t *dim;
        int            rank, length;
        char           text[128];
        ls_params_get(params, i, &name, &rank, &dim);
        length = snprintf(text, sizeof text, "%s", name);
        for (int d = 0; d < rank; d++)
            length += snprintf(text + length, sizeof text - (size_t)length, " %lld", (long long)dim[d]);
        sum += golden_state(text);
    }
    assert_int_equal(sum, strtoul(golden_text(file, "names"), NULL, 10));
}

/* direct: convolutions are sums of products, without Winograd's tiles. */
static inline void network_training(ls_comm *comm, const char *name, network_build *build, bool direct)
{
    static float   image[2][NETWORK_BATCH * 3 * NETWORK_PIXELS * NETWORK_PIXELS];
    static int32_t label[2][NETWORK_BATCH];
    golden         file = golden_open("values/networks.txt");
    do assert_true(golden_next(&file));
    while (strcmp(file.name, name) != 0);
    const golden_array *want = golden_get(&file, "losses");
    const int64_t       edge = (int64_t)golden_number(&file, "pixels", 0), pixels = 3 * edge * edge;
    ls_graph           *g = ls_graph_new();
    ls_graph_norm_over(g, (int64_t)golden_number(&file, "over", 0));
    ls_tensor  *logits = build(g, ls_input(g, "image", LS_F32, 3, edge, edge)), *target = ls_input(g, "label", LS_I32);
    ls_trainer *t;
    g->direct_convolution = direct;
    assert_true(edge <= NETWORK_PIXELS);
    if (ls_trainer_new(&t, g, ls_cross_entropy(logits, target), .comm = comm, .batch = NETWORK_BATCH,
                       .optim = ls_momentum(.lr = (double)golden_number(&file, "rate", 0), .momentum = 0.9f),
                       .seed  = 1) != LS_OK)
        fail_msg("%s", ls_error_message());
    network_check_names(&file, ls_trainer_params(t));
    golden_weights(ls_trainer_params(t));
    for (int k = 0; k < 2; k++) {
        char input[24];
        snprintf(input, sizeof input, "image%d", k);
        golden_fill(input, NETWORK_BATCH * pixels, 2, image[k]);
        snprintf(input, sizeof input, "label%d", k);
        golden_labels(input, NETWORK_BATCH, 10, label[k]);
    }
    const ls_batch_partition share = ls_trainer_share(t, NETWORK_BATCH);
    for (int step = 0; step < want->count; step++) {
        ls_metrics metrics;
        ls_batch   b = {.inputs      = 2,
                        .name        = {"image", "label"},
                        .data        = {image[step % 2] + share.first * pixels, label[step % 2] + share.first},
                        .rows        = share.rows,
                        .first       = share.first,
                        .global_rows = NETWORK_BATCH};
        if (ls_trainer_step(t, &b, &metrics) != LS_OK) fail_msg("%s", ls_error_message());
        const float loss = (float)metrics.loss;
        golden_close_to(&file, "loss", 1, &loss, want->f32 + step, 1e-3, 1e-4);
        if (step == 0) network_check_statistics(&file, ls_trainer_params(t));
        if (step == 0) network_check_logits(&file, g, ls_trainer_params(t), logits, image[0]);
    }
    ls_trainer_free(t);
    ls_graph_free(g);
    golden_close(&file);
}

#endif
