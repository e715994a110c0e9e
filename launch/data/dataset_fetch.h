/* SPDX-License-Identifier: Apache-2.0
 * Download of public datasets, for `lockstep data fetch`. */
#ifndef LS_LAUNCH_DATA_DATASET_FETCH_H
#define LS_LAUNCH_DATA_DATASET_FETCH_H

#include "core/base/status.h"

/* Downloads the files of a known dataset, or takes those in LOCKSTEP_DATA, checks their SHA-256 and imports them into
 * `out`; NULL: into the cache.  For text, stores the files themselves. */
ls_status ls__data_fetch(const char *name, const char *out);

#endif
