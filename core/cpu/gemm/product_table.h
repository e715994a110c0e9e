/* SPDX-License-Identifier: Apache-2.0
 *
 * Matrix products of ops, computed by the kernels of Lockstep or by an external library.
 *
 * With train.reproducible=false a graph may have a product table.  The table names the library for each class of
 * products.  A class is the type of the operands, the layout, and the ranges of M, N and K.  `lockstep bench gemm
 * --table` measures one product of each class.  Products without a library are computed by ls__gemm.
 *
 *     ls__product(node->graph->products, &(ls_gemm){...});
 */
#ifndef LS_CORE_CPU_GEMM_PRODUCT_TABLE_H
#define LS_CORE_CPU_GEMM_PRODUCT_TABLE_H

#include "core/cpu/gemm/onednn.h"
#include "core/cpu/gemm/openblas.h"

/* Lockstep and the libraries. */
#define LS_PRODUCT_BY_LIST(X) X(LS_BY_LOCKSTEP, "lockstep") X(LS_BY_OPENBLAS, "OpenBLAS") X(LS_BY_ONEDNN, "oneDNN")
typedef enum ls_product_by { LS_ENUMERATORS(LS_PRODUCT_BY_LIST) LS_PRODUCT_BYS } ls_product_by;

/* Layouts of the operands in memory.  In `x w^T`, w is stored transposed. */
#define LS_PRODUCT_LAYOUT_LIST(X) X(LS_XW, "x w") X(LS_XWT, "x w^T") X(LS_XTW, "x^T w")
typedef enum ls_product_layout { LS_ENUMERATORS(LS_PRODUCT_LAYOUT_LIST) LS_PRODUCT_LAYOUTS } ls_product_layout;

/* Ranges of a dim: the smallest dim of the range, and the dim that is measured.  Smaller dims are in no class. */
#define LS_PRODUCT_RANGE_LIST(X) X(8, 16) X(32, 64) X(128, 256) X(512, 768) X(2048, 3072)
enum { LS_PRODUCT_RANGES = LS_ENUM_COUNT(LS_PRODUCT_RANGE_LIST), LS_PRODUCT_TYPES = 2 };

typedef struct ls_product_class {
    bool              bf16; /* the operands are bfloat16 */
    ls_product_layout layout;
    int               m, n, k; /* ranges */
} ls_product_class;

typedef struct ls_product_table {
    /* ls_product_by of a class, by the fields of ls_product_class */
    unsigned char by[LS_PRODUCT_TYPES][LS_PRODUCT_LAYOUTS][LS_PRODUCT_RANGES][LS_PRODUCT_RANGES][LS_PRODUCT_RANGES];
    bool          float32_by_openblas; /* OpenBLAS computes all products of float32 for which `by` has no library */
} ls_product_table;

/* The library; NULL for LS_BY_LOCKSTEP. */
static inline ls_provider *ls__product_library(ls_product_by by)
{
    static ls_provider *const library[LS_PRODUCT_BYS] = {
        [LS_BY_OPENBLAS] = &ls__openblas, [LS_BY_ONEDNN] = &ls__onednn};
    return library[by];
}

/* The range of a dim; -1: none. */
static inline int ls__product_range(int64_t dim)
{
#define X(smallest, measured) +(dim >= (smallest))
    return (LS_PRODUCT_RANGE_LIST(X)) - 1;
#undef X
}

/* Finds the class of g.  Returns false if it is in none. */
static inline bool ls__product_class_of(const ls_gemm *g, ls_product_class *c)
{
    const bool x_transposed = g->x_col != 1, w_transposed = g->w_col != 1;
    *c = (ls_product_class){.bf16   = g->type == LS_BF16,
                            .layout = x_transposed   ? LS_XTW
                                      : w_transposed ? LS_XWT
                                                     : LS_XW,
                            .m      = ls__product_range(g->m),
                            .n      = ls__product_range(g->n),
                            .k      = ls__product_range(g->k)};
    return !(x_transposed && w_transposed) && c->m >= 0 && c->n >= 0 && c->k >= 0;
}

/* Computes g with the library that `table` names for it.  table NULL: with ls__gemm. */
typedef void ls_product_fn(const ls_product_table *table, const ls_gemm *g);
#define ls__product LS_ISA_NAME(ls__product)
void ls__product(const ls_product_table *table, const ls_gemm *g);

/* Computes g with a library; y may be bfloat16.  Parts that the library refuses are computed by ls__gemm.  Returns the
 * first such error.  by: not LS_BY_LOCKSTEP. */
typedef ls_status ls_product_with_fn(ls_product_by by, const ls_gemm *g);
#define ls__product_with LS_ISA_NAME(ls__product_with)
ls_status ls__product_with(ls_product_by by, const ls_gemm *g);

#endif
