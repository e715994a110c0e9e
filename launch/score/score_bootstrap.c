/* SPDX-License-Identifier: Apache-2.0
 *
 * Bootstrap resampling of a test set (Koehn 2004), with the statistics of sacreBLEU's --paired-bs.
 *
 * A resample draws as many sentences as the test set has, with replacement; all systems get the same sentences.  With
 * the scores x_r of a system and b_r of system 0 in the resamples r = 1 .. R, and the scores x and b of the test set:
 *
 *     mean        mean of x_r
 *     half width  (x_(R - R/40) - x_(1 + R/40)) / 2 of the sorted x_r                          95 % interval
 *     p           (1 + number of r with |x_r - b_r| - mean of |x_r - b_r| > |x - b|) / (R + 1)
 *
 * Draw i of resample r is a function of (seed, r, i) by Philox.  sacreBLEU draws with numpy's generator, so its
 * intervals and p-values agree up to the noise of resampling, not to the digit.
 */
#include "launch/score/score_bootstrap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/philox.h"

/* A uniform integer below n < 2^32: the bias is at most n / 2^64. */
static int64_t draw(uint64_t key, int64_t resample, int64_t i, int64_t n)
{
    ls_philox4 p    = ls_philox(key, (uint64_t)resample, (uint64_t)i / 2);
    uint32_t   high = p.v[2 * (i % 2)], low = p.v[2 * (i % 2) + 1];
    return (int64_t)(((uint64_t)high * (uint64_t)n + ((uint64_t)low * (uint64_t)n >> 32)) >> 32);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double score_of(const ls_score_metric *m, int64_t sentences, const int64_t *counts)
{
    int64_t sum[LS_SCORE_COUNTS] = {0};
    int     width                = ls__score_counts(m);
    for (int64_t i = 0; i < sentences; i++)
        for (int k = 0; k < width; k++) sum[k] += counts[i * width + k];
    return ls__score_finish(m, sum).value;
}

/* Writes the scores of all systems in one resample, `stride` apart. */
static void score_resample(const ls_score_metric *m, int systems, int64_t sentences, const int64_t *const *counts,
                           uint64_t key, int resample, int stride, double *score)
{
    int width = ls__score_counts(m);
    for (int s = 0; s < systems; s++) {
        int64_t sum[LS_SCORE_COUNTS] = {0};
        for (int64_t i = 0; i < sentences; i++) {
            const int64_t *c = counts[s] + width * draw(key, resample, i, sentences);
            for (int k = 0; k < width; k++) sum[k] += c[k];
        }
        score[(int64_t)s * stride] = ls__score_finish(m, sum).value;
    }
}

/* The p-value of system x against system b, given the difference of their scores. */
static double p_value(const double *x, const double *b, int resamples, double difference)
{
    double mean = 0;
    int    more = 0;
    for (int r = 0; r < resamples; r++) mean += fabs(x[r] - b[r]) / resamples;
    for (int r = 0; r < resamples; r++) more += fabs(x[r] - b[r]) - mean > difference;
    return (more + 1.0) / (resamples + 1.0);
}

ls_status ls__score_bootstrap(const ls_score_metric *metric, int systems, int64_t sentences,
                              const int64_t *const *counts, int resamples, uint64_t seed, ls_score_interval *interval)
{
    LS_CHECK(sentences <= UINT32_MAX, LS_ERR_DATA, "bootstrap: expected at most %u sentences, found %lld", UINT32_MAX,
             (long long)sentences);
    double  *score = malloc((size_t)systems * (size_t)resamples * sizeof *score);
    uint64_t key   = ls_key(seed, "bootstrap");
    LS_CHECK(score, LS_ERR_ENV, "bootstrap: out of memory for %d resamples of %d systems", resamples, systems);
    for (int r = 0; r < resamples; r++)
        score_resample(metric, systems, sentences, counts, key, r, resamples, score + r);
    double base = score_of(metric, sentences, counts[0]);
    for (int s = 0; s < systems; s++) {
        double *x          = score + (int64_t)s * resamples;
        double  difference = fabs(score_of(metric, sentences, counts[s]) - base);
        interval[s]        = (ls_score_interval){.p = s ? p_value(x, score, resamples, difference) : 1};
        for (int r = 0; r < resamples; r++) interval[s].mean += x[r] / resamples;
    }
    for (int s = 0; s < systems; s++) {
        double *x   = score + (int64_t)s * resamples;
        int     cut = resamples / 40;
        qsort(x, (size_t)resamples, sizeof *x, by_value);
        interval[s].half_width = (x[resamples - cut - 1] - x[cut]) / 2;
    }
    free(score);
    return LS_OK;
}
