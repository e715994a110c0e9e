/* SPDX-License-Identifier: Apache-2.0
 *
 * Batched matrix product: one product for each pair of matrices of two tensors.
 *      x: B x ... x M x K   y: B x ... x K x N   ->  z: B x ... x M x N        x and y may be stored transposed
 *
 * Forward     z = x y
 * Backward    dx = dz y^T,  dy = x^T dz
 *
 * Many products are distributed over the threads; few are computed one after another, each by all threads.  The bits
 * are the same.
 */
#include <omp.h>

#include "core/cpu/gemm/product_table.h"
#include "core/ops/infer.h"

/* Matrices of one operand: element (i, j) of matrix k is data[k * size + i * row + j * col]. */
typedef struct matrix {
    ls_array data;
    int64_t  row, col, size;
} matrix;

typedef struct shape {
    int64_t count;   /* products per sample           */
    int64_t m, n, k; /* x is m x k, y is k x n        */
    bool    x_transposed, y_transposed;
} shape;

static shape shape_of(const ls_node *node)
{
    const ls_matmul_args *a = node->args;
    const ls_tensor      *x = node->in[0], *y = node->in[1];
    shape                 s = {.x_transposed = a->transpose_x, .y_transposed = a->transpose_y};
    s.m                     = x->dim[x->rank - (s.x_transposed ? 1 : 2)];
    s.k                     = x->dim[x->rank - (s.x_transposed ? 2 : 1)];
    s.n                     = y->dim[y->rank - (s.y_transposed ? 2 : 1)];
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
    LS_NODE_CHECK(n, s.k == k,
                  "'%s' is %s%s and '%s' is %s%s: rows of length %lld and columns of length %lld do not match", x->name,
                  ls__shape(x), s.x_transposed ? " (transposed)" : "", y->name, ls__shape(y),
                  s.y_transposed ? " (transposed)" : "", (long long)s.k, (long long)k);
    int64_t dim[LS_MAX_DIMS];
    for (int i = 0; i < x->rank - 2; i++) dim[i] = x->dim[i];
    dim[x->rank - 2] = s.m;
    dim[x->rank - 1] = s.n;
    ls__out(n, 0, x->type, true, x->rank, dim);
    return LS_OK;
}

/* Matrices of rows x cols, stored transposed or not. */
static matrix matrix_of(ls_array data, int64_t rows, int64_t cols, bool transposed)
{
    return (matrix){data, transposed ? 1 : cols, transposed ? rows : 1, rows * cols};
}

static matrix transposed(matrix x) { return (matrix){x.data, x.col, x.row, x.size}; }

/* Computes z = x y for `count` pairs; x: m x k, y: k x n.  x, y and z have one type. */
static void multiply(const ls_product_table *products, int64_t count, int64_t m, int64_t n, int64_t k, matrix x,
                     matrix y, ls_array z, bool add)
{
    enum {
        PARALLEL   = 1 << 17, /* multiply-adds from which starting threads pays off         */
        PER_THREAD = 4        /* products per thread from which an uneven split costs little */
    };
    const int  threads    = omp_get_max_threads();
    const bool distribute = count % threads == 0 || count >= PER_THREAD * threads;
#pragma omp parallel for schedule(static) if (distribute &&                                                            \
                                              (double)count * (double)m * (double)n * (double)k >= PARALLEL)
    for (int64_t i = 0; i < count; i++)
        ls__product(products, &(ls_gemm){.m      = m,
                                         .n      = n,
                                         .k      = k,
                                         .x      = ls__from(x.data, i * x.size).data,
                                         .x_row  = x.row,
                                         .x_col  = x.col,
                                         .w      = ls__from(y.data, i * y.size).data,
                                         .w_row  = y.row,
                                         .w_col  = y.col,
                                         .y      = ls__from(z, i * m * n).data,
                                         .y_row  = n,
                                         .add    = add,
                                         .type   = x.data.type,
                                         .y_type = z.type,
                                         .serial = distribute});
}

static void forward(const ls_call *c)
{
    const shape s = shape_of(c->node);
    multiply(c->node->graph->products, c->rows * s.count, s.m, s.n, s.k,
             matrix_of(ls__x(c, 0), s.m, s.k, s.x_transposed), matrix_of(ls__x(c, 1), s.k, s.n, s.y_transposed),
             ls__y(c, 0), false);
}

/* The gradient of an operand that is stored transposed is computed transposed. */
static void backward(const ls_call *c)
{
    const shape             s        = shape_of(c->node);
    const int64_t           count    = c->rows * s.count;
    const ls_product_table *products = c->node->graph->products;
    const matrix            x        = matrix_of(ls__x(c, 0), s.m, s.k, s.x_transposed),
                 y = matrix_of(ls__x(c, 1), s.k, s.n, s.y_transposed), dz = matrix_of(ls__dy(c, 0), s.m, s.n, false);
    if (c->dx[0] && s.x_transposed)
        multiply(products, count, s.k, s.m, s.n, y, transposed(dz), ls__dx(c, 0), c->add[0]);
    else if (c->dx[0])
        multiply(products, count, s.m, s.k, s.n, dz, transposed(y), ls__dx(c, 0), c->add[0]);
    if (c->dx[1] && s.y_transposed)
        multiply(products, count, s.n, s.k, s.m, transposed(dz), x, ls__dx(c, 1), c->add[1]);
    else if (c->dx[1])
        multiply(products, count, s.k, s.n, s.m, transposed(x), dz, ls__dx(c, 1), c->add[1]);
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
    .narrow     = 1u << 0 | 1u << 1,
    .fields     = LS_FIELDS(LS_FIELD(BOOL, ls_matmul_args, transpose_x), LS_FIELD(BOOL, ls_matmul_args, transpose_y)),
    .infer      = infer,
    .forward    = {[LS_CPU] = forward},
    .backward   = {[LS_CPU] = backward},
    .flops      = flops,
};
