/* SPDX-License-Identifier: Apache-2.0
 * Optimizers: values after 1 and 20 steps are those of PyTorch; bits do not depend on the division into ranges;
 * defaults, state names and checks of the settings. */
#include <omp.h>

#include "core/base/enum_text.h"
#include "core/base/philox.h"
#include "core/base/isa.h"
#include "tests/golden.h"

/* ---- PyTorch ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t      offset;
} floats[] = {
#define F(member)                                                                                                      \
    {                                                                                                                  \
#member, offsetof(ls_optim, member)                                                                            \
    }
    F(lr),    F(momentum), F(dampening), F(weight_decay), F(initial_accumulator_value),
    F(alpha), F(eps),      F(lr_decay),  F(clip_value),   F(trust_coeff),
#undef F
};

static const char *const kinds[] = LS_ENUM_TEXTS(LS_OPTIM_LIST);

/* Returns the optimizer of a golden case.  All settings of a case are fields of ls_optim, except "scale". */
static ls_optim optim_of(const golden *g)
{
    int k = 0;
    while (strcmp(kinds[k], g->name) != 0) assert_true(++k < LS_OPTIM_COUNT);
    ls_optim o = ls_optim_default((ls_optim_kind)k);
    o.betas[0] = golden_number(g, "beta1", o.betas[0]);
    o.betas[1] = golden_number(g, "beta2", o.betas[1]);
    for (int i = 0; i < g->settings; i++) {
        bool known =
            strcmp(g->key[i], "scale") == 0 || strcmp(g->key[i], "centered") == 0 || strncmp(g->key[i], "beta", 4) == 0;
        for (size_t f = 0; f < sizeof floats / sizeof *floats; f++)
            if (strcmp(floats[f].name, g->key[i]) == 0) {
                *(float *)(void *)((char *)&o + floats[f].offset) = strtof(g->value[i], NULL);
                known                                             = true;
            }
        if (!known) fail_msg("%s: unknown setting '%s'", g->path, g->key[i]);
    }
    o.centered = golden_number(g, "centered", 0) != 0;
    assert_int_equal(ls_optim_check(&o), LS_OK);
    return o;
}

enum { MOST = 64 };

static double norm_of(int64_t n, const float *x)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* Runs 20 steps of a golden case and compares parameters and state with PyTorch. */
static void twenty_steps(const golden *g, const ls_optim *o, const golden_array *start, const golden_array *grads)
{
    float        p[MOST], grad[MOST], s[3][MOST] = {{0}};
    const size_t bytes = (size_t)start->count * sizeof *p;
    memcpy(p, start->f32, bytes);
    for (int64_t step = 0; step < 20; step++) {
        memcpy(grad, grads->f32 + step * start->count, bytes);
        const double scale = (double)golden_number(g, "scale", 1);
        const float  trust =
            ls_optim_trust_ratio(o, o->weight_decay, norm_of(start->count, p), scale * norm_of(start->count, grad));
        ls_optim_apply(o, &(ls_optim_step){.count        = start->count,
                                           .step         = step,
                                           .param        = p,
                                           .grad         = grad,
                                           .state        = {s[0], s[1], s[2]},
                                           .lr           = ls_optim_lr(o, step, 0),
                                           .weight_decay = o->weight_decay,
                                           .grad_scale   = golden_number(g, "scale", 1),
                                           .trust_ratio  = trust});
        if (step == 0) golden_close_to(g, "after one step", start->count, p, golden_get(g, "first")->f32, 1e-6, 0);
    }
    golden_close_to(g, "after 20 steps", start->count, p, golden_get(g, "last")->f32, 1e-6, 0);
    /* State arrays by the names of PyTorch.  Sums of terms of both signs may be near zero, so the absolute tolerance is
     * relative to the largest value. */
    for (int i = 0; i < ls_optim_states(o); i++) {
        const golden_array *want = golden_get(g, ls_optim_state_name(o, i));
        float               most = 0;
        for (int64_t k = 0; k < want->count; k++) most = fmaxf(most, fabsf(want->f32[k]));
        golden_close_to(g, want->name, want->count, s[i], want->f32, 1e-6, 1e-7 * (double)most);
    }
}

