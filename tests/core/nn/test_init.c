/* SPDX-License-Identifier: Apache-2.0 */
/* Initialisers: bounds and moments; a value depends on seed, name and position alone. */
#include "tests/unit.h"

#include <math.h>
#include <omp.h>

#include "core/graph/params.h"

enum { OUT = 64, IN = 30, KERNEL = 25, COUNT = OUT * IN * KERNEL };

typedef struct moments {
    double mean, std, low, high;
} moments;

static float values[COUNT];

/* Fills a parameter of 64 x 30 x 5 x 5 through the public functions. */
static void fill(const char *name, ls_init init, uint64_t seed)
{
    ls_graph  *g = ls_graph_new();
    ls_params *p;
    ls_param(g, name, init, OUT, IN, 5, 5);
    assert_ok(ls_params_new(&p, g, seed));
    memcpy(values, ls_params_get(p, 0, NULL, NULL, NULL), sizeof values);
    ls_params_free(p);
    ls_graph_free(g);
}

static moments of(ls_init init)
{
    moments m = {0, 0, INFINITY, -INFINITY};
    fill("w", init, 7);
    for (int i = 0; i < COUNT; i++) {
        m.mean += values[i] / (double)COUNT;
        m.low  = fmin(m.low, values[i]);
        m.high = fmax(m.high, values[i]);
    }
    for (int i = 0; i < COUNT; i++) m.std += (values[i] - m.mean) * (values[i] - m.mean) / COUNT;
    m.std = sqrt(m.std);
    return m;
}

