/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 3 4 */
/* Step flags.  All ranks receive the control flags of all ranks in the same step.  A step in which a rank has an error
 * changes nothing on any rank, and later steps are not affected. */
#include "tests/dist/mpi_test.h"

#include <math.h>
#include <string.h>

#include "dist/trainer/trainer.h"

enum { IN = 12, CLASSES = 4, BATCH = 32, STEPS = 12 };

static float   image[BATCH * IN];
static int32_t label[BATCH];

/* A way to exchange gradients. */
typedef struct setting {
    int       accumulate;
    int       ranks_per_host; /* 0: no shared memory */
    int       zero;
    ls_on_nan on_nan;
} setting;

typedef struct model {
    ls_graph   *graph;
    ls_trainer *trainer;
} model;

static model model_of(setting s)
{
    model      m = {.graph = ls_graph_new()};
    ls_tensor *x = ls_input(m.graph, "image", LS_F32, IN), *y = ls_input(m.graph, "label", LS_I32);
    ls_tensor *logits = ls_linear(m.graph, "out", ls_relu(ls_linear(m.graph, "in", x, 24)), CLASSES);
    for (int r = 0; r < the_size() && s.ranks_per_host; r++) comm->host[r] = r / s.ranks_per_host * s.ranks_per_host;
    assert_ok(ls_trainer_new(&m.trainer, m.graph, ls_cross_entropy(logits, y), .comm = comm, .batch = BATCH,
                             .shards = 16, .accumulate = s.accumulate, .optim = ls_momentum(.lr = 0.1f), .seed = 5,
                             .bucket_bytes = 512, .zero = s.zero, .on_nan = s.on_nan,
                             .overlap       = s.zero ? LS_OVERLAP_THREAD : LS_OVERLAP_POLL,
                             .shared_memory = s.ranks_per_host ? LS_SHARED_MEMORY_ON : LS_SHARED_MEMORY_OFF));
    return m;
}

static void free_model(model *m)
{
    ls_trainer_free(m->trainer);
    ls_graph_free(m->graph);
    for (int r = 0; r < the_size(); r++) comm->host[r] = 0;
}

/* The samples of this rank in the batch of a step. */
static ls_batch batch_of(const model *m, int step)
{
    ls_batch_partition share = ls_trainer_share(m->trainer, BATCH);
    for (int64_t i = 0; i < share.rows; i++) {
        label[i] = (int32_t)((share.first + i + step) % CLASSES);
        for (int k = 0; k < IN; k++)
            image[i * IN + k] =
                sinf((float)((share.first + i) * 5 + k * 3 + step)) + (k % CLASSES == label[i] ? 1.0f : 0.0f);
    }
    return (ls_batch){.inputs      = 2,
                      .name        = {"image", "label"},
                      .data        = {image, label},
                      .rows        = share.rows,
                      .first       = share.first,
                      .global_rows = BATCH};
}

static uint64_t train_without_flags(setting s)
{
    model m = model_of(s);
    for (int step = 0; step < STEPS; step++) {
        ls_batch batch = batch_of(&m, step);
        assert_ok(ls_trainer_step(m.trainer, &batch, NULL));
    }
    uint64_t digest = ls_trainer_digest(m.trainer);
    free_model(&m);
    return digest;
}

static void with_each_setting(void (*check)(setting s))
{
    static const int accumulate[] = {1, 4}, ranks_per_host[] = {0, 2, 4};
    for (size_t a = 0; a < 2; a++)
        for (size_t h = 0; h < 3; h++)
            for (int zero = 0; zero < 2; zero++) check((setting){accumulate[a], ranks_per_host[h], zero});
}

/* True when `rank` sets control flag `flag` in a step. */
static bool sets_flag(int rank, int step, int flag)
{
    return flag == 0 ? step % 2 : flag == 1 ? rank == step % the_size() : (rank * 7 + step * 3 + flag) % 5 < 2;
}

static void check_control_flags(setting s)
{
    uint64_t expected = train_without_flags(s);
    model    m        = model_of(s);
    for (int step = 0; step < STEPS; step++) {
        ls_batch            batch = batch_of(&m, step);
        ls_step_flags       flags = {0};
        ls_step_flag_counts counts;
        ls_metrics          metrics;
        for (int v = 0; v < LS_CONTROL_FLAGS; v++) flags.control |= (uint32_t)sets_flag(the_rank(), step, v) << v;
        assert_ok(ls__trainer_step(m.trainer, &batch, &flags, &counts, &metrics));
        assert_int_equal(counts.failed, 0);
        for (int v = 0; v < LS_CONTROL_FLAGS; v++) {
            int count = 0;
            for (int r = 0; r < the_size(); r++) count += sets_flag(r, step, v);
            assert_int_equal(counts.control[v], count);
        }
        assert_true(metrics.weight == BATCH);
    }
    assert_true(ls_trainer_digest(m.trainer) == expected);
    free_model(&m);
}

