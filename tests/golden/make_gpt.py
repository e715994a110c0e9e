# SPDX-License-Identifier: Apache-2.0
"""GPT-2 by Hugging Face's transformers: logits, ten training losses and greedy decoding.

As a module of make.py it writes tests/golden/gpt (config.json and model.safetensors of a small GPT-2) and gpt.txt.  As a script
it runs the same comparison for GPT-2 small with random weights, and then loads the model that the C program saved:

    python tests/golden/make_gpt.py build/release [FOLDER]      needs torch and transformers, 6 GB of memory, and some minutes

Or it loads a finished run into transformers and compares its loss over held-out tokens with the last one of the run:

    python tests/golden/make_gpt.py RUN DATA/valid.h5           needs h5py as well
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers

import formula
import make_optims

HERE = pathlib.Path(__file__).resolve().parent
GENERATED = 64


def model(seed, std, **sizes):
    """Builds a GPT-2 with random weights, biases and norms, wide enough for every part to change the result."""
    config = transformers.GPT2Config(resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, bos_token_id=0, eos_token_id=0, **sizes)
    net = transformers.GPT2LMHeadModel(config).eval()
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.normal_(1.0 if ".ln_" in name and name.endswith("weight") else 0.0, std, generator=draw)
    return net


def tokens(name, rows, length, vocab):
    return torch.from_numpy(formula.labels(name, rows * length, vocab)).reshape(rows, length)


def greedy(net, prompt):
    """Decodes greedily; returns the tokens and the smallest margin between the two largest logits."""
    sequence, margin = prompt, float("inf")
    with torch.no_grad():
        for _ in range(GENERATED):
            best = net(sequence).logits[:, -1].topk(2)
            margin = min(margin, (best.values[:, 0] - best.values[:, 1]).min().item())
            sequence = torch.cat([sequence, best.indices[:, :1]], 1)
    return sequence[:, prompt.shape[1]:], margin


class Muon:
    """torch.optim.Muon in float32 for the matrices of the blocks, AdamW for the rest.  Conv1D stores matrices transposed, and c_attn holds
    three of them."""

    def __init__(self, net, lr, adamw_lr, weight_decay):
        named = list(net.named_parameters())
        self.hidden = [p for name, p in named if ".h." in name and p.ndim == 2]
        self.parts = [[torch.nn.Parameter(part.detach().T.contiguous()) for part in p.split(p.shape[0] if p.shape[1] == 3 * p.shape[0] else p.shape[1], 1)]
                      for p in self.hidden]
        self.muon = torch.optim.Muon([part for parts in self.parts for part in parts], lr=lr, weight_decay=weight_decay)
        hidden = {id(p) for p in self.hidden}
        self.adamw = torch.optim.AdamW([p for _, p in named if id(p) not in hidden], lr=adamw_lr, weight_decay=weight_decay, foreach=False)

    def step(self):
        self.adamw.step()
        for p, parts in zip(self.hidden, self.parts):
            for part, grad in zip(parts, p.grad.chunk(len(parts), 1)):
                part.grad = grad.T.contiguous()
        with make_optims.float32_muon():
            self.muon.step()
        with torch.no_grad():
            for p, parts in zip(self.hidden, self.parts):
                p.copy_(torch.cat([part.T for part in parts], 1))

    def zero_grad(self):
        self.adamw.zero_grad()
        for p in self.hidden:
            p.grad = None


def losses(net, batches, optim):
    values = []
    for step in range(10):
        x, y = batches[step % 2]
        loss = torch.nn.functional.cross_entropy(net(x).logits.flatten(0, 1), y.flatten())
        optim.zero_grad()
        loss.backward()
        optim.step()
        values.append(loss.item())
    return torch.tensor(values)


def golden(out, folder, net, rows, length, lr):
    config = net.config
    vocab = config.vocab_size
    net.save_pretrained(folder)
    (pathlib.Path(folder) / "generation_config.json").unlink()
    x = tokens("tokens", rows, length, vocab)
    out.case("model", parameters=sum(p.numel() for p in net.parameters()), layers=config.n_layer, heads=config.n_head, width=config.n_embd,
             vocab=vocab, context=config.n_positions)
    out.case("logits", rows=rows, length=length)
    with torch.no_grad():
        out.array("logits", net(x).logits)
    prompt = tokens("prompt", 1, 8, vocab)
    generated, margin = greedy(net, prompt)
    assert margin > 2e-3 and len(set(generated.flatten().tolist())) > 8, (margin, generated)
    print("greedy decoding: smallest margin", f"{margin:.4f};", *generated.flatten().tolist()[:16], "...")
    out.case("greedy", length=prompt.shape[1])
    out.array("generated", generated)
    batches = [(tokens(f"tokens{k}", rows, length, vocab), tokens(f"target{k}", rows, length, vocab)) for k in range(2)]
    initial = {name: p.clone() for name, p in net.state_dict().items()}
    values = losses(net, batches, torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=0.01, foreach=False))
    print("losses", *(f"{v:.4f}" for v in values))
    out.case("losses", rows=rows, length=length, lr=lr, weight_decay=0.01)
    out.array("losses", values)
    net.load_state_dict(initial)
    values = losses(net, batches, Muon(net, 20 * lr, lr, 0.01))
    print("losses of Muon", *(f"{v:.4f}" for v in values))
    out.case("muon", rows=rows, length=length, lr=20 * lr, adamw_lr=lr, weight_decay=0.01)
    out.array("losses", values)


def small(out):
    golden(out, HERE / "gpt", model(12, 0.2, n_layer=2, n_head=2, n_embd=32, vocab_size=97, n_positions=80), 4, 16, 1e-3)


def full_size(build, folder):
    import make
    test = build / "tests/dist.trainer.test_gpt_training"
    if not test.exists():
        sys.exit(f"{test}: no such program\nhint: make -C {build} dist.trainer.test_gpt_training")
    out = make.Writer(folder / "gpt.txt")
    net = model(1, 0.05)
    golden(out, folder, net, 2, 32, 1e-4)
    out.close()
    del net
    subprocess.run([test, folder], check=True)
    saved = transformers.GPT2LMHeadModel.from_pretrained(folder / "saved")
    original = dict(transformers.GPT2LMHeadModel.from_pretrained(folder).named_parameters())
    for name, p in saved.named_parameters():
        assert torch.equal(p, original[name]), name
    print("the saved model loads in transformers: all", len(original), "parameters are equal")


def finished_run(run, valid):
    import h5py
    net, found = transformers.GPT2LMHeadModel.from_pretrained(run, output_loading_info=True)
    assert not any(found[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), found
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    wanted = [e["loss"] for e in events if e["event"] == "eval"][-1]
    length = net.config.n_positions
    with h5py.File(valid) as f:
        held_out = torch.from_numpy(f["tokens"][:].astype("int64"))
    windows = (len(held_out) - 1) // length
    total = 0.0
    with torch.no_grad():
        for i in range(windows):
            x, y = (held_out[i * length + k:(i + 1) * length + k] for k in range(2))
            total += torch.nn.functional.cross_entropy(net.eval()(x[None]).logits[0], y).item()
    print(f"loss {total / windows:.6f}, reported by the run {wanted:.6f}")
    assert abs(total / windows - wanted) < 1e-3


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    torch.set_num_threads(2)
    if len(sys.argv) > 2 and sys.argv[2].endswith(".h5"):
        finished_run(pathlib.Path(sys.argv[1]), sys.argv[2])
        sys.exit()
    with tempfile.TemporaryDirectory() as folder:
        full_size(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else folder).resolve())
