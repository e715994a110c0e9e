/* SPDX-License-Identifier: Apache-2.0
 * Logistic regression by L-BFGS: see launch/transfer/logistic.h. */
#include "launch/transfer/logistic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCKS         = 16, /* blocks of samples, whatever the number of ranks and threads */
    HISTORY        = 10, /* corrections that L-BFGS stores */
    MAX_ITERATIONS = 300,
    LANES          = 8,
    FOLDS          = 5, /* of the cross-validation that chooses the decay */
    GRID           = 13 /* decays 10^1, 10^0.5, ..., 10^-5 */
};

/* ---- features ---------------------------------------------------------------------------------------------------- */

static void apply_scale(ls_labelled *s, const double *mean, const double *std)
{
    for (int64_t i = 0; i < s->count; i++)
        for (int d = 0; d < s->width; d++) {
            float *x = &s->x[i * s->width + d];
            *x       = (float)((*x - mean[d]) / std[d]);
        }
}

void ls_labelled_standardise(ls_labelled *train, ls_labelled *test, double *mean, double *std)
{
    for (int d = 0; d < train->width; d++) mean[d] = std[d] = 0;
    for (int64_t i = 0; i < train->count; i++)
        for (int d = 0; d < train->width; d++) mean[d] += train->x[i * train->width + d];
    for (int d = 0; d < train->width; d++) mean[d] /= (double)train->count;
    for (int64_t i = 0; i < train->count; i++)
        for (int d = 0; d < train->width; d++) {
            const double c = train->x[i * train->width + d] - mean[d];
            std[d] += c * c;
        }
    for (int d = 0; d < train->width; d++) {
        std[d] = sqrt(std[d] / (double)train->count);
        if (!(std[d] > 1e-6)) std[d] = 1;
    }
    apply_scale(train, mean, std);
    apply_scale(test, mean, std);
}

/* ---- the loss and its gradient ----------------------------------------------------------------------------------- */

/* Logits of a sample, then their probabilities, in p.  Returns -log of the label's probability. */
static double probabilities(const ls_labelled *s, const double *w, int64_t i, double *p)
{
    const float *x       = s->x + i * s->width;
    double       largest = -INFINITY, sum = 0;
    for (int k = 0; k < s->classes; k++) {
        const double *row         = w + (size_t)k * ((size_t)s->width + 1);
        double        lane[LANES] = {0};
        int           d           = 0;
        for (; d + LANES <= s->width; d += LANES)
            for (int l = 0; l < LANES; l++) lane[l] += row[d + l] * x[d + l];
        p[k] = row[s->width];
        for (; d < s->width; d++) p[k] += row[d] * x[d];
        for (int l = 0; l < LANES; l++) p[k] += lane[l];
        if (p[k] > largest) largest = p[k];
    }
    const double of_label = p[s->label[i]] - largest;
    for (int k = 0; k < s->classes; k++) sum += p[k] = exp(p[k] - largest);
    for (int k = 0; k < s->classes; k++) p[k] /= sum;
    return log(sum) - of_label;
}

void ls_logistic_score(const ls_labelled *s, const double *w, double *loss, double *accuracy)
{
    double *p     = malloc(sizeof *p * (size_t)s->classes);
    int64_t right = 0;
    *loss         = p ? 0 : NAN;
    for (int64_t i = 0; p && i < s->count; i++) {
        int best = 0;
        *loss += probabilities(s, w, i, p);
        for (int k = 1; k < s->classes; k++)
            if (p[k] > p[best]) best = k;
        right += best == s->label[i];
    }
    *loss /= (double)s->count;
    *accuracy = (double)right / (double)s->count;
    free(p);
}

/* A regression on some of the samples. */
typedef struct problem {
    ls_comm           *comm;
    const ls_labelled *samples;
    const int64_t     *chosen; /* which samples */
    int64_t            count;  /* how many */
    double             decay;
    int64_t            size;       /* weights and biases */
    int64_t            part;       /* sums of a block: the gradient, then the loss */
    int                room;       /* largest number of blocks of a rank */
    double            *own, *sums; /* of this rank's blocks, of those of all ranks */
    double            *p;          /* BLOCKS x classes */
} problem;

