/* SPDX-License-Identifier: Apache-2.0
 * Vectors of texts from an encoder in a folder of Hugging Face. */
#ifndef LS_LAUNCH_EMBED_EMBED_H
#define LS_LAUNCH_EMBED_EMBED_H

#include "launch/run/run_setup.h"

typedef struct ls_embed_options {
    const char        *folder;
    const char *const *line;
    int64_t            lines;
    int64_t            batch;      /* texts at a time; 0: 32 */
    int64_t            max_tokens; /* longer texts are cut; 0: as many as the model has positions */
    bool               cls;        /* the vector is that of the first token; otherwise the mean over the tokens */
    bool               unscaled;   /* vectors keep their length; otherwise it becomes 1 */
    /* Called on rank 0 for each text, in the order of the texts, with its vector of `width` values. */
    ls_status (*each)(int64_t line, const float *vector, int64_t width, void *context);
    void *context;
} ls_embed_options;

/* Computes the vectors of all texts, on all ranks.  The bits of a vector do not depend on the number of ranks or on the
 * other texts.  Collective. */
ls_status ls_run_embed(ls_run *run, const ls_embed_options *options);

#endif
