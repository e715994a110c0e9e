# SPDX-License-Identifier: Apache-2.0
"""Recurrent language models of PyTorch's example word_language_model, for tests/peers/run: times training steps on random tokens in memory.

    pytorch_rnn.py THREADS CELL LAYERS HIDDEN VOCABULARY BATCH CONTEXT SETTING        (steps.py documents the output)

CELL: lstm or gru.  The optimizer is SGD with a clipped gradient; the states are carried from step to step.
"""
import sys

import torch
from torch import nn

from steps import parallel, serve, share

DROPOUT = 0.5


class Model(nn.Module):
    def __init__(self, cell, layers, hidden, vocabulary):
        super().__init__()
        self.encoder, self.decoder = nn.Embedding(vocabulary, hidden), nn.Linear(hidden, vocabulary)
        self.rnn = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](hidden, hidden, layers, dropout=DROPOUT)
        self.drop = nn.Dropout(DROPOUT)

    def forward(self, tokens, target, state):
        x, state = self.rnn(self.drop(self.encoder(tokens)), state)
        logits = self.decoder(self.drop(x))
        return nn.functional.cross_entropy(logits.view(-1, logits.shape[-1]), target.view(-1)), state


def make(setting):
    cell, (layers, hidden, vocabulary, batch, context) = sys.argv[2], map(int, sys.argv[3:8])
    model = parallel(Model(cell, layers, hidden, vocabulary))
    loss = torch.compile(model) if "compiled" in setting else model
    tokens, target = (torch.randint(0, vocabulary, (context, share(batch))) for _ in range(2))
    optim = torch.optim.SGD(model.parameters(), lr=0.1, fused=True)
    zeros = torch.zeros(layers, share(batch), hidden)
    carried = [(zeros, zeros) if cell == "lstm" else zeros]

    def step():
        optim.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled="bfloat16" in setting):
            value, state = loss(tokens, target, carried[0])
        value.backward()
        carried[0] = tuple(s.detach() for s in state) if cell == "lstm" else state.detach()
        nn.utils.clip_grad_norm_(model.parameters(), 0.25, foreach=True)
        optim.step()

    return step, batch * context


if __name__ == "__main__":
    serve(["eager"], make)
