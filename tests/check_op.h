/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of an op, derived from its descriptor.  The test of an op gives shapes, attributes and a float64 reference:
 *
 *     static void reference(const check_ref *r)          computes the op in float64 for r->rows samples
 *     {
 *         for (int64_t i = 0; i < check_numel(r, 0); i++) r->y[0][i] = log1p(exp(r->x[0][i]));
 *     }
 *
 *     CHECK_OP(softplus, reference,
 *              {.in = {{.dims = {7}}}},
 *              {.in = {{.dims = {3, 33}}}, .args = &(ls_softplus_args){.beta = 2}})
 *
 *     CHECK_MAIN(cmocka_unit_test(check_softplus))
 *
 * Checks, for 1, 2, 7 and many samples, at every instruction-set level of this processor, in a float32 graph and in a
 * bfloat16 graph if the op reads bfloat16:
 *  - shapes; values against the reference; gradients of all inputs against central differences of the reference
 *  - gradients that are written, added to, and not wanted; forward and backward in place if the descriptor allows it
 *  - backward reads only the values in `saves` (all others are overwritten with NaN) and writes only its outputs
 *  - equal bits for 1, 2, 3 and 5 threads; for a batch computed whole or in parts; for gradients of parameters computed
 *    as one group of 8 shards, in smaller groups or in several calls; uneven and empty shards; no samples
 *  - equal bits at all levels that promise them (ls_isa_bits)
 *  - no access outside of tensors and workspace
 */
#ifndef LS_TESTS_CHECK_OP_H
#define LS_TESTS_CHECK_OP_H

#include "tests/check_run.h"

/* ---- comparing --------------------------------------------------------------------------------------------------- */

/* Value of an output element that the reference does not set, which is not compared.  An element that the reference
 * sets to an infinity must be that infinity; it is not part of the loss. */
#define CHECK_UNSET (-7.77e300)

static inline void check_close(const check_setup *s, const char *what, int64_t n, const float *got, const double *want,
                               double tol)
{
    double scale = 0.01;
    for (int64_t i = 0; i < n; i++)
        if (want[i] != CHECK_UNSET && isfinite(want[i]) && fabs(want[i]) > scale) scale = fabs(want[i]);
    for (int64_t i = 0; i < n; i++)
        if (want[i] != CHECK_UNSET && (double)got[i] != want[i] && !(fabs((double)got[i] - want[i]) <= tol * scale))
            fail_msg("%s: %s[%lld] is %.9g, expected %.9g", s->what, what, (long long)i, (double)got[i], want[i]);
}

static inline void check_same(const check_setup *s, const char *what, const char *when, int64_t n, const float *got,
                              const float *want)
{
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&got[i], &want[i], sizeof *got) != 0)
            fail_msg("%s: %s[%lld] is %.9g, but %.9g %s", s->what, what, (long long)i, (double)want[i], (double)got[i],
                     when);
}

/* Compares outputs and gradients of samples [first, first + rows) with those of the whole batch, bit by bit. */
static inline void check_same_results(const check_setup *s, const char *when, check_how h, const check_result *got,
                                      const check_result *want)
{
    static const char *const grad[] = {"dx0", "dx1", "dx2", "dx3", "dx4", "dx5", "dx6", "dx7", "dx8"}, *const out[] = {
                                                                                                           "y", "y1",
                                                                                                           "y2", "y3",
                                                                                                           "y4"};
    if (!h.rows) h.rows = s->rows;
    for (int o = 0; o < s->n->outs; o++) {
        int64_t numel = ls__numel(s->n->out[o]);
        check_same(s, out[o], when, numel * h.rows, got->y[o], want->y[o] + numel * h.first);
    }
    for (int i = 0; i < s->n->ins; i++) {
        if (!got->dx[i] || !want->dx[i]) continue;
        int64_t numel = ls__numel(s->n->in[i]);
        if (s->n->in[i]->batched)
            check_same(s, grad[i], when, numel * h.rows, got->dx[i], want->dx[i] + numel * h.first);
        else if (h.rows == s->rows)
            check_same(s, grad[i], when, numel, got->dx[i], want->dx[i]);
    }
}

/* ---- values and gradients ---------------------------------------------------------------------------------------- */

typedef struct check_wide {
    check_ref        r;
    check_reference *reference;
    double          *x[LS_MAX_IN], *y[LS_MAX_OUT];
} check_wide;

