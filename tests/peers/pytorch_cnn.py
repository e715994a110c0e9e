# SPDX-License-Identifier: Apache-2.0
"""Convolutional networks in PyTorch, for tests/peers/run: times training steps on random images in memory.

    pytorch_cnn.py THREADS NETWORK PIXELS BATCH CLASSES SETTING

NETWORK: resnet20 (He et al. 2015, section 4.2), a network of torchvision, or one of timm.  The loss and the optimizer are those of the
recipes: SGD with momentum, of efficientnet_lite0 RMSprop.  steps.py documents the output.
`tests/peers/run --settings eager+channels-last+bfloat16,...` measures bfloat16 autocast.
"""
import sys

import torch
from torch import nn

from steps import parallel, serve, share


class Block(nn.Module):
    """A basic block of resnet20, with a shortcut without parameters."""

    def __init__(self, width_in, width, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.stride, self.more = stride, width - width_in

    def forward(self, x):
        y = self.bn2(self.conv2(nn.functional.relu(self.bn1(self.conv1(x)), inplace=True)))
        if self.more:
            x = nn.functional.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return nn.functional.relu(x + y, inplace=True)


def resnet20(classes):
    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
    before = 16
    for width in (16, 32, 64):
        for i in range(3):
            layers.append(Block(before, width, 2 if i == 0 and width > 16 else 1))
            before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


def network(name, classes):
    if name == "resnet20":
        return resnet20(classes)
    import torchvision
    if hasattr(torchvision.models, name):
        return getattr(torchvision.models, name)(num_classes=classes)
    import timm
    return timm.create_model(name, num_classes=classes, drop_rate=0.2, drop_path_rate=0.2)


def make(setting):
    name, pixels, batch, classes = sys.argv[2], *map(int, sys.argv[3:6])
    model, x, y = network(name, classes), torch.randn(share(batch), 3, pixels, pixels), torch.randint(0, classes, (share(batch),))
    if "channels-last" in setting:
        model = model.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    model = parallel(model)
    if name == "efficientnet_lite0":
        optim = torch.optim.RMSprop(model.parameters(), lr=0.016, alpha=0.9, momentum=0.9, eps=1e-3, weight_decay=1e-5, foreach=True)
    else:
        optim = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, fused=True)

    def loss(x, y):
        return nn.functional.cross_entropy(model(x), y)

    measured = torch.compile(loss) if "compiled" in setting else loss

    def step():
        optim.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled="bfloat16" in setting):
            value = measured(x, y)
        value.backward()
        optim.step()

    return step, batch


if __name__ == "__main__":
    serve(["eager+channels-last", "compiled+channels-last"], make)
