/* SPDX-License-Identifier: Apache-2.0
 *
 * config.json of timm, which names a model by its architecture.  Not public. */
#ifndef LS_DIST_INTEROP_TIMM_CONFIG_H
#define LS_DIST_INTEROP_TIMM_CONFIG_H

#include "dist/dist.h"

/* Describes the model of a config.json of timm; leaves *p unchanged when the file has no "architecture".  LS_ERR_DATA:
 * the architecture is not in the table. */
ls_status ls__timm_config_read(const char *path, ls_pretrained *p);

#endif
