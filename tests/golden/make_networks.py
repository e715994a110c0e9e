# SPDX-License-Identifier: Apache-2.0
"""ResNet-18 of torchvision: running statistics and logits of inference after one step, and ten training losses."""
import math

import torch
import torch.nn.functional as F
import torchvision

import formula

SIZE, PIXELS = 8, 64


def network():
    """Convolutions and the last layer by formula, uniform within +- 2 / sqrt(fan in); norms as they begin."""
    net = torchvision.models.resnet18(num_classes=10)
    fan = 1
    with torch.no_grad():
        for name, p in net.named_parameters():
            if p.dim() > 1:
                fan = math.prod(p.shape[1:])
            if p.dim() > 1 or name == "fc.bias":
                p.copy_(torch.from_numpy(formula.fill(name, tuple(p.shape), 4.0 / math.sqrt(fan))))
    return net


def batch(k):
    return (torch.from_numpy(formula.fill(f"image{k}", (SIZE, 3, PIXELS, PIXELS), 2.0)),
            torch.from_numpy(formula.labels(f"label{k}", SIZE)))


def golden(out):
    net = network().train()
    optim = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9, foreach=False)
    batches, losses = [batch(0), batch(1)], []
    for step in range(10):
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
    out.case("resnet18")
    out.array("losses", torch.tensor(losses))
    for name in ("bn1.running_mean", "bn1.running_var", "layer2.0.downsample.1.running_var", "layer4.1.bn2.running_mean"):
        out.array(name, statistics[name])
    out.array("logits", logits)
    print("resnet18", *(f"{x:.4f}" for x in losses))
