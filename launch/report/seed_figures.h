/* SPDX-License-Identifier: Apache-2.0
 * Mean and deviation of a figure over several seeds. */
#ifndef LS_LAUNCH_REPORT_SEED_FIGURES_H
#define LS_LAUNCH_REPORT_SEED_FIGURES_H

#include <math.h>

static inline double ls_seed_mean(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    return sum / n;
}

/* The standard deviation of a sample of n values; NaN for one. */
static inline double ls_seed_deviation(const double *x, int n)
{
    double sum = 0, mean = ls_seed_mean(x, n);
    for (int i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
    return n > 1 ? sqrt(sum / (n - 1)) : NAN;
}

#endif
