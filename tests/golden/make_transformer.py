# SPDX-License-Identifier: Apache-2.0
"""Transformer blocks: values and gradients of PyTorch's nn.TransformerEncoderLayer and nn.TransformerDecoderLayer."""
import torch
from torch import nn

import formula

B, T, S, E = 2, 5, 7, 8
CASES = {
    "post_norm": dict(),
    "pre_norm": dict(norm_first=1, gelu=1, causal=1),
    "padding": dict(key_padding=1),
    "decoder": dict(decoder=1, causal=1),
    "decoder_pre_norm": dict(decoder=1, norm_first=1, gelu=1, causal=1, memory_padding=1),
}


def padding(name, rows, length):
    """Random padding; the first position of a row is never hidden."""
    hidden = torch.from_numpy(formula.labels(name, rows * length, 2)).reshape(rows, length)
    hidden[:, 0] = 0
    return hidden


def one(out, name, decoder=0, norm_first=0, gelu=0, causal=0, key_padding=0, memory_padding=0):
    kind = nn.TransformerDecoderLayer if decoder else nn.TransformerEncoderLayer
    net = kind(E, 2, 12, 0.0, "gelu" if gelu else "relu", batch_first=True, norm_first=bool(norm_first))
    with torch.no_grad():
        for key, p in net.named_parameters():
            p.copy_(torch.from_numpy(formula.fill(key, tuple(p.shape), 1.0)) + (1 if "norm" in key and key.endswith("weight") else 0))
    x = torch.from_numpy(formula.fill("x", (B, T, E), 2.0))
    memory = torch.from_numpy(formula.fill("memory", (B, S, E), 2.0))
    mask = torch.ones(T, T).triu(1).bool() if causal else None
    hidden = padding("padding", B, T).bool() if key_padding else None
    of_memory = padding("memory_padding", B, S).bool() if memory_padding else None
    if decoder:
        y = net(x, memory, tgt_mask=mask, tgt_key_padding_mask=hidden, memory_key_padding_mask=of_memory)
    else:
        y = net(x, src_mask=mask, src_key_padding_mask=hidden)
    ((y * torch.from_numpy(formula.fill("dy", tuple(y.shape), 2.0))).sum() / B).backward()
    out.case(name, decoder=decoder, norm_first=norm_first, gelu=gelu, causal=causal, key_padding=key_padding, memory_padding=memory_padding)
    out.array("y", y.detach())
    for key, p in net.named_parameters():
        out.array(key, p.grad)


def golden(out):
    for name, settings in CASES.items():
        one(out, name, **settings)
