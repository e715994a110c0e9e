/* SPDX-License-Identifier: Apache-2.0
 * */
/* ranks: 1 2 3 4 */
/* labels: io */
/* A training that is stopped and resumed gives the same bits as one that is not stopped: on the same and on another
 * number of ranks, for optimizers with 0 to 3 states, and with a frozen parameter. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "dist/trainer/trainer.h"
#include "tests/dist/mpi_test.h"

enum { IN = 12, CLASSES = 4, BATCH = 24, STOP = 5, STEPS = 12 };

static float   image[BATCH * IN];
static int32_t label[BATCH];

typedef struct job {
    ls_graph   *g;
    ls_trainer *t;
} job;

enum { WIDE = 300 }; /* a parameter of this width is cut among ranks */

/* division: bit 0 partitions the state over all ranks (train.zero=1), bit 1 turns shared memory off. */
static job start(ls_comm *c, ls_optim optim, int width, int division)
{
    job        j = {.g = ls_graph_new()};
    ls_tensor *x = ls_input(j.g, "image", LS_F32, IN), *y = ls_input(j.g, "label", LS_I32);
    ls_tensor *h    = ls_relu(ls_linear(j.g, "hidden", ls_relu(ls_linear(j.g, "in", x, width)), 16));
    ls_tensor *loss = ls_cross_entropy(ls_linear(j.g, "out", h, CLASSES), y);
    assert_int_equal(ls_freeze(j.g, "in.bias"), 1);
    assert_ok(ls_trainer_new(&j.t, j.g, loss, .comm = c, .batch = BATCH, .shards = 8, .optim = optim, .seed = 3,
                             .steps = STEPS, .zero = division % 2,
                             .shared_memory = division / 2 ? LS_SHARED_MEMORY_OFF : LS_SHARED_MEMORY_ON));
    return j;
}

static void end(job j)
{
    ls_trainer_free(j.t);
    ls_graph_free(j.g);
}

static void train(job j, int64_t until)
{
    ls_metrics m;
    while (ls_trainer_steps(j.t) < until) {
        ls_batch_partition share = ls_trainer_share(j.t, BATCH);
        int64_t            step  = ls_trainer_steps(j.t);
        for (int64_t i = 0; i < share.rows; i++) {
            label[i] = (int32_t)((share.first + i + step) % CLASSES);
            for (int k = 0; k < IN; k++) image[i * IN + k] = sinf((float)((share.first + i) * 7 + k * 3 + step));
        }
        ls_batch batch = {.inputs      = 2,
                          .name        = {"image", "label"},
                          .data        = {image, label},
                          .rows        = share.rows,
                          .first       = share.first,
                          .global_rows = BATCH};
        assert_ok(ls_trainer_step(j.t, &batch, &m));
    }
}

static void check(const char *folder, ls_optim optim)
{
    job whole = start(comm, optim, WIDE, 0);
    train(whole, STEPS);
    uint64_t expected = ls_trainer_digest(whole.t);
    end(whole);

    for (int saved = 0; saved < 4; saved += 3) {
        job first = start(comm, optim, WIDE, saved);
        train(first, STOP);
        ls_progress p = {.step = STOP, .seed = 3, .isa = "v2"};
        assert_ok(ls_checkpoint_save(first.t, folder, &p, &(ls_checkpoint_retention){.last = 2}));
        end(first);
        for (int resumed = 0; resumed < 5; resumed++) { /* 0 to 3: division; 4: one rank */
            ls_comm *self;
            bool     found;
            assert_ok(ls_comm_self(&self));
            job next = start(resumed == 4 ? self : comm, optim, WIDE, resumed % 4);
            assert_ok(ls_checkpoint_load(next.t, folder, &p, &found));
            assert_true(found);
            assert_int_equal(p.step, STOP);
            assert_int_equal(ls_trainer_steps(next.t), STOP);
            train(next, STEPS);
            assert_true(ls_trainer_digest(next.t) == expected);
            end(next);
            ls_comm_free(self);
        }
        assert_ok(ls_comm_barrier(comm));
    }
    ls_progress p;
    bool        found;
    job         wider = start(comm, optim, WIDE + 1, 0);
    assert_fails(ls_checkpoint_load(wider.t, folder, &p, &found), LS_ERR_USAGE,
                 "'in.weight' is 300 x 12 in the checkpoint and 301 x 12 in the model");
    end(wider);
}

static void test_resume(void **state)
{
    const ls_optim optims[] = {ls_sgd(.lr = 0.1f), ls_momentum(.lr = 0.1f),
                               ls_adamw(.lr = 1e-2f, .schedule = {.kind = LS_SCHEDULE_COSINE, .warmup = 3}),
                               ls_rmsprop(.lr = 1e-2f, .centered = true, .momentum = 0.9f),
                               ls_muon(.lr = 1e-2f, .adamw_lr = 1e-2f, .ema = 0.9f)};
    for (size_t i = 0; i < sizeof optims / sizeof *optims; i++) {
        char      folder[64] = "/tmp/lockstep-resume-XXXXXX", command[128];
        ls_status made       = the_rank() == 0 && !mkdtemp(folder) ? LS_FAIL(LS_ERR_ENV, "no folder") : LS_OK;
        assert_ok(ls_comm_agree(comm, made));
        assert_ok(ls_comm_bcast(comm, folder, sizeof folder, 0));
        check(folder, optims[i]);
        snprintf(command, sizeof command, "rm -r %s", folder);
        if (the_rank() == 0) assert_int_equal(system(command), 0);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_resume)};
    return run_on_ranks(argc, argv, tests);
}
