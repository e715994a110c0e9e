#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Perplexity of PyTorch's example word_language_model on a dataset of tokens, as the twin of the recipe lstm-words.

    tests/peers/perplexity.py FOLDER [--epochs N] [--hidden N] [--dropout P] [--seed N] [--threads N]

FOLDER has train.h5 and valid.h5 (`lockstep data import text`); h5py reads them.  Model, initial values, streams, evaluation and optimizer are
those of github.com/pytorch/examples/word_language_model, with the recipe's schedule: the learning rate falls as a cosine from 20 to 0.2.
Evaluation carries the state over 10 streams.  Prints the perplexity per token of `valid` after each epoch.
"""
import argparse
import math
import time

import h5py
import torch
from torch import nn

BATCH, EVAL_BATCH, CONTEXT, LR, CLIP, END_FACTOR = 20, 10, 35, 20.0, 0.25, 0.01


class Model(nn.Module):
    def __init__(self, vocabulary, hidden, dropout):
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.encoder, self.decoder = nn.Embedding(vocabulary, hidden), nn.Linear(hidden, vocabulary)
        self.rnn = nn.LSTM(hidden, hidden, 2, dropout=dropout)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)

    def forward(self, tokens, state):
        x, state = self.rnn(self.drop(self.encoder(tokens)), state)
        return self.decoder(self.drop(x)), state


def streams(folder, split, count):
    with h5py.File(f"{folder}/{split}.h5") as f:
        tokens, vocabulary = torch.from_numpy(f["tokens"][:].astype("int64")), int(f.attrs["vocabulary"])
    rows = len(tokens) // count
    return tokens[:rows * count].view(count, rows).t().contiguous(), vocabulary


def pieces(data):
    for i in range(0, len(data) - 1, CONTEXT):
        n = min(CONTEXT, len(data) - 1 - i)
        yield data[i:i + n], data[i + 1:i + 1 + n].reshape(-1)


def evaluate(model, data):
    model.eval()
    total, count, state = 0.0, 0, None
    with torch.no_grad():
        for x, y in pieces(data):
            logits, state = model(x, state)
            total += nn.functional.cross_entropy(logits.flatten(0, 1), y, reduction="sum").item()
            count += len(y)
    return math.exp(total / count)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--epochs", type=int, default=6)
    p.add_argument("--hidden", type=int, default=200)
    p.add_argument("--dropout", type=float, default=0.2)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    train, vocabulary = streams(a.folder, "train", BATCH)
    valid, _ = streams(a.folder, "valid", EVAL_BATCH)
    model = Model(vocabulary, a.hidden, a.dropout)
    steps, step, began = a.epochs * math.ceil((len(train) - 1) / CONTEXT), 0, time.time()
    for epoch in range(a.epochs):
        model.train()
        state = None
        for x, y in pieces(train):
            lr = LR * (END_FACTOR + (1 - END_FACTOR) * (1 + math.cos(math.pi * step / steps)) / 2)
            state = None if state is None else tuple(s.detach() for s in state)
            model.zero_grad()
            logits, state = model(x, state)
            nn.functional.cross_entropy(logits.flatten(0, 1), y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            with torch.no_grad():
                for w in model.parameters():
                    w.add_(w.grad, alpha=-lr)
            step += 1
        print(f"epoch {epoch + 1}  perplexity {evaluate(model, valid):.3f}  {time.time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