static void moments_are_those_of_the_papers(void **state)
{
    const double fan_in = IN * KERNEL, fan_out = OUT * KERNEL, xavier = sqrt(2 / (fan_in + fan_out)),
                 he = sqrt(2 / fan_in);
    const struct {
        const char *name;
        ls_init     init;
        double      mean, std, bound; /* bound 0: none */
    } table[] = {
        {"default", {0}, 0, 1 / sqrt(3 * fan_in), 1 / sqrt(fan_in)},
        {"zeros", {.kind = LS_INIT_ZEROS}, 0, 0, 0},
        {"constant", {.kind = LS_INIT_CONSTANT, .value = 3}, 3, 0, 3},
        {"uniform", {.kind = LS_INIT_UNIFORM, .low = -2, .high = 2}, 0, 2 / sqrt(3), 2},
        {"uniform by fan", {.kind = LS_INIT_UNIFORM, .fan = 16}, 0, 0.25 / sqrt(3), 0.25},
        {"normal", {.kind = LS_INIT_NORMAL, .mean = 1, .std = 0.5f}, 1, 0.5, 0},
        {"trunc_normal",
         {.kind = LS_INIT_TRUNC_NORMAL, .std = 0.02f},
         0,
         0.02 * 0.8796,
         0.04}, /* a normal truncated at 2 std has 0.8796 of its std */
        {"xavier_uniform", {.kind = LS_INIT_XAVIER_UNIFORM}, 0, xavier, xavier * sqrt(3)},
        {"xavier_normal", {.kind = LS_INIT_XAVIER_NORMAL, .gain = 2}, 0, 2 * xavier, 0},
        {"kaiming_uniform", {.kind = LS_INIT_KAIMING_UNIFORM}, 0, he, he * sqrt(3)},
        {"kaiming_normal", {.kind = LS_INIT_KAIMING_NORMAL}, 0, he, 0},
        {"kaiming_normal fan_out", {.kind = LS_INIT_KAIMING_NORMAL, .fan_out = true}, 0, sqrt(2 / fan_out), 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        moments m    = of(table[i].init);
        double  near = 0.02 * table[i].std + 1e-7; /* tolerance for 48,000 numbers */
        if (fabs(m.mean - table[i].mean) > near || fabs(m.std - table[i].std) > near)
            fail_msg("%s: mean %g and std %g, expected %g and %g", table[i].name, m.mean, m.std, table[i].mean,
                     table[i].std);
        if (table[i].bound > 0) {
            assert_true(m.high <= table[i].bound * (1 + 1e-6) && m.low >= -table[i].bound * (1 + 1e-6));
            assert_true(m.high > 0.99 * table[i].bound);
        }
    }
}

static void a_value_depends_on_seed_name_and_place(void **state)
{
    static float before[COUNT];
    ls_init      normal = {.kind = LS_INIT_NORMAL};
    fill("w", normal, 1);
    memcpy(before, values, sizeof before);
    fill("w", normal, 1);
    assert_memory_equal(before, values, sizeof before);
    fill("v", normal, 1);
    assert_memory_not_equal(before, values, sizeof before);
    fill("w", normal, 2);
    assert_memory_not_equal(before, values, sizeof before);
    ls_graph  *g = ls_graph_new(); /* other parameters do not change it */
    ls_params *p;
    ls_param(g, "first", normal, 5);
    ls_param(g, "w", normal, OUT, IN, 5, 5);
    assert_ok(ls_params_new(&p, g, 1));
    assert_memory_equal(before, ls_params_get(p, ls_params_find(p, "w"), NULL, NULL, NULL), sizeof before);
    ls_params_free(p);
    ls_graph_free(g);
}

static void threads_change_nothing(void **state)
{
    static const ls_init inits[] = {{.kind = LS_INIT_NORMAL, .std = 0.02f},
                                    {.kind = LS_INIT_TRUNC_NORMAL, .std = 2},
                                    {.kind = LS_INIT_UNIFORM, .low = -1, .high = 3}};
    static float         one[COUNT];
    for (size_t i = 0; i < sizeof inits / sizeof *inits; i++) {
        omp_set_num_threads(1);
        fill("w", inits[i], 7);
        memcpy(one, values, sizeof one);
        omp_set_num_threads(3);
        fill("w", inits[i], 7);
        assert_memory_equal(values, one, sizeof one);
    }
}

/* Filter i < C copies channel i; the others are PyTorch's default.  64 filters of 30 channels of 5 x 5. */
static void dirac_copies_channels(void **state)
{
    static float usual[COUNT];
    fill("w", (ls_init){0}, 7);
    memcpy(usual, values, sizeof usual);
    fill("w", (ls_init){.kind = LS_INIT_DIRAC}, 7);
    for (int i = 0; i < COUNT; i++) {
        const int  filter = i / (IN * KERNEL), channel = i / KERNEL % IN;
        const bool centre = i % KERNEL == 12;
        if (filter < IN)
            assert_float_equal(values[i], filter == channel && centre ? 1 : 0, 0);
        else
            assert_float_equal(values[i], usual[i], 0);
    }
}

static void values_are_copied(void **state)
{
    static float table[COUNT];
    for (int i = 0; i < COUNT; i++) table[i] = (float)i;
    fill("w", (ls_init){.kind = LS_INIT_VALUES, .values = table}, 7);
    assert_memory_equal(values, table, sizeof table);
}

static void bounds_are_checked(void **state)
{
    ls_graph  *g = ls_graph_new();
    ls_params *p;
    ls_param(g, "w", ((ls_init){.kind = LS_INIT_UNIFORM, .low = 1, .high = -1}), 5);
    assert_fails(ls_params_new(&p, g, 1), LS_ERR_USAGE, "found low 1 and high -1");
    ls_graph_free(g);
    g = ls_graph_new();
    ls_param(g, "w", (ls_init){.kind = LS_INIT_DIRAC}, 5, 5);
    assert_fails(ls_params_new(&p, g, 1), LS_ERR_USAGE, "expects the weight of a convolution");
    ls_graph_free(g);
    g = ls_graph_new();
    ls_param(g, "w", (ls_init){.kind = LS_INIT_VALUES}, 5);
    assert_fails(ls_params_new(&p, g, 1), LS_ERR_USAGE, "set .values");
    ls_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(moments_are_those_of_the_papers),
                                       cmocka_unit_test(a_value_depends_on_seed_name_and_place),
                                       cmocka_unit_test(threads_change_nothing),
                                       cmocka_unit_test(dirac_copies_channels),
                                       cmocka_unit_test(values_are_copied),
                                       cmocka_unit_test(bounds_are_checked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
