# SPDX-License-Identifier: Apache-2.0
"""LeNet-5 in PyTorch, for tests/peers/run: times training steps on pictures that lie in memory.

Prints one line "ready VERSION SETTING...", then answers each line "SETTING SECONDS" on its input with the images per second
of as many steps as fit.  The network, the batch, the loss and the optimizer are those of the recipe lenet5-digits.
"""
import sys
import time

import torch
from torch import nn

BATCH = 64


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


class Setting:
    def __init__(self, channels_last, compiled):
        torch.manual_seed(1)
        self.model = lenet5()
        self.x = torch.randn(BATCH, 1, 28, 28)
        self.y = torch.randint(0, 10, (BATCH,))
        if channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
            self.x = self.x.to(memory_format=torch.channels_last)
        self.optim = torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4, fused=True)

        def loss(x, y):
            return nn.functional.cross_entropy(self.model(x), y)

        self.loss = torch.compile(loss) if compiled else loss

    def step(self):
        self.optim.zero_grad(set_to_none=True)
        self.loss(self.x, self.y).backward()
        self.optim.step()

    def images_per_second(self, seconds):
        for _ in range(5):
            self.step()
        steps, began = 0, time.perf_counter()
        while True:
            for _ in range(10):
                self.step()
            steps += 10
            now = time.perf_counter()
            if now - began >= seconds:
                return BATCH * steps / (now - began)


def main():
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
    settings = {}
    for compiled in (False, True):
        for channels_last in (False, True):
            name = ("compiled" if compiled else "eager") + ("+channels-last" if channels_last else "")
            try:
                settings[name] = Setting(channels_last, compiled)
                settings[name].step()
            except Exception as e:  # torch.compile needs a C++ compiler, for example
                settings.pop(name, None)
                print(f"left out: {name}: {str(e).splitlines()[0]}", file=sys.stderr)
    print("ready", torch.__version__, *settings, flush=True)
    for line in sys.stdin:
        name, seconds = line.split()
        print(settings[name].images_per_second(float(seconds)), flush=True)


if __name__ == "__main__":
    main()
