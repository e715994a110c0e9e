/* SPDX-License-Identifier: Apache-2.0
 * ranks: 1 2
 * Training with batch norm refuses what its sums over the batch exclude, with one message and no hang. */
#include "dist/dist.h"
#include "tests/unit.h"

enum { BATCH = 8, WIDTH = 4 };

static ls_comm *comm;

/* A regression with `uses` batch norms of one name, which share their parameters. */
static ls_tensor *model(ls_graph *g, int uses, int64_t over)
{
    ls_graph_norm_over(g, over);
    ls_tensor *y = ls_linear(g, "fc", ls_input(g, "x", LS_F32, WIDTH), WIDTH);
    for (int i = 0; i < uses; i++) y = ls_batch_norm(g, "bn", y);
    return ls_mse(y, ls_input(g, "target", LS_F32, WIDTH));
}

static ls_status new_trainer(ls_trainer **t, ls_graph *g, int uses, int64_t over, int shards, int accumulate)
{
    return ls_trainer_new(t, g, model(g, uses, over), .comm = comm, .batch = BATCH, .shards = shards,
                          .optim = ls_sgd(.lr = 0.1), .accumulate = accumulate, .seed = 1);
}

static void batches_of_one_sample(void **state)
{
    static const float x[BATCH * WIDTH] = {1, 2, 3, 4};
    ls_graph          *g                = ls_graph_new();
    ls_trainer        *t;
    ls_metrics         metrics;
    assert_ok(new_trainer(&t, g, 1, 0, BATCH, 1));
    for (int64_t rows = BATCH; rows > 0; rows -= BATCH - 1) { /* a whole batch, and one of one sample */
        const ls_batch_partition share = ls_trainer_share(t, rows);
        const ls_batch           b     = {.inputs      = 2,
                                          .name        = {"x", "target"},
                                          .data        = {x, x},
                                          .rows        = share.rows,
                                          .first       = share.first,
                                          .global_rows = rows};
        if (rows == BATCH)
            assert_ok(ls_trainer_step(t, &b, &metrics));
        else
            assert_fails(ls_trainer_step(t, &b, &metrics), LS_ERR_USAGE, "more than one value per channel");
    }
    ls_trainer_free(t);
    ls_graph_free(g);
}

static void refused_options(void **state)
{
    static const struct {
        int         uses, over, shards, accumulate;
        const char *part;
    } cases[] = {{1, 0, BATCH, 2, "model.norm_over=N computes them over groups"},
                 {1, 3, 4, 1, "groups of N samples that divide the batch of 8 samples, found over=3"},
                 {1, 4, 4, 1, "set train.shards=2"},
                 {3, 0, BATCH, 1, "has more than two uses"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls_graph   *g = ls_graph_new();
        ls_trainer *t;
        assert_fails(new_trainer(&t, g, cases[i].uses, cases[i].over, cases[i].shards, cases[i].accumulate),
                     LS_ERR_USAGE, cases[i].part);
        ls_graph_free(g);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(batches_of_one_sample), cmocka_unit_test(refused_options)};
    if (ls_comm_mpi(&comm, &argc, &argv) != LS_OK) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ls_comm_free(comm);
    return failed;
}
