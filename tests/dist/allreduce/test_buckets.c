/* SPDX-License-Identifier: Apache-2.0 */
/* Buckets of gradients are adjacent, have at least the requested size, and shrink towards the end on request. */
#include <math.h>

#include "dist/allreduce/buckets.h"

#include "tests/unit.h"

enum { LAYERS = 40, WIDE = 64 }; /* a layer has 16 KiB of weights */

static int buckets_of(ls_graph *g, int64_t bytes, int64_t min_bytes, ls_bucket **bucket, ls_params **params)
{
    ls_tensor *h = ls_input(g, "x", LS_F32, WIDE), *y = ls_input(g, "y", LS_I32);
    for (int i = 0; i < LAYERS; i++) h = ls_relu(ls_linear(g, ls_arena_printf(g->arena, "layer%d", i), h, WIDE));
    ls_tensor *loss = ls_cross_entropy(h, y);
    assert_ok(ls__params_lay_out(params, g, g->arena));
    ls__params_tie(*params, loss);
    return ls__buckets(*params, bytes, min_bytes, g->arena, bucket);
}

static double kib(const ls_bucket *b) { return (double)b->range.count * sizeof(float) / 1024; }

static void check(int64_t bytes, int64_t min_bytes)
{
    ls_graph  *g = ls_graph_new();
    ls_bucket *bucket;
    ls_params *params;
    int        n  = buckets_of(g, bytes, min_bytes, &bucket, &params);
    size_t     at = 0;
    for (int i = 0; i < n; at += (size_t)bucket[i++].range.count) {
        double left = (double)(params->trained - at) * sizeof(float), wanted = (double)bytes;
        if (min_bytes) wanted = fmin(wanted, fmax(left / 2, (double)min_bytes));
        assert_int_equal(bucket[i].range.offset, at);
        assert_true(i == n - 1 || (double)bucket[i].range.count * sizeof(float) >= wanted);
        assert_true(kib(&bucket[i]) < wanted / 1024 + 17 + 2); /* at most one more layer, and the header */
    }
    assert_int_equal(at, params->trained);
    ls_graph_free(g);
}

static void buckets_are_adjacent(void **state)
{
    for (int64_t bytes = 1; bytes < 4 << 20; bytes *= 4) {
        check(bytes, 0);
        check(bytes, 1 << 15);
        check(bytes, 1);
    }
}

static void last_buckets_shrink(void **state)
{
    ls_graph  *g = ls_graph_new();
    ls_bucket *bucket;
    ls_params *params;
    int        n = buckets_of(g, 200 << 10, 40 << 10, &bucket, &params);
    assert_true(n >= 5);
    assert_true(kib(&bucket[0]) >= 200 && kib(&bucket[1]) >= 200);
    for (int i = 2; i < n; i++) assert_true(bucket[i].range.count <= bucket[i - 1].range.count);
    assert_true(kib(&bucket[n - 1]) < 80);
    ls_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(buckets_are_adjacent), cmocka_unit_test(last_buckets_shrink)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
