/* SPDX-License-Identifier: Apache-2.0
 *
 * Samples the next token of a text: temperature, then top-k (Fan et al. 2018), then top-p (Holtzman et al. 2020), in
 * the order of Hugging Face's generate.  The random number is Philox, keyed by the seed, with the token's position as
 * counter, so that a text does not depend on the number of ranks and threads or on the cache.
 */
#include "launch/generate/sampling.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/philox.h"

/* Compares candidates for qsort: descending score, then ascending id. */
static int by_score(const void *x, const void *y)
{
    const ls_candidate *a = x, *b = y;
    if (a->score != b->score) return a->score < b->score ? 1 : -1;
    return a->id < b->id ? -1 : 1;
}

static int32_t likeliest(int32_t vocabulary, const float *logits)
{
    int32_t best = 0;
    for (int32_t i = 1; i < vocabulary; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

int32_t ls_sample_token(const ls_sampling *s, int32_t vocabulary, const float *logits, int64_t at,
                        ls_candidate *candidates)
{
    for (int32_t i = 0; i < vocabulary; i++)
        if (!isfinite(logits[i])) return -1;
    if (!(s->temperature > 0)) return likeliest(vocabulary, logits);
    const double most  = logits[likeliest(vocabulary, logits)];
    int32_t      count = vocabulary;
    double       sum   = 0;
    for (int32_t i = 0; i < count; i++)
        candidates[i] = (ls_candidate){exp(((double)logits[i] - most) / s->temperature), i};
    if (s->top_k > 0 || s->top_p < 1) qsort(candidates, (size_t)count, sizeof *candidates, by_score);
    if (s->top_k > 0 && s->top_k < count) count = s->top_k;
    for (int32_t i = 0; i < count; i++) sum += candidates[i].score;
    if (s->top_p < 1) {
        double  kept = 0;
        int32_t n    = 0;
        while (n < count && (n == 0 || kept < s->top_p * sum)) kept += candidates[n++].score;
        count = n;
        sum   = kept;
    }
    const ls_philox4 r     = ls_philox(ls_key(s->seed, "generate"), 0, (uint64_t)at);
    double           point = ((double)r.v[0] * 0x1p-32 + (double)r.v[1] * 0x1p-64) * sum;
    for (int32_t i = 0; i < count; i++) {
        if (point < candidates[i].score) return candidates[i].id;
        point -= candidates[i].score;
    }
    return candidates[count - 1].id; /* reached only through rounding of the sum */
}