static void same_twenty_steps(void **state)
{
    (void)state;
    const ls_isa best = ls_isa_best();
    golden       g    = golden_open("values/optims.txt");
    assert_true(golden_next(&g));
    golden_array start = *golden_get(&g, "start"), grads = *golden_get(&g, "gradients");
    int          seen[LS_OPTIM_COUNT] = {0};
    assert_true(start.count <= MOST && grads.dim[0] == 20);
    while (golden_next(&g)) {
        ls_optim o = optim_of(&g);
        for (int level = 0; level <= (int)best; level++) {
            assert_int_equal(ls_isa_set((ls_isa)level), LS_OK);
            twenty_steps(&g, &o, &start, &grads);
        }
        seen[o.kind]++;
    }
    for (int k = 0; k < LS_OPTIM_COUNT; k++) assert_true(seen[k] >= 2 || k == LS_OPTIM_MUON); /* test_muon.c */
    golden_close(&g);
}

/* ---- division into ranges ---------------------------------------------------------------------------------------- */

enum { EXAMPLES = 14, LONG = 2 * 16384 + 321 };

static ls_optim example(int k)
{
    ls_optim all[EXAMPLES] = {
        ls_sgd(.weight_decay = 0.1f),
        ls_momentum(.dampening = 0.2f, .weight_decay = 0.1f),
        ls_nag(.weight_decay = 0.01f),
        ls_lars(.weight_decay = 0.01f),
        ls_adagrad(.initial_accumulator_value = 0.1f, .lr_decay = 0.1f),
        ls_rmsprop(.clip_value = 0.5f),
        ls_rmsprop(.centered = true),
        ls_rmsprop(.momentum = 0.9f),
        ls_rmsprop(.centered = true, .momentum = 0.9f, .weight_decay = 0.1f),
        ls_adam(.weight_decay = 0.1f),
        ls_adamw(.weight_decay = 0.1f, .clip_value = 1),
        ls_muon(.weight_decay = 0.1f, .clip_value = 1),
        ls_rmsprop(.centered = true, .momentum = 0.9f, .ema = 0.9f),
        ls_rmsprop(.centered = true, .momentum = 0.9f, .lookahead = 0.4f, .lookahead_steps = 2, .ema = 0.9f),
    };
    assert_int_equal(ls_optim_check(&all[k]), LS_OK);
    return all[k];
}

typedef struct arrays {
    float param[LONG], grad[LONG], state[LS_MAX_OPTIM_STATES][LONG];
} arrays;

static void draw(arrays *a, int64_t step)
{
    for (int64_t i = 0; i < LONG; i++) {
        ls_philox4 r = ls_philox(7, (uint64_t)step, (uint64_t)i);
        a->grad[i]   = 4 * ls_uniform01(r.v[0]) - 2;
        if (step == 0) a->param[i] = ls_uniform01(r.v[1]) - 0.5f;
    }
    if (step == 0) memset(a->state, 0, sizeof a->state);
}

/* Runs two steps over ranges of `piece` elements; 0: one range. */
static void two_steps(const ls_optim *o, arrays *a, int64_t piece)
{
    for (int64_t step = 0; step < 2; step++) {
        draw(a, step);
        for (int64_t at = 0; at < LONG; at += piece ? piece : LONG) {
            int64_t n = piece && piece < LONG - at ? piece : LONG - at;
            ls_optim_apply(o, &(ls_optim_step){.count        = n,
                                               .step         = step,
                                               .trust_ratio  = 0.5f,
                                               .param        = a->param + at,
                                               .grad         = a->grad + at,
                                               .state        = {a->state[0] + at, a->state[1] + at, a->state[2] + at,
                                                                a->state[3] + at, a->state[4] + at},
                                               .lr           = 1e-2f,
                                               .weight_decay = o->weight_decay,
                                               .grad_scale   = 0.3f});
        }
    }
}

