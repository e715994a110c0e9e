/* SPDX-License-Identifier: Apache-2.0
 * A model of one's own, trained on any number of ranks, with nothing but the installed library:
 *     cc example.c $(pkg-config --cflags --libs lockstep) -o example && mpirun -np 2 ./example */
#include <lockstep.h>
#include <stdio.h>

/* x: B x 1 x 28 x 28  ->  logits: B x 10 */
static ls_tensor *my_model(ls_graph *g, ls_tensor *x)
{
    x = ls_max_pool2d(ls_relu(ls_conv2d(g, "conv", x, 8, .kernel = 5, .padding = 2)), .kernel = 4);
    x = ls_relu(ls_linear(g, "hidden", ls_flatten(x), 32));
    return ls_linear(g, "out", x, 10);
}

static ls_status train(ls_comm *comm)
{
    enum { BATCH = 64, EPOCHS = 2 };
    ls_graph   *g      = ls_graph_new();
    ls_tensor  *x      = ls_input(g, "image", LS_F32, 1, 28, 28);
    ls_tensor  *y      = ls_input(g, "label", LS_I32);
    ls_tensor  *logits = my_model(g, x);
    ls_tensor  *loss   = ls_cross_entropy(logits, y);
    int         rank = ls_comm_rank(comm), ranks = ls_comm_size(comm), shards = ls_default_shards(BATCH);
    ls_trainer *t;
    ls_dataset *digits;
    ls_loader  *data;
    ls_batch    batch;
    ls_metrics  m = {0};

    LS_TRY(ls_trainer_new(&t, g, loss, .comm = comm, .batch = BATCH, .optim = ls_adam(.lr = 2e-3f), .seed = 1,
                          .logits = logits, .label = y));
    LS_TRY(ls_dataset_digits(&digits, "train", 4000, 1));
    LS_TRY(ls_loader_new(&data, digits, .batch = BATCH, .shards = shards, .ranks = ranks, .rank = rank, .seed = 1,
                         .epochs = EPOCHS));
    while (ls_loader_next(data, &batch)) {
        LS_TRY(ls_trainer_step(t, &batch, &m));
        if (rank == 0 && m.step % 25 == 0)
            printf("step %lld  loss %.3f  accuracy %.3f\n", (long long)m.step, m.loss, m.accuracy);
    }
    LS_TRY(ls_loader_status(data));
    if (rank == 0)
        printf("done: ranks %d  digest %016llx  accuracy %.3f\n", ranks, (unsigned long long)ls_trainer_digest(t),
               m.accuracy);
    ls_loader_free(data);
    ls_dataset_free(digits);
    ls_trainer_free(t);
    ls_graph_free(g);
    return LS_OK;
}

int main(int argc, char **argv)
{
    ls_comm  *comm;
    ls_status status = ls_comm_mpi(&comm, &argc, &argv);
    if (status == LS_OK) {
        status = train(comm);
        ls_comm_free(comm);
    }
    if (status != LS_OK) fprintf(stderr, "%s\n", ls_error_message());
    return status;
}
