/* SPDX-License-Identifier: Apache-2.0
 * The prediction of a classifier for a sample. */
#ifndef LS_LAUNCH_VISION_VERDICT_H
#define LS_LAUNCH_VISION_VERDICT_H

#include <stdint.h>

typedef struct ls_verdict {
    int32_t label, predicted; /* predicted: the class with the largest logit; the first of equal ones */
    float   loss;             /* -ln of the probability of the label                                  */
    float   confidence;       /* probability of the predicted class                                   */
} ls_verdict;

/* Returns the prediction of `classes` logits for a sample of the class `label`. */
ls_verdict ls_verdict_of(int classes, const float *logits, int32_t label);

#endif
