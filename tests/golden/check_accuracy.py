#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the test accuracy of a finished LeNet-5 run with that of PyTorch with the same weights.

    python tests/golden/check_accuracy.py RUN DATA

RUN is the run directory (model.safetensors, metrics.jsonl).  DATA is a test split as HDF5 (test.h5, or a folder that holds
it), or a folder with MNIST's idx files, gzipped or not.  Pixels are normalised as in the run: by the mean and standard deviation
in the HDF5 file, or by those of the training images beside the idx files.  Prints both accuracies.  The exit code is 1 when they
differ by more than --slack samples (default 2, for ties in the last bit).  Needs torch, safetensors, numpy, and h5py for HDF5.
"""
import argparse
import gzip
import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import load_file

from lenet5 import LeNet5


def read_idx(folder, stem):
    for path in sorted(folder.glob(stem + "*")):
        raw = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
        rank = raw[3]
        dims = np.frombuffer(raw, ">i4", rank, 4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(dims)
    sys.exit(f"{folder}: expected a file {stem}*, found none")


def read(path):
    """Returns pixels N x 1 x H x W, labels N, and mean and standard deviation of the pixels scaled to 0..1."""
    if path.is_dir() and not (path / "test.h5").exists():
        train = read_idx(path, "train-images").astype(np.float64) / 255
        return read_idx(path, "t10k-images")[:, None], read_idx(path, "t10k-labels"), train.mean(), train.std()
    import h5py
    with h5py.File(path / "test.h5" if path.is_dir() else path, "r") as f:
        return f["image"][:], f["label"][:], f.attrs["mean"][0], f.attrs["std"][0]


def accuracy_of_run(run):
    found = None
    with open(run / "metrics.jsonl") as lines:
        for event in map(json.loads, lines):
            if event["event"] == "eval" and event.get("split") == "test" or event["event"] == "end":
                found = event["accuracy"]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--slack", type=int, default=2, help="largest difference in correct samples that counts as equal; default 2")
    given = parser.parse_args()

    net = LeNet5().eval()
    net.load_state_dict(load_file(given.run / "model.safetensors"), strict=True)
    pixels, labels, mean, std = read(given.data)
    hits = 0
    with torch.no_grad():
        for at in range(0, len(pixels), 1000):
            x = (torch.from_numpy(pixels[at:at + 1000].astype(np.float32)) / 255 - float(mean)) / float(std)
            y = torch.from_numpy(labels[at:at + 1000].astype(np.int64))
            hits += int((net(x).argmax(1) == y).sum())
    theirs, ours = hits / len(labels), accuracy_of_run(given.run)
    print(f"PyTorch  {theirs:.4%}  ({hits} of {len(labels)})")
    print(f"the run  {ours:.4%}" if ours is not None else "the run  has no test accuracy in its metrics")
    same = ours is not None and abs(ours * len(labels) - hits) <= given.slack + 1e-6
    print("equal" if same else "NOT equal")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
