/* SPDX-License-Identifier: Apache-2.0
 *
 * A linear probe: the last layer of a pretrained model, fitted to the features that the other layers compute. */
#ifndef LS_LAUNCH_TRANSFER_PROBE_H
#define LS_LAUNCH_TRANSFER_PROBE_H

#include "launch/run/run_setup.h"

typedef struct ls_probe_result {
    double  loss, accuracy; /* on the held-out split */
    int64_t samples;        /* of it */
    double  decay;          /* weight decay of the fit, for standardised features */
    int     iterations;     /* of L-BFGS */
    bool    cached;         /* the features came from files */
} ls_probe_result;

/* Computes the features of both splits, fits the last layer, and sets its parameters in the run's trainer.  The
 * features are cached in `folder`.  LS_ERR_USAGE: the model does not end with a linear layer.  Collective. */
ls_status ls_run_probe(ls_run *run, const char *folder, ls_probe_result *result);

#endif
