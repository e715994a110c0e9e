/* SPDX-License-Identifier: Apache-2.0
 *
 * Matrix products, one for each pair of matrices of two tensors of samples.
 *      x: B x ... x M x K   y: B x ... x K x N   ->  z: B x ... x M x N        either with its last two dims exchanged
 *
 * Forward     z = x y
 * Backward    dx = dz y^T,  dy = x^T dz
 *
 * Many products are dealt out to threads, few are computed one after another by all of them: that is the same to the
 * bit.
 */
#include <omp.h>

#include "core/cpu/gemm/gemm.h"
#include "core/ops/infer.h"

/* A matrix as the product has it: where an element lies. */
typedef struct matrix {
    const float *data;
    int64_t      row, col, size; /* size: from one matrix to the next */
} matrix;

typedef struct shape {
    int64_t count, m, n, k; /* count: products of a sample */
    bool    x_turned, y_turned;
} shape;

static shape shape_of(const ls_node *node)
{
    const ls_matmul_args *a = node->args;
    const ls_tensor      *x = node->in[0], *y = node->in[1];
    shape                 s = {.x_turned = a->transpose_x, .y_turned = a->transpose_y};
    s.m                     = x->dim[x->rank - (s.x_turned ? 1 : 2)];
    s.k                     = x->dim[x->rank - (s.x_turned ? 2 : 1)];
    s.n                     = y->dim[y->rank - (s.y_turned ? 2 : 1)];
    s.count                 = ls__numel(x) / (s.m * s.k);
    return s;
}

static ls_status infer(ls_node *n)
{
    const ls_matmul_args *a = n->args;
    const ls_tensor      *x = n->in[0], *y = n->in[1];
    LS_TRY(ls__expect_samples(n, 0));
    LS_NODE_CHECK(n, y->batched, "'%s' (%s) has no batch dim" LS_HINT "ls_linear_op multiplies with a parameter",
                  y->name, ls__shape(y));
    LS_TRY(ls__expect_samples(n, 1));
    LS_NODE_CHECK(n, x->rank >= 2 && y->rank >= 2,
                  "'%s' is %s and '%s' is %s, expected at least two dims besides the batch", x->name, ls__shape(x),
                  y->name, ls__shape(y));
    bool same = x->rank == y->rank;
    for (int i = 0; same && i < x->rank - 2; i++) same = x->dim[i] == y->dim[i];
    LS_NODE_CHECK(n, same, "'%s' is %s and '%s' is %s, expected the same dims before the last two", x->name,
                  ls__shape(x), y->name, ls__shape(y));
    shape   s = shape_of(n);
    int64_t k = y->dim[y->rank - (a->transpose_y ? 1 : 2)];
    LS_NODE_CHECK(n, s.k == k, "'%s' is %s%s and '%s' is %s%s: rows of %lld and columns of %lld do not fit", x->name,
                  ls__shape(x), s.x_turned ? " (transposed)" : "", y->name, ls__shape(y),
                  s.y_turned ? " (transposed)" : "", (long long)s.k, (long long)k);
    int64_t dim[LS_MAX_DIMS];
    for (int i = 0; i < x->rank - 2; i++) dim[i] = x->dim[i];
    dim[x->rank - 2] = s.m;
    dim[x->rank - 1] = s.n;
    ls__out(n, 0, LS_F32, true, x->rank, dim);
    return LS_OK;
}

/* Matrices of rows x cols, or lying there with the two exchanged. */
static matrix matrix_of(const float *data, int64_t rows, int64_t cols, bool turned)
{
    return (matrix){data, turned ? 1 : cols, turned ? rows : 1, rows * cols};
}

static matrix turn(matrix x) { return (matrix){x.data, x.col, x.row, x.size}; }

/* z = x y for `count` pairs; x: m x k, y: k x n. */
static void multiply(int64_t count, int64_t m, int64_t n, int64_t k, matrix x, matrix y, float *z, bool add)
{
    enum {
        WORTH_THREADS = 1 << 17,
        ENOUGH        = 4
    }; /* multiply-adds; products a thread, so that none waits long for another */
    const int  threads = omp_get_max_threads();
    const bool deal    = count % threads == 0 || count >= ENOUGH * threads;
#pragma omp parallel for schedule(static) if (deal &&                                                                  \
                                              (double)count * (double)m * (double)n * (double)k >= WORTH_THREADS)
    for (int64_t i = 0; i < count; i++)
        ls__gemm(&(ls_gemm){.m      = m,
                            .n      = n,
                            .k      = k,
                            .x      = x.data + i * x.size,
                            .x_row  = x.row,
                            .x_col  = x.col,
                            .w      = y.data + i * y.size,
                            .w_row  = y.row,
                            .w_col  = y.col,
                            .y      = z + i * m * n,
                            .y_row  = n,
                            .add    = add,
                            .serial = deal});
}

static void forward(const ls_call *c)
{
    const shape s = shape_of(c->node);
    multiply(c->rows * s.count, s.m, s.n, s.k, matrix_of(c->x[0], s.m, s.k, s.x_turned),
             matrix_of(c->x[1], s.k, s.n, s.y_turned), c->y[0], false);
}

/* A gradient of an operand that lies transposed is computed transposed. */
static void backward(const ls_call *c)
{
    const shape   s     = shape_of(c->node);
    const int64_t count = c->rows * s.count;
    const matrix  x = matrix_of(c->x[0], s.m, s.k, s.x_turned), y = matrix_of(c->x[1], s.k, s.n, s.y_turned),
                 dz = matrix_of(c->dy[0], s.m, s.n, false);
    if (c->dx[0] && s.x_turned)
        multiply(count, s.k, s.m, s.n, y, turn(dz), c->dx[0], c->add[0]);
    else if (c->dx[0])
        multiply(count, s.m, s.k, s.n, dz, turn(y), c->dx[0], c->add[0]);
    if (c->dx[1] && s.y_turned)
        multiply(count, s.n, s.k, s.m, turn(dz), x, c->dx[1], c->add[1]);
    else if (c->dx[1])
        multiply(count, s.k, s.n, s.m, turn(x), dz, c->dx[1], c->add[1]);
}

static double flops(const ls_node *n)
{
    shape s = shape_of(n);
    return 2.0 * (double)ls__numel(n->out[0]) * (double)s.k;
}

LS_OP(matmul) = {
    .name       = "matmul",
    .args_bytes = sizeof(ls_matmul_args),
    .ins        = 2,
    .outs       = 1,
    .saves      = LS_SAVES_IN(0) | LS_SAVES_IN(1),
    .fields     = LS_FIELDS(LS_FIELD(BOOL, ls_matmul_args, transpose_x), LS_FIELD(BOOL, ls_matmul_args, transpose_y)),
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .flops      = flops,
};
