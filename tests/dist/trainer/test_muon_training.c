/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 3 4 */
/* Training with the optimizer muon: the parameters have the bits of one rank on any number of ranks, for every division
 * of the update, with hosts that share memory or send messages.  The work of the orthogonalisation is divided. */
#include <string.h>

#include "dist/trainer/trainer.h"
#include "tests/dist/mpi_test.h"

enum { T = 6, VOCAB = 30, BATCH = 8, STEPS = 6, WIDTH = 48, LAYERS = 4 };

static int32_t tokens[BATCH * T], target[BATCH * T];

static ls_trainer *trainer_of(ls_graph *g, ls_comm *c, const ls_trainer_options *options)
{
    ls_trainer        *t;
    ls_trainer_options o = *options;
    ls_tensor         *x = ls_input(g, "tokens", LS_I32, T), *y = ls_input(g, "target", LS_I32, T);
    ls_tensor         *loss =
        ls_gpt(g, x, .target = y, .layers = LAYERS, .heads = 2, .width = WIDTH, .vocab = VOCAB, .context = T);
    o.size           = sizeof o;
    o.comm           = c;
    o.batch          = BATCH;
    o.shards         = 8;
    o.seed           = 3;
    o.optim          = ls_muon(.lr = 0.02F, .adamw_lr = 0.01F, .weight_decay = 0.1F, .clip_norm = 1, .ema = 0.9F);
    o.optim.group[0] = (ls_param_group){"*.0.attn.c_proj.weight", 1, 0.1F, true};
    assert_ok(ls__trainer_new(&t, g, loss, &o));
    return t;
}

/* Trains, and returns the digest; *loss: of the last step. */
static uint64_t train(ls_comm *c, const ls_trainer_options *options, double *loss)
{
    ls_graph   *g = ls_graph_new();
    ls_trainer *t = trainer_of(g, c, options);
    ls_metrics  m = {0};
    for (int step = 0; step < STEPS; step++) {
        const ls_batch_partition share = ls_trainer_share(t, BATCH);
        for (int64_t i = 0; i < share.rows * T; i++) {
            tokens[i] = (int32_t)(((share.first * T + i) * 7 + step) % VOCAB);
            target[i] = (int32_t)(((share.first * T + i) * 7 + step + 3) % VOCAB);
        }
        const ls_batch batch = {.inputs      = 2,
                                .name        = {"tokens", "target"},
                                .data        = {tokens, target},
                                .rows        = share.rows,
                                .first       = share.first,
                                .global_rows = BATCH};
        assert_ok(ls_trainer_step(t, &batch, &m));
        loss[step > 0] = m.loss;
    }
    size_t         part;
    const uint64_t digest = ls_trainer_digest(t);
    /* With three ranks train.zero=2 saves memory, and the directions have memory of their own. */
    assert_true(options->zero < 2 || ls_comm_size(c) < 3 || !ls__trainer_gradient_whole(t, &part));
    ls_trainer_free(t);
    ls_graph_free(g);
    return digest;
}

static void same_bits_as_one_rank(void **state)
{
    (void)state;
    ls_comm *self;
    double   one[2], many[2];
    assert_ok(ls_comm_self(&self));
    const uint64_t expected = train(self, &(ls_trainer_options){0}, one);
    assert_true(one[1] < one[0]);
    for (int hosts_of = the_size(); hosts_of >= 0; hosts_of--) { /* ranks of a host; 0: no shared memory */
        for (int r = 0; r < the_size() && hosts_of; r++) comm->host[r] = r / hosts_of * hosts_of;
        for (int k = 0; k < 5; k++) {
            const ls_trainer_options o = {.zero          = k % 3,
                                          .accumulate    = k == 3 ? 2 : 1,
                                          .bucket_bytes  = k % 2 ? 0 : 4096,
                                          .shared_memory = hosts_of ? LS_SHARED_MEMORY_ON : LS_SHARED_MEMORY_OFF};
            if (expected != train(comm, &o, many))
                fail_msg("%d ranks a host, train.zero=%d: expected the digest of one rank", hosts_of, o.zero);
            assert_true(one[0] == many[0] && one[1] == many[1]);
        }
    }
    for (int r = 0; r < the_size(); r++) comm->host[r] = 0;
    ls_comm_free(self);
}

/* Each layer has q, k, v, c_proj, c_fc and another c_proj; one of them is excluded. */
static void work_is_divided(void **state)
{
    (void)state;
    ls_graph            *g    = ls_graph_new();
    ls_trainer          *t    = trainer_of(g, comm, &(ls_trainer_options){0});
    const ls_matrix_cost cost = ls__trainer_matrix_cost(t);
    const double w = WIDTH, flops = 5 * (4 * w * w * w + 2 * w * w * w), wide = 5 * (16 * w * w * w + 2 * w * w * w);
    assert_int_equal(cost.matrices, LAYERS * 6 - 1);
    assert_true(cost.owned > 0);
    assert_true(cost.flops == (LAYERS * 4 - 1) * flops + LAYERS * 2 * wide);
    assert_true(cost.largest <= cost.flops / the_size() + wide);
    ls_trainer_free(t);
    ls_graph_free(g);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits_as_one_rank), cmocka_unit_test(work_is_divided)};
    return run_on_ranks(argc, argv, tests);
}
