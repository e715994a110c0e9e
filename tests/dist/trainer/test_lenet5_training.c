/* SPDX-License-Identifier: Apache-2.0
 * ranks: 1 2 4
 * Ten training losses of LeNet-5 equal those of PyTorch, on any number of ranks, with the public functions only. */
#include "dist/dist.h"
#include "tests/golden_lenet5.h"

static ls_comm *comm;

static void train(const golden *file, ls_optim optim)
{
    static golden_batch batch[2];
    const golden_array *want = golden_get(file, "losses");
    ls_graph           *g    = ls_graph_new();
    ls_tensor  *logits = ls_lenet5(g, ls_input(g, "image", LS_F32, 1, 28, 28)), *label = ls_input(g, "label", LS_I32);
    ls_trainer *t;
    if (ls_trainer_new(&t, g, ls_cross_entropy(logits, label), .comm = comm, .batch = GOLDEN_BATCH, .optim = optim,
                       .seed = 1) != LS_OK)
        fail_msg("%s", ls_error_message());
    golden_weights(ls_trainer_params(t));
    ls_batch_partition share = ls_trainer_share(t, GOLDEN_BATCH);
    for (int k = 0; k < 2; k++) golden_batch_fill(&batch[k], k);
    assert_int_equal(want->count, 10);
    for (int step = 0; step < 10; step++) {
        ls_batch   b = golden_share(&batch[step % 2], share.first, share.rows);
        ls_metrics metrics;
        if (ls_trainer_step(t, &b, &metrics) != LS_OK) fail_msg("%s", ls_error_message());
        float loss = (float)metrics.loss;
        golden_close_to(file, "loss", 1, &loss, want->f32 + step, 1e-4, 0);
    }
    ls_trainer_free(t);
    ls_graph_free(g);
}

static void losses_equal_pytorch(void **state)
{
    (void)state;
    golden file  = golden_open("values/lenet5.txt");
    int    cases = 0;
    while (golden_next(&file)) {
        float lr = golden_number(&file, "lr", 0), momentum = golden_number(&file, "momentum", 0);
        if (!golden_text(&file, "kind")) continue;
        train(&file, strcmp(golden_text(&file, "kind"), "adam") == 0 ? ls_adam(.lr = lr)
                                                                     : ls_momentum(.lr = lr, .momentum = momentum));
        cases++;
    }
    assert_int_equal(cases, 2);
    golden_close(&file);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(losses_equal_pytorch)};
    if (ls_comm_mpi(&comm, &argc, &argv) != LS_OK) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ls_comm_free(comm);
    return failed;
}
