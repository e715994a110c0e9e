/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing for matrix products: copies parts of x and w into panels in the order in which the micro-kernel reads
 * them. */
#ifndef LS_CORE_CPU_GEMM_GEMM_PACK_H
#define LS_CORE_CPU_GEMM_GEMM_PACK_H

#include "core/cpu/gemm/gemm_kernel.h"

enum {
    /* most 32-bit words along a packed range: each piece of odd length ends with a zero if the operands are bfloat16 */
    LS_WORDS = LS_KC_PAIRS + LS_TILE_PIECES,
    LS_NC    = 64 * LS_NR, /* columns of w that are packed at a time */
    LS_STATE = 1 << 20     /* capacity of a task for partial sums, floats */
};

/* Format of packed operands.  It depends on their type and on the instruction-set level. */
typedef struct ls_gemm_format {
    const ls_gemm_kernels *kernels;
    int64_t                tile_rows; /* LS_MR, or LS_MR_AMX */
    int64_t                longest;   /* positions of a packed range, at most */
    int64_t                align;     /* a piece is filled up with zeros to a multiple of it; segments start at one */
    int64_t                per_word;  /* positions in a 32-bit word of a panel */
    int64_t                most_rows; /* rows of x that are packed at a time; they fit into the L2 cache */
    int64_t                sums; /* float32 sums of a bfloat16 y that are kept at a time; they fit into the L2 cache */
    double                 pack_cost; /* time to pack a value of w, in multiply-adds of a vector */
} ls_gemm_format;

/* Number of rows of a panel for a piece of k positions. */
static inline int64_t ls__gemm_panel_rows(const ls_gemm_format *f, int64_t k)
{
    return (k + f->align - 1) / f->align * f->align / f->per_word;
}

/* Workspace of one thread. */
typedef struct ls_gemm_space {
    float *w;     /* LS_WORDS x LS_NC packed floats */
    float *x;     /* most_rows x LS_WORDS packed floats */
    float *state; /* LS_STATE floats of partial sums */
    int    slot;  /* slot of the pool */
} ls_gemm_space;

/* Takes a workspace from the pool, or gives it back.  The first calls allocate for all threads of the team; the memory
 * stays allocated, so that later calls do not allocate. */
ls_gemm_space LS_ISA_NAME(ls__gemm_space_take)(void);
void          LS_ISA_NAME(ls__gemm_space_give)(ls_gemm_space space);

/* Packs k x n floats of w, n <= LS_NR, as k rows of LS_NR floats.  The values of columns n and above are undefined. */
void LS_ISA_NAME(ls__gemm_pack_w)(const float *w, int64_t w_row, int64_t w_col, int64_t k, int64_t n, float *panel);

/* Distance between two panels of x with `tile_rows` rows each, floats.  It is usually an odd number of cache lines:
 * panels that are written at the same time would otherwise map to the same few cache sets. */
static inline int64_t ls__gemm_x_panel(int64_t tile_rows, int64_t k) { return tile_rows * k + 16; }

/* Packs rows x k floats of x as panels of k rows of LS_MR floats, one panel for every LS_MR rows of x.  May write up to
 * LS_V floats beyond the last panel. */
void LS_ISA_NAME(ls__gemm_pack_x)(const float *x, int64_t x_row, int64_t x_col, int64_t rows, int64_t k, float *panel);

/* Packs k positions of `count` vectors of bfloat16 into the columns of a panel of `width` columns, as pairs along k.
 * An odd k is filled up with a zero.  Element i of vector v is x[v * apart + i * along].
 * dot: one row of the panel per pair, the even element in the lower half of a word, for VDPBF16PS.
 * else: two rows of float32 per pair, the odd element first. */
void LS_ISA_NAME(ls__gemm_pack_pairs)(const uint16_t *x, int64_t apart, int64_t along, int64_t count, int64_t k,
                                      float *panel, int64_t width, bool dot);

/* Packs rows x k bfloat16 values of x for AMX, as panels of LS_MR_AMX rows that begin `step` floats from each other.
 * A panel is a sequence of blocks of LS_TILE_K positions; a block has one cache line for each row.  k is filled up with
 * zeros.  The rows of the last panel beyond `rows` are undefined. */
void LS_ISA_NAME(ls__gemm_pack_x_amx)(const uint16_t *x, int64_t x_row, int64_t x_col, int64_t rows, int64_t k,
                                      float *panel, int64_t step);

#define ls__gemm_pack_x_amx LS_ISA_NAME(ls__gemm_pack_x_amx)
#define ls__gemm_pack_pairs LS_ISA_NAME(ls__gemm_pack_pairs)
#define ls__gemm_space_take LS_ISA_NAME(ls__gemm_space_take)
#define ls__gemm_space_give LS_ISA_NAME(ls__gemm_space_give)
#define ls__gemm_pack_w LS_ISA_NAME(ls__gemm_pack_w)
#define ls__gemm_pack_x LS_ISA_NAME(ls__gemm_pack_x)

#endif
