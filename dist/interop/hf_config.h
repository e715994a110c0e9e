/* SPDX-License-Identifier: Apache-2.0
 * config.json the other way round: the model that it is of. */
#ifndef LS_DIST_INTEROP_HF_CONFIG_H
#define LS_DIST_INTEROP_HF_CONFIG_H

#include "core/core.h"

/* The options that make the model of `g`, which may have been built with any, the one of config.json: "layers: 12,
 * heads: 12", values as JSON; and its number of classes, 0 when it says nothing of them.  What no option decides is
 * left to ls_hf_config_check, once the model is built. */
ls_status ls__hf_config_options(const char *path, const ls_graph *g, char *options, size_t room, int64_t *classes);

#endif
