/* SPDX-License-Identifier: Apache-2.0
 * Logistic regression: the gradient vanishes at the result, and the bits do not depend on ranks and threads. */
#include <math.h>
#include <omp.h>

#include "dist/comm/comm.h"
#include "launch/transfer/logistic.h"
#include "tests/unit.h"

enum { COUNT = 300, WIDTH = 7, CLASSES = 3, SIZE = CLASSES * (WIDTH + 1) };

/* Values of a linear congruential generator, from -1 to 1. */
static double next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (double)(*state >> 8) / (1 << 23) - 1;
}

/* Classes that overlap: the label follows a linear rule with noise. */
static void make(ls_labelled *s, float *x, int32_t *label)
{
    uint32_t state = 1;
    for (int i = 0; i < COUNT; i++) {
        double score[CLASSES], best = -INFINITY;
        for (int d = 0; d < WIDTH; d++) x[i * WIDTH + d] = (float)(3 * next(&state) + d);
        for (int k = 0; k < CLASSES; k++) {
            score[k] = x[i * WIDTH + k] - k + 1.5 * next(&state);
            if (score[k] > best) best = score[k], label[i] = k;
        }
    }
    *s = (ls_labelled){COUNT, WIDTH, CLASSES, x, label};
}

/* The objective, written as in logistic.h. */
static double objective(const ls_labelled *s, const double *w, double decay)
{
    double sum = 0, norm = 0;
    for (int64_t i = 0; i < s->count; i++) {
        double z[CLASSES], total = 0;
        for (int k = 0; k < CLASSES; k++) {
            z[k] = w[k * (WIDTH + 1) + WIDTH];
            for (int d = 0; d < WIDTH; d++) z[k] += w[k * (WIDTH + 1) + d] * s->x[i * WIDTH + d];
            total += exp(z[k]);
        }
        sum += log(total) - z[s->label[i]];
    }
    for (int j = 0; j < SIZE; j++) norm += j % (WIDTH + 1) == WIDTH ? 0 : w[j] * w[j];
    return sum / (double)s->count + 0.5 * decay * norm;
}

typedef struct shared_result {
    double w[4][SIZE], decay;
} shared_result;

static ls_status fit(ls_comm *comm, void *context)
{
    shared_result  *all = context;
    ls_labelled     s;
    float           x[COUNT * WIDTH];
    int32_t         label[COUNT];
    double          mean[WIDTH], std[WIDTH];
    ls_logistic_fit f = {.w = all->w[ls_comm_rank(comm)]};
    make(&s, x, label);
    ls_labelled none = {0, WIDTH, CLASSES, NULL, NULL};
    ls_labelled_standardise(&s, &none, mean, std);
    LS_TRY(ls_logistic_regression(comm, &s, &f));
    all->decay = f.decay;
    return LS_OK;
}

static void the_gradient_vanishes(void **state)
{
    static shared_result r;
    ls_labelled          s, none = {0, WIDTH, CLASSES, NULL, NULL};
    static float         x[COUNT * WIDTH];
    static int32_t       label[COUNT];
    double               mean[WIDTH], std[WIDTH], loss, accuracy;
    assert_ok(ls_comm_threads_run(1, NULL, fit, &r, NULL));
    make(&s, x, label);
    ls_labelled_standardise(&s, &none, mean, std);
    for (int d = 0; d < WIDTH; d++) {
        double sum = 0, square = 0;
        for (int i = 0; i < COUNT; i++) sum += x[i * WIDTH + d], square += (double)x[i * WIDTH + d] * x[i * WIDTH + d];
        assert_true(fabs(sum / COUNT) < 1e-6 && fabs(square / COUNT - 1) < 1e-5);
    }
    for (int j = 0; j < SIZE; j++) {
        const double h = 1e-4, at = r.w[0][j];
        r.w[0][j]    = at + h;
        double above = objective(&s, r.w[0], r.decay);
        r.w[0][j]    = at - h;
        double slope = (above - objective(&s, r.w[0], r.decay)) / (2 * h);
        r.w[0][j]    = at;
        assert_true(fabs(slope) < 3e-5);
    }
    ls_logistic_score(&s, r.w[0], &loss, &accuracy);
    assert_true(fabs(loss - objective(&s, r.w[0], 0)) < 1e-9);
    assert_true(accuracy > 0.75 && accuracy < 0.99);
}

static void the_bits_do_not_depend_on_ranks_and_threads(void **state)
{
    static shared_result one, many;
    assert_ok(ls_comm_threads_run(1, NULL, fit, &one, NULL));
    for (int ranks = 1; ranks <= 4; ranks++)
        for (int threads = 1; threads <= 3; threads++) {
            memset(&many, 0, sizeof many);
            omp_set_num_threads(threads);
            assert_ok(ls_comm_threads_run(ranks, NULL, fit, &many, NULL));
            for (int r = 0; r < ranks; r++) assert_memory_equal(many.w[r], one.w[0], sizeof one.w[0]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_gradient_vanishes),
                                       cmocka_unit_test(the_bits_do_not_depend_on_ranks_and_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
