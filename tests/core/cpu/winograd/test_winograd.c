/* SPDX-License-Identifier: Apache-2.0 */
/* timeout: 600 */
#include "tests/conv2d_reference.h"

/* Sizes that are not multiples of a tile, channels that are not multiples of a register tile or of a vector, groups,
 * padding 0 to 3, rows of an odd number of tiles.  Winograd's tiles round more than direct sums. */
#define TOLERANCE .tol = 1e-5, .tol_grad = 4e-5
CHECK_OP(
    conv2d, conv2d_reference,
    {.in = {{.dims = {13, 7, 9}}, W(19, 13, 3, 3), W(19)}, .args = ARGS(.padding = 1), .out = {19, 7, 9}, TOLERANCE},
    {.in = {{.dims = {12, 7, 10}}, W(12, 12, 3, 3), NO_BIAS}, .out = {12, 5, 8}, TOLERANCE},
    {.in   = {{.dims = {26, 6, 5}}, W(24, 13, 3, 3), W(24)},
     .args = ARGS(.padding = 2, .groups = 2),
     .out  = {24, 8, 7},
     TOLERANCE},
    {.in   = {{.dims = {12, 5, 13}}, W(12, 12, 3, 3), NO_BIAS},
     .args = ARGS(.pad_top = 2, .pad_left = 3, .pad_bottom = 1),
     .out  = {12, 6, 14},
     TOLERANCE})

/* ---- compared with direct sums ----------------------------------------------------------------------------------- */

enum { SHARDS = 2 };

/* Arrays of one convolution. */
typedef struct arrays {
    int64_t rows, in, out, taps; /* samples; elements of x and y of a sample, and of the weights */
    int64_t channels;
    float  *x, *w, *b, *y, *dy, *dx, *dw, *db;
} arrays;

static float *values(ls_arena *memory, int64_t n, uint64_t seed)
{
    float *v = ls_arena_alloc(memory, (size_t)n * sizeof *v);
    for (int64_t i = 0; seed && i < n; i++) v[i] = check_normal(seed, i);
    return v;
}

/* Computes y, dx, dw and db of samples [first, first + rows). */
static void compute(const ls_node *n, const arrays *a, int64_t first, int64_t rows, ls_arena *memory)
{
    const ls_op *op    = ls__op(n);
    const int    shard = rows == a->rows ? SHARDS : 1;
    ls_call      c     = {.node     = n,
                          .args     = n->args,
                          .rows     = rows,
                          .shards   = shard,
                          .bound    = (int64_t[]){0, shard == 1 ? rows : rows / 3, rows},
                          .training = true,
                          .x        = {a->x + first * a->in, a->w, a->b},
                          .y        = {a->y + first * a->out},
                          .dy       = {a->dy + first * a->out},
                          .dx       = {a->dx + first * a->in, a->dw, a->db},
                          .groups   = 1,
                          .group    = &(ls_group){.shards = shard}};
    for (int back = 0; back < 2; back++) {
        const size_t bytes = op->scratch(n, rows, shard, omp_get_max_threads(), back);
        c.scratch          = ls_arena_alloc(memory, bytes);
        memset(c.scratch, 0xff, bytes);
        (back ? op->backward : op->forward)[LS_CPU](&c);
    }
}

static void check_near(const char *what, int64_t n, const float *got, const float *want)
{
    double scale = 0;
    for (int64_t i = 0; i < n; i++) scale = fmax(scale, fabs((double)want[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= 1e-5 * scale))
            fail_msg("%s[%lld] is %.9g, expected %.9g", what, (long long)i, (double)got[i], (double)want[i]);
}

static arrays arrays_new(ls_arena *memory, const ls_node *n, int64_t rows)
{
    arrays a = {.rows     = rows,
                .in       = ls__numel(n->in[0]),
                .out      = ls__numel(n->out[0]),
                .taps     = ls__numel(n->in[1]),
                .channels = n->out[0]->dim[0]};
    a.x      = values(memory, rows * a.in, 1);
    a.w      = values(memory, a.taps, 2);
    a.b      = values(memory, a.channels, 3);
    a.dy     = values(memory, rows * a.out, 4);
    a.y      = values(memory, rows * a.out, 0);
    a.dx     = values(memory, rows * a.in, 0);
    a.dw     = values(memory, a.taps, 0);
    a.db     = values(memory, a.channels, 0);
    return a;
}

/* Larger shapes: several blocks of tiles and of samples, and several parts of the sums over channels.  Tiles give the
 * results of direct sums, and one sample has the bits that it has in the batch. */
static void tiles_compute_what_direct_sums_do(void **state)
{
    static const struct {
        int64_t C, H, W, O;
        int     groups, padding;
        int64_t rows;
    } shape[] = {{16, 32, 32, 16, 1, 1, 19}, {17, 33, 35, 31, 1, 0, 3}, {140, 8, 8, 33, 1, 1, 21},
                 {96, 13, 13, 64, 2, 1, 5},  {12, 6, 280, 13, 1, 2, 2}, {24, 12, 20, 150, 1, 1, 9}};
    for (size_t k = 0; k < sizeof shape / sizeof *shape; k++) {
        ls_arena     *memory;
        arrays        a[2];
        const ls_init init = {0};
        const int64_t C = shape[k].C, O = shape[k].O, rows = shape[k].rows;
        assert_int_equal(ls_arena_new(&memory, "test"), LS_OK);
        for (int direct = 0; direct < 2; direct++) {
            ls_graph *g           = ls_graph_new();
            g->direct_convolution = direct;
            ls_tensor *x = ls_input(g, "x", LS_F32, C, shape[k].H, shape[k].W), *b = ls_param(g, "b", init, O);
            ls_tensor *w = ls_param(g, "w", init, O, C / shape[k].groups, 3, 3);
            ls_tensor *y = ls_conv2d_op(x, w, b, .padding = shape[k].padding, .groups = shape[k].groups);
            a[direct]    = arrays_new(memory, y->node, rows);
            compute(y->node, &a[direct], 0, rows, memory);
            if (!direct) {
                arrays one = arrays_new(memory, y->node, rows);
                compute(y->node, &one, rows - 1, 1, memory);
                const int64_t at = (rows - 1) * one.out, dx_at = (rows - 1) * one.in;
                assert_memory_equal(one.y + at, a->y + at, (size_t)one.out * sizeof *one.y);
                assert_memory_equal(one.dx + dx_at, a->dx + dx_at, (size_t)one.in * sizeof *one.dx);
            }
            ls_graph_free(g);
        }
        assert_true(memcmp(a[0].y, a[1].y, (size_t)(rows * a->out) * sizeof *a->y) != 0);
        check_near("y", rows * a->out, a[0].y, a[1].y);
        check_near("dx", rows * a->in, a[0].dx, a[1].dx);
        check_near("dw", a->taps, a[0].dw, a[1].dw);
        check_near("db", O, a[0].db, a[1].db);
        ls_arena_free(memory);
    }
}

CHECK_MAIN(cmocka_unit_test(check_conv2d), cmocka_unit_test(tiles_compute_what_direct_sums_do))
