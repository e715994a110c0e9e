/* SPDX-License-Identifier: Apache-2.0
 * Batch norm: with running statistics as any op; over the batch, in stages, and over groups of samples against float64,
 * central differences and itself with other shards, groups, threads and levels. */
#include <omp.h>

#include "core/cpu/isa_table.h"
#include "tests/check_op.h"
#include "tests/unit.h"

enum { INS = 5 };

/* ---- with running statistics ------------------------------------------------------------------------------------- */

static void reference(const check_ref *r)
{
    const ls_batch_norm_args *a        = r->args;
    const ls_tensor          *x        = r->node->in[0];
    const int64_t             channels = x->dim[0], inner = ls__numel(x) / channels;
    for (int64_t i = 0; i < check_numel(r, 0); i++) {
        const int64_t c = i / inner % channels;
        r->y[0][i]      = (r->x[0][i] - r->x[3][c]) / sqrt(r->x[4][c] + (double)a->eps) * (r->x[1] ? r->x[1][c] : 1) +
                     (r->x[2] ? r->x[2][c] : 0);
    }
}

#define FROZEN                                                                                                         \
    .args = &(ls_batch_norm_args) { .frozen = true }
#define CHANNELS(n)                                                                                                    \
    {                                                                                                                  \
        .dims = {n}, .param = true, .mean = 0.5f                                                                       \
    }
#define VARIANCE(n)                                                                                                    \
    {                                                                                                                  \
        .dims = {n}, .param = true, .mean = 3, .std = 0.5f                                                             \
    }

CHECK_OP(batch_norm, reference, {.in = {{.dims = {1}}, CHANNELS(1), CHANNELS(1), CHANNELS(1), VARIANCE(1)}, FROZEN},
         {.in = {{.dims = {7, 5, 3}}, CHANNELS(7), CHANNELS(7), CHANNELS(7), VARIANCE(7)}, FROZEN},
         {.in = {{.dims = {33}}, {.absent = true}, {.absent = true}, CHANNELS(33), VARIANCE(33)}, FROZEN},
         {.in = {{.dims = {3, 2100}}, CHANNELS(3), {.absent = true}, CHANNELS(3), VARIANCE(3)}, FROZEN})

/* ---- over the batch ---------------------------------------------------------------------------------------------- */

enum { SHARDS = 8 };

/* A node with values.  The batch is cut into SHARDS shards, of which some have no sample. */
typedef struct batch {
    ls_graph      *g;
    const ls_node *node;
    int64_t        rows, channels, inner, size; /* size: values of a sample */
    int64_t        bound[SHARDS + 1];
    int64_t        begin, end;          /* samples of the statistics that are checked */
    float         *x, *dy, *param[INS]; /* param[1] to param[4]: weight, bias, running mean and variance */
} batch;

typedef struct result {
    float *y, *dx, *dw, *db, *sums;
} result;

