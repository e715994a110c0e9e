# SPDX-License-Identifier: Apache-2.0
"""Optimizers: 20 steps of torch.optim from equal parameters with equal gradients.  Muon: 5 steps of matrices.  Schedules: 100 steps
of lr_scheduler."""
import unittest.mock

import torch
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop
from torch.optim import lr_scheduler as L

import formula

COUNT, STEPS, RATES = 23, 20, 100


class Lars(torch.optim.Optimizer):
    """LARS (You 2017) with the definitions of timm's Lars, without its trust_clip."""

    def __init__(self, params, lr=1.0, momentum=0.9, weight_decay=0, trust_coeff=0.001, eps=1e-8, foreach=False):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay, trust_coeff=trust_coeff, eps=eps))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                g, decay, state = p.grad.clone(), group["weight_decay"], self.state[p]
                if decay:
                    w_norm, g_norm = p.norm(), g.norm()
                    ratio = group["trust_coeff"] * w_norm / (g_norm + w_norm * decay + group["eps"])
                    g = (g + decay * p) * (ratio if w_norm > 0 and g_norm > 0 else 1.0)
                buffer = state.get("momentum_buffer")
                state["momentum_buffer"] = g.clone() if buffer is None else group["momentum"] * buffer + g
                p -= group["lr"] * state["momentum_buffer"]


def start():
    """Returns parameters of both signs away from zero, so that a relative error is meaningful."""
    p = formula.fill("start", (COUNT,), 2.0)
    return torch.from_numpy(p + (p > 0) * 1.0 - (p <= 0) * 1.0).float()


def gradients():
    """Returns gradients of many magnitudes, too small to change the sign of a parameter; that of the last element is constant."""
    size = 10.0 ** (3 * formula.fill("size", (1, COUNT)) - 1.0)
    g = formula.fill("gradients", (STEPS, COUNT), 2.0) * size
    g[:, -1] = 0.25
    return torch.from_numpy(g).float()


OPTIMS = [
    ("sgd", SGD, dict(lr=0.01)),
    ("sgd", SGD, dict(lr=0.03, weight_decay=0.1)),
    ("sgd", SGD, dict(lr=0.05, clip_value=0.2, scale=0.125)),
    ("momentum", SGD, dict(lr=0.01, momentum=0.9)),
    ("momentum", SGD, dict(lr=0.01, momentum=0.7, dampening=0.3, weight_decay=0.05)),
    ("momentum", SGD, dict(lr=0.02, momentum=0.95, clip_value=0.1)),
    ("nag", SGD, dict(lr=0.01, momentum=0.9)),
    ("nag", SGD, dict(lr=0.003, momentum=0.99, weight_decay=0.2, scale=0.5)),
    ("lars", Lars, dict(lr=0.01)),
    ("lars", Lars, dict(lr=0.5, momentum=0.8, weight_decay=0.1, trust_coeff=0.01)),
    ("lars", Lars, dict(lr=1.0, weight_decay=0.01, trust_coeff=0.005, scale=0.25)),
    ("adagrad", Adagrad, dict(lr=0.01)),
    ("adagrad", Adagrad, dict(lr=0.05, lr_decay=0.1, initial_accumulator_value=0.3)),
    ("adagrad", Adagrad, dict(lr=0.02, weight_decay=0.1, eps=1e-3, clip_value=0.5)),
    ("rmsprop", RMSprop, dict(lr=0.01)),
    ("rmsprop", RMSprop, dict(lr=0.001, alpha=0.9, eps=1e-4, weight_decay=0.05)),
    ("rmsprop", RMSprop, dict(lr=0.001, momentum=0.9)),
    ("rmsprop", RMSprop, dict(lr=0.001, centered=1, eps=1e-3)),
    ("rmsprop", RMSprop, dict(lr=0.001, centered=1, momentum=0.5, alpha=0.95, eps=1e-2, weight_decay=0.1)),
    ("adam", Adam, dict(lr=0.001)),
    ("adam", Adam, dict(lr=0.01, beta1=0.8, beta2=0.98, eps=1e-6)),
    ("adam", Adam, dict(lr=0.003, weight_decay=0.1, scale=0.25)),
    ("adam", Adam, dict(lr=0.003, beta1=0.3, clip_value=0.05)),
    ("adamw", AdamW, dict(lr=0.001, weight_decay=0)),
    ("adamw", AdamW, dict(lr=0.01, weight_decay=0.1)),
    ("adamw", AdamW, dict(lr=0.002, beta1=0.95, beta2=0.9999, weight_decay=0.5, clip_value=1.0)),
]

STATES = ["momentum_buffer", "sum", "square_avg", "grad_avg", "exp_avg", "exp_avg_sq"]


