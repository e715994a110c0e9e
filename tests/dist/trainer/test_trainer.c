/* SPDX-License-Identifier: Apache-2.0 */
/* ranks: 1 2 3 4 */
/* Training steps end to end.  The parameters have the bits of one rank on any number of ranks and micro-steps, with
 * gradients in shared memory, in messages, or both. */
#include "tests/dist/mpi_test.h"

#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dist/trainer/trainer.h"

enum { IN = 20, DEEP = 12, CLASSES = 5, BATCH = 24, STEPS = 30 };

static float   image[BATCH * IN];
static int32_t label[BATCH];

/* Writes samples [first, first + rows) of the global batch of a step to image and label. */
static void fill(int64_t step, int64_t first, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++) {
        label[i] = (int32_t)((first + i + step) % CLASSES);
        for (int k = 0; k < IN; k++)
            image[i * IN + k] = sinf((float)((first + i) * 7 + k * 3 + step)) + (k % CLASSES == label[i] ? 1.0f : 0.0f);
    }
}

typedef struct setting {
    int                   shards, accumulate;
    int                   tied;      /* further uses of the hidden layer        */
    bool                  short_end; /* every third batch has only 7 samples    */
    float                 dropout;
    bool                  head; /* the hidden weight is also the head, with a fused loss that backward computes */
    ls_shared_memory_mode shared_memory;
    int                   zero;
    int64_t               bucket_bytes;
    ls_overlap            overlap;
} setting;

static ls_trainer *trainer_of(ls_graph *g, ls_comm *c, setting s)
{
    ls_tensor  *x = ls_input(g, "image", LS_F32, IN), *y = ls_input(g, "label", LS_I32);
    ls_tensor  *h = ls_relu(ls_linear(g, "in", x, 16));
    ls_trainer *t = NULL;
    for (int i = 0; i < DEEP; i++)
        h = ls_relu(ls_linear(g, ls_arena_printf(g->arena, "deep%d", i), h, i < DEEP - 1 ? 32 : 16));
    for (int i = 0; i <= s.tied; i++) h = ls_relu(ls_linear(g, "hidden", h, 16));
    if (s.dropout > 0) h = ls_dropout(h, .p = s.dropout);
    if (s.head) {
        ls_tensor *loss = ls_linear_cross_entropy(h, ls_param(g, "hidden.weight", (ls_init){0}, 16, 16), y);
        assert_ok(ls_trainer_new(&t, g, loss, .comm = c, .batch = BATCH, .shards = s.shards, .accumulate = s.accumulate,
                                 .optim = ls_momentum(.lr = 0.1f, .clip_norm = s.dropout > 0 ? 1 : 0), .seed = 3,
                                 .bucket_bytes = s.bucket_bytes, .zero = s.zero, .shared_memory = s.shared_memory,
                                 .overlap = s.overlap));
        return t;
    }
    ls_tensor *logits = ls_linear(g, "out", h, CLASSES);
    assert_ok(ls_trainer_new(&t, g, ls_cross_entropy(logits, y), .comm = c, .batch = BATCH, .shards = s.shards,
                             .accumulate = s.accumulate, .optim = ls_momentum(.lr = 0.1f, .clip_norm = 1), .seed = 3,
                             .bucket_bytes = s.bucket_bytes, .zero = s.zero, .shared_memory = s.shared_memory,
                             .overlap = s.overlap, .logits = logits, .label = y));
    return t;
}

