/* SPDX-License-Identifier: Apache-2.0
 * Samples the next token of a text from the model's logits. */
#ifndef LS_LAUNCH_GENERATE_SAMPLING_H
#define LS_LAUNCH_GENERATE_SAMPLING_H

#include <stdint.h>

typedef struct ls_sampling {
    double   temperature; /* divisor of the logits; 0: always the most likely token (greedy)                     */
    int32_t  top_k;       /* sample among the k most likely tokens; 0: all                                       */
    double   top_p;       /* sample among the most likely tokens whose probabilities reach the sum p; 1: all     */
    uint64_t seed;
} ls_sampling;

/* A token with its unnormalised probability. */
typedef struct ls_candidate {
    double  score;
    int32_t id;
} ls_candidate;

/* Returns the token at position `at` of a text, a pure function of its arguments; -1: a logit is not finite.  Among
 * equal logits the lowest id comes first.  `candidates`: workspace of `vocabulary` entries. */
int32_t ls_sample_token(const ls_sampling *s, int32_t vocabulary, const float *logits, int64_t at,
                        ls_candidate *candidates);

#endif