static float *values(int64_t n, uint64_t key, float mean, float std)
{
    float *p = malloc((size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++) p[i] = mean + std * (2 * ls_uniform01(ls_philox(key, 0, (uint64_t)i).v[0]) - 1);
    return p;
}

static batch batch_new(int64_t rows, int64_t channels, int64_t height, int64_t width, int64_t over)
{
    batch b      = {.rows = rows, .channels = channels, .inner = height * width, .size = channels * height * width};
    b.end        = rows;
    b.g          = ls_graph_new();
    ls_tensor *x = ls_input(b.g, "x", LS_F32, channels, height, width);
    ls_tensor *y = ls_batch_norm(b.g, "bn", x, .over = over);
    assert_ok(ls_graph_status(b.g));
    b.node     = y->node;
    b.x        = values(rows * b.size, 1, 20, 3); /* far from zero: the sums must not cancel */
    b.dy       = values(rows * b.size, 2, 0.1f, 1);
    b.param[1] = values(channels, 3, 1, 0.5f);
    b.param[2] = values(channels, 4, 0, 0.5f);
    b.param[3] = values(channels, 5, 19, 1);
    b.param[4] = values(channels, 6, 9, 1);
    for (int s = 0; s <= SHARDS; s++) b.bound[s] = rows * s / SHARDS;
    return b;
}

static void batch_free(batch *b)
{
    free(b->x);
    free(b->dy);
    for (int i = 1; i < INS; i++) free(b->param[i]);
    ls_graph_free(b->g);
}

/* The first stage of a pass over `groups` groups of shards of one size, as if each were a rank.  Each group has `count`
 * floats of `block`: sums, then gradients.  Sets `group`. */
static ls_call call_of(const batch *b, int groups, int64_t count, ls_group *group, float *block, void *scratch)
{
    for (int k = 0; k < groups; k++)
        group[k] = (ls_group){SHARDS / groups * k, SHARDS / groups, (size_t)(k * count), false};
    ls_call c = {.node       = b->node,
                 .args       = b->node->args,
                 .rows       = b->rows,
                 .shards     = SHARDS,
                 .bound      = b->bound,
                 .shard_rows = b->rows,
                 .training   = true,
                 .groups     = groups,
                 .group      = group,
                 .scratch    = scratch,
                 .stage      = LS_STAGE_SUMS,
                 .sums       = block,
                 .batch_rows = b->rows};
    c.x[0]    = b->x;
    for (int i = 1; i < INS; i++) c.x[i] = b->param[i];
    return c;
}

/* Adds the `count` floats of each group to those of group 0, as a binary tree. */
static void add_groups(int groups, int64_t count, float *block)
{
    for (int step = 1; step < groups; step *= 2)
        for (int k = 0; k < groups; k += 2 * step)
            for (int64_t i = 0; i < count; i++) block[k * count + i] += block[(k + step) * count + i];
}

/* Runs both stages of a pass, with the shards in `groups` groups of one size, as if each were a rank. */
static void run_pass(const batch *b, int isa, int groups, bool backward, result *r)
{
    const ls_op  *op      = ls__isa_table_of((ls_isa)isa)->op[LS_OP_batch_norm];
    const int64_t count   = op->batch_sums(b->node, backward);
    ls_group     *group   = calloc((size_t)groups, sizeof *group);
    float        *block   = calloc((size_t)(groups * 3 * count), sizeof *block); /* sums, dw, db of each group */
    void         *scratch = malloc(op->scratch(b->node, b->rows, SHARDS, omp_get_max_threads(), backward));
    ls_call       c       = call_of(b, groups, 3 * count, group, block, scratch);
    c.forward_sums        = r->sums;
    c.y[0]                = r->y;
    c.dy[0]               = b->dy;
    if (backward) {
        c.dx[1] = block + count;
        c.dx[2] = block + 2 * count;
    }
    (backward ? op->backward : op->forward)[LS_CPU](&c);
    add_groups(groups, 3 * count, block);
    if (backward) {
        memcpy(r->dw, block + count, (size_t)b->channels * sizeof(float));
        memcpy(r->db, block + 2 * count, (size_t)b->channels * sizeof(float));
    } else {
        memcpy(r->sums, block, (size_t)count * sizeof(float));
    }
    c.stage = LS_STAGE_REST;
    c.dx[0] = backward ? r->dx : NULL;
    c.dx[1] = c.dx[2] = NULL;
    (backward ? op->backward : op->forward)[LS_CPU](&c);
    free(scratch);
    free(block);
    free(group);
}

/* Over groups of samples: forward, recomputation and backward. */
static void run_groups(const batch *b, int isa, int groups, result *r)
{
    const ls_op  *op    = ls__isa_table_of((ls_isa)isa)->op[LS_OP_batch_norm];
    const int64_t count = op->batch_sums(b->node, false), channels = b->channels;
    ls_group     *group   = calloc((size_t)groups, sizeof *group);
    float        *block   = calloc((size_t)(groups * 2 * count), sizeof *block); /* sums, dw, db of each group */
    float        *saved   = calloc((size_t)(b->rows * 2 * channels), sizeof *saved);
    float        *again   = calloc((size_t)(b->rows * b->size), sizeof *again);
    void         *scratch = malloc(op->scratch(b->node, b->rows, SHARDS, omp_get_max_threads(), true));
    ls_call       c       = call_of(b, groups, 2 * count, group, block, scratch);
    c.y[0]                = r->y;
    c.y[1]                = saved;
    op->forward[LS_CPU](&c);
    c.stage = LS_STAGE_WHOLE;
    c.y[0]  = again;
    op->forward[LS_CPU](&c);
    if (memcmp(again, r->y, (size_t)(b->rows * b->size) * sizeof *again) != 0) fail_msg("recomputed: other bits");
    memcpy(r->dx, b->dy, (size_t)(b->rows * b->size) * sizeof *r->dx); /* in place */
    c.dy[0] = c.dx[0] = r->dx;
    c.dx[1]           = block + count;
    c.dx[2]           = block + count + channels;
    op->backward[LS_CPU](&c);
    add_groups(groups, 2 * count, block);
    memcpy(r->sums, block, (size_t)count * sizeof(float));
    memcpy(r->dw, block + count, (size_t)channels * sizeof(float));
    memcpy(r->db, block + count + channels, (size_t)channels * sizeof(float));
    free(scratch);
    free(again);
    free(saved);
    free(block);
    free(group);
}

static result result_new(const batch *b)
{
    const size_t all = (size_t)(b->rows * b->size), channels = (size_t)b->channels;
    return (result){calloc(all, 4), calloc(all, 4), calloc(channels, 4), calloc(channels, 4), calloc(2 * channels, 4)};
}

static void result_free(result *r)
{
    free(r->y);
    free(r->dx);
    free(r->dw);
    free(r->db);
    free(r->sums);
}

static result run_batch(const batch *b, int isa, int groups, int threads)
{
    result r = result_new(b);
    omp_set_num_threads(threads);
    assert_ok(ls_isa_set((ls_isa)isa));
    if (ls__group_rows(b->node)) {
        run_groups(b, isa, groups, &r);
    } else {
        run_pass(b, isa, groups, false, &r);
        run_pass(b, isa, groups, true, &r);
    }
    assert_ok(ls_isa_set(ls_isa_best()));
    return r;
}

/* Mean and biased variance of channel c, with `more` added to value `at` of x; at -1: none. */
static void statistics(const batch *b, int64_t c, int64_t at, double more, double *mean, double *var)
{
    const double n = (double)((b->end - b->begin) * b->inner);
    *mean = *var = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = b->begin * b->size; i < b->end * b->size; i++) {
            if (i / b->inner % b->channels != c) continue;
            const double x = (double)b->x[i] + (i == at ? more : 0);
            if (pass == 0)
                *mean += x / n;
            else
                *var += (x - *mean) * (x - *mean) / n;
        }
}

