/* SPDX-License-Identifier: Apache-2.0
 *
 * config.json: writes the entries of an architecture, compares a file with them, and reads the options of a model.
 * Not public; ls_hf_config_save and ls_hf_config_check are in dist/dist.h.
 */
#ifndef LS_DIST_INTEROP_HF_CONFIG_H
#define LS_DIST_INTEROP_HF_CONFIG_H

#include "dist/dist.h"
#include "dist/interop/architecture.h"

/* Writes the entries, atomically. */
ls_status ls__hf_config_write(const char *path, const ls_config_entry *entries, int count);

/* Returns LS_ERR_DATA when the file belongs to a model with other entries, with all differences in one message. */
ls_status ls__hf_config_compare(const char *path, const ls_config_entry *entries, int count);

/* Prints the options of the model to which the file belongs, as JSON without braces ("layers: 12, heads: 12"), and sets
 * *classes to its vocabulary, 0 when the file has none. */
ls_status ls__hf_config_options(const char *path, const ls_config_entry *entries, int count, char *options, size_t room,
                                int64_t *classes);

/* Reads the arguments of the model of an architecture that has `read`. */
ls_status ls__hf_config_args(const char *path, const ls_architecture *a, void *args);

/* Sets the options and the vocabulary of the model of an architecture to which the file belongs. */
ls_status ls__hf_config_read(const char *path, const ls_architecture *a, ls_pretrained *p);

/* Returns the architecture of the file by its model_type; without one, the first of the table. */
ls_status ls__hf_config_architecture(const char *path, const ls_architecture **architecture);

#endif