static void control_flags_reach_all_ranks(void **state) { with_each_setting(check_control_flags); }

/* The ranks fail one after another, then several at once. */
static void check_failures(setting s)
{
    uint64_t expected = train_without_flags(s);
    model    m        = model_of(s);
    for (int step = 0; step < STEPS; step++) {
        ls_batch            batch   = batch_of(&m, step);
        ls_metrics          metrics = {.step = -1};
        ls_step_flag_counts counts;
        int                 first = step % the_size(), failing = step < 2 * the_size() ? 1 : the_size() - first;
        bool                fails  = the_rank() >= first && the_rank() < first + failing;
        uint64_t            before = ls_trainer_digest(m.trainer);
        ls_step_flags       flags  = {.control = fails};
        char                message[64];
        snprintf(message, sizeof message, "the disk of rank %d is gone", first);
        assert_ok(ls_comm_barrier(comm)); /* all ranks have computed the digest */
        if (fails) flags.status = LS_FAIL(LS_ERR_DATA, "the disk of rank %d is gone", the_rank());
        assert_fails(ls__trainer_step(m.trainer, fails ? NULL : &batch, &flags, &counts, &metrics), LS_ERR_DATA,
                     message);
        assert_int_equal(counts.failed, failing);
        assert_int_equal(counts.control[0], failing);
        assert_true(ls_trainer_digest(m.trainer) == before);
        assert_int_equal(ls_trainer_steps(m.trainer), step);
        assert_int_equal(metrics.step, -1);
        assert_ok(ls_comm_barrier(comm));
        assert_ok(ls_trainer_step(m.trainer, &batch, &metrics));
        assert_int_equal(metrics.step, step + 1);
        assert_true(metrics.weight == BATCH);
    }
    assert_true(ls_trainer_digest(m.trainer) == expected);
    free_model(&m);
}

static void a_failure_changes_nothing(void **state) { with_each_setting(check_failures); }

/* A batch with the wrong samples on one rank, or none, is an error of all ranks. */
static void a_wrong_batch_is_an_error_of_all(void **state)
{
    model    m      = model_of((setting){.accumulate = 1, .ranks_per_host = 2});
    uint64_t before = ls_trainer_digest(m.trainer);
    for (int wrong = 0; wrong < the_size(); wrong++) {
        ls_batch batch = batch_of(&m, 0);
        assert_ok(ls_comm_barrier(comm));
        if (the_rank() == wrong) batch.rows--;
        assert_fails(ls_trainer_step(m.trainer, &batch, NULL), LS_ERR_USAGE, "expected samples [");
        assert_fails(ls_trainer_step(m.trainer, the_rank() == wrong ? NULL : &batch, NULL), LS_ERR_USAGE,
                     "expected samples, found NULL");
        assert_true(ls_trainer_digest(m.trainer) == before);
    }
    free_model(&m);
}

/* A loss that is not finite does not change the control flags. */
static void control_flags_survive_nan(void **state)
{
    for (int zero = 0; zero < 2; zero++) {
        model m = model_of((setting){
            .accumulate = 4, .ranks_per_host = 2, .zero = zero, .on_nan = zero ? LS_ON_NAN_SKIP : LS_ON_NAN_ABORT});
        for (int step = 0; step < 4; step++) {
            ls_batch            batch = batch_of(&m, step);
            ls_metrics          metrics;
            ls_step_flag_counts counts;
            if (the_rank() == the_size() - 1) image[0] = NAN;
            ls_status status =
                ls__trainer_step(m.trainer, &batch, &(ls_step_flags){.control = 1u << step}, &counts, &metrics);
            assert_int_equal(status, zero ? LS_OK : LS_ERR_DIVERGED);
            assert_int_equal(counts.failed, 0);
            for (int v = 0; v < LS_CONTROL_FLAGS; v++) assert_int_equal(counts.control[v], v == step ? the_size() : 0);
        }
        free_model(&m);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_flags_reach_all_ranks), cmocka_unit_test(a_failure_changes_nothing),
        cmocka_unit_test(a_wrong_batch_is_an_error_of_all), cmocka_unit_test(control_flags_survive_nan)};
    return run_on_ranks(argc, argv, tests);
}
