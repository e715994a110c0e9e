/* SPDX-License-Identifier: Apache-2.0
 * The next token of a text, from the model's logits. */
#ifndef LS_LAUNCH_GENERATE_SAMPLING_H
#define LS_LAUNCH_GENERATE_SAMPLING_H

#include <stdint.h>

typedef struct ls_sampling {
    double   temperature; /* logits are divided by it; 0: always the likeliest (greedy)                           */
    int32_t  top_k;       /* only the k likeliest; 0: all                                    (Fan et al. 2018)      */
    double   top_p;       /* only the likeliest that together have at least p; 1: all        (Holtzman et al. 2020) */
    uint64_t seed;
} ls_sampling;

/* A scored token. */
typedef struct ls_candidate {
    double  score;
    int32_t id;
} ls_candidate;

/* Token number `at` of a text: a pure function of its arguments.  Of equal logits the lowest id comes first.  `room`
 * takes `vocabulary` candidates.  -1: the logits are not numbers. */
int32_t ls_sample_token(const ls_sampling *s, int32_t vocabulary, const float *logits, int64_t at, ls_candidate *room);

#endif