/* The inputs in double, and memory for the outputs. */
static inline check_wide check_widen(const check_setup *s)
{
    check_wide w = {
        .reference = s->reference,
        .r = {.node = s->n, .args = s->n->args, .rows = s->rows, .training = !s->cs->inference, .key = CHECK_KEY}};
    for (int i = 0; i < s->n->ins; i++) {
        if (!s->n->in[i]) continue;
        int64_t n = check_elements(s->n->in[i], s->rows);
        w.x[i]    = ls_arena_alloc(s->arena, (size_t)n * sizeof(double));
        w.r.x[i]  = w.x[i];
        for (int64_t k = 0; k < n; k++) {
            int32_t index;
            memcpy(&index, &s->x[i][k], sizeof index);
            w.x[i][k] = s->cs->in[i].type == LS_I32 ? (double)index : (double)s->x[i][k];
        }
    }
    for (int o = 0; o < s->n->outs; o++) {
        w.y[o] = w.r.y[o] = ls_arena_alloc(s->arena, (size_t)check_elements(s->n->out[o], s->rows) * sizeof(double));
        for (int64_t k = 0; k < check_elements(s->n->out[o], s->rows); k++) w.y[o][k] = CHECK_UNSET;
    }
    return w;
}

/* The loss of the gradient check: the sum of the results of `w`, weighted by dy. */
static inline double check_loss(const check_wide *w, float *const dy[LS_MAX_OUT])
{
    double sum = 0;
    w->reference(&w->r);
    for (int o = 0; o < ls__results(w->r.node); o++)
        for (int64_t k = 0; k < check_elements(w->r.node->out[o], w->r.rows); k++)
            if (isfinite(w->y[o][k])) sum += dy[o][k] * w->y[o][k];
    return sum;
}

/* Sample b of `w` alone.  An element of a sample affects the results for that sample only. */
static inline check_wide check_one_sample(const check_wide *w, int64_t b)
{
    const ls_node *n   = w->r.node;
    check_wide     one = *w;
    one.r.rows         = 1;
    one.r.first_sample = w->r.first_sample + b;
    for (int i = 0; i < n->ins; i++)
        if (n->in[i] && n->in[i]->batched) one.r.x[i] = one.x[i] = w->x[i] + b * ls__numel(n->in[i]);
    for (int o = 0; o < n->outs; o++)
        if (n->out[o]->batched) one.r.y[o] = one.y[o] = w->y[o] + b * ls__numel(n->out[o]);
    return one;
}

/* Results that are equal for several levels.  y, dx: those of the reference, with gradients by central differences.
 * first: those of level `level`, with which other levels are compared. */
typedef struct check_truth {
    ls_arena    *arena;
    double      *y[LS_MAX_OUT], *dx[LS_MAX_IN];
    ls_isa       level;
    check_result first;
} check_truth;

/* The gradient of input i by central differences, for all elements or for CHECK_DIFFERENCES of them. */
static inline double *check_differences(const check_setup *s, const check_wide *w, int i, ls_arena *arena)
{
    int64_t n    = check_elements(s->n->in[i], s->rows);
    double *want = ls_arena_alloc(arena, (size_t)n * sizeof(double));
    for (int64_t k = 0; k < n; k++) {
        double x = w->x[i][k], h = 1e-5;
        want[k] = CHECK_UNSET;
        if (n > CHECK_DIFFERENCES &&
            (int64_t)(ls_philox(CHECK_KEY, 400, (uint64_t)k).v[0] % (uint32_t)n) >= CHECK_DIFFERENCES)
            continue;
        int64_t    b              = s->n->in[i]->batched ? k / ls__numel(s->n->in[i]) : -1;
        check_wide alone          = b < 0 ? *w : check_one_sample(w, b);
        float     *dy[LS_MAX_OUT] = {NULL};
        for (int o = 0; o < ls__results(s->n); o++) dy[o] = s->dy[o] + (b < 0 ? 0 : b * ls__numel(s->n->out[o]));
        w->x[i][k]  = x + h;
        double more = check_loss(&alone, dy);
        w->x[i][k]  = x - h;
        double less = check_loss(&alone, dy);
        w->x[i][k]  = x;
        want[k]     = (more - less) / (2 * h);
    }
    return want;
}

static inline void check_truth_new(check_truth *t, const check_setup *s, bool gradients)
{
    assert_int_equal(ls_arena_new(&t->arena, "truth"), LS_OK);
    check_wide w = check_widen(s);
    s->reference(&w.r);
    for (int o = 0; o < s->n->outs; o++) {
        size_t bytes = (size_t)check_elements(s->n->out[o], s->rows) * sizeof(double);
        t->y[o]      = memcpy(ls_arena_alloc(t->arena, bytes), w.y[o], bytes);
    }
    for (int i = 0; gradients && i < s->n->ins; i++)
        if (check_has_grad(s, i)) t->dx[i] = check_differences(s, &w, i, t->arena);
}

