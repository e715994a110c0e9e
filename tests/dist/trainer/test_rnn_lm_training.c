/* SPDX-License-Identifier: Apache-2.0
 * ranks: 1 2 3
 * Recurrent language models against PyTorch (tests/golden/make_rnn_lm.py): number of parameters, logits, and ten losses
 * of SGD with momentum, on any number of ranks. */
#include "core/graph/graph.h"
#include "core/models/model_table.h"
#include "dist/dist.h"
#include "tests/golden.h"
#include "tests/unit.h"

enum { VOCAB = 29, HIDDEN = 12, EMBEDDING = 10, SAMPLES = 6, POSITIONS = 11, TOKENS = SAMPLES * POSITIONS };

static ls_comm *comm;
static int32_t  tokens[TOKENS], next[TOKENS];

static ls_tensor *build(const golden *file, ls_graph *g, bool loss)
{
    const char    *cell = golden_text(file, "cell");
    ls_rnn_lm_args a    = {.g         = g,
                           .x         = ls_input(g, "tokens", LS_I32, POSITIONS),
                           .target    = loss ? ls_input(g, "next", LS_I32, POSITIONS) : NULL,
                           .vocab     = VOCAB,
                           .hidden    = HIDDEN,
                           .tied      = golden_number(file, "tied", 0) != 0,
                           .embedding = golden_number(file, "tied", 0) != 0 ? HIDDEN : EMBEDDING};
    while (strcmp(ls__rnn_cells[a.cell], cell ? cell : file->name) != 0) a.cell++;
    ls_tensor *y = ls__rnn_lm(a);
    assert_ok(ls_graph_status(g));
    return y;
}

/* The logits of the last position of each sample. */
static void check_logits(const golden *file, ls_params *params)
{
    ls_graph  *g = ls_graph_new();
    ls_tensor *y = build(file, g, false);
    ls_model  *m;
    float      last[SAMPLES * VOCAB];
    assert_ok(ls_model_new(&m, g, params, &y, 1, SAMPLES));
    assert_ok(ls_model_run(
        m, &(ls_batch){.inputs = 1, .name = {"tokens"}, .data = {tokens}, .rows = SAMPLES, .global_rows = SAMPLES}));
    for (int b = 0; b < SAMPLES; b++)
        memcpy(last + b * VOCAB, ls_model_output(m, 0) + ((b + 1) * POSITIONS - 1) * VOCAB, VOCAB * sizeof *last);
    golden_close_to(file, "logits", SAMPLES * VOCAB, last, golden_get(file, "logits")->f32, 1e-4, 1e-5);
    ls_model_free(m);
    ls_graph_free(g);
}

static void as_pytorch(void **state)
{
    int    cases = 0;
    golden file  = golden_open("values/rnn_lm.txt");
    (void)state;
    golden_labels("tokens", TOKENS, VOCAB, tokens);
    golden_labels("next", TOKENS, VOCAB, next);
    for (; golden_next(&file); cases++) {
        const golden_array *want = golden_get(&file, "losses");
        ls_graph           *g    = ls_graph_new();
        ls_trainer         *t;
        assert_ok(ls_trainer_new(&t, g, build(&file, g, true), .comm = comm, .batch = SAMPLES,
                                 .optim = ls_momentum(.lr = 0.5, .momentum = 0.9f), .seed = 1));
        assert_int_equal(ls_params_total(ls_trainer_params(t)), (int)golden_number(&file, "parameters", 0));
        golden_fill_params(ls_trainer_params(t), 1);
        check_logits(&file, ls_trainer_params(t));
        const ls_batch_partition share = ls_trainer_share(t, SAMPLES);
        for (int step = 0; step < want->count; step++) {
            ls_metrics metrics;
            ls_batch   b = {.inputs      = 2,
                            .name        = {"tokens", "next"},
                            .data        = {tokens + share.first * POSITIONS, next + share.first * POSITIONS},
                            .rows        = share.rows,
                            .first       = share.first,
                            .global_rows = SAMPLES};
            assert_ok(ls_trainer_step(t, &b, &metrics));
            const float loss = (float)metrics.loss;
            golden_close_to(&file, "loss", 1, &loss, want->f32 + step, 1e-4, 1e-5);
        }
        ls_trainer_free(t);
        ls_graph_free(g);
    }
    golden_close(&file);
    assert_int_equal(cases, 5);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_pytorch)};
    if (ls_comm_mpi(&comm, &argc, &argv) != LS_OK) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ls_comm_free(comm);
    return failed;
}
