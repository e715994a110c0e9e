/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling: excluded tokens are never chosen, other tokens with their probability; the result is a pure function. */
#include <math.h>

#include "launch/generate/sampling.h"
#include "tests/unit.h"

enum { V = 6, DRAWS = 20000 };

static const float logits[V] = {1.0f, 3.0f, 3.0f, -2.0f, 0.5f, 2.0f};

static void count(const ls_sampling *s, int *seen)
{
    ls_candidate room[V];
    for (int i = 0; i < V; i++) seen[i] = 0;
    for (int64_t at = 0; at < DRAWS; at++) {
        int32_t token = ls_sample_token(s, V, logits, at, room);
        assert_in_range(token, 0, V - 1);
        seen[token]++;
    }
}

/* Compares the frequencies of 20,000 samples with the softmax over the allowed tokens. */
static void expect(const ls_sampling *s, const bool *may)
{
    int    seen[V];
    double sum = 0;
    count(s, seen);
    for (int i = 0; i < V; i++)
        if (may[i]) sum += exp((double)logits[i] / s->temperature);
    for (int i = 0; i < V; i++) {
        double p = may[i] ? exp((double)logits[i] / s->temperature) / sum : 0;
        assert_true(fabs((double)seen[i] / DRAWS - p) < 4 * sqrt(p * (1 - p) / DRAWS) + 1e-12);
    }
}

static void test_temperature(void **state)
{
    const bool all[V] = {true, true, true, true, true, true};
    expect(&(ls_sampling){.temperature = 1, .top_p = 1, .seed = 3}, all);
    expect(&(ls_sampling){.temperature = 2.5, .top_p = 1, .seed = 4}, all);
    expect(&(ls_sampling){.temperature = 0.3, .top_p = 1, .seed = 5}, all);
}

static void test_top_k(void **state)
{
    expect(&(ls_sampling){.temperature = 1, .top_k = 3, .top_p = 1, .seed = 3},
           (bool[V]){false, true, true, false, false, true});
    expect(&(ls_sampling){.temperature = 1, .top_k = 1, .top_p = 1, .seed = 3},
           (bool[V]){false, true}); /* among equal logits the lowest id */
    expect(&(ls_sampling){.temperature = 1, .top_k = 100, .top_p = 1, .seed = 3},
           (bool[V]){true, true, true, true, true, true});
}

/* The probabilities are 0.38, 0.38, 0.14, 0.05, 0.03, 0.003. */
static void test_top_p(void **state)
{
    expect(&(ls_sampling){.temperature = 1, .top_p = 0.8, .seed = 3}, (bool[V]){false, true, true, false, false, true});
    expect(&(ls_sampling){.temperature = 1, .top_p = 0.5, .seed = 3}, (bool[V]){false, true, true});
    expect(&(ls_sampling){.temperature = 1, .top_p = 0, .seed = 3},
           (bool[V]){false, true}); /* at least one token remains */
    expect(&(ls_sampling){.temperature = 1, .top_k = 2, .top_p = 0.999, .seed = 3}, (bool[V]){false, true, true});
}

static void test_greedy(void **state)
{
    ls_candidate room[V];
    for (int64_t at = 0; at < 100; at++)
        assert_int_equal(ls_sample_token(&(ls_sampling){.top_p = 1, .seed = (uint64_t)at}, V, logits, at, room), 1);
}

static void test_a_pure_function(void **state)
{
    ls_candidate room[V];
    ls_sampling  s = {.temperature = 1, .top_p = 1, .seed = 9}, other = {.temperature = 1, .top_p = 1, .seed = 10};
    int          differ = 0;
    for (int64_t at = 0; at < 100; at++) {
        int32_t token = ls_sample_token(&s, V, logits, at, room);
        assert_int_equal(ls_sample_token(&s, V, logits, at, room), token);
        differ += ls_sample_token(&other, V, logits, at, room) != token;
    }
    assert_true(differ > 20);
}

static void test_not_numbers(void **state)
{
    ls_candidate room[V];
    float        bad[V] = {0, 1, NAN, 0, 0, 0};
    assert_int_equal(ls_sample_token(&(ls_sampling){.temperature = 1, .top_p = 1}, V, bad, 0, room), -1);
    bad[2] = INFINITY;
    assert_int_equal(ls_sample_token(&(ls_sampling){.top_p = 1}, V, bad, 0, room), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_temperature), cmocka_unit_test(test_top_k),           cmocka_unit_test(test_top_p),
        cmocka_unit_test(test_greedy),      cmocka_unit_test(test_a_pure_function), cmocka_unit_test(test_not_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