static uint64_t train(ls_comm *c, setting s, double *loss)
{
    ls_graph   *g    = ls_graph_new();
    ls_trainer *t    = trainer_of(g, c, s);
    ls_metrics  m    = {0};
    ls_metrics  eval = {0};
    for (int step = 0; step < STEPS; step++) {
        int64_t            rows  = s.short_end && step % 3 == 2 ? 7 : BATCH;
        ls_batch_partition share = ls_trainer_share(t, rows);
        fill(step, share.first, share.rows);
        ls_batch batch = {.inputs      = 2,
                          .name        = {"image", "label"},
                          .data        = {image, label},
                          .rows        = share.rows,
                          .first       = share.first,
                          .global_rows = rows};
        if (step == 1) assert_ok(ls_trainer_eval(t, &batch, &eval));
        assert_ok(ls_trainer_step(t, &batch, &m));
        if (step == 1 && !(s.dropout > 0))
            assert_true(m.loss == eval.loss && m.weight == eval.weight); /* evaluation equals the step */
        assert_int_equal(m.step, step + 1);
        assert_true(m.weight == (double)rows);
        assert_true(s.head || (m.accuracy >= 0 && m.accuracy <= 1));
        if (step == 0) loss[0] = m.loss;
    }
    loss[1] = m.loss;
    size_t part;
    assert_true(s.zero < 2 || s.bucket_bytes > 4096 ||
                !ls__trainer_gradient_whole(t, &part) ==
                    (ls_comm_size(c) > 1 && s.accumulate == 1)); /* otherwise train.zero=2 was not tested */
    uint64_t digest = ls_trainer_digest(t);
    ls_trainer_free(t);
    ls_graph_free(g);
    return digest;
}

static void same_bits_as_one_rank(void **state)
{
    static const setting settings[] = {{8, 1, 0, false, 0},          {8, 2, 0, false, 0},      {8, 1, 1, false, 0},
                                       {16, 1, 0, true, 0},          {8, 1, 2, true, 0},       {8, 1, 0, true, 0.25f},
                                       {16, 3, 1, true, 0.5f},       {4, 1, 0, false, 0},      {8, 1, 0, true, 0, true},
                                       {16, 2, 0, true, 0.5f, true}, {8, 2, 1, false, 0, true}};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        ls_comm *self;
        double   one[2], many[2];
        assert_ok(ls_comm_self(&self));
        setting single    = settings[i];
        single.accumulate = 1;
        uint64_t expected = train(self, single, one);
        assert_true(one[1] < one[0]);
        for (int hosts_of = the_size(); hosts_of >= 0 && (i < 3 || hosts_of == the_size());
             hosts_of -= 2) { /* 0: messages, no shared memory */
            setting s       = settings[i];
            s.shared_memory = hosts_of ? LS_SHARED_MEMORY_ON : LS_SHARED_MEMORY_OFF;
            for (int r = 0; r < the_size() && hosts_of; r++) comm->host[r] = r / hosts_of * hosts_of;
            for (s.zero = 0; s.zero < 3; s.zero++) {
                s.bucket_bytes = s.zero == 1 ? 512 : s.zero ? 4096 : 16384;
                s.overlap      = s.zero == 2 && hosts_of != the_size() && i % 3
                                     ? i % 3 == 1 ? LS_OVERLAP_THREAD : LS_OVERLAP_OFF
                                     : LS_OVERLAP_POLL;
                assert_true(expected == train(comm, s, many));
                assert_true(one[0] == many[0] && one[1] == many[1]);
            }
            for (int r = 0; r < the_size(); r++) comm->host[r] = 0;
        }
        ls_comm_free(self);
    }
}

