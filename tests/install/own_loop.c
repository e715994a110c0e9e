/* SPDX-License-Identifier: Apache-2.0
 * An own model and training loop with checkpoints, which continues after it was killed with the same bits:
 *     mpirun -np 2 ./own_loop DIRECTORY [STEP]      STEP: the process kills itself after this step */
#include <lockstep.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 64, STEPS = 60, EVERY = 10 };

static ls_tensor *model(ls_graph *g, ls_tensor *x)
{
    x = ls_max_pool2d(ls_relu(ls_conv2d(g, "conv", x, 8, .kernel = 5, .padding = 2)), .kernel = 4);
    return ls_linear(g, "out", ls_relu(ls_linear(g, "hidden", ls_flatten(x), 32)), 10);
}

static ls_status loop(ls_comm *comm, ls_trainer *t, ls_dataset *digits, const char *folder, int kill_at)
{
    ls_loader  *data;
    ls_batch    batch;
    ls_metrics  m;
    ls_progress at    = {.seed = 1};
    bool        found = false;
    LS_TRY(ls_checkpoint_load(t, folder, &at, &found));
    LS_TRY(ls_loader_new(&data, digits, .batch = BATCH, .shards = ls_default_shards(BATCH), .ranks = ls_comm_size(comm),
                         .rank = ls_comm_rank(comm), .seed = 1, .epoch = at.epoch, .sample = at.sample));
    while (ls_trainer_steps(t) < STEPS && ls_loader_next(data, &batch)) {
        LS_TRY(ls_trainer_step(t, &batch, &m));
        ls_position p = ls_loader_position(data);
        at.step = m.step, at.epoch = p.epoch, at.sample = p.sample, at.digest = ls_trainer_digest(t);
        if (m.step % EVERY == 0) LS_TRY(ls_checkpoint_save(t, folder, &at, &(ls_checkpoint_retention){.last = 2}));
        if (m.step == kill_at) raise(SIGKILL);
    }
    LS_TRY(ls_loader_status(data));
    if (ls_comm_rank(comm) == 0)
        printf("done: found %d  digest %016llx\n", found, (unsigned long long)ls_trainer_digest(t));
    ls_loader_free(data);
    return LS_OK;
}

int main(int argc, char **argv)
{
    ls_comm    *comm;
    ls_graph   *g = ls_graph_new();
    ls_tensor  *x = ls_input(g, "image", LS_F32, 1, 28, 28), *y = ls_input(g, "label", LS_I32), *logits = model(g, x);
    ls_trainer *t      = NULL;
    ls_dataset *digits = NULL;
    ls_status   status = ls_comm_mpi(&comm, &argc, &argv);
    if (status == LS_OK)
        status = ls_trainer_new(&t, g, ls_cross_entropy(logits, y), .comm = comm, .batch = BATCH,
                                .optim = ls_adam(.lr = 2e-3f), .seed = 1);
    if (status == LS_OK) status = ls_dataset_digits(&digits, "train", 1000, 1);
    if (status == LS_OK) status = loop(comm, t, digits, argv[1], argc > 2 ? atoi(argv[2]) : 0);
    if (ls_comm_prints_error(comm, status)) fprintf(stderr, "%s\n", ls_error_message());
    ls_trainer_free(t);
    ls_comm_free(comm);
    return status;
}
