#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does PyTorch, with the weights of a finished run, find the accuracy that the run found?

    python tests/golden/check_accuracy.py RUN DATA

RUN is the folder of a LeNet-5 run (model.safetensors, metrics.jsonl); DATA a test split as HDF5 (test.h5, or a folder
with it), or a folder with MNIST's idx files, gzipped or not.  Pixels are normalised as the run did: with the mean and standard
deviation that the HDF5 file holds, or those of the training images beside the idx files.  Prints both accuracies; the exit code is
1 when they differ by more than --slack samples (2: ties in the last bit).  Needs torch, safetensors, numpy, and h5py for HDF5.
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
    """Pixels N x 1 x H x W, labels N, mean and standard deviation of pixels scaled to 0..1."""
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
    parser.add_argument("--slack", type=int, default=2, help="samples by which the two may differ")
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
    print("the same" if same else "NOT the same")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
