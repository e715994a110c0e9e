/* SPDX-License-Identifier: Apache-2.0
 *
 * Forward kernel of attention.
 */
#ifndef LS_CORE_OPS_ATTENTION_FORWARD_H
#define LS_CORE_OPS_ATTENTION_FORWARD_H

#include "core/ops/attention_tile.h"

#define ls__att_forward LS_ISA_NAME(ls__att_forward)
#define ls__att_forward_scratch LS_ISA_NAME(ls__att_forward_scratch)

void   ls__att_forward(const ls_call *c);
size_t ls__att_forward_scratch(const ls_att_shape *shape); /* bytes of workspace per thread */

#endif
