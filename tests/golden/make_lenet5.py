# SPDX-License-Identifier: Apache-2.0
"""LeNet-5 in PyTorch, equal to ls_lenet5, with the parameter names of model.safetensors."""
import math

import torch
import torch.nn.functional as F
from torch import nn

import formula


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc3(F.relu(self.fc2(x)))

    def fill(self):
        """Sets every parameter by formula, uniform within +- 2 / sqrt(fan in): wide enough for the losses to change."""
        with torch.no_grad():
            fan = 1
            for name, p in self.named_parameters():
                if name.endswith("weight"):
                    fan = math.prod(p.shape[1:])
                p.copy_(torch.from_numpy(formula.fill(name, tuple(p.shape), 4.0 / math.sqrt(fan))))
        return self


def batch(k, size=16):
    """Returns images and labels of batch k."""
    return (torch.from_numpy(formula.fill(f"image{k}", (size, 1, 28, 28), 2.0)),
            torch.from_numpy(formula.labels(f"label{k}", size)))


def golden(out):
    """Writes logits of batch 0, and ten training losses over two alternating batches, for two optimizers."""
    out.case("logits")
    net = LeNet5().fill()
    with torch.no_grad():
        out.array("logits", net(batch(0)[0]))
    settings = {
        "momentum": (dict(kind="momentum", lr=0.02, momentum=0.9),
                     lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, foreach=False)),
        "adam": (dict(kind="adam", lr=0.002), lambda p: torch.optim.Adam(p, lr=0.002, foreach=False)),
    }
    for name, (given, make) in settings.items():
        net = LeNet5().fill()
        optim = make(net.parameters())
        losses = []
        for step in range(10):
            x, y = batch(step % 2)
            loss = F.cross_entropy(net(x), y)
            optim.zero_grad()
            loss.backward()
            optim.step()
            losses.append(loss.item())
        out.case(name, **given)
        out.array("losses", torch.tensor(losses))
        print(name, *(f"{x:.4f}" for x in losses))
