# SPDX-License-Identifier: Apache-2.0
"""nn.RNN, nn.LSTM and nn.GRU: outputs, last states, and gradients under the names of the parameters.

Parameters, inputs and initial states are set by formula.  All samples have the same initial states, and x has an array without batch
dim added to it, so that their gradients are sums over samples.  The loss is the mean over samples of the sums of y * dy and of the
last states * their gradients.  pack_padded_sequence refuses a length of 0, so a sample of length 0 is computed by hand: its last state
is its initial state.
"""
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import formula

INPUTS, SAMPLES = 3, 5

# layers, bidirectional, ragged, hidden, positions
SHAPES = [(1, 0, 0, 1, 1), (1, 0, 1, 7, 17), (2, 0, 0, 33, 2), (2, 1, 1, 7, 17), (3, 1, 1, 33, 2), (1, 1, 0, 64, 17), (3, 0, 1, 64, 2)]
KINDS = {"rnn": dict(), "relu": dict(nonlinearity="relu"), "lstm": dict(), "gru": dict()}


def tensor(name, *dims, scale=2.0):
    return torch.from_numpy(formula.fill(name, dims, scale))


def probe(values):
    """Eight elements at equal distances, and the sum of all: what the test compares."""
    flat = values.detach().reshape(-1)
    return torch.cat([flat[[i * (len(flat) - 1) // 7 for i in range(8)]], flat.double().sum().float().reshape(1)])


def golden(out):
    for kind, settings in KINDS.items():
        for layers, both, ragged, hidden, positions in SHAPES:
            make = {"lstm": nn.LSTM, "gru": nn.GRU}.get(kind, nn.RNN)
            layer = make(INPUTS, hidden, layers, batch_first=True, bidirectional=bool(both), **settings)
            with torch.no_grad():
                for key, p in layer.named_parameters():
                    p.copy_(tensor(key, *p.shape, scale=2 / hidden**0.5))
            lengths = [positions, 1, 0, max(1, positions - 2), positions] if ragged else [positions] * SAMPLES
            full, empty = [b for b in range(SAMPLES) if lengths[b]], [b for b in range(SAMPLES) if not lengths[b]]
            states = ["h", "c"] if kind == "lstm" else ["h"]
            count = layers * (1 + both)
            shift = {"x": torch.zeros(positions, INPUTS, requires_grad=True)}
            start, gradient = {}, {}
            for s in states:
                parts = []
                for i in range(count):
                    shift[f"{s}0.{i}"] = tensor(f"{s}0.{i}", hidden).requires_grad_()
                    parts.append(torch.zeros(SAMPLES, hidden) + shift[f"{s}0.{i}"])
                start[s] = torch.stack(parts)
                gradient[s] = torch.stack([tensor("dh", SAMPLES, hidden)] * count)
            x = tensor("x", SAMPLES, positions, INPUTS) + shift["x"]
            given = [start[s][:, full].contiguous() for s in states]
            packed = pack_padded_sequence(x[full], [lengths[b] for b in full], batch_first=True, enforce_sorted=False)
            y, last = layer(packed, tuple(given) if kind == "lstm" else given[0])
            last = dict(zip(states, last if kind == "lstm" else [last]))
            y, _ = pad_packed_sequence(y, batch_first=True, total_length=positions)
            loss = (y * tensor("dy", SAMPLES, positions, y.shape[2])[full]).sum()
            for s in states:
                loss = loss + (last[s] * gradient[s][:, full]).sum() + (start[s] * gradient[s])[:, empty].sum()
            (loss / SAMPLES).backward()
            out.case(kind, layers=layers, bidirectional=both, ragged=ragged, hidden=hidden, positions=positions)
            whole = torch.zeros(SAMPLES, positions, y.shape[2])
            whole[full] = y.detach()
            out.array("y", probe(whole))
            for s in states:
                for i in range(count):
                    end = start[s][i].detach().clone()
                    end[full] = last[s][i].detach()
                    out.array(f"{s}.{i}", probe(end))
            for key, value in list(layer.named_parameters()) + list(shift.items()):
                out.array(key, probe(value.grad))
