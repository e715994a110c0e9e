# SPDX-License-Identifier: Apache-2.0
"""nn.MultiheadAttention: values, and gradients under the names of its parameters.

Parameters, inputs and masks are set by formula.  Each of q, k and v has an array without batch dim added to it, so that its gradient
is the gradient of the input summed over samples.  The loss is the mean over samples of the sum of y * dy.
"""
import torch
from torch import nn

import formula

WIDTH, HEADS, SAMPLES, QUERIES, KEYS = 12, 3, 2, 5, 7

# name: differences from self-attention without masks
CASES = {
    "self": {},
    "no_bias": dict(no_bias=1),
    "causal": dict(causal=1),
    "cross": dict(cross=1),
    "padding": dict(cross=1, padding=1),
    "additive": dict(cross=1, additive=2),
    "additive_by_head": dict(cross=1, additive=3),
    "everything": dict(causal=1, padding=1, additive=2),
    "window": dict(causal=1, window=2),
    "cap": dict(causal=1, window=3, cap=0.5),
}


def tensor(name, *dims, scale=2.0):
    return torch.from_numpy(formula.fill(name, dims, scale))


def capped(layer, x, mask, cap):
    """Self-attention of the layer with scores cap tanh(s / cap), which nn.MultiheadAttention does not have."""
    q, k, v = [t.unflatten(-1, (HEADS, -1)).transpose(1, 2)
               for t in nn.functional.linear(x, layer.in_proj_weight, layer.in_proj_bias).chunk(3, -1)]
    scores = q @ k.mT / q.shape[-1] ** 0.5
    weights = torch.softmax(cap * torch.tanh(scores / cap) + mask, -1)
    return layer.out_proj((weights @ v).transpose(1, 2).flatten(2)), weights


def golden(out):
    for name, case in CASES.items():
        layer = nn.MultiheadAttention(WIDTH, HEADS, bias=not case.get("no_bias"), batch_first=True)
        with torch.no_grad():
            for key, p in layer.named_parameters():
                p.copy_(tensor(key, *p.shape, scale=1.5))
        keys = KEYS if case.get("cross") else QUERIES
        roles = ["q", "k", "v"] if case.get("cross") else ["q"]
        shift = {r: torch.zeros(QUERIES if r == "q" else keys, WIDTH, requires_grad=True) for r in roles}
        given = {r: tensor(r, SAMPLES, *shift[r].shape) + shift[r] for r in roles}
        q = given["q"]
        mask = torch.zeros(SAMPLES, HEADS, QUERIES, keys)
        if case.get("additive") == 2:
            mask = mask + tensor("mask", QUERIES, keys)
        if case.get("additive") == 3:
            mask = mask + tensor("mask", HEADS, QUERIES, keys)
        if case.get("causal"):
            mask = mask + torch.full((QUERIES, keys), float("-inf")).triu(1)
        if case.get("window"):
            mask = mask + torch.full((QUERIES, keys), float("-inf")).tril(-case["window"])
        padding = torch.zeros(SAMPLES, keys)
        if case.get("padding"):  # the first key is never hidden
            hidden = torch.from_numpy(formula.labels("padding", SAMPLES * keys, 2)).reshape(SAMPLES, keys).bool()
            hidden[:, 0] = False
            padding = padding.masked_fill(hidden, float("-inf"))
        if case.get("cap"):
            y, weights = capped(layer, q, mask, case["cap"])
        else:
            y, weights = layer(q, given.get("k", q), given.get("v", q), attn_mask=mask.reshape(-1, QUERIES, keys), key_padding_mask=padding,
                               average_attn_weights=False)
        ((y * tensor("dy", SAMPLES, QUERIES, WIDTH)).sum() / SAMPLES).backward()
        out.case(name, **case)
        out.array("y", y.detach())
        out.array("weights", weights.detach())
        for key, p in layer.named_parameters():
            out.array(f"mha.{key}", p.grad)
        for r in roles:
            out.array(r, shift[r].grad)
