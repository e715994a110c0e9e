#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""GPT-2's architecture in PyTorch, for tests/peers/run: times training steps on random tokens in memory.

    pytorch_gpt.py THREADS LAYERS HEADS WIDTH VOCABULARY BATCH CONTEXT SETTING        (steps.py documents the output)

The optimizer is fused AdamW, dropout is 0, and the head shares the token embedding.
"""
import sys

import torch
from torch import nn
from torch.nn import functional

from steps import parallel, serve, share


class Block(nn.Module):
    def __init__(self, heads, width):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.c_fc, self.c_out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (z.view(b, t, self.heads, c // self.heads).transpose(1, 2) for z in self.c_attn(self.ln_1(x)).split(c, dim=2))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).reshape(b, t, c))
        return x + self.c_out(functional.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self, layers, heads, width, vocabulary, context):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(heads, width) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        self.apply(self.fill)

    @staticmethod
    def fill(m):
        if isinstance(m, (nn.Linear, nn.Embedding)):
            nn.init.normal_(m.weight, std=0.02)

    def forward(self, tokens, target):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        logits = functional.linear(self.ln_f(x), self.wte.weight)
        return functional.cross_entropy(logits.view(-1, logits.shape[-1]), target.view(-1))


def make(setting):
    layers, heads, width, vocabulary, batch, context = (int(a) for a in sys.argv[2:8])
    model = parallel(GPT(layers, heads, width, vocabulary, context))
    loss = torch.compile(model) if "compiled" in setting else model
    tokens, target = (torch.randint(0, vocabulary, (share(batch), context)) for _ in range(2))
    optim = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, fused=True)

    def step():
        optim.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled="bfloat16" in setting):
            result = loss(tokens, target)
        result.backward()
        optim.step()

    return step, batch * context


if __name__ == "__main__":
    serve(["eager", "compiled", "bfloat16", "bfloat16 compiled"], make)