static int first_block(int rank, int ranks) { return BLOCKS * rank / ranks; }

static void sum_block(const problem *q, int block, const double *w, double *sums, double *p)
{
    const ls_labelled *s    = q->samples;
    const int64_t      from = q->count * block / BLOCKS, to = q->count * (block + 1) / BLOCKS;
    memset(sums, 0, (size_t)q->part * sizeof *sums);
    for (int64_t j = from; j < to; j++) {
        const int64_t i = q->chosen[j];
        const float  *x = s->x + i * s->width;
        sums[q->size] += probabilities(s, w, i, p);
        p[s->label[i]] -= 1;
        for (int k = 0; k < s->classes; k++) {
            double *row = sums + k * (s->width + 1);
            for (int d = 0; d < s->width; d++) row[d] += p[k] * x[d];
            row[s->width] += p[k];
        }
    }
}

/* Computes the value of the objective and its gradient at w.  Collective. */
static ls_status evaluate(const problem *q, const double *w, double *value, double *gradient)
{
    const int rank = ls_comm_rank(q->comm), ranks = ls_comm_size(q->comm);
    const int first = first_block(rank, ranks), end = first_block(rank + 1, ranks), width = q->samples->width;
#pragma omp parallel for schedule(dynamic)
    for (int b = first; b < end; b++)
        sum_block(q, b, w, q->own + (b - first) * q->part, q->p + b * q->samples->classes);
    LS_TRY(ls_comm_allgather(q->comm, q->own, q->sums, (size_t)(q->room * q->part) * sizeof *q->own));
    memset(gradient, 0, (size_t)q->size * sizeof *gradient);
    *value = 0;
    for (int r = 0; r < ranks; r++)
        for (int b = first_block(r, ranks); b < first_block(r + 1, ranks); b++) {
            const double *sums = q->sums + ((int64_t)r * q->room + b - first_block(r, ranks)) * q->part;
            for (int64_t i = 0; i < q->size; i++) gradient[i] += sums[i];
            *value += sums[q->size];
        }
    *value /= (double)q->count;
    for (int64_t i = 0; i < q->size; i++) {
        const bool is_bias = i % (width + 1) == width;
        gradient[i]        = gradient[i] / (double)q->count + (is_bias ? 0 : q->decay * w[i]);
        if (!is_bias) *value += 0.5 * q->decay * w[i] * w[i];
    }
    return LS_OK;
}

/* ---- L-BFGS ------------------------------------------------------------------------------------------------------ */

static double dot(const double *a, const double *b, int64_t n)
{
    double lane[LANES] = {0}, sum = 0;
    for (int64_t i = 0; i < n; i++) lane[i % LANES] += a[i] * b[i];
    for (int l = 0; l < LANES; l++) sum += lane[l];
    return sum;
}

static void add_scaled(double *y, double a, const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] += a * x[i];
}

/* The last corrections, as rings: s = change of w, y = change of the gradient. */
typedef struct history {
    double *s, *y;
    double  rho[HISTORY]; /* 1 / (y s) */
    int     next, count;
} history;

static int entry(const history *h, int newest) { return (h->next - 1 - newest + 2 * HISTORY) % HISTORY; }

/* direction = -(approximate inverse Hessian) gradient */
static void find_direction(const history *h, const double *gradient, int64_t n, double *direction)
{
    double alpha[HISTORY];
    for (int64_t i = 0; i < n; i++) direction[i] = -gradient[i];
    for (int k = 0; k < h->count; k++) {
        const int e = entry(h, k);
        alpha[k]    = h->rho[e] * dot(h->s + e * n, direction, n);
        add_scaled(direction, -alpha[k], h->y + e * n, n);
    }
    if (h->count) {
        const double *y     = h->y + entry(h, 0) * n;
        const double  scale = 1 / (h->rho[entry(h, 0)] * dot(y, y, n));
        for (int64_t i = 0; i < n; i++) direction[i] *= scale;
    }
    for (int k = h->count - 1; k >= 0; k--) {
        const int e = entry(h, k);
        add_scaled(direction, alpha[k] - h->rho[e] * dot(h->y + e * n, direction, n), h->s + e * n, n);
    }
}

