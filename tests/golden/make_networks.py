# SPDX-License-Identifier: Apache-2.0
"""Networks of torchvision and timm: running statistics and logits of inference after one step, and ten losses (VGG: four)."""
import math

import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

import formula


class Block(nn.Module):
    """A block of a residual network for CIFAR-10 with the shortcut of option A (github.com/akamaster/pytorch_resnet_cifar10)."""

    def __init__(self, channels, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.stride, self.zeros = stride, (out - channels) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        shortcut = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, self.zeros, self.zeros))
        return F.relu(y + shortcut)


class ResNetCifar(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        n, channels = (depth - 2) // 6, 16
        for stage, out in enumerate((16, 32, 64), 1):
            blocks = []
            for i in range(n):
                blocks.append(Block(channels, out, 2 if stage > 1 and i == 0 else 1))
                channels = out
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


class AlexNetOriginal(nn.Module):
    """AlexNet of 2012 for images of 64 x 64, with one position behind the last pooling."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, 4)
        self.conv2 = nn.Conv2d(96, 256, 5, 1, 2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, 1, 1)
        self.conv4 = nn.Conv2d(384, 384, 3, 1, 1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, 1, 1, groups=2)
        self.fc6, self.fc7, self.fc8 = nn.Linear(256, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 10)
        self.norm, self.pool = nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0), nn.MaxPool2d(3, 2)

    def forward(self, x):
        x = self.pool(self.norm(F.relu(self.conv1(F.pad(x, (0, 3, 0, 3))))))
        x = self.pool(self.norm(F.relu(self.conv2(x))))
        x = self.pool(F.relu(self.conv5(F.relu(self.conv4(F.relu(self.conv3(x)))))))
        return self.fc8(F.relu(self.fc7(F.relu(self.fc6(x.flatten(1))))))


class BiasNorm(nn.BatchNorm2d):
    def __init__(self, channels):
        super().__init__(channels, eps=1e-12, momentum=0.4, affine=False)
        self.bias = nn.Parameter(torch.zeros(channels))


class FastBlock(nn.Module):
    def __init__(self, channels, out):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(channels, out, 3, padding=1, bias=False), BiasNorm(out)
        self.conv2, self.norm2 = nn.Conv2d(out, out, 3, padding=1, bias=False), BiasNorm(out)

    def forward(self, x):
        x = F.gelu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return F.gelu(self.norm2(self.conv2(x)))


class FastCifar(nn.Module):
    """The network of github.com/KellerJordan/cifar10-airbench, airbench/lib_airbench93.py, with names in place of numbers."""

    def __init__(self):
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight.requires_grad = False
        self.block1, self.block2, self.block3 = FastBlock(24, 64), FastBlock(64, 128), FastBlock(128, 128)
        self.fc = nn.Linear(128, 10, bias=False)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(F.gelu(self.whiten(x)))))
        return self.fc(F.max_pool2d(x, 3).flatten(1)) / 9


class OverNorm(nn.BatchNorm2d):
    """Statistics over groups of `over` samples, as of workers with so many samples each, whose running statistics are averaged."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        running = [(self.running_mean.clone(), self.running_var.clone()) for _ in range(len(x) // self.over)]
        y = torch.cat([F.batch_norm(part, *r, self.weight, self.bias, True, self.momentum, self.eps)
                       for part, r in zip(x.split(self.over), running)])
        self.running_mean, self.running_var = (torch.stack(r).mean(0) for r in zip(*running))
        return y


def over(net, samples):
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.__class__, m.over = OverNorm, samples
    return net


# name: network, pixels, learning rate, steps, running statistics to compare
NETWORKS = {
    "resnet18": (lambda: torchvision.models.resnet18(num_classes=10), 64, 0.001, 10,
                 ("bn1.running_mean", "bn1.running_var", "layer2.0.downsample.1.running_var", "layer4.1.bn2.running_mean")),
    "resnet20_cifar": (lambda: ResNetCifar(20), 32, 0.003, 10,
                       ("bn1.running_mean", "layer1.2.bn2.running_var", "layer2.0.bn2.running_mean", "layer3.2.bn2.running_var")),
    "resnet20_cifar_over2": (lambda: over(ResNetCifar(20), 2), 32, 0.003, 10,
                             ("bn1.running_mean", "layer1.2.bn2.running_var", "layer2.0.bn2.running_mean", "layer3.2.bn2.running_var")),
    "efficientnet_lite0": (lambda: timm.create_model("efficientnet_lite0", num_classes=10), 64, 4e-6, 10,
                           ("bn1.running_mean", "blocks.0.0.bn1.running_var", "blocks.2.0.bn2.running_mean", "bn2.running_var")),
    "tf_efficientnet_lite0": (lambda: timm.create_model("tf_efficientnet_lite0", num_classes=10), 64, 4e-6, 10,
                              ("bn1.running_mean", "blocks.1.0.bn2.running_mean", "bn2.running_var")),
    "fast_cifar": (FastCifar, 32, 0.1, 10, ("block1.norm1.running_mean", "block3.norm2.running_var")),
    "alexnet": (lambda: torchvision.models.alexnet(num_classes=10, dropout=0), 64, 0.002, 10, ()),
    "alexnet_original": (AlexNetOriginal, 64, 0.01, 10, ()),
    "vgg11_bn": (lambda: torchvision.models.vgg11_bn(num_classes=10, dropout=0, init_weights=False), 64, 0.001, 4,
                 ("features.1.running_mean", "features.16.running_var", "features.26.running_mean")),
}
SIZE = 8


def fill(net):
    """Convolutions, linear layers and their biases by formula, uniform within +- 2 / sqrt(fan in); norms as they begin."""
    fan, biased = 1, False
    with torch.no_grad():
        for name, p in net.named_parameters():
            if p.dim() > 1:
                fan = math.prod(p.shape[1:])
            if p.dim() > 1 or (biased and name.endswith(".bias")):
                p.copy_(torch.from_numpy(formula.fill(name, tuple(p.shape), 4.0 / math.sqrt(fan))))
            biased = p.dim() > 1
    return net


def batch(k, pixels):
    return (torch.from_numpy(formula.fill(f"image{k}", (SIZE, 3, pixels, pixels), 2.0)),
            torch.from_numpy(formula.labels(f"label{k}", SIZE)))


def names(net):
    """A hash of the names and dims of all parameters and statistics, in any order."""
    entries = ((n, t) for n, t in net.state_dict().items() if t.dim())
    return int(sum(formula.states(" ".join([n, *map(str, t.shape)]), 1)[0] for n, t in entries) % 2**32)


def golden(out):
    for name, (network, pixels, rate, steps, compare) in NETWORKS.items():
        net = fill(network()).train()
        optim = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9, foreach=False)
        batches, losses = [batch(0, pixels), batch(1, pixels)], []
        for step in range(steps):
            x, y = batches[step % 2]
            loss = F.cross_entropy(net(x), y)
            optim.zero_grad()
            loss.backward()
            optim.step()
            losses.append(loss.item())
            if step == 0:
                statistics = {name: buffer.clone() for name, buffer in net.named_buffers()}
                with torch.no_grad():
                    logits = net.eval()(batches[0][0])
                net.train()
        groups = {"over": m.over for m in net.modules() if isinstance(m, OverNorm)}
        out.case(name, pixels=pixels, rate=rate, names=names(net), **groups)
        out.array("losses", torch.tensor(losses))
        for statistic in compare:
            out.array(statistic, statistics[statistic])
        out.array("logits", logits)
        print(name, *(f"{x:.4f}" for x in losses))
