/* SPDX-License-Identifier: Apache-2.0
 * The kernel table of an instruction-set level: all functions and ops that are compiled once per level
 * (core/base/isa.h).  Program compiler, tests and benches call kernels through it. */
#ifndef LS_CORE_CPU_ISA_TABLE_H
#define LS_CORE_CPU_ISA_TABLE_H

#include "core/cpu/gemm/product_table.h"
#include "core/cpu/machine_peak.h"
#include "core/cpu/vector/narrow_array.h"
#include "core/cpu/vector/vmath.h"
#include "core/graph/op.h"

struct ls_isa_table {
    const char                       *name;
    const ls_op                      *op[LS_OP_COUNT];
    ls_gemm_fn                       *gemm;
    ls_gemm_pack_fn                  *gemm_pack;
    ls_gemm_packed_bytes_fn          *gemm_packed_bytes;
    ls_product_fn                    *product;
    ls_product_with_fn               *product_with;
    const ls_vmath                   *vmath;
    const struct ls_optim_descriptor *optim[LS_OPTIM_COUNT]; /* core/optim/optim_rule.h */
    ls_narrow_array_fn               *narrow;
    ls_peak_fn                       *peak;
};

#endif
