#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The PyTorch twin of `lockstep train bert-sst2`: fine-tunes an encoder of transformers on the texts of a TSV file, with the recipe's settings, and prints
the accuracy on another file and the samples per second of training.

    python tests/peers/text_classification.py FOLDER train.tsv dev.tsv [--scratch] [--group] [--lr 1e-4] [--seed 1]

FOLDER holds the model and its tokenizer; --scratch keeps the sizes and draws the weights anew; --group makes batches of texts of similar lengths, as
transformers' group_by_length does.
Measured on 8,000 and 2,000 phrases of SST-2, one epoch, all-MiniLM-L6-v2: see launch/bench/README.md.
"""
import argparse
import csv
import time

import torch
import transformers


def read(path):
    with open(path, newline="") as f:
        rows = list(csv.reader(f, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    return [r[0].strip() for r in rows], torch.tensor([int(r[1]) for r in rows])


def encode(tokenizer, texts):
    return [tokenizer(t, truncation=True, max_length=128)["input_ids"] for t in texts]


def batch_of(ids, rows):
    width = max(len(ids[i]) for i in rows)
    x, mask = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width, dtype=torch.long)
    for r, i in enumerate(rows):
        x[r, :len(ids[i])] = torch.tensor(ids[i])
        mask[r, :len(ids[i])] = 1
    return dict(input_ids=x, attention_mask=mask)


def order(ids, batch, group, draw):
    rows = torch.randperm(len(ids), generator=draw).tolist()
    if group:
        pool = 50 * batch
        rows = [i for k in range(0, len(rows), pool) for i in sorted(rows[k:k + pool], key=lambda i: -len(ids[i]))]
    batches = [rows[k:k + batch] for k in range(0, len(rows), batch)]
    return [batches[k] for k in torch.randperm(len(batches), generator=draw).tolist()]


def main():
    args = argparse.ArgumentParser()
    args.add_argument("folder")
    args.add_argument("train")
    args.add_argument("dev")
    args.add_argument("--scratch", action="store_true")
    args.add_argument("--group", action="store_true")
    args.add_argument("--lr", type=float, default=1e-4)
    args.add_argument("--warmup", type=int, default=25)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--steps", type=int, default=0, help="0: one epoch")
    o = args.parse_args()
    torch.manual_seed(o.seed)
    draw = torch.Generator().manual_seed(o.seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(o.folder)
    config = transformers.AutoConfig.from_pretrained(o.folder, num_labels=2)
    kind = transformers.AutoModelForSequenceClassification
    net = (kind.from_config(config) if o.scratch else kind.from_pretrained(o.folder, num_labels=2)).train()
    texts, labels = read(o.train)
    ids = encode(tokenizer, texts)
    plain = [p for n, p in net.named_parameters() if n.endswith("bias") or "LayerNorm" in n]
    others = [p for n, p in net.named_parameters() if not (n.endswith("bias") or "LayerNorm" in n)]
    optim = torch.optim.AdamW([{"params": others, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}], lr=o.lr)
    batches = order(ids, 32, o.group, draw)
    total = o.steps or len(batches)
    plan = transformers.get_linear_schedule_with_warmup(optim, o.warmup, total)
    start, seen = time.time(), 0
    for rows in batches[:total]:
        loss = net(**batch_of(ids, rows), labels=labels[rows]).loss
        optim.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optim.step()
        plan.step()
        seen += len(rows)
    rate = seen / (time.time() - start)
    texts, labels = read(o.dev)
    ids, right = encode(tokenizer, texts), 0
    net.eval()
    with torch.no_grad():
        for k in range(0, len(ids), 64):
            rows = list(range(k, min(k + 64, len(ids))))
            right += (net(**batch_of(ids, rows)).logits.argmax(-1) == labels[rows]).sum().item()
    print(f"accuracy {100 * right / len(ids):.2f} %  {rate:.0f} samples/s")


if __name__ == "__main__":
    main()
