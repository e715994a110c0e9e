/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 3 */
/* Shapes that vary: a trainer that was planned for the greatest widths takes batches of smaller ones (ls_batch.dim0).
 * A step has the bits of a trainer that was made for the width, on any number of ranks. */
#include <string.h>

#include "tests/dist/mpi_test.h"

#include "core/graph/graph.h"

enum { BATCH = 12, MOST_S = 13, MOST_T = 11, VOCAB = 40, HIDDEN = 24 };

/* The widths of a batch; each sample is shorter by up to 3 tokens. */
typedef struct widths {
    int64_t s, t;
} widths;

static int32_t source[BATCH * MOST_S], previous[BATCH * MOST_T], target[BATCH * MOST_T], length[BATCH],
    padding[BATCH * MOST_S];

static void fill(int64_t first, int64_t rows, widths w)
{
    for (int64_t i = 0; i < rows; i++) {
        const int64_t n = first + i;
        length[i]       = (int32_t)(w.s - n % 3);
        for (int64_t k = 0; k < w.s; k++) source[i * w.s + k] = (int32_t)((n * 5 + k * 3) % VOCAB);
        for (int64_t k = 0; k < w.s; k++) padding[i * w.s + k] = k >= length[i];
        for (int64_t k = 0; k < w.t; k++) previous[i * w.t + k] = (int32_t)((n * 7 + k) % VOCAB);
        for (int64_t k = 0; k < w.t; k++)
            target[i * w.t + k] = k < w.t - n % 4 ? (int32_t)((n * 11 + k * 2) % VOCAB) : -1;
    }
}

/* Encoder and decoder, with one layer of a recurrence or of a Transformer each. */
static ls_tensor *model(ls_graph *g, widths most, bool textbook)
{
    ls_tensor *x = ls_input(g, "source", LS_I32, most.s), *y = ls_input(g, "previous", LS_I32, most.t);
    ls_tensor *n = ls_input(g, "length", LS_I32), *hidden = ls_input(g, "padding", LS_I32, most.s);
    ls_tensor *z = ls_input(g, "target", LS_I32, most.t), *last_h = NULL, *last_c = NULL;
    ls_tensor *memory = ls_lstm(g, "encoder", ls_embedding(g, "source", x, VOCAB, HIDDEN), HIDDEN, .lengths = n,
                                .last_h = &last_h, .last_c = &last_c);
    ls_tensor *h =
        ls_lstm(g, "decoder", ls_embedding(g, "target", y, VOCAB, HIDDEN), HIDDEN, .h0 = &last_h, .c0 = &last_c);
    h = ls_transformer(g, "block", ls_dropout(h, .p = 0.1f), .memory = memory, .memory_padding = hidden, .heads = 2,
                       .causal = true, .dropout = 0.1f, .textbook = textbook);
    return ls_linear_cross_entropy(h, ls_param(g, "out.weight", ((ls_init){.kind = LS_INIT_NORMAL}), VOCAB, HIDDEN), z,
                                   .ignore = true, .ignore_index = -1);
}

/* Trains one step of each of the `n` widths with a model that was made for `most`; returns the digest. */
static uint64_t train(ls_comm *c, widths most, const widths *w, int n, bool textbook, double *loss)
{
    ls_graph   *g = ls_graph_new();
    ls_trainer *t;
    ls_metrics  m = {0};
    assert_ok(ls_trainer_new(&t, g, model(g, most, textbook), .comm = c, .batch = BATCH, .shards = 4,
                             .optim = ls_momentum(.lr = 0.1f, .clip_norm = 1), .seed = 3));
    for (int i = 0; i < n; i++) {
        const ls_batch_partition share = ls_trainer_share(t, BATCH);
        fill(share.first, share.rows, w[i]);
        const ls_batch batch = {.inputs      = 5,
                                .name        = {"source", "padding", "previous", "target", "length"},
                                .data        = {source, padding, previous, target, length},
                                .dim0        = {w[i].s, w[i].s, w[i].t, w[i].t},
                                .rows        = share.rows,
                                .first       = share.first,
                                .global_rows = BATCH};
        ls_metrics     eval;
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

static void a_smaller_width_has_the_bits_of_its_own_trainer(void **state)
{
    (void)state;
    const widths most = {MOST_S, MOST_T}, each[] = {{5, 9}, {13, 4}, {8, 11}, {13, 11}};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        for (int textbook = 0; textbook < 2; textbook++) {
            double         loss, own_loss;
            const uint64_t digest = train(comm, most, &each[i], 1, textbook, &loss);
            assert_int_equal(digest, train(comm, each[i], &each[i], 1, textbook, &own_loss));
            assert_true(loss == own_loss);
        }
}

static void widths_alternate_on_any_number_of_ranks(void **state)
{
    const widths most = {MOST_S, MOST_T}, each[] = {{5, 9}, {13, 4}, {8, 11}, {5, 9}, {13, 11}, {7, 7}};
    double       loss, alone_loss;
    ls_comm     *self;
    (void)state;
    const uint64_t digest = train(comm, most, each, 6, false, &loss);
    assert_ok(ls_comm_self(&self));
    assert_int_equal(digest, train(self, most, each, 6, false, &alone_loss));
    assert_true(loss == alone_loss);
    ls_comm_free(self);
}

static void a_width_beyond_the_plan_is_refused(void **state)
{
    (void)state;
    ls_graph   *g = ls_graph_new();
    ls_trainer *t;
    ls_metrics  m;
    assert_ok(ls_trainer_new(&t, g, model(g, (widths){6, 6}, false), .comm = comm, .batch = BATCH, .shards = 4,
                             .optim = ls_sgd(.lr = 0.1f)));
    const ls_batch_partition share = ls_trainer_share(t, BATCH);
    fill(share.first, share.rows, (widths){7, 6});
    const ls_batch batch = {.inputs      = 5,
                            .name        = {"source", "padding", "previous", "target", "length"},
                            .data        = {source, padding, previous, target, length},
                            .dim0        = {7, 7},
                            .rows        = share.rows,
                            .first       = share.first,
                            .global_rows = BATCH};
    assert_int_equal(ls_trainer_step(t, &batch, &m), LS_ERR_USAGE);
    assert_non_null(strstr(ls_error_message(), "expected a first dim from 1 to 6, as planned, found 7"));
    ls_trainer_free(t);
    ls_graph_free(g);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_smaller_width_has_the_bits_of_its_own_trainer),
        cmocka_unit_test(widths_alternate_on_any_number_of_ranks),
        cmocka_unit_test(a_width_beyond_the_plan_is_refused),
    };
    return run_on_ranks(argc, argv, tests);
}
