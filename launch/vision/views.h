/* SPDX-License-Identifier: Apache-2.0
 * Test-time augmentation (recipe key eval.augment): a classifier's mean logits over several views of an image. */
#ifndef LS_LAUNCH_VISION_VIEWS_H
#define LS_LAUNCH_VISION_VIEWS_H

#include "launch/run/run_setup.h"

/* Memory for the views of a batch. */
typedef struct ls_views ls_views;

/* Creates the memory for batches of up to `rows` images.  *views NULL: eval.augment is none. */
ls_status ls_views_new(ls_views **views, const ls_run *run, int64_t rows);
void      ls_views_free(ls_views *views);

/* Runs a model on a batch, once for each view.  Output 0 of the model is the logits.  *logits: their mean over the
 * views, rows x classes.  views NULL: one run, and its logits.  The bits for an image depend on that image alone. */
ls_status ls_views_run(ls_views *views, ls_model *model, const ls_batch *batch, const float **logits);

#endif