/* The sum of dy y over the values of channel c. */
static double loss_of(const batch *b, int64_t c, int64_t at, double more)
{
    double mean, var, sum = 0;
    statistics(b, c, at, more, &mean, &var);
    for (int64_t i = b->begin * b->size; i < b->end * b->size; i++) {
        if (i / b->inner % b->channels != c) continue;
        const double x = (double)b->x[i] + (i == at ? more : 0);
        sum += (double)b->dy[i] * ((x - mean) / sqrt(var + 1e-5) * (double)b->param[1][c] + (double)b->param[2][c]);
    }
    return sum;
}

static void assert_near(const char *what, int64_t i, float found, double want, double tolerance)
{
    if (!(fabs((double)found - want) <= tolerance * fmax(1, fabs(want))))
        fail_msg("%s[%d]: expected %.9g, found %.9g", what, (int)i, want, (double)found);
}

static const int64_t shapes[][4] = {{20, 3, 4, 5}, {9, 17, 1, 1}, {5, 2, 50, 50}, {64, 8, 7, 7}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static batch batch_of(int s, int64_t over)
{
    return batch_new(shapes[s][0], shapes[s][1], shapes[s][2], shapes[s][3], over);
}

/* Checks y and dx of channel c for the samples [begin, end) of the batch, and adds their part of dw and db. */
static void check_channel(const batch *b, const result *r, int64_t c, double *all_dw, double *all_db)
{
    double       mean, var, dw = 0, db = 0;
    const double n = (double)((b->end - b->begin) * b->inner);
    statistics(b, c, -1, 0, &mean, &var);
    const double scale = 1 / sqrt(var + 1e-5), weight = (double)b->param[1][c];
    for (int64_t i = b->begin * b->size; i < b->end * b->size; i++) {
        if (i / b->inner % b->channels != c) continue;
        const double h = ((double)b->x[i] - mean) * scale;
        assert_near("y", i, r->y[i], h * weight + (double)b->param[2][c], 2e-5 * fmax(1, scale));
        dw += (double)b->dy[i] * h;
        db += (double)b->dy[i];
    }
    for (int64_t i = b->begin * b->size; i < b->end * b->size; i++) {
        if (i / b->inner % b->channels != c) continue;
        const double h = ((double)b->x[i] - mean) * scale;
        assert_near("dx", i, r->dx[i], scale * weight * ((double)b->dy[i] - db / n - h * dw / n),
                    2e-5 * fmax(1, scale));
    }
    *all_dw += dw;
    *all_db += db;
}

static void test_against_float64(void **state)
{
    for (int s = 0; s < SHAPES; s++) {
        batch  b = batch_of(s, LS_OVER_BATCH);
        result r = run_batch(&b, (int)ls_isa_best(), 1, 2);
        for (int64_t c = 0; c < b.channels; c++) {
            double dw = 0, db = 0;
            check_channel(&b, &r, c, &dw, &db);
            assert_near("dw", c, r.dw[c], dw, 1e-4);
            assert_near("db", c, r.db[c], db, 1e-4);
        }
        result_free(&r);
        batch_free(&b);
    }
}

/* A shard of n samples has max(1, n / OVER) groups.  The running statistics are renewed with the means over groups. */
static void test_groups_against_float64(void **state)
{
    enum { OVER = 3 };
    int most = 0;
    for (int s = 0; s < SHAPES; s++) {
        batch  b            = batch_of(s, OVER);
        result r            = run_batch(&b, (int)ls_isa_best(), 1, 2);
        float *x[LS_MAX_IN] = {NULL, b.param[1], b.param[2], values(b.channels, 5, 19, 1), values(b.channels, 6, 9, 1)};
        int    groups       = 0;
        for (int k = 0; k < SHARDS; k++) groups += (int)ls__groups_of(b.bound[k + 1] - b.bound[k], OVER);
        ls__op(b.node)->update_running(b.node, r.sums, groups, x);
        for (int64_t c = 0; c < b.channels; c++) {
            double dw = 0, db = 0, means = 0, variances = 0;
            for (int k = 0; k < SHARDS; k++) {
                const int64_t rows = b.bound[k + 1] - b.bound[k], in_shard = rows >= OVER ? rows / OVER : rows > 0;
                for (int64_t i = 0; i < in_shard; i++) {
                    double mean, var;
                    b.begin        = b.bound[k] + rows * i / in_shard;
                    b.end          = b.bound[k] + rows * (i + 1) / in_shard;
                    const double n = (double)((b.end - b.begin) * b.inner);
                    check_channel(&b, &r, c, &dw, &db);
                    statistics(&b, c, -1, 0, &mean, &var);
                    means += mean / groups;
                    variances += (n > 1 ? var * n / (n - 1) : var) / groups;
                }
                if (in_shard > most) most = (int)in_shard;
            }
            assert_near("dw", c, r.dw[c], dw, 1e-4);
            assert_near("db", c, r.db[c], db, 1e-4);
            assert_near("running mean", c, x[3][c], 0.9 * (double)b.param[3][c] + 0.1 * means, 1e-6);
            assert_near("running variance", c, x[4][c], 0.9 * (double)b.param[4][c] + 0.1 * variances, 1e-5);
        }
        free(x[3]);
        free(x[4]);
        result_free(&r);
        batch_free(&b);
    }
    assert_int_equal(most, 2);
}

static void test_dx_is_a_derivative(void **state)
{
    const double step = 1e-4;
    batch        b    = batch_of(0, 0);
    result       r    = run_batch(&b, (int)ls_isa_best(), 1, 1);
    for (int64_t i = 0; i < b.rows * b.size; i += 7) {
        const int64_t c = i / b.inner % b.channels;
        assert_near("dx", i, r.dx[i], (loss_of(&b, c, i, step) - loss_of(&b, c, i, -step)) / (2 * step), 1e-4);
    }
    result_free(&r);
    batch_free(&b);
}

static void assert_same(const char *what, int64_t n, const float *a, const float *b)
{
    if (memcmp(a, b, (size_t)n * sizeof *a) != 0) fail_msg("%s: different bits", what);
}

static void test_bits(void **state)
{
    const int first = ls_isa_find("v3") < 0 ? 0 : ls_isa_find("v3");
    for (int s = 0; s < 2 * SHAPES; s++) {
        batch  b    = batch_of(s % SHAPES, s < SHAPES ? 0 : 2);
        result want = run_batch(&b, first, 1, 1);
        for (int isa = first; isa <= (int)ls_isa_best(); isa++)
            for (int groups = 1; groups <= SHARDS; groups *= 2)
                for (int threads = 1; threads <= 3; threads++) {
                    result r = run_batch(&b, isa, groups, threads);
                    assert_same("sums", 2 * b.channels, r.sums, want.sums);
                    assert_same("y", b.rows * b.size, r.y, want.y);
                    assert_same("dx", b.rows * b.size, r.dx, want.dx);
                    assert_same("dw", b.channels, r.dw, want.dw);
                    assert_same("db", b.channels, r.db, want.db);
                    result_free(&r);
                }
        result_free(&want);
        batch_free(&b);
    }
}

/* PyTorch: running = (1 - momentum) running + momentum new, with the unbiased variance. */
static void test_running_statistics(void **state)
{
    batch  b            = batch_of(0, 0);
    result r            = run_batch(&b, (int)ls_isa_best(), 1, 1);
    float *x[LS_MAX_IN] = {NULL, b.param[1], b.param[2], values(b.channels, 5, 19, 1), values(b.channels, 6, 9, 1)};
    ls__op(b.node)->update_running(b.node, r.sums, b.rows, x);
    for (int64_t c = 0; c < b.channels; c++) {
        const double n = (double)(b.rows * b.inner);
        double       mean, var;
        statistics(&b, c, -1, 0, &mean, &var);
        assert_near("running mean", c, x[3][c], 0.9 * (double)b.param[3][c] + 0.1 * mean, 1e-6);
        assert_near("running variance", c, x[4][c], 0.9 * (double)b.param[4][c] + 0.1 * var * n / (n - 1), 1e-5);
    }
    free(x[3]);
    free(x[4]);
    result_free(&r);
    batch_free(&b);
}

static void test_refused(void **state)
{
    CHECK_REFUSED(batch_norm, "one value per channel",
                  {.in = {{.dims = {3, 4}}, CHANNELS(4), CHANNELS(3), CHANNELS(3), VARIANCE(3)}});
    CHECK_REFUSED(batch_norm, "eps is -1",
                  {.in   = {{.dims = {3, 4}}, CHANNELS(3), CHANNELS(3), CHANNELS(3), VARIANCE(3)},
                   .args = &(ls_batch_norm_args){.eps = -1}});
    CHECK_REFUSED(batch_norm, "momentum is 2",
                  {.in   = {{.dims = {3, 4}}, CHANNELS(3), CHANNELS(3), CHANNELS(3), VARIANCE(3)},
                   .args = &(ls_batch_norm_args){.momentum = 2}});
    CHECK_REFUSED(batch_norm, "over is -2",
                  {.in   = {{.dims = {3, 4}}, CHANNELS(3), CHANNELS(3), CHANNELS(3), VARIANCE(3)},
                   .args = &(ls_batch_norm_args){.over = -2}});
}

CHECK_MAIN(cmocka_unit_test(check_batch_norm), cmocka_unit_test(test_against_float64),
           cmocka_unit_test(test_groups_against_float64), cmocka_unit_test(test_dx_is_a_derivative),
           cmocka_unit_test(test_bits), cmocka_unit_test(test_running_statistics), cmocka_unit_test(test_refused))