static void same_bits_for_any_ranges(void **state)
{
    (void)state;
    static arrays whole, cut;
    const int64_t piece[] = {0, 16, 1, 33, 16385, 20000};
    const ls_isa  best    = ls_isa_best();
    for (int level = 0; level <= (int)best; level++) {
        assert_int_equal(ls_isa_set((ls_isa)level), LS_OK);
        for (int k = 0; k < EXAMPLES; k++) {
            ls_optim o = example(k);
            omp_set_num_threads(1);
            two_steps(&o, &whole, 0);
            for (size_t i = 0; i < sizeof piece / sizeof *piece; i++) {
                omp_set_num_threads(1 + (int)(i % 5));
                two_steps(&o, &cut, piece[i]);
                if (memcmp(whole.param, cut.param, sizeof cut.param) != 0 ||
                    memcmp(whole.state, cut.state, sizeof cut.state) != 0)
                    fail_msg("%s (%d), level %s, ranges of %lld elements: expected equal bits", kinds[o.kind], k,
                             ls_isa_name((ls_isa)level), (long long)piece[i]);
            }
        }
    }
    assert_int_equal(ls_isa_set(best), LS_OK);
}

/* A step has the same bits at every level that promises them (ls_isa_bits). */
static void same_bits_at_levels(void **state)
{
    (void)state;
    static arrays expected, found;
    const ls_isa  best = ls_isa_best();
    for (int level = 0; level <= (int)best; level++)
        for (int k = 0; k < EXAMPLES; k++) {
            ls_optim o = example(k);
            assert_int_equal(ls_isa_set(ls_isa_bits((ls_isa)level, false)), LS_OK);
            two_steps(&o, &expected, 0);
            assert_int_equal(ls_isa_set((ls_isa)level), LS_OK);
            two_steps(&o, &found, 0);
            if (memcmp(expected.param, found.param, sizeof found.param) != 0 ||
                memcmp(expected.state, found.state, sizeof found.state) != 0)
                fail_msg("%s (%d): expected equal bits at levels %s and %s", kinds[o.kind], k,
                         ls_isa_name(ls_isa_bits((ls_isa)level, false)), ls_isa_name((ls_isa)level));
        }
    assert_int_equal(ls_isa_set(best), LS_OK);
}

/* A step changes neither memory before or after its range, nor state that the optimizer does not have. */
static void stays_in_its_range(void **state)
{
    (void)state;
    static arrays a;
    for (int k = 0; k < EXAMPLES; k++) {
        ls_optim o = example(k);
        int      n = ls_optim_states(&o);
        for (int64_t count = 0; count < 40; count += 3) {
            draw(&a, 0);
            float grad[64];
            memcpy(grad, a.grad, sizeof grad);
            for (int i = 0; i < 64; i++)
                a.param[i] = a.state[0][i] = a.state[1][i] = a.state[2][i] = a.state[3][i] = a.state[4][i] = 0.3f;
            ls_optim_apply(&o,
                           &(ls_optim_step){.count = count,
                                            .step  = 3,
                                            .param = a.param + 16,
                                            .grad  = a.grad + 16,
                                            .state = {n > 0 ? a.state[0] + 16 : NULL, n > 1 ? a.state[1] + 16 : NULL,
                                                      n > 2 ? a.state[2] + 16 : NULL, n > 3 ? a.state[3] + 16 : NULL,
                                                      n > 4 ? a.state[4] + 16 : NULL},
                                            .lr          = 1e-2f,
                                            .grad_scale  = 1,
                                            .trust_ratio = 1});
            assert_memory_equal(grad, a.grad, sizeof grad);
            for (int i = 0; i < 64; i++) {
                bool inside = i >= 16 && i < 16 + count;
                assert_true((a.param[i] != 0.3f) == inside);
                for (int s = 0; s < 4; s++)
                    assert_true((a.state[s][i] != 0.3f) == (inside && s < n && (s || o.kind != LS_OPTIM_MUON)));
            }
        }
    }
}

