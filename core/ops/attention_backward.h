/* SPDX-License-Identifier: Apache-2.0
 *
 * Backward kernel of attention.
 */
#ifndef LS_CORE_OPS_ATTENTION_BACKWARD_H
#define LS_CORE_OPS_ATTENTION_BACKWARD_H

#include "core/ops/attention_tile.h"

#define ls__att_backward LS_ISA_NAME(ls__att_backward)
#define ls__att_backward_scratch LS_ISA_NAME(ls__att_backward_scratch)

void   ls__att_backward(const ls_call *c);
size_t ls__att_backward_scratch(const ls_att_shape *shape); /* bytes of workspace per thread */

#endif