static void add_correction(history *h, const double *step, const double *change, int64_t n)
{
    const double curvature = dot(step, change, n);
    if (!(curvature > 1e-12 * dot(change, change, n))) return; /* would make the approximation indefinite */
    memcpy(h->s + h->next * n, step, (size_t)n * sizeof *step);
    memcpy(h->y + h->next * n, change, (size_t)n * sizeof *change);
    h->rho[h->next] = 1 / curvature;
    h->next         = (h->next + 1) % HISTORY;
    if (h->count < HISTORY) h->count++;
}

static double largest(const double *x, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(x[i]));
    return most;
}

/* Vectors of the size of w. */
typedef struct iterate {
    double *gradient, *direction, *w, *next_gradient;
} iterate;

/* Moves w along the direction, by the longest of the steps 1, 1/2, 1/4, ... that lowers the value enough (Armijo).
 * *moved is false when none does: the precision is exhausted. */
static ls_status search_line(const problem *q, double *w, double *value, iterate *it, double step, bool *moved)
{
    const double slope = dot(it->gradient, it->direction, q->size);
    *moved             = false;
    for (int k = 0; k < 30 && slope < 0 && !*moved; k++, step /= 2) {
        double next;
        memcpy(it->w, w, (size_t)q->size * sizeof *w);
        add_scaled(it->w, step, it->direction, q->size);
        LS_TRY(evaluate(q, it->w, &next, it->next_gradient));
        *moved = next <= *value + 1e-4 * step * slope;
        if (*moved) *value = next;
    }
    return LS_OK;
}

static ls_status minimise(const problem *q, double *w, history *h, iterate *it, int *iterations)
{
    const double tolerance = 1e-5;
    const size_t bytes     = (size_t)q->size * sizeof *w;
    double       value;
    h->next = h->count = 0;
    LS_TRY(evaluate(q, w, &value, it->gradient));
    for (*iterations = 0; *iterations < MAX_ITERATIONS && largest(it->gradient, q->size) > tolerance; ++*iterations) {
        bool moved;
        find_direction(h, it->gradient, q->size, it->direction);
        const double first = h->count ? 1 : 1 / fmax(1, sqrt(dot(it->gradient, it->gradient, q->size)));
        LS_TRY(search_line(q, w, &value, it, first, &moved));
        if (!moved) break;
        for (int64_t i = 0; i < q->size; i++) { /* direction and gradient become the correction */
            it->direction[i] = it->w[i] - w[i];
            it->gradient[i]  = it->next_gradient[i] - it->gradient[i];
        }
        add_correction(h, it->direction, it->gradient, q->size);
        memcpy(w, it->w, bytes);
        memcpy(it->gradient, it->next_gradient, bytes);
    }
    return LS_OK;
}

/* ---- the regression ---------------------------------------------------------------------------------------------- */

/* Puts the samples of a fold behind the others: every FOLDS-th of each class.  Returns the number of the others. */
static int64_t divide(const ls_labelled *s, int fold, int64_t *chosen, int64_t *of_class)
{
    int64_t fit = 0, held = s->count;
    memset(of_class, 0, (size_t)s->classes * sizeof *of_class);
    for (int64_t i = 0; i < s->count; i++) {
        const bool holds               = of_class[s->label[i]]++ % FOLDS == fold;
        chosen[holds ? --held : fit++] = i;
    }
    return fit;
}

/* Results of the decays of the grid on samples that the fits have not seen. */
typedef struct grid {
    int64_t right[GRID];
    double  loss[GRID];
} grid;

