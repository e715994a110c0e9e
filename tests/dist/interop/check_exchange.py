# SPDX-License-Identifier: Apache-2.0
"""Exchanges models with torchvision, timm and transformers, and compares logits and parameters.

    python tests/dist/interop/check_exchange.py build/release/lockstep          needs torch, torchvision, timm and transformers

Random ResNets of each library go through `lockstep ckpt import` and `lockstep ckpt export`; the other libraries load the
folders, and every logit must be equal to that of the first library, within rounding of other kernels.
"""
import pathlib
import subprocess
import sys
import tempfile

import safetensors.torch
import timm
import torch
import torchvision
import transformers

lockstep = pathlib.Path(sys.argv[1]).resolve()
torch.manual_seed(1)
x = torch.randn(2, 3, 64, 64)


def run(*args):
    subprocess.run([lockstep, "ckpt", *map(str, args)], check=True, stdout=subprocess.DEVNULL)


def stir(model):
    """Gives the batch norms statistics that differ from their initial values."""
    for name, value in model.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.2)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 2)
    return model.eval()


def same(name, found, expected):
    difference = (found - expected).abs().max().item()
    print(f"{name:60} {difference:.2g} of {expected.abs().max().item():.2g}")
    assert difference <= 1e-4 * max(1, expected.abs().max().item())


def equal(name, found, expected):
    """The tensors of two files have the same bits, whatever the order of their names."""
    a, b = safetensors.torch.load_file(found), safetensors.torch.load_file(expected)
    keys = [k for k in b if not k.endswith("num_batches_tracked")]
    assert set(a) == set(b) and all(torch.equal(a[k], b[k]) for k in keys), name
    print(f"{name:60} every bit of {len(keys)} tensors")


with tempfile.TemporaryDirectory() as folder, torch.no_grad():
    at = pathlib.Path(folder)
    for size in ("resnet18", "resnet50"):
        # torchvision -> timm and transformers
        model = stir(getattr(torchvision.models, size)(num_classes=7))
        file = at / f"{size}.safetensors"
        safetensors.torch.save_file(model.state_dict(), file)
        timm_folder, hf_folder = at / f"{size}-timm", at / f"{size}-hf"
        run("import", file, timm_folder, "--model", size, "--size", 64)
        run("export", timm_folder, hf_folder, "--format", "transformers")
        equal(f"{size}: torchvision -> folder", timm_folder / "model.safetensors", file)
        same(f"{size}: torchvision -> timm", timm.create_model(f"local-dir:{timm_folder}", pretrained=True).eval()(x), model(x))
        hf = transformers.ResNetForImageClassification.from_pretrained(hf_folder).eval()
        same(f"{size}: torchvision -> transformers", hf(pixel_values=x).logits, model(x))
        transformers.AutoImageProcessor.from_pretrained(hf_folder)
        other = getattr(torchvision.models, size)(num_classes=7).eval()
        other.load_state_dict(safetensors.torch.load_file(timm_folder / "model.safetensors"))
        same(f"{size}: folder -> torchvision", other(x), model(x))

        # transformers -> timm, and back
        config = transformers.ResNetConfig(num_labels=5, id2label={i: f"c{i}" for i in range(5)}, label2id={f"c{i}": i for i in range(5)},
                                           **({} if size == "resnet50" else dict(depths=[2, 2, 2, 2], hidden_sizes=[64, 128, 256, 512], layer_type="basic")))
        hf = stir(transformers.ResNetForImageClassification(config))
        source, back = at / f"{size}-source", at / f"{size}-back"
        hf.save_pretrained(source)
        transformers.ConvNextImageProcessor(size={"shortest_edge": 64}, crop_pct=0.875, resample=3).save_pretrained(source)
        run("import", source, at / f"{size}-from-hf")
        run("export", at / f"{size}-from-hf", back, "--format", "transformers")
        equal(f"{size}: transformers -> folder -> transformers", back / "model.safetensors", source / "model.safetensors")
        loaded = timm.create_model(f"local-dir:{at / f'{size}-from-hf'}", pretrained=True).eval()
        same(f"{size}: transformers -> timm", loaded(x), hf(pixel_values=x).logits)

    for name in ("efficientnet_lite0", "tf_efficientnet_lite0"):
        model = stir(timm.create_model(name, num_classes=7))
        safetensors.torch.save_file(model.state_dict(), at / "lite0.safetensors")
        run("import", at / "lite0.safetensors", at / name, "--model", name, "--size", 64)
        equal(f"{name}: timm -> folder", at / name / "model.safetensors", at / "lite0.safetensors")
        same(f"{name}: timm -> timm", timm.create_model(f"local-dir:{at / name}", pretrained=True).eval()(x), model(x))
    for name in ("alexnet", "vgg11_bn"):
        model = stir(getattr(torchvision.models, name)(num_classes=7))
        safetensors.torch.save_file(model.state_dict(), at / f"{name}.safetensors")
        run("import", at / f"{name}.safetensors", at / name, "--model", name)
        equal(f"{name}: torchvision -> folder", at / name / "model.safetensors", at / f"{name}.safetensors")