static void options_are_checked(void **state)
{
    static const struct {
        int64_t     batch;
        int         shards, accumulate;
        const char *message;
    } table[] = {{0, 0, 0, "at least 1"},
                 {BATCH, 6, 0, "power of two"},
                 {4, 8, 0, "cannot be cut"},
                 {BATCH, 8, 9, "train.accumulate"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_graph   *g = ls_graph_new();
        ls_trainer *t;
        ls_tensor  *loss = ls_cross_entropy(ls_linear(g, "out", ls_input(g, "image", LS_F32, IN), CLASSES),
                                            ls_input(g, "label", LS_I32));
        ls_status status = ls_trainer_new(&t, g, loss, .comm = comm, .batch = table[i].batch, .shards = table[i].shards,
                                          .accumulate = table[i].accumulate);
        assert_int_equal(status, LS_ERR_USAGE);
        assert_non_null(strstr(ls_error_message(), table[i].message));
        ls_graph_free(g);
    }
}

static void evaluation_counts_every_sample(void **state)
{
    ls_graph          *g     = ls_graph_new();
    ls_trainer        *t     = trainer_of(g, comm, (setting){8, 1, 0, false, 0});
    ls_batch_partition share = ls_trainer_share(t, 13);
    ls_metrics         m;
    fill(0, share.first, share.rows);
    ls_batch batch = {.inputs      = 2,
                      .name        = {"image", "label"},
                      .data        = {image, label},
                      .rows        = share.rows,
                      .first       = share.first,
                      .global_rows = 13};
    assert_ok(ls_trainer_eval(t, &batch, &m));
    assert_true(m.weight == 13);
    assert_true(m.loss > 0.5 && m.loss < 4);
    ls_trainer_free(t);
    ls_graph_free(g);
}

/* A tied weight needs memory for a second gradient, and for nothing else. */
static void tied_weights_cost_a_gradient(void **state)
{
    ls_memory_line line[2][LS_MEMORY_LINES];
    for (int tied = 0; tied < 2; tied++) {
        ls_graph         *g       = ls_graph_new();
        ls_trainer       *t       = trainer_of(g, comm, (setting){8, 1, tied, false, 0});
        const ls_program *p       = ls__trainer_program(t);
        size_t            reduced = 0;
        for (int i = 0; i < p->instrs; i++)
            if (p->instr[i].tag == LS_TAG_ALLREDUCE) reduced += p->instr[i].count;
        assert_true(reduced == ls_trainer_params(t)->grads);
        ls__trainer_memory(t, line[tied]);
        assert_true(line[tied][1].planned % (reduced * sizeof(float)) == 0);
        ls_trainer_free(t);
        ls_graph_free(g);
    }
    assert_string_equal(line[0][1].name, "gradients");
    assert_true(line[1][0].planned == line[0][0].planned &&
                (the_size() > 1 || line[1][2].planned == line[0][2].planned)); /* partitions have other bounds */
    assert_true(line[1][1].planned - line[0][1].planned >= (16 * 16 + 16) * sizeof(float));
}

/* Planned bytes of the memory `name`, for a model whose partitions differ by a few percent only. */
static size_t bytes_of(int zero, ls_shared_memory_mode mode, const char *name)
{
    ls_graph      *g = ls_graph_new();
    ls_memory_line line[LS_MEMORY_LINES];
    ls_trainer    *t;
    ls_tensor     *x = ls_input(g, "image", LS_F32, 256), *y = ls_input(g, "label", LS_I32);
    ls_tensor     *loss = ls_cross_entropy(ls_linear(g, "out", ls_relu(ls_linear(g, "in", x, 256)), 256), y);
    assert_ok(ls_trainer_new(&t, g, loss, .comm = comm, .batch = BATCH, .shards = 8, .optim = ls_adamw(.lr = 1e-3f),
                             .zero = zero, .shared_memory = mode));
    int    n     = ls__trainer_memory(t, line);
    size_t bytes = 0;
    for (int i = 0; i < n; i++)
        if (strcmp(line[i].name, name) == 0) bytes = line[i].planned;
    ls_trainer_free(t);
    ls_graph_free(g);
    return bytes;
}

/* With shared memory the parameters exist once per host; ranks that divide the update have only their partition of the
 * optimizer state. */
static void sharing_saves_memory(void **state)
{
    const size_t all = 2 * (256 * 256 + 256) * sizeof(float);
    for (int zero = 0; zero < 2; zero++)
        for (int shared = 0; shared < 2; shared++) {
            ls_shared_memory_mode mode = shared ? LS_SHARED_MEMORY_ON : LS_SHARED_MEMORY_OFF;
            size_t parts = zero || shared ? (size_t)the_size() : 1, states = bytes_of(zero, mode, "optimizer state"),
                   values = bytes_of(zero, mode, "parameters");
            assert_true(states <= 2 * all / parts + 8 * 4096 && states + 8 * 4096 >= 2 * all / parts);
            if (shared && the_rank() > 0)
                assert_true(values == 0);
            else
                assert_true(values >= all && values <= all + 8192);
        }
}

/* Planned and touched bytes of the memory `name`, after three steps. */
static ls_memory_line line_of(const char *name, int zero, ls_shared_memory_mode mode, int layers, int wide,
                              int accumulate)
{
    ls_graph      *g = ls_graph_new();
    ls_memory_line line[LS_MEMORY_LINES];
    ls_trainer    *t;
    ls_tensor     *h = ls_input(g, "image", LS_F32, wide), *y = ls_input(g, "label", LS_I32);
    float         *x = calloc((size_t)(BATCH * wide), sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < layers; i++) h = ls_relu(ls_linear(g, ls_arena_printf(g->arena, "layer%d", i), h, wide));
    assert_ok(ls_trainer_new(&t, g, ls_cross_entropy(h, y), .comm = comm, .batch = BATCH, .shards = 8,
                             .optim = ls_adamw(.lr = 1e-3f), .zero = zero, .shared_memory = mode,
                             .accumulate = accumulate, .bucket_bytes = wide * wide * (int64_t)sizeof(float)));
    for (int step = 0; step < 3; step++) {
        ls_batch_partition share = ls_trainer_share(t, BATCH);
        for (int64_t i = 0; i < share.rows; i++) label[i] = 0;
        ls_batch batch = {.inputs      = 2,
                          .name        = {"image", "label"},
                          .data        = {x, label},
                          .rows        = share.rows,
                          .first       = share.first,
                          .global_rows = BATCH};
        assert_ok(ls_trainer_step(t, &batch, NULL));
    }
    int which = ls__trainer_memory(t, line) - 1;
    while (which >= 0 && strcmp(line[which].name, name) != 0) which--;
    assert_true(which >= 0);
    ls_trainer_free(t);
    ls_graph_free(g);
    free(x);
    return line[which];
}

/* With train.zero=2 the gradient memory of a rank is its partition of the summed gradient and a few buckets. */
static void buckets_share_memory(void **state)
{
    enum { LAYERS = 24, WIDE = 128, FEW = 5 };
    const size_t layer = (WIDE * WIDE + WIDE + LS_PARAM_ALIGN) * sizeof(float), whole = LAYERS * layer, page = 4096;
    for (int shared = 0; shared < 2; shared++) {
        ls_shared_memory_mode mode = shared ? LS_SHARED_MEMORY_ON : LS_SHARED_MEMORY_OFF;
        ls_memory_line        all  = line_of("gradients", 1, mode, LAYERS, WIDE, 1),
                       part        = line_of("gradients", 2, mode, LAYERS, WIDE, 1);
        size_t slots               = all.planned / (whole - LAYERS * LS_PARAM_ALIGN * sizeof(float));
        assert_true(all.touched + page >= all.planned && part.touched <= part.planned &&
                    part.touched + 4 * page >= part.planned);
        if (the_size() == 1)
            assert_true(part.planned == all.planned);
        else
            assert_true(part.planned <= slots * FEW * layer + whole / (size_t)the_size() + LAYERS * 1024);
        if (the_size() == 4) assert_true(2 * part.touched < all.touched);
        assert_true(
            line_of("gradients", 2, mode, 2, WIDE, 2).planned ==
            line_of("gradients", 1, mode, 2, WIDE, 2).planned); /* with micro-steps the gradient is not partitioned */
        for (int zero = 1; zero < 3; zero++) {                  /* the partition of Adam's two states, all pages used */
            ls_memory_line states = line_of("optimizer state", zero, mode, LAYERS, WIDE, 1);
            assert_true(states.planned <= 2 * whole / (size_t)the_size() + LAYERS * 2048 &&
                        states.touched + page >= states.planned && states.touched <= states.planned);
        }
    }
}

/* A step with a NaN in the batch changes no parameter on any rank; it counts as a step, and training continues. */
static void check_skipped(int zero, ls_shared_memory_mode mode)
{
    ls_graph          *g = ls_graph_new();
    ls_tensor         *x = ls_input(g, "image", LS_F32, IN), *y = ls_input(g, "label", LS_I32);
    ls_tensor         *loss = ls_cross_entropy(ls_linear(g, "out", x, CLASSES), y);
    ls_batch_partition share;
    ls_trainer        *t;
    assert_ok(ls_trainer_new(&t, g, loss, .comm = comm, .batch = BATCH, .shards = 8, .optim = ls_momentum(.lr = 0.1f),
                             .on_nan = LS_ON_NAN_SKIP, .check_every = 1, .zero = zero, .shared_memory = mode,
                             .bucket_bytes = 256));
    share = ls_trainer_share(t, BATCH);
    for (int step = 0; step < 13; step++) {
        ls_metrics m;
        uint64_t   before = ls_trainer_digest(t);
        bool       bad    = step == 2 || step >= 4;
        fill(step, share.first, share.rows);
        if (bad && the_rank() == the_size() - 1) image[IN * (share.rows - 1)] = NAN;
        ls_batch batch = {.inputs      = 2,
                          .name        = {"image", "label"},
                          .data        = {image, label},
                          .rows        = share.rows,
                          .first       = share.first,
                          .global_rows = BATCH};
        assert_ok(ls_comm_barrier(comm)); /* all ranks have computed the digest */
        assert_ok(ls_trainer_step(t, &batch, &m));
        assert_int_equal(m.step, step + 1);
        assert_true(m.skipped == bad && isfinite(m.grad_norm) == !bad);
        assert_true((ls_trainer_digest(t) == before) == bad);
    }
    ls_batch batch = {.inputs      = 2,
                      .name        = {"image", "label"},
                      .data        = {image, label},
                      .rows        = share.rows,
                      .first       = share.first,
                      .global_rows = BATCH};
    assert_fails(ls_trainer_step(t, &batch, NULL), LS_ERR_DIVERGED, "the nine steps before");
    ls_trainer_free(t);
    ls_graph_free(g);
}

static void steps_are_skipped(void **state)
{
    check_skipped(0, LS_SHARED_MEMORY_AUTO);
    check_skipped(2, LS_SHARED_MEMORY_AUTO);
    check_skipped(2, LS_SHARED_MEMORY_OFF);
}

/* A changed parameter on one rank is an error on all ranks that names the rank. */
static void drift_is_found(void **state)
{
    ls_graph   *g = ls_graph_new();
    ls_tensor  *x = ls_input(g, "image", LS_F32, IN), *y = ls_input(g, "label", LS_I32);
    ls_tensor  *loss = ls_cross_entropy(ls_linear(g, "out", ls_linear(g, "in", x, 16), CLASSES), y);
    ls_trainer *t;
    assert_ok(ls_trainer_new(&t, g, loss, .comm = comm, .batch = BATCH, .shards = 8, .optim = ls_sgd(.lr = 0.1f),
                             .shared_memory = LS_SHARED_MEMORY_OFF, .check_every = 2));
    ls_batch_partition share = ls_trainer_share(t, BATCH);
    int                param = ls_params_find(ls_trainer_params(t), "out.weight"), faulty = the_size() - 1;
    fill(0, share.first, share.rows);
    ls_batch batch = {.inputs      = 2,
                      .name        = {"image", "label"},
                      .data        = {image, label},
                      .rows        = share.rows,
                      .first       = share.first,
                      .global_rows = BATCH};
    for (int step = 0; step < 4; step++) assert_ok(ls_trainer_step(t, &batch, NULL));
    if (the_rank() == faulty) ls_params_get(ls_trainer_params(t), param, NULL, NULL, NULL)[7] += 1e-6f;
    assert_ok(ls_trainer_step(t, &batch, NULL));
    ls_status status = ls_trainer_step(t, &batch, NULL);
    assert_int_equal(status, the_size() > 1 ? LS_ERR_ENV : LS_OK);
    char expected[64];
    snprintf(expected, sizeof expected, "'out.weight': after step 6 rank %d has", faulty);
    if (the_size() > 1) assert_non_null(strstr(ls_error_message(), expected));
    ls_trainer_free(t);
    ls_graph_free(g);
}

static void planned_memory_is_used(void **state)
{
    ls_graph   *g = ls_graph_new();
    ls_trainer *t = trainer_of(g, comm, (setting){8, 1, 1, false, 0});
    size_t      planned;
    uint64_t    allocations = 0;
    for (int step = 0; step < 5; step++) {
        ls_batch_partition share = ls_trainer_share(t, BATCH);
        fill(step, share.first, share.rows);
        ls_batch batch = {.inputs      = 2,
                          .name        = {"image", "label"},
                          .data        = {image, label},
                          .rows        = share.rows,
                          .first       = share.first,
                          .global_rows = BATCH};
        assert_ok(ls_trainer_step(t, &batch, NULL));
        if (step == 1) allocations = ls_alloc_count();
    }
    assert_true(ls__trainer_high_water(t, &planned) == planned);
    assert_true(allocations == ls_alloc_count());
    assert_true(ls_trainer_peak_bytes(t) <= ls_trainer_planned_bytes(t));
    ls_trainer_free(t);
    ls_graph_free(g);
}

/* Bytes of the heap in use, and of the address space. */
static void memory_in_use(size_t *heap, size_t *mapped)
{
    struct mallinfo2 m = mallinfo2();
    unsigned long    pages;
    FILE            *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu", &pages), 1);
    fclose(f);
    *heap   = m.uordblks + m.hblkhd;
    *mapped = pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* 100 trainers on one graph, one after the other: ls_trainer_free releases all memory, also after steps. */
static void trainers_do_not_leak(void **state)
{
    enum { WARM_UP = 20, TRAINERS = 100, TOLERANCE = 32 << 10 };
    ls_graph  *g = ls_graph_new();
    ls_tensor *x = ls_input(g, "image", LS_F32, IN), *y = ls_input(g, "label", LS_I32);
    ls_tensor *h    = x;
    size_t     heap = 0, mapped = 0, heap_after, mapped_after;
    for (int i = 0; i < DEEP; i++) h = ls_relu(ls_linear(g, ls_arena_printf(g->arena, "deep%d", i), h, 32));
    ls_tensor *loss = ls_cross_entropy(ls_linear(g, "out", h, CLASSES), y);
    for (int i = 0; i < WARM_UP + TRAINERS; i++) {
        ls_trainer *t;
        if (i == WARM_UP) memory_in_use(&heap, &mapped);
        assert_ok(ls_trainer_new(&t, g, loss, .comm = comm, .batch = BATCH, .shards = 8, .zero = i % 3,
                                 .optim = ls_adamw(.lr = 1e-3f), .bucket_bytes = 4096));
        ls_batch_partition share = ls_trainer_share(t, BATCH);
        fill(i, share.first, share.rows);
        ls_batch batch = {.inputs      = 2,
                          .name        = {"image", "label"},
                          .data        = {image, label},
                          .rows        = share.rows,
                          .first       = share.first,
                          .global_rows = BATCH};
        assert_ok(ls_trainer_step(t, &batch, NULL));
        ls_trainer_free(t);
    }
    memory_in_use(&heap_after, &mapped_after);
#ifdef __SANITIZE_ADDRESS__
    return; /* AddressSanitizer keeps freed memory for a while; its leak check replaces the comparison */
#endif
    if (heap_after > heap + TOLERANCE || mapped_after > mapped + TOLERANCE)
        fail_msg("%d trainers: the heap grew from %zu to %zu bytes, the address space from %zu to %zu", TRAINERS, heap,
                 heap_after, mapped, mapped_after);
    ls_graph_free(g);
}

/* A struct of options without its size, or of a newer library, is an error. */
static void option_size_is_checked(void **state)
{
    ls_graph  *g = ls_graph_new();
    ls_tensor *loss =
        ls_cross_entropy(ls_linear(g, "out", ls_input(g, "image", LS_F32, IN), CLASSES), ls_input(g, "label", LS_I32));
    ls_trainer        *t;
    ls_trainer_options o = {.comm = comm, .batch = BATCH, .optim = ls_sgd(.lr = 0.1f)};
    assert_fails(ls__trainer_new(&t, g, loss, &o), LS_ERR_USAGE, "ls_trainer_options.size: expected sizeof");
    o.size = sizeof o + 8;
    assert_fails(ls__trainer_new(&t, g, loss, &o), LS_ERR_USAGE, "compiled for a newer lockstep");
    o.size = offsetof(ls_trainer_options, check_every); /* an older library without the last fields */
    assert_ok(ls__trainer_new(&t, g, loss, &o));
    ls_trainer_free(t);
    ls_graph_free(g);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits_as_one_rank),
                                       cmocka_unit_test(options_are_checked),
                                       cmocka_unit_test(evaluation_counts_every_sample),
                                       cmocka_unit_test(tied_weights_cost_a_gradient),
                                       cmocka_unit_test(sharing_saves_memory),
                                       cmocka_unit_test(buckets_share_memory),
                                       cmocka_unit_test(planned_memory_is_used),
                                       cmocka_unit_test(steps_are_skipped),
                                       cmocka_unit_test(drift_is_found),
                                       cmocka_unit_test(trainers_do_not_leak),
                                       cmocka_unit_test(option_size_is_checked)};
    return run_on_ranks(argc, argv, tests);
}
