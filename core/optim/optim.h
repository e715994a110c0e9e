/* SPDX-License-Identifier: Apache-2.0
 *
 * Optimizers and learning-rate schedules; part of core/core.h.  Definitions and names of settings are those of
 * torch.optim and torch.optim.lr_scheduler.
 *
 *     ls_optim o = ls_adamw(.lr = 3e-4f, .betas = {0.9f, 0.95f}, .weight_decay = 0.1f,
 *                           .schedule = ls_schedule_cosine(.warmup = 100, .end_factor = 0.1f));
 *
 * A setting that is left out has the default of the macro; a setting that is given has that value, even if it is 0.
 * The macros override initialisers: with -Wextra add -Wno-override-init (the CMake package does).  In C++ they are not
 * available: start from ls_optim_default() and assign.
 */
#ifndef LS_CORE_OPTIM_OPTIM_H
#define LS_CORE_OPTIM_OPTIM_H

/* One row per optimizer: enumerator, name in recipes, suffix of its descriptor. */
#define LS_OPTIM_LIST(X)                                                                                               \
    X(LS_OPTIM_SGD, "sgd", sgd)                                                                                        \
    X(LS_OPTIM_MOMENTUM, "momentum", momentum)                                                                         \
    X(LS_OPTIM_NAG, "nag", nag)                                                                                        \
    X(LS_OPTIM_LARS, "lars", lars)                                                                                     \
    X(LS_OPTIM_ADAGRAD, "adagrad", adagrad)                                                                            \
    X(LS_OPTIM_RMSPROP, "rmsprop", rmsprop)                                                                            \
    X(LS_OPTIM_ADAM, "adam", adam)                                                                                     \
    X(LS_OPTIM_ADAMW, "adamw", adamw)                                                                                  \
    X(LS_OPTIM_MUON, "muon", muon)
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
typedef enum ls_schedule_kind { LS_ENUMERATORS(LS_SCHEDULE_LIST) LS_SCHEDULE_COUNT } ls_schedule_kind;

enum { LS_MAX_MILESTONES = 16, LS_MAX_PARAM_GROUPS = 8 };

/* The learning rate of each step, as a multiple of the base rate.  core/optim/schedule.c has the formulas. */
typedef struct ls_schedule {
    ls_schedule_kind kind;
    int64_t          warmup;       /* steps of linear warm-up before the schedule begins; not with onecycle */
    float            start_factor; /* first multiple of the warm-up, 0 to 1 */
    int64_t          total_steps;  /* cosine, linear, onecycle: steps, warm-up included; 0: length of the run */
    float            end_factor;   /* cosine, linear: last multiple, at least 0 */
    int64_t          step_size;    /* step, exponential: steps between two decays, at least 1 */
    float            gamma;        /* step, multistep, exponential: factor of a decay, above 0 */
    /* multistep: steps of the decays, counted from the start of the run, increasing; 0 ends the list */
    int64_t milestones[LS_MAX_MILESTONES];
    float   pct_start;        /* onecycle: fraction of the steps in which the rate rises, 0 to 1 */
    float   div_factor;       /* onecycle: peak rate / first rate, at least 1 */
    float   final_div_factor; /* onecycle: first rate / last rate, at least 1 */
} ls_schedule;

/* Default settings of each schedule, as initialisers. */
#define LS__SCHEDULE_CONSTANT .kind = LS_SCHEDULE_CONSTANT
#define LS__SCHEDULE_STEP .kind = LS_SCHEDULE_STEP, .step_size = 1, .gamma = 0.1f
#define LS__SCHEDULE_MULTISTEP .kind = LS_SCHEDULE_MULTISTEP, .gamma = 0.1f
#define LS__SCHEDULE_EXPONENTIAL .kind = LS_SCHEDULE_EXPONENTIAL, .step_size = 1, .gamma = 0.1f
#define LS__SCHEDULE_COSINE .kind = LS_SCHEDULE_COSINE
#define LS__SCHEDULE_LINEAR .kind = LS_SCHEDULE_LINEAR
#define LS__SCHEDULE_ONECYCLE                                                                                          \
    .kind = LS_SCHEDULE_ONECYCLE, .pct_start = 0.3f, .div_factor = 25, .final_div_factor = 1e4f
#define LS__SCHEDULE_INVERSE_SQRT .kind = LS_SCHEDULE_INVERSE_SQRT

/* Settings of the parameters with names that match a glob. */
typedef struct ls_param_group {
    const char *glob;         /* such as "*.bias" */
    float       lr_scale;     /* factor of the learning rate; 0 freezes the parameters */
    float       weight_decay; /* replaces the weight decay of the optimizer */
    bool        adamw;        /* muon: updates hidden matrices by AdamW as well */
} ls_param_group;