static double decay_of(int k) { return pow(10, 1 - 0.5 * k); }

static void add_held(const problem *q, const double *w, int k, grid *g)
{
    for (int64_t j = q->count; j < q->samples->count; j++) {
        const int64_t i    = q->chosen[j];
        int           best = 0;
        g->loss[k] += probabilities(q->samples, w, i, q->p);
        for (int c = 1; c < q->samples->classes; c++)
            if (q->p[c] > q->p[best]) best = c;
        g->right[k] += best == q->samples->label[i];
    }
}

/* Fits the samples outside a fold with each decay, from strong to weak: each fit starts at the last. */
static ls_status fit_fold(problem *q, int fold, int64_t *chosen, int64_t *of_class, history *h, iterate *it,
                          ls_logistic_fit *fit, grid *g)
{
    q->count  = divide(q->samples, fold, chosen, of_class);
    q->chosen = chosen;
    memset(fit->w, 0, (size_t)q->size * sizeof *fit->w);
    for (int k = 0; k < GRID && q->count && q->count < q->samples->count; k++) {
        q->decay = decay_of(k);
        LS_TRY(minimise(q, fit->w, h, it, &fit->iterations));
        add_held(q, fit->w, k, g);
    }
    return LS_OK;
}

/* Chooses the decay by cross-validation, then fits all samples with it. */
static ls_status fit_grid(problem *q, int64_t *chosen, int64_t *of_class, history *h, iterate *it, ls_logistic_fit *fit)
{
    grid g    = {0};
    int  best = 0;
    for (int fold = 0; fold < FOLDS; fold++) LS_TRY(fit_fold(q, fold, chosen, of_class, h, it, fit, &g));
    for (int k = 1; k < GRID; k++)
        if (g.right[k] > g.right[best] || (g.right[k] == g.right[best] && g.loss[k] < g.loss[best])) best = k;
    fit->decay = q->decay = decay_of(best);
    q->count              = q->samples->count;
    memset(fit->w, 0, (size_t)q->size * sizeof *fit->w);
    return minimise(q, fit->w, h, it, &fit->iterations);
}

ls_status ls_logistic_regression(ls_comm *comm, const ls_labelled *train, ls_logistic_fit *fit)
{
    const int ranks  = ls_comm_size(comm);
    ls_arena *memory = NULL;
    ls_status status = ls_arena_new(&memory, "logistic regression");
    problem   q      = {.comm = comm, .samples = train};
    history   h      = {0};
    iterate   it     = {0};
    q.size           = (int64_t)train->classes * (train->width + 1);
    q.part           = q.size + 1;
    q.room           = (BLOCKS + ranks - 1) / ranks;
    LS_TRY(ls_comm_agree(comm, status));
    int64_t *chosen   = ls_arena_alloc(memory, sizeof *chosen * (size_t)train->count);
    q.own             = ls_arena_alloc(memory, sizeof *q.own * (size_t)(q.room * q.part));
    q.sums            = ls_arena_alloc(memory, sizeof *q.sums * (size_t)(q.room * q.part * ranks));
    q.p               = ls_arena_alloc(memory, sizeof *q.p * (size_t)(BLOCKS * train->classes));
    h.s               = ls_arena_alloc(memory, sizeof *h.s * (size_t)(HISTORY * q.size));
    h.y               = ls_arena_alloc(memory, sizeof *h.y * (size_t)(HISTORY * q.size));
    double **vector[] = {&it.gradient, &it.direction, &it.w, &it.next_gradient};
    for (size_t i = 0; i < sizeof vector / sizeof *vector; i++)
        *vector[i] = ls_arena_alloc(memory, sizeof **vector[i] * (size_t)q.size);
    status = fit_grid(&q, chosen, ls_arena_alloc(memory, sizeof(int64_t) * (size_t)train->classes), &h, &it, fit);
    ls_arena_free(memory);
    return status;
}
