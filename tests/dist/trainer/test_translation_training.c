/* SPDX-License-Identifier: Apache-2.0
 * ranks: 1 2 3
 * Models of translation against PyTorch (tests/golden/make_translation.py): number of parameters, logits, and ten
 * losses of SGD with momentum, on any number of ranks.  Sources and targets have different lengths. */
#include "core/graph/graph.h"
#include "core/models/model_table.h"
#include "dist/dist.h"
#include "tests/golden.h"
#include "tests/unit.h"

enum { SOURCES = 31, TARGETS = 29, WIDTH = 12, SAMPLES = 6, S = 9, T = 7 };

static ls_comm *comm;
static int32_t  source[SAMPLES * S], previous[SAMPLES * T], target[SAMPLES * T], length[SAMPLES], targets[SAMPLES];

static bool flag(const golden *file, const char *key) { return golden_number(file, key, 0) != 0; }

/* Reads an option whose values are the texts of an enum. */
static int choice(const golden *file, const char *key, const char *const *texts)
{
    const char *text = golden_text(file, key);
    int         i    = 0;
    while (text && strcmp(texts[i], text) != 0) assert_non_null(texts[++i]);
    return i;
}

static ls_tensor *build(const golden *file, ls_graph *g, bool loss)
{
    const bool            joint = flag(file, "joint");
    ls_translation_inputs in    = {.g               = g,
                                   .source          = ls_input(g, "source", LS_I32, S),
                                   .classes         = TARGETS,
                                   .source_classes  = joint ? TARGETS : SOURCES,
                                   .joint           = joint,
                                   .source_length   = ls_input(g, "source_length", LS_I32),
                                   .previous        = ls_input(g, "previous", LS_I32, T),
                                   .target          = loss ? ls_input(g, "target", LS_I32, T) : NULL,
                                   .label_smoothing = golden_number(file, "smoothing", 0)};
    ls_tensor            *y     = NULL;
    if (!strcmp(golden_text(file, "model"), "transformer"))
        y = ls__transformer_model((ls_transformer_args){
            .in = in, .layers = 2, .heads = 2, .width = WIDTH, .hidden = 20, .norm_first = flag(file, "norm_first")});
    else
        y = ls__seq2seq(
            (ls_seq2seq_args){.in            = in,
                              .cell          = (ls_rnn_cell)choice(file, "cell", ls__rnn_cells),
                              .layers        = (int)golden_number(file, "layers", 1),
                              .hidden        = WIDTH,
                              .bidirectional = flag(file, "bidirectional"),
                              .reverse       = flag(file, "reverse"),
                              .attention     = (ls_attention_score)choice(file, "attention", ls__attention_scores),
                              .input_feed    = flag(file, "input_feed"),
                              .tied          = flag(file, "tied")});
    assert_ok(ls_graph_status(g));
    return y;
}

/* This rank's part of the batch. */
static ls_batch batch_of(ls_batch_partition share)
{
    return (ls_batch){
        .inputs = 4,
        .name   = {"source", "source_length", "previous", "target"},
        .data  = {source + share.first * S, length + share.first, previous + share.first * T, target + share.first * T},
        .rows  = share.rows,
        .first = share.first,
        .global_rows = SAMPLES};
}

static void check_logits(const golden *file, ls_params *params)
{
    enum { EVERY = 3, KEPT = (T + EVERY - 1) / EVERY }; /* positions of the file */
    ls_graph      *g = ls_graph_new();
    ls_tensor     *y = build(file, g, false);
    ls_model      *m;
    float          kept[SAMPLES * KEPT * TARGETS] = {0};
    const ls_batch batch                          = batch_of((ls_batch_partition){.rows = SAMPLES});
    assert_ok(ls_model_new(&m, g, params, &y, 1, SAMPLES));
    assert_ok(ls_model_run(m, &batch));
    for (int b = 0; b < SAMPLES; b++)
        for (int t = 0; t < targets[b]; t += EVERY)
            memcpy(kept + (b * KEPT + t / EVERY) * TARGETS, ls_model_output(m, 0) + (b * T + t) * TARGETS,
                   TARGETS * sizeof *kept);
    golden_close_to(file, "logits", SAMPLES * KEPT * TARGETS, kept, golden_get(file, "logits")->f32, 1e-4, 1e-5);
    ls_model_free(m);
    ls_graph_free(g);
}

static void check_losses(const golden *file)
{
    const golden_array *want = golden_get(file, "losses");
    ls_graph           *g    = ls_graph_new();
    ls_trainer         *t;
    assert_ok(ls_trainer_new(&t, g, build(file, g, true), .comm = comm, .batch = SAMPLES,
                             .optim = ls_momentum(.lr = 0.1f, .momentum = 0.9f), .seed = 1));
    assert_int_equal(ls_params_total(ls_trainer_params(t)), (int)golden_number(file, "parameters", 0));
    golden_fill_params(ls_trainer_params(t), 1);
    check_logits(file, ls_trainer_params(t));
    const ls_batch b = batch_of(ls_trainer_share(t, SAMPLES));
    for (int step = 0; step < want->count; step++) {
        ls_metrics metrics;
        assert_ok(ls_trainer_step(t, &b, &metrics));
        const float loss = (float)metrics.loss;
        golden_close_to(file, "loss", 1, &loss, want->f32 + step, 1e-4, 1e-5);
    }
    ls_trainer_free(t);
    ls_graph_free(g);
}

static void as_pytorch(void **state)
{
    int    cases = 0;
    golden file  = golden_open("values/translation.txt");
    (void)state;
    golden_labels("source lengths", SAMPLES, S, length);
    golden_labels("target lengths", SAMPLES, T, targets);
    for (int b = 0; b < SAMPLES; b++) {
        length[b]++;
        targets[b]++;
    }
    for (; golden_next(&file); cases++) {
        golden_labels("source", SAMPLES * S, flag(&file, "joint") ? TARGETS : SOURCES, source);
        golden_labels("previous", SAMPLES * T, TARGETS, previous);
        golden_labels("target", SAMPLES * T, TARGETS, target);
        for (int b = 0; b < SAMPLES; b++)
            for (int t = targets[b]; t < T; t++) target[b * T + t] = -1;
        check_losses(&file);
    }
    golden_close(&file);
    assert_int_equal(cases, 14);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_pytorch)};
    if (ls_comm_mpi(&comm, &argc, &argv) != LS_OK) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ls_comm_free(comm);
    return failed;
}