def golden_optims(out):
    out.case("given")
    out.array("start", start())
    out.array("gradients", gradients())
    for kind, make, given in OPTIMS:
        args = dict(given)  # torch.optim has no clipping and scaling
        clip, scale = args.pop("clip_value", 0), args.pop("scale", 1.0)
        if "beta1" in args or "beta2" in args:
            args["betas"] = (args.pop("beta1", 0.9), args.pop("beta2", 0.999))
        if kind == "nag":
            args["nesterov"] = True
        p = torch.nn.Parameter(start())
        optim = make([p], foreach=False, **args)
        out.case(kind, **given)
        for step, g in enumerate(gradients()):
            p.grad = g * scale
            if clip:
                torch.nn.utils.clip_grad_value_([p], clip, foreach=False)
            optim.step()
            if step == 0:
                out.array("first", p.detach())
        out.array("last", p.detach())
        for name in STATES:
            if torch.is_tensor(optim.state[p].get(name)):
                out.array(name, optim.state[p][name])


def float32_muon():
    """Lets torch.optim.Muon iterate in float32 instead of bfloat16."""
    return unittest.mock.patch.object(torch, "bfloat16", torch.float32)


MATRICES = [
    ((7, 7), dict(lr=0.02)),
    ((33, 7), dict(lr=0.02, weight_decay=0.1)),
    ((7, 33), dict(lr=0.01, momentum=0.8, weight_decay=0.5)),
    ((1, 33), dict(lr=0.02)),
    ((24, 40), dict(lr=0.003, weight_decay=0.1, match_rms_adamw=1)),
    ((40, 24), dict(lr=0.003, match_rms_adamw=1)),
]


def golden_muon(out):
    for (rows, cols), given in MATRICES:
        args = dict(weight_decay=0.0, momentum=0.95) | given
        args["adjust_lr_fn"] = "match_rms_adamw" if args.pop("match_rms_adamw", 0) else "original"
        p = torch.nn.Parameter(torch.from_numpy(formula.fill("start", (rows, cols), 1.0)).float())
        optim = torch.optim.Muon([p], **args)
        out.case("muon", rows=rows, cols=cols, **given)
        with float32_muon():
            for step in range(5):
                p.grad = torch.from_numpy(formula.fill(f"gradient{step}", (rows, cols), 0.1)).float()
                optim.step()
        out.array("last", p.detach())
        out.array("momentum_buffer", optim.state[p]["momentum_buffer"])


def warmed(make, steps, start_factor):
    return lambda o: L.SequentialLR(o, [L.LinearLR(o, start_factor, 1.0, steps), make(o)], [steps])


SCHEDULES = [
    ("constant", 0.1, {}, lambda o: L.ConstantLR(o, factor=1.0)),
    ("step", 0.1, dict(step_size=7, gamma=0.5), lambda o: L.StepLR(o, 7, 0.5)),
    ("step", 0.2, dict(step_size=30), lambda o: L.StepLR(o, 30)),
    ("multistep", 0.1, dict(milestones="10,40,41,90", gamma=0.3), lambda o: L.MultiStepLR(o, [10, 40, 41, 90], 0.3)),
    ("exponential", 0.1, dict(gamma=0.95), lambda o: L.ExponentialLR(o, 0.95)),
    ("cosine", 0.1, dict(total_steps=100), lambda o: L.CosineAnnealingLR(o, 100)),
    ("cosine", 0.5, dict(total_steps=100, end_factor=0.1), lambda o: L.CosineAnnealingLR(o, 100, eta_min=0.05)),
    ("linear", 0.1, dict(total_steps=60, end_factor=0.25), lambda o: L.LinearLR(o, 1.0, 0.25, 60)),
    ("linear", 0.1, dict(total_steps=100), lambda o: L.LinearLR(o, 1.0, 0.0, 100)),
    ("onecycle", 0.1, dict(total_steps=100), lambda o: L.OneCycleLR(o, 0.1, 100, cycle_momentum=False)),
    ("onecycle", 0.3, dict(total_steps=100, div_factor=10, final_div_factor=100, pct_start=0.45),
     lambda o: L.OneCycleLR(o, 0.3, 100, pct_start=0.45, div_factor=10, final_div_factor=100, cycle_momentum=False)),
    ("constant", 0.1, dict(warmup=10, start_factor=0.1), lambda o: L.LinearLR(o, 0.1, 1.0, 10)),
    ("cosine", 0.1, dict(warmup=20, start_factor=0.01, total_steps=100), warmed(lambda o: L.CosineAnnealingLR(o, 80), 20, 0.01)),
    ("exponential", 0.1, dict(warmup=5, start_factor=0.2, gamma=0.9), warmed(lambda o: L.ExponentialLR(o, 0.9), 5, 0.2)),
    ("step", 0.1, dict(warmup=8, start_factor=0.5, step_size=10, gamma=0.7), warmed(lambda o: L.StepLR(o, 10, 0.7), 8, 0.5)),
]


def golden_schedules(out):
    for kind, lr, given, make in SCHEDULES:
        optim = SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
        schedule = make(optim)
        rates = []
        for step in range(RATES):
            if step:
                optim.step()
                schedule.step()
            rates.append(optim.param_groups[0]["lr"])
        out.case(kind, lr=lr, **given)
        out.array("rates", torch.tensor(rates, dtype=torch.float64))
