/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 3 4 */
/* Loops in training: an encoder, and a decoder with attention and input feeding, with batches of several widths.  The
 * digest is the same on any number of ranks and threads, for all partitions of the optimizer state. */
#include <omp.h>
#include <string.h>

#include "tests/dist/mpi_test.h"

#include "core/graph/graph.h"

enum { BATCH = 12, MOST_S = 9, MOST_T = 7, VOCAB = 30, HIDDEN = 20, STEPS = 4 };

static int32_t source[BATCH * MOST_S], previous[BATCH * MOST_T], target[BATCH * MOST_T], length[BATCH];

/* Samples of ragged lengths, one of them without a source. */
static ls_batch fill(ls_batch_partition share, int step)
{
    const int64_t s = MOST_S - step % 3 * 2, t = MOST_T - step % 2 * 3;
    for (int64_t i = 0; i < share.rows; i++) {
        const int64_t n = share.first + i;
        length[i]       = n == 4 ? 0 : (int32_t)(s - n % 4);
        for (int64_t k = 0; k < s; k++) source[i * s + k] = (int32_t)((n * 5 + k * 3 + step) % VOCAB);
        for (int64_t k = 0; k < t; k++) previous[i * t + k] = (int32_t)((n * 7 + k) % VOCAB);
        for (int64_t k = 0; k < t; k++)
            target[i * t + k] = k < t - n % 3 ? (int32_t)((n * 11 + k * 2 + step) % VOCAB) : -1;
    }
    return (ls_batch){.inputs      = 4,
                      .name        = {"source", "previous", "target", "length"},
                      .data        = {source, previous, target, length},
                      .dim0        = {s, t, t},
                      .rows        = share.rows,
                      .first       = share.first,
                      .global_rows = BATCH};
}

/* The output layer has the weight of the target's embedding. */
static ls_tensor *model(ls_graph *g)
{
    ls_tensor *n = ls_input(g, "length", LS_I32), *last_h = NULL, *last_c = NULL, *y, *c, *context, *feed;
    ls_tensor *memory =
        ls_lstm(g, "encoder", ls_embedding(g, "source", ls_input(g, "source", LS_I32, MOST_S), VOCAB, HIDDEN), HIDDEN,
                .lengths = n, .last_h = &last_h, .last_c = &last_c);
    ls_tensor *v  = ls_param(g, "score", ((ls_init){.kind = LS_INIT_UNIFORM, .fan = HIDDEN}), HIDDEN);
    ls_tensor *x  = ls_embedding(g, "target", ls_input(g, "previous", LS_I32, MOST_T), VOCAB, HIDDEN);
    ls_loop   *l  = ls_loop_begin(g);
    ls_tensor *h0 = ls_loop_carry(l, last_h), *c0 = c = ls_loop_carry(l, last_c), *feed0 = ls_loop_zeros(l, HIDDEN);
    y = ls_lstm_cell(g, "decoder", ls_concat(ls_loop_step(l, x), feed0), HIDDEN, .h = h0, .c = &c);
    context =
        ls_additive_attention(ls_linear(g, "query", y, HIDDEN), ls_linear(g, "keys", memory, HIDDEN), v, memory, n);
    feed = ls_dropout(ls_tanh(ls_linear(g, "combine", ls_concat(context, y), HIDDEN)), .p = 0.2f);
    ls_loop_next(l, h0, y);
    ls_loop_next(l, c0, c);
    ls_loop_next(l, feed0, feed);
    y = ls_loop_stack(l, feed);
    ls_loop_end(l);
    return ls_linear_cross_entropy(y, ls_param(g, "target.weight", (ls_init){.kind = LS_INIT_NORMAL}, VOCAB, HIDDEN),
                                   ls_input(g, "target", LS_I32, MOST_T), .ignore = true, .ignore_index = -1);
}

static uint64_t train(ls_comm *c, int zero, double *loss)
{
    ls_graph   *g = ls_graph_new();
    ls_trainer *t;
    ls_metrics  m = {0}, eval;
    assert_ok(ls_trainer_new(&t, g, model(g), .comm = c, .batch = BATCH, .shards = 4, .zero = zero,
                             .optim = ls_adamw(.lr = 0.01f, .clip_norm = 1), .seed = 3));
    for (int i = 0; i < STEPS; i++) {
        const ls_batch batch = fill(ls_trainer_share(t, BATCH), i);
        assert_ok(ls_trainer_eval(t, &batch, &eval));
        assert_ok(ls_trainer_step(t, &batch, &m));
        assert_int_equal(eval.weight, m.weight);
    }
    const uint64_t digest = ls_trainer_digest(t);
    *loss                 = m.loss;
    ls_trainer_free(t);
    ls_graph_free(g);
    return digest;
}

static void one_digest_on_any_ranks_and_threads(void **state)
{
    double   loss, alone;
    ls_comm *self;
    assert_ok(ls_comm_self(&self));
    omp_set_num_threads(1);
    const uint64_t digest = train(self, 0, &alone);
    assert_true(alone > 0 && alone < 10);
    for (int threads = 1; threads <= 3; threads++) {
        omp_set_num_threads(threads);
        assert_int_equal(digest, train(comm, threads - 1, &loss));
        assert_true(loss == alone);
    }
    omp_set_num_threads(1);
    ls_comm_free(self);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_digest_on_any_ranks_and_threads)};
    return run_on_ranks(argc, argv, tests);
}
