# SPDX-License-Identifier: Apache-2.0
"""Decoders of Hugging Face's transformers: folders with random weights, logits, twenty losses of AdamW, greedy tokens.

Writes tests/golden/decoders/NAME (config.json and model.safetensors, bfloat16 or float16 for some) and values/decoders.txt.  The sizes are odd: heads
are wider than width / heads, one head of keys and values, windows that are shorter than the samples, each kind of scaled positions.
"""
import copy
import pathlib
import shutil

import torch
import transformers

import formula

HERE = pathlib.Path(__file__).resolve().parent
VOCAB, SAMPLES, T, PROMPT, GENERATED = 37, 3, 16, 5, 16
SIZES = dict(vocab_size=VOCAB, hidden_size=20, intermediate_size=28, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=64, attention_dropout=0.0)
WINDOWS = ["sliding_attention", "sliding_attention", "full_attention"]


def rope(kind="default", theta=100.0, **rest):
    return dict(rope_type=kind, rope_theta=theta, **rest)


FAMILIES = {
    "llama": ("Llama", "bfloat16", dict(head_dim=6, rope_parameters=rope())),
    "llama3": ("Llama", "float16", dict(tie_word_embeddings=True, num_attention_heads=2, num_key_value_heads=1, attention_bias=True, mlp_bias=True, rope_parameters=rope(
        "llama3", 5000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16))),
    "mistral": ("Mistral", "bfloat16", dict(sliding_window=5, head_dim=8, rope_parameters=rope("linear", factor=2.5))),
    "qwen2": ("Qwen2", "float32", dict(tie_word_embeddings=True, num_attention_heads=2, rope_parameters=rope(
        "yarn", factor=4.0, original_max_position_embeddings=16))),
    "qwen3": ("Qwen3", "bfloat16", dict(head_dim=6, rope_parameters=rope())),
    "smollm3": ("SmolLM3", "bfloat16", dict(num_attention_heads=2, num_key_value_heads=1, num_hidden_layers=3, no_rope_layer_interval=2,
                                            rope_parameters=rope())),
    "gemma": ("Gemma", "bfloat16", dict(head_dim=6, num_key_value_heads=1, rope_parameters=rope())),
    "gemma2": ("Gemma2", "bfloat16", dict(head_dim=6, sliding_window=4, query_pre_attn_scalar=10, attn_logit_softcapping=2.0,
                                          final_logit_softcapping=1.5, rope_parameters=rope())),
    "gemma3": ("Gemma3", "bfloat16", dict(head_dim=8, sliding_window=4, num_hidden_layers=3, layer_types=WINDOWS, query_pre_attn_scalar=8,
                                          rope_parameters=dict(full_attention=rope("linear", 1000.0, factor=8.0), sliding_attention=rope()))),
}


def build(name, seed):
    kind, dtype, options = FAMILIES[name]
    text = "Text" if kind == "Gemma3" else ""
    config = getattr(transformers, f"{kind}{text}Config")(**{**SIZES, **options}, bos_token_id=1, eos_token_id=2, pad_token_id=None)
    config._attn_implementation = "eager"
    net = getattr(transformers, f"{kind}ForCausalLM")(config)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, p in net.named_parameters():
            center = 1.0 if key.endswith("norm.weight") and "Gemma" not in kind else 0.0
            p.copy_(torch.empty_like(p).normal_(center, 0.3, generator=draw).to(getattr(torch, dtype)).float())
    return net.eval(), getattr(torch, dtype)


def save(net, dtype, folder):
    shutil.rmtree(folder, ignore_errors=True)
    copy.deepcopy(net).to(dtype).save_pretrained(folder)  # a copy, because the frequencies of positions would be rounded as well
    (folder / "generation_config.json").unlink(missing_ok=True)


def greedy(net, prompt):
    sequence, margin = prompt, float("inf")
    with torch.no_grad():
        for _ in range(GENERATED):
            best = net(sequence, use_cache=False).logits[:, -1].topk(2)
            margin = min(margin, (best.values[:, 0] - best.values[:, 1]).min().item())
            sequence = torch.cat([sequence, best.indices[:, :1]], 1)
    return sequence[:, prompt.shape[1]:], margin


def losses(net, x, y):
    optim, values = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.01, foreach=False), []
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(net(x, use_cache=False).logits.flatten(0, 1), y.flatten())
        optim.zero_grad()
        loss.backward()
        optim.step()
        values.append(loss.item())
    return torch.tensor(values)


def make(out):
    tokens = lambda name: torch.from_numpy(formula.labels(name, SAMPLES * T, VOCAB)).reshape(SAMPLES, T)
    for name in FAMILIES:
        for seed in range(50):  # until no token is a close call
            net, dtype = build(name, seed)
            answer, margin = greedy(net, tokens("tokens")[:, :PROMPT])
            if margin > 2e-3:
                break
        save(net, dtype, HERE / "decoders" / name)
        out.case(name, parameters=sum(p.numel() for p in net.parameters()))
        with torch.no_grad():
            out.array("logits", net(tokens("tokens"), use_cache=False).logits[:, ::5])
        out.array("greedy", answer)
        out.array("losses", losses(net, tokens("tokens"), tokens("target")))