/* ---- NaN and rounding -------------------------------------------------------------------------------------------- */

/* NaN in the gradient becomes NaN in the parameter, and in no other. */
static void nan_is_not_hidden(void **state)
{
    (void)state;
    for (int k = 0; k < EXAMPLES; k++) {
        ls_optim o    = example(k);
        float    p[3] = {1, 1, 1}, g[3] = {1, NAN, 1}, s[3][3] = {{0}};
        ls_optim_apply(&o, &(ls_optim_step){.count       = 3,
                                            .param       = p,
                                            .grad        = g,
                                            .state       = {s[0], s[1], s[2]},
                                            .lr          = 0.1f,
                                            .grad_scale  = 1,
                                            .trust_ratio = 1});
        assert_true(isnan(p[1]));
        assert_true(isfinite(p[0]) && isfinite(p[2]));
    }
}

/* With nearly constant gradients, rounding can make the mean square smaller than the square of the mean. */
static void centered_variance_is_never_negative(void **state)
{
    (void)state;
    ls_optim o = ls_rmsprop(.centered = true, .eps = 1e-3f);
    assert_int_equal(ls_optim_check(&o), LS_OK);
    float p[19] = {0}, g[19], s[2][19];
    for (int i = 0; i < 19; i++) {
        g[i] = s[0][i] = 1;
        s[1][i]        = 1 + (float)i * 0x1p-23f;
    }
    ls_optim_apply(
        &o, &(ls_optim_step){
                .count = 19, .step = 1000, .param = p, .grad = g, .state = {s[0], s[1]}, .lr = 1e-4f, .grad_scale = 1});
    for (int i = 2; i < 19; i++) assert_true(fabsf(p[i] + 0.1f) < 1e-3f);
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static void has_pytorchs_defaults(void **state)
{
    (void)state;
    ls_optim o = ls_adam();
    assert_int_equal(ls_optim_check(&o), LS_OK);
    assert_true(o.lr == 1e-3f && o.betas[0] == 0.9f && o.betas[1] == 0.999f && o.eps == 1e-8f);
    ls_optim again = o;
    assert_int_equal(ls_optim_check(&again), LS_OK);
    assert_memory_equal(&o, &again, sizeof o);
    o = ls_adagrad();
    assert_int_equal(ls_optim_check(&o), LS_OK);
    assert_true(o.lr == 1e-2f && o.eps == 1e-10f);
    o = ls_rmsprop(.lr = 0.5f);
    assert_int_equal(ls_optim_check(&o), LS_OK);
    assert_true(o.lr == 0.5f && o.alpha == 0.99f && o.momentum == 0 && o.eps == 1e-8f);
    o = ls_adam(.lr = 0, .eps = 0, .betas = {0, 0});
    assert_int_equal(ls_optim_check(&o), LS_OK);
    assert_true(o.lr == 0 && o.eps == 0 && o.betas[0] == 0 && o.betas[1] == 0);
    for (int k = 0; k < LS_OPTIM_COUNT; k++) {
        o = ls_optim_default((ls_optim_kind)k);
        assert_int_equal(o.kind, k);
        assert_int_equal(ls_optim_check(&o), LS_OK);
    }
    o = ls_nag();
    assert_int_equal(ls_optim_check(&o), LS_OK);
    assert_true(o.lr == 1e-3f && o.momentum == 0.9f);
}

/* The average of the parameters, against its formula in double; the parameters are those without an average. */
static void averages_the_parameters(void **state)
{
    (void)state;
    static arrays  plain, averaged;
    static double  average[LONG];
    const ls_optim o = ls_sgd(), with = ls_sgd(.ema = 0.4f);
    for (int64_t step = 0; step < 12; step++) {
        const double  decay = step ? fmin(0.4, (1 + (double)step) / (10 + (double)step)) : 0;
        ls_optim_step s     = {
                .count = LONG, .step = step, .param = plain.param, .grad = plain.grad, .lr = 0.1f, .grad_scale = 1};
        draw(&plain, step);
        draw(&averaged, step);
        ls_optim_apply(&o, &s);
        s.param    = averaged.param;
        s.state[0] = averaged.state[0];
        ls_optim_apply(&with, &s);
        assert_memory_equal(plain.param, averaged.param, sizeof plain.param);
        for (int64_t i = 0; i < LONG; i++) {
            average[i] = decay * average[i] + (1 - decay) * plain.param[i];
            assert_true(fabs(average[i] - averaged.state[0][i]) < 1e-6);
        }
        if (step == 0) assert_memory_equal(averaged.state[0], plain.param, sizeof plain.param);
    }
}

/* The slow weights and the parameters, against their formula in double (Zhang 2019), with one step size and with that
 * of airbench. */
static void steps_the_slow_weights(void **state)
{
    (void)state;
    enum { STEPS = 12 };
    static arrays  a;
    static double  fast[LONG], slow[LONG];
    const ls_optim both[] = {
        ls_sgd(.lookahead = 0.3f, .lookahead_steps = 3),
        ls_sgd(.lookahead = 0.25f, .lookahead_steps = 2, .lookahead_power = 3),
        ls_sgd(.lookahead = 0.5f, .ema = 0.4f),
    };
    for (int k = 0; k < 3; k++) {
        const ls_optim *o     = &both[k];
        const int64_t   every = o->lookahead_steps ? o->lookahead_steps : 5;
        assert_int_equal(ls_optim_check(o), LS_OK);
        assert_int_equal(ls_optim_average(o), k == 2);
        for (int64_t step = 0; step < STEPS; step++) {
            draw(&a, step);
            for (int64_t i = 0; step == 0 && i < LONG; i++) fast[i] = slow[i] = a.param[i];
            ls_optim_apply(o, &(ls_optim_step){.count      = LONG,
                                               .step       = step,
                                               .run_steps  = STEPS,
                                               .param      = a.param,
                                               .grad       = a.grad,
                                               .state      = {a.state[0], a.state[1]},
                                               .lr         = 0.1f,
                                               .grad_scale = 1});
            const double t = (double)(step + 1) / STEPS, size = (double)o->lookahead;
            const double now = o->lookahead_power > 0 ? 1 - (1 - size) * t * t * t : size;
            for (int64_t i = 0; i < LONG; i++) {
                fast[i] -= 0.1 * a.grad[i];
                if ((step + 1) % every == 0) fast[i] = slow[i] += now * (fast[i] - slow[i]);
                assert_true(fabs(fast[i] - a.param[i]) < 1e-6 && fabs(slow[i] - a.state[0][i]) < 1e-6);
            }
        }
    }
}

static void names_its_state(void **state)
{
    (void)state;
    const struct {
        ls_optim    o;
        const char *name[3];
    } want[] = {
        {ls_sgd(), {NULL}},
        {ls_momentum(), {"momentum_buffer"}},
        {ls_nag(), {"momentum_buffer"}},
        {ls_lars(), {"momentum_buffer"}},
        {ls_adagrad(), {"sum"}},
        {ls_rmsprop(), {"square_avg"}},
        {ls_rmsprop(.momentum = 0.9f), {"square_avg", "momentum_buffer"}},
        {ls_rmsprop(.centered = true, .momentum = 0.9f), {"square_avg", "grad_avg", "momentum_buffer"}},
        {ls_adam(), {"exp_avg", "exp_avg_sq"}},
        {ls_adamw(), {"exp_avg", "exp_avg_sq"}},
        {ls_muon(), {"momentum_buffer", "exp_avg", "exp_avg_sq"}},
        {ls_sgd(.ema = 0.9f), {"ema"}},
        {ls_adam(.ema = 0.9f), {"exp_avg", "exp_avg_sq", "ema"}},
        {ls_momentum(.ema = 0.9f, .lookahead = 0.5f), {"momentum_buffer", "slow", "ema"}},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        int n = 0;
        for (; n < 3 && want[i].name[n]; n++) assert_string_equal(ls_optim_state_name(&want[i].o, n), want[i].name[n]);
        assert_int_equal(ls_optim_states(&want[i].o), n);
        assert_null(ls_optim_state_name(&want[i].o, n));
        assert_null(ls_optim_state_name(&want[i].o, -1));
    }
}

static void refuses_invalid_settings(void **state)
{
    (void)state;
    const struct {
        ls_optim    o;
        const char *part; /* expected part of the message */
    } wrong[] = {
        {{.kind = LS_OPTIM_SGD, .lr = 1}, "optimizer: expected settings of"},
        {{.size = sizeof(ls_optim), .kind = LS_OPTIM_COUNT}, "optimizer: expected a kind"},
        {{.size = sizeof(ls_optim), .kind = (ls_optim_kind)-1}, "optimizer: expected a kind"},
        {ls_sgd(.lr = -0.1f), "'sgd': lr: expected a finite number of at least 0, found -0.1"},
        {ls_sgd(.lr = NAN), "lr"},
        {ls_sgd(.lr = INFINITY), "lr"},
        {ls_sgd(.momentum = 0.9f), "'sgd': momentum: expected no value"},
        {ls_momentum(.momentum = 1), "momentum: expected a number from 0 to below 1, found 1"},
        {ls_momentum(.dampening = 1.5f), "dampening: expected a number from 0 to 1, found 1.5"},
        {ls_nag(.dampening = 0.1f), "'nag': dampening: expected no value"},
        {ls_adam(.betas = {1, 0.9f}), "betas[0]"},
        {ls_adam(.betas = {0.9f, -0.5f}), "betas[1]"},
        {ls_adam(.eps = -1e-8f), "eps"},
        {ls_adam(.centered = true), "centered"},
        {ls_adamw(.weight_decay = -0.1f), "weight_decay"},
        {ls_adagrad(.lr_decay = -1), "lr_decay"},
        {ls_adagrad(.initial_accumulator_value = -1), "initial_accumulator_value"},
        {ls_rmsprop(.alpha = 1), "alpha"},
        {ls_sgd(.clip_norm = -1), "clip_norm"},
        {ls_sgd(.clip_value = -1), "clip_value"},
        {ls_sgd(.ema = 1), "ema"},
        {ls_sgd(.lookahead = 1.5f), "lookahead: expected a number from 0 to 1"},
        {ls_sgd(.lookahead_steps = 5), "lookahead: expected a number above 0"},
        {ls_sgd(.lookahead = 0.5f, .lookahead_steps = -1), "lookahead_steps"},
        {ls_sgd(.layer_decay = 1.5f), "layer_decay"},
        {ls_lars(.trust_coeff = -1), "trust_coeff"},
        {ls_sgd(.trust_coeff = 0.1f), "'sgd': trust_coeff: expected no value"},
        {ls_sgd(.group = {{"*.bias", -1, 0}}), "group '*.bias': lr_scale"},
        {ls_sgd(.group = {{"*.bias", 1, 0}, {"fc*", 1, NAN}}), "group 'fc*': weight_decay"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ls_optim o = wrong[i].o;
        if (ls_optim_check(&o) != LS_ERR_USAGE)
            fail_msg("case %zu: expected an error with '%s', found none", i, wrong[i].part);
        if (!strstr(ls_error_message(), wrong[i].part))
            fail_msg("case %zu: expected a message with '%s', found: %s", i, wrong[i].part, ls_error_message());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_twenty_steps),        cmocka_unit_test(same_bits_for_any_ranges),
        cmocka_unit_test(same_bits_at_levels),      cmocka_unit_test(stays_in_its_range),
        cmocka_unit_test(nan_is_not_hidden),        cmocka_unit_test(centered_variance_is_never_negative),
        cmocka_unit_test(has_pytorchs_defaults),    cmocka_unit_test(averages_the_parameters),
        cmocka_unit_test(steps_the_slow_weights),   cmocka_unit_test(names_its_state),
        cmocka_unit_test(refuses_invalid_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
