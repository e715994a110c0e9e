# SPDX-License-Identifier: Apache-2.0
"""Encoders of Hugging Face's transformers, BERT, RoBERTa, DistilBERT, ViT and DeiT, and ViT of timm: folders with random weights, and values.

Writes tests/golden/encoders/NAME (config.json and model.safetensors) and values/encoders.txt: rows of texts of different lengths; logits and twenty losses
of AdamW, of images and of texts with the head of *ForSequenceClassification, whose values are those of tests/golden/formula.py.
"""
import json
import pathlib
import shutil

import safetensors.torch
import timm
import torch
import transformers

import formula

HERE = pathlib.Path(__file__).resolve().parent
VOCAB, SAMPLES, T, SIDE, CLASSES = 41, 4, 9, 12, 5
TEXT = dict(vocab_size=VOCAB, hidden_size=18, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20, max_position_embeddings=16)
IMAGE = dict(hidden_size=18, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20, image_size=SIDE, patch_size=4, num_labels=CLASSES,
             hidden_dropout_prob=0.0)
MODELS = {
    "bert": lambda: transformers.BertForMaskedLM(transformers.BertConfig(**TEXT, hidden_act="gelu")),
    "roberta": lambda: transformers.RobertaModel(transformers.RobertaConfig(**TEXT, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5)),
    "distilbert": lambda: transformers.DistilBertModel(transformers.DistilBertConfig(
        vocab_size=VOCAB, dim=18, n_layers=2, n_heads=3, hidden_dim=20, max_position_embeddings=16)),
    "vit": lambda: transformers.ViTForImageClassification(transformers.ViTConfig(**IMAGE)),
    "deit": lambda: transformers.DeiTForImageClassification(transformers.DeiTConfig(**IMAGE)),
    "deit-teacher": lambda: transformers.DeiTForImageClassificationWithTeacher(transformers.DeiTConfig(**IMAGE)),
    "timm": lambda: timm.models.vision_transformer.VisionTransformer(SIDE, 4, 3, CLASSES, embed_dim=18, depth=2, num_heads=3, mlp_ratio=20 / 18),
}


def randomize(net, seed):
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in net.named_parameters():
            center = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            p.copy_(torch.empty_like(p).normal_(center, 0.3, generator=draw))
    return net.eval()


def save(net, name):
    folder = HERE / "encoders" / name
    shutil.rmtree(folder, ignore_errors=True)
    if name != "timm":
        net.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        return
    folder.mkdir(parents=True)
    safetensors.torch.save_file(net.state_dict(), folder / "model.safetensors", {"format": "pt"})


CLASSIFIERS = {"bert": transformers.BertForSequenceClassification, "roberta": transformers.RobertaForSequenceClassification,
               "distilbert": transformers.DistilBertForSequenceClassification}


