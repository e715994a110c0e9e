/* SPDX-License-Identifier: Apache-2.0
 *
 * Which tensor of a file belongs to which parameter of a model, by the names of its architecture.  Not public.
 *
 * Without an architecture (NULL) names must be equal.
 */
#ifndef LS_DIST_INTEROP_TENSOR_NAMES_H
#define LS_DIST_INTEROP_TENSOR_NAMES_H

#include "core/graph/params.h"
#include "dist/interop/architecture.h"
#include "dist/interop/tensor_set.h"

/* Returns the tensor that holds the parameter, or NULL.  The tensor has the name of the parameter, that name without
 * the prefix of the architecture, or the name of a tied tensor. */
ls_stored *ls__stored_of_param(const ls_architecture *a, const ls_tensor_set *set, const char *param);

/* Returns the slot of the parameter that a tied tensor repeats, or -1. */
int ls__slot_of_tied(const ls_architecture *a, const ls_params *params, const char *name);

/* Returns whether a tensor is no parameter, such as a causal mask, and is ignored. */
bool ls__is_buffer(const ls_architecture *a, const ls_params *params, const char *name);

#endif
