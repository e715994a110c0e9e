/* SPDX-License-Identifier: Apache-2.0
 * Samples the next token of a text from the model's logits. */
#ifndef LS_LAUNCH_GENERATE_SAMPLING_H
#define LS_LAUNCH_GENERATE_SAMPLING_H

#include <stdint.h>

typedef struct ls_sampling {
    double   temperature; /* divisor of the logits; 0: the likeliest token always (greedy)                        */
    int32_t  top_k;       /* only the k likeliest tokens; 0: all                             (Fan et al. 2018)      */
    double   top_p;       /* only the likeliest tokens with a total probability of p; 1: all (Holtzman et al. 2020) */
    uint64_t seed;
} ls_sampling;

/* A scored token. */
typedef struct ls_candidate {
    double  score;
    int32_t id;
} ls_candidate;

/* Samples token number `at` of a text: a pure function of the arguments.  Of equal logits the lowest id comes first.
 * `room` is workspace for `vocabulary` candidates.  Returns -1 when a logit is not finite. */
int32_t ls_sample_token(const ls_sampling *s, int32_t vocabulary, const float *logits, int64_t at, ls_candidate *room);

#endif
