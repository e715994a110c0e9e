/* SPDX-License-Identifier: Apache-2.0
 * Fills the kernel table of the level that this file is compiled for, from the lists of ops, vector functions and
 * optimizers. */
#include "core/cpu/isa_table.h"

#include "core/cpu/machine_peak.h"
#include "core/optim/optim_rule.h"

#define X(id) extern LS_OP(id);
LS_OP_LIST(X)
#undef X

#define X(kind, text, id) extern LS_OPTIM(id);
LS_OPTIM_LIST(X)
#undef X

static const ls_vmath vmath = {
#define X(f) ls__v##f,
    LS_VMATH_LIST(X)
#undef X
};

#define NAME_OF(level) NAME_OF_2(level)
#define NAME_OF_2(level) #level

const ls_isa_table LS_ISA_NAME(ls__isa_table) = {
    .name = NAME_OF(LS_ISA_SUFFIX),
    .op =
        {
#define X(id) [LS_OP_##id] = &LS_ISA_NAME(ls__op_##id),
            LS_OP_LIST(X)
#undef X
        },
    .gemm              = ls__gemm,
    .gemm_pack         = ls__gemm_pack,
    .gemm_packed_bytes = ls__gemm_packed_bytes,
    .product           = ls__product,
    .product_with      = ls__product_with,
    .vmath             = &vmath,
    .optim =
        {
#define X(kind, text, id) [kind] = &LS_ISA_NAME(ls__optim_##id),
            LS_OPTIM_LIST(X)
#undef X
        },
    .narrow = ls__narrow_array,
    .peak   = ls__peak,
};
