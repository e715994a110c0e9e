/* SPDX-License-Identifier: Apache-2.0
 *
 * Optimizers and learning-rate schedules; part of core/core.h.  Each follows PyTorch's definition (torch.optim, of the
 * same name), whose terms the fields are.  Fields that are 0 take the default.
 *
 *     ls_adamw(.lr = 1e-3f, .weight_decay = 0.1f)        is an ls_optim
 */
#ifndef LS_CORE_OPTIM_OPTIM_H
#define LS_CORE_OPTIM_OPTIM_H

#define LS_OPTIM_LIST(X)                                                                                               \
    X(LS_OPTIM_SGD, "sgd")                                                                                             \
    X(LS_OPTIM_MOMENTUM, "momentum")                                                                                   \
    X(LS_OPTIM_NAG, "nag")                                                                                             \
    X(LS_OPTIM_ADAGRAD, "adagrad")                                                                                     \
    X(LS_OPTIM_RMSPROP, "rmsprop")                                                                                     \
    X(LS_OPTIM_ADAM, "adam")                                                                                           \
    X(LS_OPTIM_ADAMW, "adamw")
typedef enum ls_optim_kind { LS_ENUMERATORS(LS_OPTIM_LIST) LS_OPTIM_COUNT } ls_optim_kind;

#define LS_SCHEDULE_LIST(X)                                                                                            \
    X(LS_SCHEDULE_CONSTANT, "constant")                                                                                \
    X(LS_SCHEDULE_STEP, "step")                                                                                        \
    X(LS_SCHEDULE_MULTISTEP, "multistep")                                                                              \
    X(LS_SCHEDULE_EXPONENTIAL, "exponential")                                                                          \
    X(LS_SCHEDULE_COSINE, "cosine")                                                                                    \
    X(LS_SCHEDULE_LINEAR, "linear")                                                                                    \
    X(LS_SCHEDULE_ONECYCLE, "onecycle")                                                                                \
    X(LS_SCHEDULE_INVERSE_SQRT, "inverse_sqrt")
typedef enum ls_schedule_kind { LS_ENUMERATORS(LS_SCHEDULE_LIST) } ls_schedule_kind;

enum { LS_MAX_MILESTONES = 16, LS_MAX_PARAM_GROUPS = 8 };

/* The learning rate of each step as a multiple of the base rate.  Counted in steps: `total` and `milestone` from the
 * start of the run, everything else from the end of the warm-up.  core/optim/schedule.c has the formulas. */
typedef struct ls_schedule {
    ls_schedule_kind kind;
    int64_t          warmup;              /* steps of linear rise from 0 (or `start`) before the schedule begins    */
    float            start;               /* first multiple of the warm-up; of onecycle: 0: 1/25                     */
    int64_t          total;               /* cosine, linear, onecycle: steps until the end; 0: the run's length      */
    float            end;                 /* cosine, linear: last multiple; onecycle: 0: 1e-4 of the start           */
    int64_t          every;               /* step, exponential: steps between two decays; 0: 1                       */
    float            gamma;               /* step, multistep, exponential: factor of a decay; 0: 0.1                 */
    int64_t milestone[LS_MAX_MILESTONES]; /* multistep: steps of the decays, increasing, ended by 0                  */
    float   peak_at;                      /* onecycle: part of the steps spent rising; 0: 0.3                        */
} ls_schedule;

/* Another learning rate (a multiple) or weight decay for the parameters whose names match a glob. */
typedef struct ls_param_group {
    const char *glob;
    float       lr_scale;     /* multiple of the rate; as given, 0 is 0    */
    float       weight_decay; /* as given, 0 is none                       */
} ls_param_group;

typedef struct ls_optim {
    ls_optim_kind  kind;
    float          lr; /* 0: PyTorch's default of the kind (sgd, momentum, nag, adam(w) 1e-3, adagrad, rmsprop 1e-2) */
    float          momentum;     /* momentum, nag: 0: 0.9; rmsprop: as given                                        */
    float          dampening;    /* momentum                                                                        */
    float          weight_decay; /* L2 term in the gradient; decoupled in adamw (Loshchilov 2019); as given         */
    float          beta1, beta2; /* adam, adamw: 0: 0.9, 0.999                                                      */
    float          alpha;        /* rmsprop: 0: 0.99                                                                */
    float          eps;          /* 0: 1e-8 (adagrad 1e-10)                                                         */
    bool           centered;     /* rmsprop                                                                         */
    float          lr_decay;     /* adagrad                                                                         */
    float          initial;      /* adagrad: first value of the accumulator                                         */
    float          clip_norm;    /* clip the global norm of the gradient to this; 0: not                            */
    float          clip_value;   /* clip each element to +- this; 0: not                                            */
    ls_schedule    schedule;
    ls_param_group group[LS_MAX_PARAM_GROUPS]; /* ended by a NULL glob; the first match counts                       */
} ls_optim;

#define ls_sgd(...) ((ls_optim){.kind = LS_OPTIM_SGD, __VA_ARGS__})
#define ls_momentum(...) ((ls_optim){.kind = LS_OPTIM_MOMENTUM, __VA_ARGS__})
#define ls_nag(...) ((ls_optim){.kind = LS_OPTIM_NAG, __VA_ARGS__})
#define ls_adagrad(...) ((ls_optim){.kind = LS_OPTIM_ADAGRAD, __VA_ARGS__})
#define ls_rmsprop(...) ((ls_optim){.kind = LS_OPTIM_RMSPROP, __VA_ARGS__})
#define ls_adam(...) ((ls_optim){.kind = LS_OPTIM_ADAM, __VA_ARGS__})
#define ls_adamw(...) ((ls_optim){.kind = LS_OPTIM_ADAMW, __VA_ARGS__})

/* Fills in the defaults; LS_ERR_USAGE for a value out of range (lr < 0, beta >= 1, ...) or that the kind does not have,
 * naming it.  Everything below wants an `o` that was checked. */
ls_status ls_optim_check(ls_optim *o);

/* LS_ERR_USAGE when the schedule needs the length of the run and `run_steps` is 0 (unknown) or not beyond the warm-up.
 */
ls_status ls_optim_check_length(const ls_optim *o, int64_t run_steps);

/* Blocks of state, each as large as the parameters, which start as zeros: 0 (sgd) to 3 (rmsprop, centered, with
 * momentum); and their names as PyTorch's state_dict has them ("exp_avg", "momentum_buffer", ...). */
int         ls_optim_states(const ls_optim *o);
const char *ls_optim_state_name(const ls_optim *o, int i);

/* Learning rate of step 0, 1, 2, ...; `run_steps`: length of the run, for schedules without a `total`. */
float ls_optim_lr(const ls_optim *o, int64_t step, int64_t run_steps);

/* One step over `count` floats: param, grad and state blocks are parallel arrays.  grad is multiplied by `grad_scale`
 * first (one over the weight of the batch, times the clipping).  `step` counts from 0.  Threaded; elementwise, so the
 * bits do not depend on how the range is cut.  The range belongs to one parameter group. */
typedef struct ls_optim_step {
    int64_t count, step;
    float  *param, *grad, *state[3];
    float   lr, weight_decay, grad_scale;
} ls_optim_step;
void ls_optim_apply(const ls_optim *o, const ls_optim_step *s);

#endif
