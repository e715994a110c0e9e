/* SPDX-License-Identifier: Apache-2.0 */
/* Beam search against enumeration of all translations of a random model: every score under both length penalties and
 * with a coverage penalty, least lengths, prefixes, and the independence of sentences. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/philox.h"
#include "launch/translate/beam_search.h"
#include "tests/unit.h"

enum { V = 5, END = 2, MOST = 6, SENTENCES = 7, S = 3 };

/* The logits after a sequence of tokens, as a random function of the sentence and the sequence. */
static void logits_of(int64_t sentence, const int32_t *token, int64_t n, float *logits)
{
    uint64_t key = (uint64_t)sentence + 1;
    for (int64_t i = 0; i < n; i++) key = key * 31 + (uint64_t)token[i] + 7;
    for (int v = 0; v < V; v++)
        logits[v] = 3 * (float)ls_philox(key, (uint64_t)sentence, (uint64_t)v).v[0] / 4294967296.0f;
    logits[END] -= 1;
}

/* The weights of attention after a sequence of tokens, likewise. */
static void weights_of(int64_t sentence, const int32_t *token, int64_t n, float *weight)
{
    float sum = 0, logits[V];
    logits_of(sentence + 100, token, n, logits);
    for (int j = 0; j < S; j++) sum += weight[j] = expf(logits[j]);
    for (int j = 0; j < S; j++) weight[j] /= sum;
}

/* The score of a translation by its definition. */
static double score_of(const ls_search_options *o, int64_t sentence, const int32_t *token, int64_t n, double log_p)
{
    double score = log_p / ls_length_penalty(o, n + 1), cover[S] = {0};
    float  weight[S];
    for (int64_t i = 0; i <= n; i++) {
        weights_of(sentence, token, i, weight);
        for (int j = 0; j < S; j++) cover[j] += (double)weight[j];
    }
    for (int j = 0; j < S - 1; j++) score += o->coverage * log(fmin(cover[j], 1)); /* the last one is the end token */
    return score;
}

static double log_p_of(const float *logits, int32_t token)
{
    double sum = 0;
    for (int v = 0; v < V; v++) sum += exp((double)logits[v]);
    return (double)logits[token] - log(sum);
}

/* Runs a search over the random model of sentences [first, first + n). */
static void search(ls_search *s, const ls_search_options *o, int64_t first, int64_t n, const int32_t *const *prefix)
{
    static int64_t       most[SENTENCES];
    static int32_t       tokens[SENTENCES * LS_MAX_BEAM][MOST], before[SENTENCES * LS_MAX_BEAM][MOST];
    static float         log_p[SENTENCES * LS_MAX_BEAM * V], weights[SENTENCES * LS_MAX_BEAM * S];
    static const int64_t covered[SENTENCES] = {S - 1, S - 1, S - 1, S - 1, S - 1, S - 1, S - 1};
    const ls_search_row *row;
    int64_t              rows;
    for (int64_t i = 0; i < n; i++) most[i] = MOST;
    assert_ok(ls_search_new(s, o, n, most, prefix));
    s->covered = covered;
    while ((rows = ls_search_rows(s, &row)) > 0) {
        memcpy(before, tokens, sizeof tokens);
        for (int64_t r = 0; r < rows; r++) {
            if (s->position) memcpy(tokens[r], before[row[r].parent], sizeof *tokens);
            if (s->position) tokens[r][s->position - 1] = row[r].token;
            float given[V];
            logits_of(first + row[r].sentence, tokens[r], s->position, given);
            for (int32_t v = 0; v < V; v++) log_p[r * V + v] = (float)log_p_of(given, v);
            weights_of(first + row[r].sentence, tokens[r], s->position, weights + r * S);
        }
        s->weights = o->coverage > 0 ? weights : NULL;
        s->width   = S;
        assert_ok(ls_search_take(s, log_p));
    }
}

/* The best score over all translations that begin with `token`, by enumeration. */
static void enumerate(const ls_search_options *o, int64_t sentence, int32_t *token, int64_t n, double log_p,
                      const int32_t *prefix, double *best, int32_t *best_token, int64_t *best_n)
{
    float logits[V];
    logits_of(sentence, token, n, logits);
    const bool    last = n + 1 >= MOST;
    const int32_t must = prefix && n < 2 ? prefix[n] : -1;
    if (last || (must < 0 && n >= o->min_length)) {
        const double score = score_of(o, sentence, token, n, log_p + log_p_of(logits, END));
        if (score > *best) {
            *best   = score;
            *best_n = n;
            memcpy(best_token, token, (size_t)n * sizeof *token);
        }
    }
    for (int32_t v = 0; v < V && !last; v++) {
        if (v == END || (must >= 0 && v != must)) continue;
        token[n] = v;
        enumerate(o, sentence, token, n + 1, log_p + log_p_of(logits, v), prefix, best, best_token, best_n);
    }
}

static ls_search_options options(int beam, ls_penalty penalty, double alpha, int64_t min_length)
{
    return (ls_search_options){
        .beam = beam, .penalty = penalty, .alpha = alpha, .min_length = min_length, .vocabulary = V, .end = END};
}

/* A beam of 64 finds the best of the 1,024 sequences in most cases; whatever it finds has the right score, and none is
 * better than the best. */
