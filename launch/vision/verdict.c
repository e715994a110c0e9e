/* SPDX-License-Identifier: Apache-2.0
 * Implements launch/vision/verdict.h. */
#include "launch/vision/verdict.h"

#include <math.h>

ls_verdict ls_verdict_of(int classes, const float *logits, int32_t label)
{
    ls_verdict v   = {.label = label};
    double     sum = 0;
    for (int k = 1; k < classes; k++)
        if (logits[k] > logits[v.predicted]) v.predicted = k;
    const double largest = (double)logits[v.predicted];
    for (int k = 0; k < classes; k++) sum += exp((double)logits[k] - largest);
    v.loss       = (float)(largest + log(sum) - (double)logits[label]);
    v.confidence = (float)(1 / sum);
    return v;
}
