/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder of all checkpoints of a run.  Not public.
 *
 *     checkpoints/step-00000128/part-0000.h5       a file of each rank that writes: dist/checkpoint/checkpoint_file.h
 *     checkpoints/step-00000128/manifest.xxh64     their checksums: dist/checkpoint/checkpoint_manifest.h
 *     checkpoints/latest, checkpoints/best         symbolic links to such folders, for people and scripts
 */
#ifndef LS_DIST_CHECKPOINT_CHECKPOINT_FOLDER_H
#define LS_DIST_CHECKPOINT_CHECKPOINT_FOLDER_H

#include "dist/checkpoint/checkpoint_index.h"

/* Prefix of the files with which ranks find out whether they have the same folder. */
#define LS_PROBE_PREFIX ".seen-"

/* Lists the steps that have a folder step-..., increasing; *count is 0 when `folder` does not exist.  Free *steps. */
ls_status ls__checkpoint_steps(const char *folder, int64_t **steps, int *count);

/* Prefix of a checkpoint that is being replaced or removed. */
#define LS_REPLACED_PREFIX ".old-step-"

/* Prints folder/step-00000128, and folder/.tmp-step-00000128. */
ls_status ls__checkpoint_path(char path[LS_PATH_BYTES], const char *folder, int64_t step);
ls_status ls__checkpoint_temporary(char path[LS_PATH_BYTES], const char *folder, int64_t step);

/* Returns the step to which the link `name` ("latest", "best") leads, or -1. */
int64_t ls__checkpoint_linked(const char *folder, const char *name);

/* Creates the folder, and removes the remains of an interrupted save. */
ls_status ls__checkpoint_prepare(const char *folder);

/* Writes the manifest into the temporary folder of the step, whose files are complete, and renames the folder. */
ls_status ls__checkpoint_publish(const char *folder, const ls_progress *progress, int files, const uint64_t *checksums);

/* After publishing: updates the links `latest` and `best`, and removes the checkpoints that need not be kept. */
ls_status ls__checkpoint_prune(const char *folder, const ls_progress *progress, const ls_checkpoint_retention *keep);

/* Removes the temporary folder of a failed save.  Returns `status`, whose error message stays. */
ls_status ls__checkpoint_abandon(const char *folder, int64_t step, ls_status status);

/* Opens the newest intact checkpoint; *found is false when there is none at all.  Damaged ones are skipped with a
 * warning on stderr; LS_ERR_DATA when all are damaged.  LS_ERR_USAGE when the newest intact one does not have the
 * arrays of `state`: older ones would belong to the other model as well. */
ls_status ls__checkpoint_newest(ls_index *x, const ls_state *state, const char *folder, bool *found);

#endif