typedef struct ls_optim {
    size_t         size; /* sizeof(ls_optim), set by the macros and ls_optim_default() */
    ls_optim_kind  kind;
    float          lr;              /* base learning rate */
    float          momentum;        /* momentum, nag, lars, rmsprop, muon: 0 to below 1 */
    float          adamw_lr;        /* muon: base learning rate of parameters that AdamW updates */
    bool           match_rms_adamw; /* muon: steps of hidden matrices have the size of AdamW's */
    float          dampening;       /* momentum: 0 to 1 */
    float          trust_coeff;     /* lars: factor of the ratio of norms */
    float          weight_decay;    /* L2 term of the gradient; adamw, muon: decoupled (Loshchilov 2019) */
    float          betas[2];        /* adam, adamw, muon: decay of the first and second moment, 0 to below 1 */
    float          alpha;           /* rmsprop: decay of the mean square, 0 to below 1 */
    float          eps;             /* lars, adagrad, rmsprop, adam, adamw, muon: added to the denominator */
    bool           centered;        /* rmsprop: divides by the variance instead of the second moment */
    float          lr_decay;        /* adagrad: lr / (1 + step * lr_decay) */
    float          initial_accumulator_value; /* adagrad: initial value of the accumulator */
    float          clip_norm;                 /* largest global norm of the gradient; 0: no clipping */
    float          clip_value;                /* largest absolute value of an element of the gradient; 0: no clipping */
    float          ema;       /* decay of an average of the parameters, 0 to below 1, which evaluation uses; 0: none */
    float          lookahead; /* slow weights: their step towards the parameters, 0 to 1; 0: no slow weights */
    int            lookahead_steps; /* steps of the optimizer between two steps of the slow weights; 0: 5 */
    float          lookahead_power; /* p: the step is 1 - (1 - lookahead) (t / T)^p after t of T steps; 0: lookahead */
    float          layer_decay;     /* factor of the learning rate from a layer to the one before it, 0 to 1; 0: none */
    ls_schedule    schedule;
    ls_param_group group[LS_MAX_PARAM_GROUPS]; /* ended by a NULL glob; the first match applies */
} ls_optim;

/* Default settings of each optimizer, as initialisers. */
#define LS__OPTIM(KIND) .size = sizeof(ls_optim), .kind = LS_OPTIM_##KIND
#define LS__SGD LS__OPTIM(SGD), .lr = 1e-3f
#define LS__MOMENTUM LS__OPTIM(MOMENTUM), .lr = 1e-3f, .momentum = 0.9f
#define LS__NAG LS__OPTIM(NAG), .lr = 1e-3f, .momentum = 0.9f
#define LS__LARS LS__OPTIM(LARS), .lr = 1, .momentum = 0.9f, .trust_coeff = 1e-3f, .eps = 1e-8f
#define LS__ADAGRAD LS__OPTIM(ADAGRAD), .lr = 1e-2f, .eps = 1e-10f
#define LS__RMSPROP LS__OPTIM(RMSPROP), .lr = 1e-2f, .alpha = 0.99f, .eps = 1e-8f
#define LS__ADAM LS__OPTIM(ADAM), .lr = 1e-3f, .betas = {0.9f, 0.999f}, .eps = 1e-8f
#define LS__ADAMW LS__OPTIM(ADAMW), .lr = 1e-3f, .betas = {0.9f, 0.999f}, .eps = 1e-8f
#define LS__MUON                                                                                                       \
    LS__OPTIM(MUON), .lr = 1e-3f, .momentum = 0.95f, .adamw_lr = 1e-3f, .betas = {0.9f, 0.999f}, .eps = 1e-8f

#ifndef __cplusplus
#define ls_schedule_constant(...) ((ls_schedule){LS__SCHEDULE_CONSTANT, __VA_ARGS__})
#define ls_schedule_step(...) ((ls_schedule){LS__SCHEDULE_STEP, __VA_ARGS__})
#define ls_schedule_multistep(...) ((ls_schedule){LS__SCHEDULE_MULTISTEP, __VA_ARGS__})
#define ls_schedule_exponential(...) ((ls_schedule){LS__SCHEDULE_EXPONENTIAL, __VA_ARGS__})
#define ls_schedule_cosine(...) ((ls_schedule){LS__SCHEDULE_COSINE, __VA_ARGS__})
#define ls_schedule_linear(...) ((ls_schedule){LS__SCHEDULE_LINEAR, __VA_ARGS__})
#define ls_schedule_onecycle(...) ((ls_schedule){LS__SCHEDULE_ONECYCLE, __VA_ARGS__})
#define ls_schedule_inverse_sqrt(...) ((ls_schedule){LS__SCHEDULE_INVERSE_SQRT, __VA_ARGS__})