/* The tolerance of a case, or `fallback`; at least the epsilon of bfloat16 in a bfloat16 graph. */
static inline double check_tolerance(const check_setup *s, double given, double fallback)
{
    const double tolerance = given > 0 ? given : fallback, epsilon = 1.0 / 128;
    return s->precision == LS_BF16 && tolerance < epsilon ? epsilon : tolerance;
}

static inline void check_against_truth(const check_setup *s, const check_truth *t, const check_result *r)
{
    static const char *const grad[] = {"dx0", "dx1", "dx2", "dx3", "dx4", "dx5", "dx6", "dx7", "dx8"}, *const out[] = {
                                                                                                           "y", "y1",
                                                                                                           "y2", "y3",
                                                                                                           "y4"};
    for (int o = 0; o < s->n->outs; o++)
        check_close(s, out[o], check_elements(s->n->out[o], s->rows), r->y[o], t->y[o],
                    check_tolerance(s, s->cs->tol, 2e-6));
    for (int i = 0; i < s->n->ins; i++)
        if (t->dx[i])
            check_close(s, grad[i], check_elements(s->n->in[i], s->rows), r->dx[i], t->dx[i],
                        2 * check_tolerance(s, s->cs->tol_grad / 2, 1e-5));
}

/* Gradients added to earlier values, because of add[i] or of the group. */
static inline void check_adding(const check_setup *s, const check_result *whole)
{
    for (int mode = 0; mode < 2; mode++) {
        check_result r = check_run(s, (check_how){.add = mode == 0, .group_add = mode == 1});
        for (int i = 0; i < s->n->ins; i++) {
            if (!r.dx[i] || (mode == 1 && s->n->in[i]->batched)) continue;
            int64_t n     = check_elements(s->n->in[i], s->rows);
            double  scale = 1;
            for (int64_t k = 0; k < n; k++)
                scale = fmax(scale, fabs((double)s->base[i][k]) + fabs((double)whole->dx[i][k]));
            for (int64_t k = 0; k < n; k++) {
                const double old = (double)s->base[i][k], more = (double)whole->dx[i][k], found = (double)r.dx[i][k];
                if (!(fabs(found - old - more) <= check_tolerance(s, 0, 1e-6) * scale))
                    fail_msg("%s: dx%d[%lld] added to %.9g is %.9g, expected %.9g", s->what, i, (long long)k, old,
                             found, old + more);
            }
        }
    }
}

/* Each gradient wanted alone. */
static inline void check_single_gradients(const check_setup *s, const check_result *whole)
{
    for (int i = 0; i < s->n->ins; i++) {
        if (!check_has_grad(s, i)) continue;
        check_how    h = {.skip = ~(1u << i)};
        check_result r = check_run(s, h);
        check_same_results(s, "when it is the only gradient wanted", h, &r, whole);
    }
}

static inline void check_inplace(const check_setup *s, const check_result *whole)
{
    const bool one_type = ls__input_type(s->n, 0) == s->n->out[0]->type;
    check_how  h        = {.inplace          = one_type && s->op->inplace && !(s->op->saves & LS_SAVES_IN(0)),
                           .inplace_backward = one_type && s->op->inplace_backward && !s->cs->inference};
    if (!h.inplace && !h.inplace_backward) return;
    check_result r = check_run(s, h);
    check_same_results(s, "in place", h, &r, whole);
}

/* ---- bits -------------------------------------------------------------------------------------------------------- */

static inline void check_threads(const check_setup *s, const check_result *whole)
{
    for (int threads = 2; threads <= 5; threads += threads == 3 ? 2 : 1) {
        check_how    h = {.threads = threads};
        check_result r = check_run(s, h);
        check_same_results(s,
                           threads == 2   ? "with 2 threads"
                           : threads == 3 ? "with 3 threads"
                                          : "with 5 threads",
                           h, &r, whole);
    }
}

static inline void check_parts(const check_setup *s, const check_result *whole)
{
    for (int64_t first = 0, rows = 1; first < s->rows; first += rows, rows = 2 * rows + 1) {
        if (rows > s->rows - first) rows = s->rows - first;
        check_how    h = {.first = first, .rows = rows, .threads = 2};
        check_result r = check_run(s, h);
        check_same_results(s, "when the batch is computed in parts", h, &r, whole);
    }
}

