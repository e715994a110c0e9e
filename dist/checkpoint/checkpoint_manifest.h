/* SPDX-License-Identifier: Apache-2.0
 *
 * The manifest of a checkpoint: a text file with the XXH64 of each other file, as xxh64sum prints and checks it.
 * Not public.
 *
 *     0123456789abcdef  part-0000.h5
 *     fedcba9876543210  part-0001.h5
 */
#ifndef LS_DIST_CHECKPOINT_CHECKPOINT_MANIFEST_H
#define LS_DIST_CHECKPOINT_CHECKPOINT_MANIFEST_H

#include <stdint.h>

#include "core/base/status.h"

#define LS_MANIFEST "manifest.xxh64"

/* Writes the manifest of `files` files into the folder, atomically. */
ls_status ls__manifest_write(const char *folder, int files, const uint64_t *checksums);

/* Compares each file with its checksum.  Returns LS_ERR_DATA for the first that differs or for a malformed manifest,
 * LS_ERR_USAGE for a checkpoint of format 1.  With `each` (NULL allowed) all files are compared, and it is called for
 * each one with the error message, or NULL for an intact file.  *files, *bytes: number and total size. */
ls_status ls__manifest_verify(const char *folder, void (*each)(const char *file, const char *problem, void *data),
                              void *data, int *files, int64_t *bytes);

#endif