def classifier(name):
    """The folder's encoder below a head with the values of the formula, without dropout."""
    off = dict(dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0) if name == "distilbert" else dict(
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    net = CLASSIFIERS[name].from_pretrained(HERE / "encoders" / name, num_labels=CLASSES, **off).eval()
    heads = {"bert": (net.bert.pooler.dense if name == "bert" else None, net.classifier), "distilbert": (getattr(net, "pre_classifier", None), net.classifier),
             "roberta": (getattr(net.classifier, "dense", None), getattr(net.classifier, "out_proj", None))}[name]
    with torch.no_grad():
        for layer, key in zip(heads, ("pooler", "classifier")):
            layer.weight.copy_(torch.from_numpy(formula.fill(key + ".weight", tuple(layer.weight.shape))))
            layer.bias.copy_(torch.from_numpy(formula.fill(key + ".bias", tuple(layer.bias.shape))))
    return net


PRETRAINED = {"bert": transformers.BertForPreTraining, "roberta": transformers.RobertaForMaskedLM, "distilbert": transformers.DistilBertForMaskedLM}


def pretraining(name):
    """The folder's encoder below the heads of pretraining, with the values of the formula, without dropout."""
    off = dict(dropout=0.0, attention_dropout=0.0) if name == "distilbert" else dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    net = PRETRAINED[name].from_pretrained(HERE / "encoders" / name, **off).eval()
    if name == "bert":
        layers = {"transform": net.cls.predictions.transform.dense, "transform_norm": net.cls.predictions.transform.LayerNorm,
                  "pooler": net.bert.pooler.dense, "next": net.cls.seq_relationship}
        bias = net.cls.predictions.bias
    elif name == "roberta":
        layers, bias = {"transform": net.lm_head.dense, "transform_norm": net.lm_head.layer_norm}, net.lm_head.bias
    else:
        layers, bias = {"transform": net.vocab_transform, "transform_norm": net.vocab_layer_norm}, net.vocab_projector.bias
    with torch.no_grad():
        for key, layer in layers.items():
            layer.weight.copy_(torch.from_numpy(formula.fill(key + ".weight", tuple(layer.weight.shape))))
            layer.bias.copy_(torch.from_numpy(formula.fill(key + ".bias", tuple(layer.bias.shape))))
        bias.copy_(torch.from_numpy(formula.fill("masked.bias", tuple(bias.shape))))
    return net


def masked(name):
    """Every third token of a text is masked; -100 is ignored."""
    x = batch(name)
    at = (torch.arange(T)[None] + torch.arange(SAMPLES)[:, None]) % 3 == 0
    labels = torch.from_numpy(formula.labels("masked", SAMPLES * T, VOCAB)).reshape(SAMPLES, T)
    x["labels"] = torch.where(at & (x["attention_mask"] > 0), labels, -100)
    if name == "bert":
        x["next_sentence_label"] = torch.from_numpy(formula.labels("next", SAMPLES, 2))
    return x


def batch(name):
    tokens = torch.from_numpy(formula.labels("tokens", SAMPLES * T, VOCAB)).reshape(SAMPLES, T)
    lengths = torch.from_numpy(formula.labels("lengths", SAMPLES, T)) + 1
    mask = (torch.arange(T)[None] < lengths[:, None]).long()
    if name == "roberta":  # its positions are counted from the padding tokens
        tokens[tokens == 1] = 2
        tokens[mask == 0] = 1
    types = {} if name == "distilbert" else dict(token_type_ids=torch.from_numpy(formula.labels("types", SAMPLES * T, 2)).reshape(SAMPLES, T) * (name == "bert"))
    return dict(input_ids=tokens, attention_mask=mask, **types)


def rows(net, name):
    net, x = net.bert if name == "bert" else net, batch(name)
    with torch.no_grad():
        return net(**x).last_hidden_state * x["attention_mask"][..., None]


def losses(net, logits, x, y, rate=0.01):
    optim, values = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.01, foreach=False), []
    for _ in range(20):
        loss = net(**x).loss if logits is None else torch.nn.functional.cross_entropy(logits(net(**x) if isinstance(x, dict) else net(x)), y)
        optim.zero_grad()
        loss.backward()
        optim.step()
        values.append(loss.item())
    return torch.tensor(values)


def make(out):
    x = torch.from_numpy(formula.fill("image", (SAMPLES, 3, SIDE, SIDE)))
    y = torch.from_numpy(formula.labels("label", SAMPLES, CLASSES))
    for seed, name in enumerate(MODELS):
        net = randomize(MODELS[name](), seed)
        save(net, name)
        if name in ("bert", "roberta", "distilbert"):
            out.case(name)
            out.array("rows", rows(net, name))
            head, texts = classifier(name), batch(name)
            out.array("losses", losses(head, lambda y: y.logits, texts, y, rate=0.003))
            out.array("pretraining", losses(pretraining(name), None, masked(name), None, rate=0.003))
            continue
        logits = (lambda y: y) if name == "timm" else (lambda y: y.logits)
        out.case(name, parameters=sum(p.numel() for p in net.parameters() if not p.shape or "mask_token" not in name))
        with torch.no_grad():
            out.array("logits", logits(net(x)))
        out.array("losses", losses(net, logits, x, y))
