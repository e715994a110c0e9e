#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the PyTorch values that tests compare with:   python tests/golden/make.py

Needs PyTorch, torchvision, timm and transformers, unlike the build and the tests; the first lines of each committed file name the PyTorch version.
tests/golden.h documents the format.
"""
import pathlib
import warnings

import torch

import make_decoders
import make_encoders
import make_gpt
import make_lenet5
import make_multihead_attention
import make_networks
import make_ops
import make_optims
import make_recurrent
import make_rnn_lm
import make_transformer
import make_translation

HERE = pathlib.Path(__file__).resolve().parent


class Writer:
    def __init__(self, path):
        self.path, self.lines = HERE / path, []
        self.lines.append("# SPDX-License-Identifier: Apache-2.0")
        self.lines.append(f"# Made by tests/golden/make.py with PyTorch {torch.__version__.split('+')[0]}; read by tests/golden.h.")

    def case(self, name, **settings):
        self.lines.append(" ".join(["case", str(name)] + [f"{k}={v}" for k, v in settings.items()]))

    def array(self, name, values):
        kind = "i32" if values.dtype in (torch.int64, torch.int32) else "f32"
        text = [str(v) if kind == "i32" else f"{v:.9g}" for v in values.reshape(-1).tolist()]
        self.lines.append(" ".join(["array", name, kind] + [str(d) for d in values.shape]))
        for i in range(0, len(text), 10):
            self.lines.append(" ".join(text[i:i + 10]))

    def close(self):
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text("\n".join(self.lines) + "\n")


def write(path, make):
    out = Writer(path)
    make(out)
    out.close()


def main():
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message=".*lr_scheduler.*")
    write("values/optims.txt", make_optims.golden_optims)
    write("values/muon.txt", make_optims.golden_muon)
    write("values/schedules.txt", make_optims.golden_schedules)
    write("values/lenet5.txt", make_lenet5.golden)
    write("values/networks.txt", make_networks.golden)
    write("values/translation.txt", make_translation.golden)
    write("values/multihead_attention.txt", make_multihead_attention.golden)
    write("values/recurrent.txt", make_recurrent.golden)
    write("values/rnn_lm.txt", make_rnn_lm.golden)
    write("values/gpt.txt", make_gpt.small)
    write("values/decoders.txt", make_decoders.make)
    write("values/encoders.txt", make_encoders.make)
    write("values/transformer.txt", make_transformer.golden)
    for name, op in make_ops.OPS.items():
        write(f"ops/{name}.txt", lambda out: make_ops.golden(out, name, *op))


if __name__ == "__main__":
    main()
