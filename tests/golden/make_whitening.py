#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the whitening filters of core/models/fast_cifar.c:   python tests/golden/make_whitening.py cifar10-jpeg.tar.xz

The filters are the eigenvectors of the covariance of all 2 x 2 patches of the 50,000 training images of CIFAR-10, normalised by the
mean and deviation of each channel, divided by sqrt(eigenvalue + 5e-4); then the same negated, to three digits (github.com/KellerJordan/cifar10-airbench).
Needs numpy and Pillow.
"""
import io
import sys
import tarfile

import numpy as np
from PIL import Image


def number(v):
    text = f"{v:.3g}"
    return (text if "." in text else text + ".").replace("0.", ".", 1 if abs(v) < 1 else 0) + "f"


def main():
    images = []
    with tarfile.open(sys.argv[1]) as tar:
        for member in tar:
            if member.isfile() and member.name.lstrip("./").startswith("train/"):
                images.append(np.asarray(Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB")))
    x = np.stack(images).transpose(0, 3, 1, 2) / 255.0
    x = (x - x.mean((0, 2, 3), keepdims=True)) / x.std((0, 2, 3), keepdims=True)
    covariance = np.zeros((12, 12))
    for part in np.array_split(x, 50):
        patches = np.stack([part[:, :, i:i + 31, j:j + 31] for i in (0, 1) for j in (0, 1)], 2)
        patches = patches.transpose(0, 3, 4, 1, 2).reshape(-1, 12)  # channel, row, column
        covariance += patches.T @ patches
    covariance /= len(x) * 31 * 31
    values, vectors = np.linalg.eigh(covariance)
    print(f"/* {len(x)} images; eigenvalues", *(f"{v:.3g}" for v in values[::-1]), "*/")
    rows = (vectors / np.sqrt(values + 5e-4)).T[::-1]
    rows *= np.sign(rows[np.arange(12), np.abs(rows).argmax(1)])[:, None]  # the sign of an eigenvector is arbitrary
    for row in np.concatenate([rows, -rows]):
        print("    " + ", ".join(number(v) for v in row) + ",")


if __name__ == "__main__":
    main()
