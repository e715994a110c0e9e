# SPDX-License-Identifier: Apache-2.0
"""LeNet-5 in PyTorch, for tests/peers/run: times training steps on random images in memory.

The network, the batch, the loss and the optimizer are those of the recipe lenet5-digits.  steps.py documents the output.
"""
import torch
from torch import nn

from steps import parallel, serve, share

BATCH = 64


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


def make(setting):
    model, x, y = lenet5(), torch.randn(share(BATCH), 1, 28, 28), torch.randint(0, 10, (share(BATCH),))
    if "channels-last" in setting:
        model = model.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    model = parallel(model)
    optim = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4, fused=True)

    def loss(x, y):
        return nn.functional.cross_entropy(model(x), y)

    measured = torch.compile(loss) if "compiled" in setting else loss

    def step():
        optim.zero_grad(set_to_none=True)
        measured(x, y).backward()
        optim.step()

    return step, BATCH


if __name__ == "__main__":
    serve(["eager", "eager+channels-last", "compiled", "compiled+channels-last"], make)