static void scores_are_those_of_enumeration(void **state)
{
    static const int32_t prefix[] = {1, 3, -1}, *const prefixes[SENTENCES] = {prefix, prefix, prefix, prefix,
                                                                              prefix, prefix, prefix};
    static const double alphas[] = {0, 0.6, 1, 1.5};
    int                 found = 0, tried = 0;
    (void)state;
    for (int penalty = 0; penalty < 2; penalty++)
        for (int a = 0; a < 4; a++)
            for (int64_t least = 0; least < 4; least += 3)
                for (int forced = 0; forced < 2; forced++) {
                    ls_search_options o = options(LS_MAX_BEAM, (ls_penalty)penalty, alphas[a], least);
                    ls_search         s;
                    o.coverage = a % 2 ? 0.4 : 0;
                    search(&s, &o, 0, SENTENCES, forced ? prefixes : NULL);
                    for (int64_t i = 0; i < SENTENCES; i++) {
                        double                best = -INFINITY, log_p = 0;
                        int32_t               token[MOST], best_token[MOST];
                        int64_t               n = 0;
                        float                 logits[V];
                        const ls_translation *t = ls_search_result(&s, i, 0);
                        enumerate(&o, i, token, 0, 0, forced ? prefix : NULL, &best, best_token, &n);
                        for (int64_t k = 0; k <= t->length; k++) {
                            logits_of(i, t->token, k, logits);
                            const double p = log_p_of(logits, k < t->length ? t->token[k] : END);
                            assert_true(fabs(p - t->token_p[k]) < 1e-6);
                            log_p += p;
                        }
                        assert_true(fabs(log_p - t->log_p) < 1e-5);
                        assert_true(fabs(score_of(&o, i, t->token, t->length, log_p) - t->score) < 1e-5);
                        assert_true(t->score <= best + 1e-5);
                        assert_true(t->length >= least || t->length == MOST - 1);
                        if (forced) assert_true(t->token[0] == 1 && t->token[1] == 3);
                        found += t->length == n && !memcmp(t->token, best_token, (size_t)n * sizeof *token);
                        tried++;
                        for (int k = 1; k < ls_search_results(&s, i); k++)
                            assert_true(ls_search_result(&s, i, k)->score <= ls_search_result(&s, i, k - 1)->score);
                    }
                    ls_search_free(&s);
                }
    assert_true(found >= tried * 99 / 100);
}

/* With a beam of 1 each token is the most probable one, up to the first end token. */
static void a_beam_of_one_is_greedy(void **state)
{
    (void)state;
    for (int a = 0; a < 2; a++) {
        const ls_search_options o = options(1, LS_PENALTY_POWER, a, 0);
        ls_search               s;
        search(&s, &o, 0, SENTENCES, NULL);
        for (int64_t i = 0; i < SENTENCES; i++) {
            const ls_translation *t = ls_search_result(&s, i, 0);
            assert_int_equal(ls_search_results(&s, i), 1);
            for (int64_t k = 0; k <= t->length && k < MOST - 1; k++) {
                float   logits[V];
                int32_t best = 0;
                logits_of(i, t->token, k, logits);
                for (int32_t v = 1; v < V; v++)
                    if (logits[v] > logits[best]) best = v;
                assert_int_equal(best, k < t->length ? t->token[k] : END);
            }
        }
        ls_search_free(&s);
    }
}

static void a_sentence_does_not_depend_on_the_others(void **state)
{
    (void)state;
    for (int beam = 1; beam <= 5; beam += 2) {
        const ls_search_options o = options(beam, LS_PENALTY_GNMT, 0.8, 0);
        ls_search               all, one;
        search(&all, &o, 0, SENTENCES, NULL);
        for (int64_t i = 0; i < SENTENCES; i++) {
            search(&one, &o, i, 1, NULL);
            assert_int_equal(ls_search_results(&all, i), ls_search_results(&one, 0));
            for (int k = 0; k < ls_search_results(&one, 0); k++) {
                const ls_translation *x = ls_search_result(&all, i, k), *y = ls_search_result(&one, 0, k);
                assert_true(x->score == y->score && x->length == y->length);
                assert_memory_equal(x->token, y->token, (size_t)x->length * sizeof *x->token);
            }
            ls_search_free(&one);
        }
        ls_search_free(&all);
    }
}

static void wrong_options_and_logits_are_refused(void **state)
{
    static const float   bad[]  = {-1, -2, NAN, -1, -1};
    static const int64_t most[] = {MOST};
    ls_search            s;
    ls_search_options    o = options(0, LS_PENALTY_POWER, 0, 0);
    (void)state;
    assert_fails(ls_search_new(&s, &o, 1, most, NULL), LS_ERR_USAGE, "beam: expected 1 to 64, found 0");
    o = options(1, LS_PENALTY_POWER, 0, 0);
    assert_ok(ls_search_new(&s, &o, 1, most, NULL));
    assert_fails(ls_search_take(&s, bad), LS_ERR_DATA, "probabilities are not finite");
    ls_search_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_enumeration),
        cmocka_unit_test(a_beam_of_one_is_greedy),
        cmocka_unit_test(a_sentence_does_not_depend_on_the_others),
        cmocka_unit_test(wrong_options_and_logits_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