/* The sum of `n` gradients of `count` elements as a binary tree, as ranks sum the gradients of their shards. */
static inline const float *check_tree(const check_setup *s, const float *const *part, int n, int64_t count)
{
    if (n == 1) return part[0];
    const float *left = check_tree(s, part, n / 2, count), *right = check_tree(s, part + n / 2, n / 2, count);
    float       *sum = ls_arena_alloc(s->arena, (size_t)count * sizeof(float));
    for (int64_t i = 0; i < count; i++) sum[i] = left[i] + right[i];
    return sum;
}

/* Sums the gradients of groups of `width` shards, neighbours of equal width first: the tree over all shards. */
static inline const float *check_fold(const check_setup *s, const float *gradients, const int *width, int64_t count)
{
    const float *part[CHECK_SHARDS];
    int          left[CHECK_SHARDS], n = 0;
    for (; width[n]; n++) part[n] = gradients + n * count, left[n] = width[n];
    while (n > 1) {
        int kept = 0;
        for (int k = 0; k < n; k++, kept++) {
            bool pair  = k + 1 < n && left[k] == left[k + 1];
            part[kept] = pair ? check_tree(s, part + k, 2, count) : part[k];
            left[kept] = pair ? 2 * left[k] : left[k];
            k += pair;
        }
        n = kept;
    }
    return part[0];
}

/* The results of level `isa` have the bits of those of a lower level, if the levels promise it. */
static inline void check_levels(const check_setup *s, ls_isa isa, check_truth *t, const check_result *whole)
{
    char when[48];
    snprintf(when, sizeof when, "at level %s", ls_isa_name(t->level));
    if (t->first.y[0] && ls_isa_bits(isa, s->precision == LS_BF16) == ls_isa_bits(t->level, s->precision == LS_BF16)) {
        check_same_results(s, when, (check_how){0}, &t->first, whole);
        return;
    }
    t->level = isa;
    for (int o = 0; o < s->n->outs; o++) {
        const size_t bytes = (size_t)check_elements(s->n->out[o], s->rows) * sizeof(float);
        t->first.y[o]      = memcpy(ls_arena_alloc(t->arena, bytes + 1), whole->y[o], bytes);
    }
    for (int i = 0; i < s->n->ins; i++) {
        if (!whole->dx[i]) continue;
        const size_t bytes = (size_t)check_elements(s->n->in[i], s->rows) * sizeof(float);
        t->first.dx[i]     = memcpy(ls_arena_alloc(t->arena, bytes + 1), whole->dx[i], bytes);
    }
}

/* Gradients of parameters over eight shards, cut into groups and calls in many ways and summed by the test, have equal
 * bits. */
static inline void check_groups(const check_setup *s)
{
    static const int cuts[][CHECK_SHARDS + 1] = {
        {8}, {4, 4}, {2, 2, 4}, {4, 2, 2}, {1, 1, 2, 4}, {2, 2, 2, 2}, {1, 1, 1, 1, 1, 1, 1, 1}};
    check_result whole = {0};
    for (size_t cut = 0; cut < sizeof cuts / sizeof *cuts; cut++) {
        check_how h = {.shards = CHECK_SHARDS, .bound = s->shard, .threads = 1 + (int)(cut % 3)};
        for (; cuts[cut][h.groups]; h.groups++) h.group[h.groups] = cuts[cut][h.groups];
        check_result r = check_run(s, h);
        if (cut == 0) whole = r;
        for (int i = 0; i < s->n->ins; i++)
            if (r.dx[i] && !s->n->in[i]->batched)
                check_same(s, "the gradient of a parameter", "in groups summed by the test", ls__numel(s->n->in[i]),
                           check_fold(s, r.dx[i], cuts[cut], ls__numel(s->n->in[i])), whole.dx[i]);
    }
    int64_t      half = s->shard[CHECK_SHARDS / 2];
    check_result low  = check_run(
         s, (check_how){.rows = half, .nothing = !half, .shards = 4, .bound = s->shard, .groups = 1, .group = {4}});
    check_result high = check_run(
        s, (check_how){
               .first = half, .rows = s->rows - half, .shards = 4, .bound = s->shard + 4, .groups = 1, .group = {4}});
    for (int i = 0; i < s->n->ins; i++) {
        if (!low.dx[i] || s->n->in[i]->batched) continue;
        const float *part[2] = {low.dx[i], high.dx[i]};
        int64_t      n       = ls__numel(s->n->in[i]);
        check_same(s, "the gradient of a parameter", "as the sum of two calls", n, check_tree(s, part, 2, n),
                   whole.dx[i]);
    }
}