#define ls_sgd(...) ((ls_optim){LS__SGD, __VA_ARGS__})
#define ls_momentum(...) ((ls_optim){LS__MOMENTUM, __VA_ARGS__})
#define ls_nag(...) ((ls_optim){LS__NAG, __VA_ARGS__})
#define ls_lars(...) ((ls_optim){LS__LARS, __VA_ARGS__})
#define ls_adagrad(...) ((ls_optim){LS__ADAGRAD, __VA_ARGS__})
#define ls_rmsprop(...) ((ls_optim){LS__RMSPROP, __VA_ARGS__})
#define ls_adam(...) ((ls_optim){LS__ADAM, __VA_ARGS__})
#define ls_adamw(...) ((ls_optim){LS__ADAMW, __VA_ARGS__})
#define ls_muon(...) ((ls_optim){LS__MUON, __VA_ARGS__})
#endif

/* Returns an optimizer or a schedule with default settings. */
ls_optim    ls_optim_default(ls_optim_kind kind);
ls_schedule ls_schedule_default(ls_schedule_kind kind);

/* Checks all settings.  LS_ERR_USAGE: a setting is out of range (lr < 0, a beta of 1), or the optimizer or schedule
 * does not have it.  The functions below require an `o` that passed this check. */
ls_status ls_optim_check(const ls_optim *o);

/* Checks the length of the run, in steps.  LS_ERR_USAGE: the schedule needs the length, and `run_steps` is 0 (unknown)
 * or not longer than the warm-up. */
ls_status ls_optim_check_length(const ls_optim *o, int64_t run_steps);

enum { LS_MAX_OPTIM_STATES = 5 };

/* Returns the number of state arrays, each as large as the parameters and initially zero: 0 (sgd) to 3 (rmsprop,
 * centered, with momentum; muon, where hidden matrices have the first and other parameters the rest), and one more with
 * `lookahead`, and with `ema`; and the name of array i in the state_dict of PyTorch ("exp_avg", "momentum_buffer"), or
 * NULL if i is out of range.
 *
 * "slow" has the slow weights of lookahead (Zhang 2019), which begin as the parameters.  After every lookahead_steps
 * steps they take a step towards the parameters, which then continue from them.
 *
 * "ema" is the average of the parameters over the steps t = 0, 1, ..., with the decay min(ema, (1 + t) / (10 + t)), and
 * 0 in step 0, so that the first steps do not weigh on it. */
int         ls_optim_states(const ls_optim *o);
const char *ls_optim_state_name(const ls_optim *o, int i);

/* Returns the state array that evaluations use instead of the parameters: the average, else the slow weights; -1: none.
 */
int ls_optim_average(const ls_optim *o);

/* Returns the learning rate of a step, counted from 0.  run_steps: length of the run, used by schedules without
 * total_steps. */
float ls_optim_lr(const ls_optim *o, int64_t step, int64_t run_steps);

/* Updates `count` parameters.  param, grad and state are parallel arrays of one parameter group.  Multi-threaded and
 * elementwise: the bits do not depend on where a range begins or ends. */
typedef struct ls_optim_step {
    int64_t count;
    int64_t step;      /* from 0 */
    int64_t run_steps; /* length of the run; used by lookahead_power */
    float  *param, *grad, *state[LS_MAX_OPTIM_STATES];
    float   lr;           /* learning rate of this step and parameter group */
    float   weight_decay; /* weight decay of this parameter group */
    float   grad_scale;   /* factor of the gradient, applied first; includes the factor of clipping by norm */
    float   trust_ratio;  /* lars: of the parameter that the elements belong to (ls_optim_trust_ratio) */
    /* muon: dims of the hidden matrix that the elements belong to, and `grad` is its orthogonalised momentum; 0: the
     * elements are updated by AdamW, and `lr` is the rate of AdamW */
    int64_t rows, cols;
} ls_optim_step;
void ls_optim_apply(const ls_optim *o, const ls_optim_step *s);

/* Returns the trust ratio of a parameter, from the 2-norms of the parameter and of its scaled gradient.  It is 1
 * without weight decay, and if one of the norms is 0. */
float ls_optim_trust_ratio(const ls_optim *o, float weight_decay, double param_norm, double grad_norm);

#endif
