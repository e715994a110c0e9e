/* SPDX-License-Identifier: Apache-2.0
 *
 * Multinomial logistic regression: the classifier of a linear probe.
 *
 *     minimise  1/n sum of -log softmax(W x + b)[label]  +  decay/2 |W|^2
 *
 * by L-BFGS in float64 (Nocedal & Wright 2006, algorithm 7.5), until the gradient vanishes.  The sums over samples are
 * cut into the same blocks on any number of ranks and threads, and added in the order of the blocks, so the result has
 * the same bits everywhere. */
#ifndef LS_LAUNCH_TRANSFER_LOGISTIC_H
#define LS_LAUNCH_TRANSFER_LOGISTIC_H

#include "core/base/arena.h"
#include "dist/dist.h"

typedef struct ls_labelled {
    int64_t  count;
    int      width, classes;
    float   *x;     /* count x width */
    int32_t *label; /* count */
} ls_labelled;

typedef struct ls_logistic_fit {
    double *w;     /* classes x (width + 1): the weights of each class, then its bias */
    double  decay; /* chosen from the grid */
    int     iterations;
} ls_logistic_fit;

/* Standardises the features of both splits in place, by mean and standard deviation of train, and returns these: width
 * values each.  The standard deviation of a constant feature is 1. */
void ls_labelled_standardise(ls_labelled *train, ls_labelled *test, double *mean, double *std);

/* Chooses the decay from a grid by cross-validation in five folds (the highest accuracy, then the lowest loss), and
 * fits all samples with it.  fit->w is given, and overwritten.  Collective. */
ls_status ls_logistic_regression(ls_comm *comm, const ls_labelled *train, ls_logistic_fit *fit);

/* The mean loss and the accuracy of a fit on some samples. */
void ls_logistic_score(const ls_labelled *samples, const double *w, double *loss, double *accuracy);

#endif
