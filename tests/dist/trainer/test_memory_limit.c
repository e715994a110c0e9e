/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 3 */
/* ls_trainer_options.memory: values are recomputed until the planned memory fits, and the parameters have the bits of a
 * training without the limit, with ZeRO 0 to 2.  A limit that is too small is an error with the least memory. */
#include <stdlib.h>
#include <string.h>

#include "core/graph/program.h"
#include "dist/trainer/trainer.h"
#include "tests/dist/mpi_test.h"

enum { T = 16, VOCAB = 40, SIDE = 12, CLASSES = 5, BATCH = 12, STEPS = 3 };

typedef enum model { MODEL_GPT, MODEL_TEXTBOOK, MODEL_IMAGES, MODEL_RECURRENT, MODELS } model;

static int32_t tokens[BATCH * T], target[BATCH * T];
static float   image[BATCH * 3 * SIDE * SIDE];

static ls_tensor *images(ls_graph *g)
{
    ls_tensor *x = ls_input(g, "image", LS_F32, 3, SIDE, SIDE), *y = ls_input(g, "target", LS_I32, T), *first;
    ls_tensor *h = x;
    for (int i = 0; i < 6; i++) {
        h     = ls_relu(ls_batch_norm(g, ls_arena_printf(g->arena, "n%d", i),
                                      ls_conv2d(g, ls_arena_printf(g->arena, "c%d", i), h, 8, 3, .padding = 1)));
        first = i ? first : h;
        if (i == 3) h = ls_dropout(ls_tanh(ls_add(h, first)), .p = 0.2F);
    }
    h = ls_linear(g, "out", ls_reshape(ls_max_pool2d(h, 2), T, 18), CLASSES);
    return ls_cross_entropy(h, y);
}

static ls_tensor *recurrent(ls_graph *g)
{
    ls_tensor *x = ls_input(g, "tokens", LS_I32, T), *y = ls_input(g, "target", LS_I32, T);
    ls_tensor *h = ls_dropout(ls_embedding(g, "e", x, VOCAB, 24), .p = 0.1F);
    h            = ls_sigmoid(ls_linear(g, "a", ls_lstm(g, "rnn", ls_layer_norm(g, "n", h), 24), 32));
    return ls_cross_entropy(ls_linear(g, "b", ls_gelu(ls_linear(g, "c", h, 64)), VOCAB), y);
}

static ls_tensor *build(ls_graph *g, model m)
{
    if (m == MODEL_IMAGES) return images(g);
    if (m == MODEL_RECURRENT) return recurrent(g);
    return ls_gpt(g, ls_input(g, "tokens", LS_I32, T), .target = ls_input(g, "target", LS_I32, T), .layers = 4,
                  .heads = 2, .width = 32, .vocab = VOCAB, .context = T, .dropout = 0.1F,
                  .textbook = m == MODEL_TEXTBOOK);
}

typedef struct result {
    uint64_t digest;
    size_t   planned;
    int      recomputed; /* instructions */
} result;

static ls_status train(ls_comm *c, model m, int64_t memory, int zero, result *out)
{
    ls_graph       *g    = ls_graph_new();
    ls_tensor      *loss = build(g, m);
    ls_trainer     *t    = NULL;
    const ls_status made = ls_trainer_new(&t, g, loss, .comm = c, .batch = BATCH, .shards = 4, .memory = memory,
                                          .zero = zero, .seed = 3, .optim = ls_adamw(.lr = 0.01F));
    if (made != LS_OK) {
        ls_graph_free(g);
        return made;
    }
    for (int step = 0; step < STEPS; step++) {
        const ls_batch_partition share = ls_trainer_share(t, BATCH);
        for (int64_t i = 0; i < share.rows * T; i++) {
            tokens[i] = (int32_t)(((share.first * T + i) * 7 + step) % VOCAB);
            target[i] = (int32_t)(((share.first * T + i) * 11 + step) % (m == MODEL_IMAGES ? CLASSES : VOCAB));
        }
        for (int64_t i = 0; i < share.rows * 3 * SIDE * SIDE; i++)
            image[i] = (float)((share.first * 3 * SIDE * SIDE + i) * 31 % 101) / 101;
        const ls_batch batch = {.inputs      = 2,
                                .name        = {m == MODEL_IMAGES ? "image" : "tokens", "target"},
                                .data        = {m == MODEL_IMAGES ? (void *)image : tokens, target},
                                .rows        = share.rows,
                                .first       = share.first,
                                .global_rows = BATCH};
        assert_ok(ls_trainer_step(t, &batch, &(ls_metrics){0}));
    }
    const ls_program *p = ls__trainer_program(t);
    *out                = (result){.digest = ls_trainer_digest(t), .planned = ls_trainer_planned_bytes(t)};
    for (int i = 0; i < p->instrs; i++) out->recomputed += p->instr[i].kind == LS_INSTR_RECOMPUTE;
    ls_trainer_free(t);
    ls_graph_free(g);
    return LS_OK;
}

/* The least memory that the message of an error states. */
static int64_t least_of(const char *message)
{
    const char *at = strstr(message, "train.memory: expected at least ");
    if (!at) fail_msg("expected the least memory, found '%s'", message);
    return strtoll(at + strlen("train.memory: expected at least "), NULL, 10);
}

static void any_limit_has_the_same_bits(void **state)
{
    (void)state;
    for (model m = 0; m < MODELS; m++)
        for (int zero = 0; zero < 3; zero++) {
            result free, limited;
            assert_ok(train(comm, m, 0, zero, &free));
            assert_int_equal(train(comm, m, 1, zero, &limited), LS_ERR_USAGE);
            const int64_t least = least_of(ls_error_message());
            for (int64_t k = 0; k < 4; k++) {
                const int64_t memory = least + least * k / 6;
                assert_ok(train(comm, m, memory, zero, &limited));
                assert_true(limited.digest == free.digest);
                assert_true(limited.planned <= (size_t)memory);
                assert_true(k || m > MODEL_TEXTBOOK || limited.recomputed > free.recomputed);
            }
        }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_limit_has_the_same_bits)};
    return run_on_ranks(argc, argv, tests);
}
