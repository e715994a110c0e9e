# SPDX-License-Identifier: Apache-2.0
"""Recurrent language models as PyTorch's example word_language_model: number of parameters, logits, and ten losses of SGD with momentum.

Each sample begins with a state of zeros.  Parameters and tokens are set by formula.
"""
import torch
from torch import nn

import formula

VOCAB, HIDDEN, EMBEDDING, LAYERS, SAMPLES, POSITIONS = 29, 12, 10, 2, 6, 11
CASES = {"lstm": dict(), "gru": dict(), "rnn_tanh": dict(), "rnn_relu": dict(), "tied": dict(cell="lstm", tied=1)}


class Model(nn.Module):
    def __init__(self, cell, tied):
        super().__init__()
        width = HIDDEN if tied else EMBEDDING
        self.encoder = nn.Embedding(VOCAB, width)
        kind, more = {"lstm": (nn.LSTM, {}), "gru": (nn.GRU, {})}.get(cell, (nn.RNN, dict(nonlinearity=cell[4:])))
        self.rnn = kind(width, HIDDEN, LAYERS, batch_first=True, **more)
        self.decoder = nn.Linear(HIDDEN, VOCAB)
        if tied:
            self.decoder.weight = self.encoder.weight

    def forward(self, x):
        return self.decoder(self.rnn(self.encoder(x))[0])


def golden(out):
    for name, case in CASES.items():
        net = Model(case.get("cell", name), case.get("tied", 0))
        with torch.no_grad():
            for key, p in net.named_parameters():
                p.copy_(torch.from_numpy(formula.fill(key, tuple(p.shape), 1.0)))
        x, y = (torch.from_numpy(formula.labels(n, SAMPLES * POSITIONS, VOCAB)).reshape(SAMPLES, POSITIONS) for n in ("tokens", "next"))
        logits = net(x).detach()
        optim = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
        losses = []
        for _ in range(10):
            loss = nn.functional.cross_entropy(net(x).flatten(0, 1), y.flatten())
            optim.zero_grad()
            loss.backward()
            optim.step()
            losses.append(loss.item())
        out.case(name, parameters=sum(p.numel() for p in net.parameters()), **case)
        out.array("logits", logits[:, -1])
        out.array("losses", torch.tensor(losses))
