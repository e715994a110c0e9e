# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/augment.txt: checksums of images that Pillow and torchvision change, for test_augment_golden.c.

    python tests/golden/make_augment.py          needs torch, torchvision and Pillow 13

A line: change, kind of image, channels, height, width, parameters, CRC-32 of the result (C x H x W bytes).  Images are
made by formula, here and in the test.
"""
import math
import pathlib
import zlib

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, autoaugment, functional as F
from torchvision.transforms.functional import _get_inverse_affine_matrix

lines = []


def image(kind, channels, height, width):
    c, y, x = np.mgrid[0:channels, 0:height, 0:width]
    pixels = [(37 * x + 91 * y + 53 * c + 5 * x * y + 11 * x * x * (c + 1)) % 256, 100 + (x + 2 * y + c) % 23,
              0 * x + 77, (9 * x + 14 * y) % 256][kind].astype("u1")
    return Image.fromarray(pixels[0] if channels == 1 else np.moveaxis(pixels, 0, 2))


def add(change, shape, parameters, result):
    array = np.asarray(result)
    planes = array[None] if array.ndim == 2 else np.moveaxis(array, 2, 0)
    numbers = " ".join(repr(float(p)) for p in parameters)
    lines.append(f"{change} {' '.join(map(str, shape))} {len(parameters)} {numbers} {zlib.crc32(planes.tobytes()):08x}"
                 .replace("  ", " "))


shapes = [(0, 3, 40, 36), (0, 1, 28, 28), (1, 3, 17, 24), (2, 3, 9, 9), (3, 3, 32, 32), (0, 3, 1, 5)]
for shape in shapes:
    x = image(*shape)
    kind, channels, height, width = shape
    for factor in (0, 0.25, 0.6, 1, 1.4, 1.99):
        add("brightness", shape, [factor], F.adjust_brightness(x, factor))
        add("contrast", shape, [factor], F.adjust_contrast(x, factor))
        add("saturation", shape, [factor], F.adjust_saturation(x, factor))
    for turn in (-0.5, -0.3, -0.01, 0, 0.1, 0.25, 0.5):
        add("hue", shape, [turn], F.adjust_hue(x, turn))
    for angle, tx, ty in ((0, 3, -2), (15, 0, 0), (-37.5, 2, 1), (90, 0, 0), (171.25, -4, 3)):
        for name, mode in (("nearest", InterpolationMode.NEAREST), ("bilinear", InterpolationMode.BILINEAR)):
            m = _get_inverse_affine_matrix([width * 0.5, height * 0.5], angle, [tx, ty], 1.0, [0.0, 0.0])
            result = F.affine(x, angle, [tx, ty], 1.0, [0.0, 0.0], interpolation=mode)
            add(name, shape, m, result)
            if name == "bilinear":
                add("turn", shape, [angle, tx, ty], result)
    for top, left, h, w in ((0, 0, height, width), (0, 0, 1, 1), (height // 3, width // 4, height // 2 + 1, width // 2),
                            (height - 1, 0, 1, width)):
        if h and w:
            add("resized_crop", shape, [top, left, h, w],
                F.resized_crop(x, top, left, h, w, [height, width], InterpolationMode.BILINEAR))

space = autoaugment.TrivialAugmentWide()._augmentation_space(31)
for shape in shapes[:3]:
    x = image(*shape)
    for op, (name, (magnitudes, signed)) in enumerate(space.items()):
        for bin in range(31 if magnitudes.ndim else 1):
            for sign in (0, 1) if signed else (0,):
                magnitude = float(magnitudes[bin].item()) if magnitudes.ndim else 0.0
                result = autoaugment._apply_op(x, name, -magnitude if sign else magnitude, InterpolationMode.NEAREST, None)
                add("trivial", shape, [op, bin, sign], result)

path = pathlib.Path(__file__).parent / "augment.txt"
path.write_text("# SPDX-License-Identifier: Apache-2.0\n# Written by make_augment.py, which has the format.\n" +
                "\n".join(lines) + "\n")
print(path, len(lines), "cases")