/* Without samples the gradients of parameters are zero. */
static inline void check_nothing(const check_setup *s)
{
    static const int64_t none[5];
    check_result r = check_run(s, (check_how){.nothing = true, .shards = 4, .bound = none, .groups = 1, .group = {4}});
    for (int i = 0; i < s->n->ins; i++)
        for (int64_t k = 0; r.dx[i] && !s->n->in[i]->batched && k < ls__numel(s->n->in[i]); k++)
            if (r.dx[i][k] != 0)
                fail_msg("%s: without samples, the gradient of parameter %d is %.9g", s->what, i, (double)r.dx[i][k]);
}

static inline bool check_has_params(const check_setup *s)
{
    for (int i = 0; i < s->n->ins; i++)
        if (check_has_grad(s, i) && !s->n->in[i]->batched) return true;
    return false;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static inline void check_setup_all(const check_setup *s, ls_isa isa, check_truth *truth, bool gradients)
{
    check_result whole = check_run(s, (check_how){0});
    if (!truth->arena) check_truth_new(truth, s, gradients && s->op->backward[LS_CPU] && !s->cs->inference);
    check_against_truth(s, truth, &whole);
    check_levels(s, isa, truth, &whole);
    check_adding(s, &whole);
    check_single_gradients(s, &whole);
    check_inplace(s, &whole);
    check_threads(s, &whole);
    check_parts(s, &whole);
    if (check_has_params(s)) check_groups(s);
    check_nothing(s);
}

static inline bool check_has_bf16(const check_setup *s)
{
    bool has = s->n->out[0]->type == LS_BF16;
    for (int i = 0; i < s->n->ins; i++) has = has || (s->n->in[i] && ls__input_type(s->n, i) == LS_BF16);
    return has;
}

static inline void check_op_case(int id, ls_dtype precision, unsigned bf16, check_reference *reference,
                                 const check_case *cs, int64_t samples)
{
    check_truth truth = {0};
    for (int isa = 0; isa <= (int)ls_isa_best(); isa++) {
        check_setup s;
        assert_int_equal(ls_isa_set((ls_isa)isa), LS_OK);
        check_setup_new(&s, id, (ls_isa)isa, precision, bf16, cs, reference, samples);
        check_shape(&s);
        if (precision == LS_BF16 && !check_has_bf16(&s)) {
            check_setup_free(&s);
            break;
        }
        if (s.op->view) {
            assert_true(s.n->out[0]->view_of == s.n->in[0] && ls__numel(s.n->out[0]) == ls__numel(s.n->in[0]));
            assert_true(!s.op->forward[LS_CPU] && !s.op->backward[LS_CPU]);
        } else {
            check_setup_all(&s, (ls_isa)isa, &truth, samples > 0);
        }
        check_setup_free(&s);
    }
    ls_arena_free(truth.arena);
}

static inline void check_op_cases(int id, check_reference *reference, const check_case *cs, size_t cases)
{
    static const int64_t samples[] = {1, 2, 7, 0}; /* 0: many, enough for several threads */
    const ls_op         *op        = ls__op_by_id(id);
    const unsigned       all       = op->either | op->narrow;
    for (size_t i = 0; i < cases; i++)
        for (int k = 0; k < 4; k++) {
            check_op_case(id, LS_F32, 0, reference, &cs[i], samples[k]);
            check_op_case(id, LS_BF16, all, reference, &cs[i], samples[k]);
            if (op->either & 1) check_op_case(id, LS_BF16, all & ~1u, reference, &cs[i], samples[k]); /* mixed */
        }
}

/* Defines the test check_OP, which checks the cases. */
#define CHECK_OP(op, reference, ...)                                                                                   \
    static void check_##op(void **state)                                                                               \
    {                                                                                                                  \
        const check_case cases[] = {__VA_ARGS__};                                                                      \
        check_op_cases(LS_OP_##op, (reference), cases, sizeof cases / sizeof *cases);                                  \
    }

/* Asserts that the op refuses the case with a message that contains `part`. */
static inline void check_refused(int id, const char *part, const check_case *cs)
{
    ls_graph *g = ls_graph_new();
    if (check_apply(g, id, cs, 0))
        fail_msg("%s: expected an error with '%s', but the op was built", ls__op_by_id(id)->name, part);
    assert_int_equal(ls_graph_status(g), LS_ERR_USAGE);
    if (!strstr(ls_error_message(), part)) fail_msg("'%s' is not in: %s", part, ls_error_message());
    ls_graph_free(g);
}
#define CHECK_REFUSED(op, part, ...) check_refused(LS_OP_##op, (part), &(check_case)__VA_ARGS__)

#define CHECK_MAIN(...)                                                                                                \
    int main(void)                                                                                                     \
    {                                                                                                                  \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                                               \
        return cmocka_run_group_tests(tests, NULL, NULL);                                                              \
    }

#endif
