# SPDX-License-Identifier: Apache-2.0
"""Values and gradients of ops by PyTorch: one file per op, from the cases in the table OPS.

A case has inputs in0, in1, ... (the batch is the first dim) or param1, ... (without batch), the results out0, ..., their gradients
dout0, ..., and the gradients din0, ... of the inputs.  Its settings are the attributes of the op.  Losses are per sample, as in the ops.
"""
import torch
import torch.nn.functional as F
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

import formula


def x(*dims, scale=4.0):
    """Input with a batch: the first dim."""
    return ("in", dims, scale)


def param(*dims, scale=1.0):
    return ("param", dims, scale)


def index(classes, *dims, ignore=None):
    """Class indices; every third one is `ignore` if that is given."""
    return ("index", dims, (classes, ignore))


def draw(spec, name):
    role, dims, more = spec
    if role == "absent":
        return None
    if role == "index":
        classes, ignore = more
        t = torch.from_numpy(formula.labels(name, torch.Size(dims).numel(), classes)).reshape(dims)
        if ignore is not None:
            t.view(-1)[::3] = ignore
        return t
    return torch.from_numpy(formula.fill(name, dims, more)).requires_grad_(role != "target")


# An optional input that is absent.
absent = ("absent", (), None)


def golden(out, op, compute, *cases):
    """Writes the cases, pairs of inputs and attributes, with the result compute(*inputs, **attributes)."""
    for k, (specs, attributes) in enumerate(cases):
        inputs = [draw(s, f"{op}.{k}.{i}") for i, s in enumerate(specs)]
        results = compute(*inputs, **attributes)
        results = results if isinstance(results, tuple) else (results,)
        dys = [torch.from_numpy(formula.fill(f"{op}.{k}.dy{o or ''}", tuple(y.shape), 2.0)).reshape(y.shape) for o, y in enumerate(results)]
        torch.autograd.backward(results, dys)
        out.case(k, **attributes)
        for i, (spec, value) in enumerate(zip(specs, inputs)):
            if value is None:
                continue
            out.array(f"{'param' if spec[0] == 'param' else 'in'}{i}", value.detach())
        for o, (y, dy) in enumerate(zip(results, dys)):
            out.array(f"out{o}", y.detach())
            out.array(f"dout{o}", dy)
        for i, value in enumerate(inputs):
            if value is not None and value.requires_grad:
                out.array(f"din{i}", value.grad)


def target(*dims, scale=4.0):
    """Input with a batch and without a gradient."""
    return ("target", dims, scale)


def pair(attributes, name, otherwise):
    return each(attributes, name, otherwise, 2)


def each(attributes, name, otherwise, dims):
    """The attribute of each dim: depth, height and width, or the last of them."""
    every = attributes.get(name, otherwise)
    return tuple(attributes.get(f"{name}_{d}", every) for d in "dhw"[3 - dims:])


def sides_of(a, dims):
    """Padding as F.pad has it: left, right, top, bottom, front, back."""
    padding = each(a, "padding", 0, dims)
    sides = (("pad_left", "pad_right"), ("pad_top", "pad_bottom"), ("pad_front", "pad_back"))
    return [a.get(side, p) for both, p in zip(sides, padding[::-1]) for side in both]


def padded(x, a, value=0.0):
    """x with its padding by side, and the padding that is left to the op."""
    dims = x.dim() - 2
    padding = each(a, "padding", 0, dims)
    sides = sides_of(a, dims)
    return (x, padding) if sides == [p for p in padding[::-1] for _ in range(2)] else (F.pad(x, sides, value=value), (0,) * dims)


def pad(x, mode="zeros", **a):
    return F.pad(x, sides_of(a, x.dim() - 2), mode="constant" if mode == "zeros" else mode)


def conv(x, w, b=None, **a):
    dims = x.dim() - 2
    x, padding = padded(x, a)
    padding = "same" if a.get("same") == "pytorch" else padding
    function = (F.conv1d, F.conv2d, F.conv3d)[dims - 1]
    return function(x, w, b, each(a, "stride", 1, dims), padding, each(a, "dilation", 1, dims), a.get("groups", 1))


def conv_transpose2d(x, w, b, groups=1, **a):
    return F.conv_transpose2d(x, w, b, pair(a, "stride", 1), pair(a, "padding", 0), pair(a, "output_padding", 0), groups,
                              pair(a, "dilation", 1))


def cross_entropy(logits, target, other=None, share=None, label_smoothing=0.0, ignore=0, ignore_index=-100):
    """PyTorch expects the classes in dim 1.  Two targets are probabilities of classes."""
    classes_second = logits.movedim(-1, 1) if logits.dim() > 2 else logits
    if other is not None:
        classes = logits.shape[-1]
        target = (1 - share[..., None]) * F.one_hot(target, classes) + share[..., None] * F.one_hot(other, classes)
        target = target.movedim(-1, 1) if logits.dim() > 2 else target
    loss = F.cross_entropy(classes_second, target, reduction="none", label_smoothing=label_smoothing,
                           ignore_index=ignore_index if ignore else -100)
    return loss.reshape(loss.shape[0], -1).sum(1)


def linear_cross_entropy(x, w, target, b=None, cap=0, **a):
    logits = F.linear(x, w, b)
    return cross_entropy(cap * torch.tanh(logits / cap) if cap else logits, target, **a)


def pool_stride(a, kernel):
    return tuple(a.get(f"stride_{d}", a.get("stride", k)) for d, k in zip("dhw"[3 - len(kernel):], kernel))


def max_pool(x, **a):
    dims = x.dim() - 2
    kernel = each(a, "kernel", 0, dims)
    x, padding = padded(x, a, -torch.inf)
    function = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[dims - 1]
    return function(x, kernel, pool_stride(a, kernel), padding, each(a, "dilation", 1, dims), bool(a.get("ceil_mode", 0)))


def avg_pool(x, **a):
    dims = x.dim() - 2
    kernel = each(a, "kernel", 0, dims)
    x, padding = padded(x, a)
    function = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[dims - 1]
    return function(x, kernel, pool_stride(a, kernel), padding, bool(a.get("ceil_mode", 0)), not a.get("exclude_padding", 0))


def reduction(function):
    """Reduces all dims but the batch (axis 0), the first after the batch (1) or the last (-1)."""
    return lambda x, axis=0, keep=0: function(x, dim=axis if axis else tuple(range(1, x.dim())), keepdim=bool(keep))


def permute(x, order):
    return x.permute(0, *(1 + int(d) for d in str(order).split(",")))


def angles(position, width):
    """Angles in float64, because float32 has an error of 1e-4 at position 1,000."""
    return position.double()[..., None] * 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)


def add_position(x, w, start):
    position = torch.arange(x.shape[1]) + (0 if start is None else start[:, None])
    if w is not None:
        return x + F.embedding(position, w)
    a = angles(position, x.shape[2])
    return x + torch.stack([a.sin(), a.cos()], -1).flatten(-2)[..., :x.shape[2]].float()


def rope_frequencies(columns, base, scaling, factor, low, high, original):
    """Frequencies and the factor of sines and cosines, as transformers computes them for a config."""
    if scaling == "none":
        return float(base) ** (-torch.arange(0, columns, 2, dtype=torch.float64) / columns), 1.0
    limits = dict(zip(("beta_slow", "beta_fast") if scaling == "yarn" else ("low_freq_factor", "high_freq_factor"), (low, high)))
    given = {key: value for key, value in dict(factor=factor, original_max_position_embeddings=original, **limits).items() if value}
    config = LlamaConfig(head_dim=columns, hidden_size=columns, num_attention_heads=1, max_position_embeddings=int(original * factor) or 64,
                         rope_parameters=dict(rope_type=scaling, rope_theta=float(base), **given))
    frequencies, factor = ROPE_INIT_FUNCTIONS[scaling](config)
    return frequencies.double(), factor


def rotary(x, start, heads=1, rotate=0, base=10000.0, interleaved=0, columns=0, scaling="none", factor=0, low=0, high=0, original=0):
    """Hugging Face's rotate_half, or with `interleaved` the pairs of neighbours of the paper."""
    position = (torch.arange(x.shape[1]) + (torch.zeros(1, dtype=torch.int64) if start is None else start)[:, None]).double()
    head = x.unflatten(2, (heads, -1))
    width = columns or head.shape[3]
    frequencies, magnitude = rope_frequencies(width, base, scaling, factor, low, high, original)
    a = position[..., None] * frequencies
    cos, sin = (a.cos() * magnitude).float()[:, :, None], (a.sin() * magnitude).float()[:, :, None]
    rotated, rest = head[:, :, :rotate or heads], head[:, :, rotate or heads:]
    rotated, columns_left = rotated[..., :width], rotated[..., width:]
    if interleaved:
        p, q = rotated[..., 0::2], rotated[..., 1::2]
        rotated = torch.stack([p * cos - q * sin, q * cos + p * sin], -1).flatten(-2)
    else:
        p, q = rotated.chunk(2, -1)
        rotated = rotated * torch.cat([cos, cos], -1) + torch.cat([-q, p], -1) * torch.cat([sin, sin], -1)
    return torch.cat([torch.cat([rotated, columns_left], -1), rest], 2).flatten(2)


def geglu(x, y, tanh=0):
    gate, values = x.chunk(2, -1) if y is None else (x, y)
    return F.gelu(gate, approximate="tanh" if tanh else "none") * values


def matmul(x, y, transpose_x=0, transpose_y=0):
    return torch.matmul(x.mT if transpose_x else x, y.mT if transpose_y else y)


def mask(x, padding, m, causal=0, window=0):
    y = x if m is None else x + (m[:, None] if m.dim() == 3 and m.shape[0] == x.shape[0] else m)
    if padding is not None:
        y = y.masked_fill(padding[:, None, None] != 0, -torch.inf)
    y = y.masked_fill(torch.ones(x.shape[-2:]).triu(1) != 0, -torch.inf) if causal else y
    return y.masked_fill(torch.ones(x.shape[-2:]).tril(-window) != 0, -torch.inf) if window else y


def attention(q, k, v, padding, m, start=None, cache=None, lengths=None, first=None, heads=1, kv_heads=0, causal=0, scale=None, window=0, cap=0):
    """scaled_dot_product_attention per head; without k and v, q holds queries, keys and values side by side."""
    kv_heads = kv_heads or heads
    if k is None:
        d = q.shape[-1] // (heads + 2 * kv_heads)
        q, k, v = q.split([heads * d, kv_heads * d, kv_heads * d], -1)
    q, k, v = [t.unflatten(-1, (h, -1)).transpose(1, 2) for t, h in ((q, heads), (k, kv_heads), (v, kv_heads))]
    bias = mask(q.new_zeros(q.shape[0], heads, q.shape[2], k.shape[2]), padding, m, causal, window)
    if lengths is not None:
        bias = bias.masked_fill(torch.arange(k.shape[2]) >= lengths.reshape(-1, 1, 1, 1), -torch.inf)
    if first is not None:
        bias = bias.masked_fill(torch.arange(k.shape[2]) < first[:, None, :, None], -torch.inf)
    if cap:  # Gemma 2
        k, v = [t.repeat_interleave(heads // kv_heads, 1) for t in (k, v)]
        visible = (bias > -torch.inf).any(-1, keepdim=True)  # a query without visible keys gives zeros
        scores = cap * torch.tanh(q @ k.mT * (scale or q.shape[-1] ** -0.5) / cap) + bias.where(visible, torch.zeros(()))
        return (torch.softmax(scores, -1) @ v * visible).transpose(1, 2).flatten(2)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale, enable_gqa=kv_heads != heads)
    return y.transpose(1, 2).flatten(2)


def additive_attention(q, k, v, values, lengths):
    """Bahdanau's attention: the weighted sum of the values, and the weights."""
    e = torch.tanh(q.unsqueeze(-2) + (k if q.dim() == 2 else k.unsqueeze(1))) @ v
    if lengths is None:
        a = e.softmax(-1)
    else:
        visible = torch.arange(k.shape[1]) < lengths.reshape(-1, *[1] * (e.dim() - 1))
        a = e.masked_fill(~visible, -1e30).softmax(-1) * visible
    return (a.unsqueeze(-2) @ values).squeeze(-2) if q.dim() == 2 else a @ values, a


# One entry per op: its PyTorch function and its cases.
OPS = {
    "linear": (F.linear,
        ([x(3, 7), param(5, 7)], {}),
        ([x(3, 7), param(5, 7), param(5)], {}),
        ([x(2, 3, 33), param(9, 33), param(9)], {}),
        ([x(2, 2, 3, 4), param(1, 4), param(1)], {})),
    "conv2d": (conv,
        ([x(2, 1, 7, 7), param(3, 1, 3, 3), param(3)], {}),
        ([x(2, 3, 6, 5), param(4, 3, 3, 3)], dict(padding=1)),
        ([x(2, 2, 9, 8), param(3, 2, 5, 5), param(3)], dict(padding=2, stride=2)),
        ([x(2, 2, 9, 9), param(2, 2, 3, 3), param(2)], dict(dilation=2, padding=2)),
        ([x(2, 4, 6, 6), param(6, 2, 3, 3), param(6)], dict(groups=2, padding=1)),
        ([x(2, 3, 5, 5), param(3, 1, 3, 3), param(3)], dict(groups=3, stride=2)),
        ([x(2, 2, 7, 10), param(3, 2, 2, 5), param(3)],
         dict(stride_h=1, stride_w=3, padding_h=1, padding_w=2, dilation_h=3, dilation_w=1)),
        ([x(2, 5, 4, 4), param(7, 5, 1, 1), param(7)], {}),
        ([x(2, 3, 8, 9), param(4, 3, 5, 5), param(4)], dict(stride=4, pad_bottom=3, pad_right=2)),
        ([x(2, 2, 6, 5), param(3, 2, 4, 3), param(3)], dict(same="pytorch", dilation_h=2))),
    "conv1d": (conv,
        ([x(2, 3, 9), param(4, 3, 3), param(4)], {}),
        ([x(2, 4, 12), param(6, 2, 5)], dict(groups=2, stride=2, padding=3)),
        ([x(2, 3, 11), param(3, 1, 3), param(3)], dict(groups=3, dilation=2, pad_left=4)),
        ([x(2, 8, 7), param(9, 8, 1), param(9)], {}),
        ([x(2, 2, 10), param(3, 2, 4), param(3)], dict(same="pytorch"))),
    "conv3d": (conv,
        ([x(2, 2, 4, 5, 6), param(3, 2, 3, 3, 3), param(3)], {}),
        ([x(2, 2, 5, 5, 4), param(4, 2, 3, 3, 3)], dict(padding=1, stride=2)),
        ([x(2, 4, 4, 4, 5), param(6, 2, 2, 3, 2), param(6)], dict(groups=2, padding_d=1, padding_w=2)),
        ([x(2, 2, 7, 6, 5), param(2, 1, 3, 2, 2), param(2)], dict(groups=2, stride_d=2, dilation_d=2, dilation_w=3)),
        ([x(2, 3, 3, 4, 5), param(3, 3, 2, 2, 2), param(3)], dict(pad_front=2, pad_bottom=1, stride_h=3)),
        ([x(2, 8, 2, 3, 4), param(9, 8, 1, 1, 1), param(9)], {}),
        ([x(2, 2, 4, 5, 3), param(3, 2, 2, 3, 4), param(3)], dict(same="pytorch"))),
    "conv_transpose2d": (conv_transpose2d,
        ([x(2, 3, 5, 4), param(3, 2, 3, 3), param(2)], {}),
        ([x(2, 4, 4, 5), param(4, 3, 3, 2), param(6)], dict(groups=2, stride=2, padding=1, output_padding=1)),
        ([x(2, 2, 4, 3), param(2, 3, 3, 3), absent], dict(stride_w=3, dilation_h=2, padding_h=2, output_padding_w=2))),
    "max_pool2d": (max_pool,
        ([x(2, 3, 6, 6)], dict(kernel=2)),
        ([x(2, 2, 7, 9)], dict(kernel=3, stride=2, padding=1)),
        ([x(2, 2, 7, 8)], dict(kernel=3, stride=2, ceil_mode=1)),
        ([x(2, 2, 9, 8)], dict(kernel=2, stride=1, dilation=3)),
        ([x(2, 1, 9, 7)], dict(kernel_h=3, kernel_w=2, stride_h=1, stride_w=3, padding_h=1, padding_w=0)),
        ([x(2, 2, 8, 7)], dict(kernel=3, stride=2, pad_bottom=1, pad_left=1))),
    "max_pool1d": (max_pool,
        ([x(2, 3, 8)], dict(kernel=2)), ([x(2, 2, 9)], dict(kernel=3, stride=2, padding=1, ceil_mode=1)), ([x(2, 2, 11)], dict(kernel=2, dilation=3, pad_left=1))),
    "max_pool3d": (max_pool,
        ([x(2, 2, 4, 4, 6)], dict(kernel=2)), ([x(2, 2, 5, 6, 4)], dict(kernel=3, stride=2, padding=1)),
        ([x(2, 1, 6, 5, 4)], dict(kernel=2, stride_d=1, dilation_d=3, ceil_mode=1, pad_front=1)), ([x(2, 2, 3, 4, 4)], dict(kernel_d=1, kernel_h=2, kernel_w=3))),
    "avg_pool1d": (avg_pool,
        ([x(2, 3, 8)], dict(kernel=2)), ([x(2, 2, 9)], dict(kernel=3, stride=2, padding=1, ceil_mode=1)),
        ([x(2, 2, 9)], dict(kernel=3, stride=2, padding=1, exclude_padding=1))),
    "avg_pool3d": (avg_pool,
        ([x(2, 2, 4, 4, 6)], dict(kernel=2)), ([x(2, 2, 5, 6, 4)], dict(kernel=3, stride=2, padding=1)),
        ([x(2, 2, 5, 6, 4)], dict(kernel=3, stride=2, padding=1, ceil_mode=1, exclude_padding=1)), ([x(2, 1, 4, 5, 6)], dict(kernel_d=3, kernel_h=2, kernel_w=1, pad_back=1))),
    "avg_pool2d": (avg_pool,
        ([x(2, 3, 6, 6)], dict(kernel=2)),
        ([x(2, 2, 7, 9)], dict(kernel=3, stride=2, padding=1)),
        ([x(2, 2, 7, 9)], dict(kernel=3, stride=2, padding=1, exclude_padding=1)),
        ([x(2, 2, 7, 8)], dict(kernel=3, stride=2, padding=1, ceil_mode=1)),
        ([x(2, 2, 7, 8)], dict(kernel=3, stride=2, padding=1, ceil_mode=1, exclude_padding=1)),
        ([x(2, 1, 9, 7)], dict(kernel_h=3, kernel_w=2, stride_h=1, stride_w=3, padding_h=1, padding_w=0)),
        ([x(2, 2, 8, 7)], dict(kernel=3, stride=2, pad_bottom=1, pad_left=1))),
    "adaptive_avg_pool2d": (lambda x, **a: F.adaptive_avg_pool2d(x, pair(a, "size", 1)),
        ([x(2, 3, 7, 7)], {}), ([x(2, 2, 13, 10)], dict(size=6)), ([x(2, 2, 5, 9)], dict(size_h=7, size_w=2)), ([x(2, 2, 12, 8)], dict(size=4))),
    "adaptive_max_pool2d": (lambda x, **a: F.adaptive_max_pool2d(x, pair(a, "size", 1)),
        ([x(2, 3, 7, 7)], {}), ([x(2, 2, 13, 10)], dict(size=6)), ([x(2, 2, 5, 9)], dict(size_h=7, size_w=2)), ([x(2, 2, 12, 8)], dict(size=4))),
    "adaptive_avg_pool1d": (lambda x, size=1: F.adaptive_avg_pool1d(x, size), ([x(2, 3, 7)], {}), ([x(2, 2, 13)], dict(size=6))),
    "adaptive_max_pool1d": (lambda x, size=1: F.adaptive_max_pool1d(x, size), ([x(2, 3, 7)], {}), ([x(2, 2, 13)], dict(size=6))),
    "adaptive_avg_pool3d": (lambda x, **a: F.adaptive_avg_pool3d(x, each(a, "size", 1, 3)),
        ([x(2, 3, 3, 4, 5)], {}), ([x(2, 2, 5, 4, 6)], dict(size=3)), ([x(2, 2, 4, 6, 5)], dict(size_d=2, size_h=3, size_w=7))),
    "adaptive_max_pool3d": (lambda x, **a: F.adaptive_max_pool3d(x, each(a, "size", 1, 3)),
        ([x(2, 3, 3, 4, 5)], {}), ([x(2, 2, 5, 4, 6)], dict(size=3)), ([x(2, 2, 4, 6, 5)], dict(size_d=2, size_h=3, size_w=7))),
    "pad1d": (pad,
        ([x(2, 2, 5)], dict(padding=2)), ([x(2, 2, 5)], dict(pad_right=4, mode="reflect")), ([x(2, 2, 3)], dict(pad_left=5, mode="replicate")),
        ([x(2, 2, 4)], dict(padding=3, mode="circular"))),
    "pad3d": (pad,
        ([x(2, 1, 3, 3, 2)], dict(padding=1)), ([x(2, 1, 3, 4, 2)], dict(pad_front=2, padding_h=1, mode="reflect")),
        ([x(2, 1, 2, 2, 3)], dict(pad_back=2, pad_left=1, mode="replicate")), ([x(2, 1, 2, 3, 2)], dict(padding=2, mode="circular"))),
    "pad2d": (pad,
        ([x(2, 2, 5, 4)], dict(padding=2)), ([x(2, 2, 5, 4)], dict(padding_h=4, pad_right=3, mode="reflect")),
        ([x(2, 2, 3, 4)], dict(pad_top=5, pad_left=2, mode="replicate")), ([x(2, 2, 3, 4)], dict(padding=3, mode="circular"))),
    "relu": (F.relu, ([x(3, 7)], {}), ([x(2, 3, 11)], {})),
    "relu6": (F.relu6, ([x(3, 7, scale=20.0)], {}), ([x(2, 3, 11, scale=20.0)], {})),
    "leaky_relu": (lambda x, slope=0.01: F.leaky_relu(x, slope), ([x(3, 7)], {}), ([x(2, 3, 11)], dict(slope=0.2))),
    "tanh": (torch.tanh, ([x(3, 7)], {}), ([x(2, 33, scale=24.0)], {}), ([x(2, 33, scale=1e-3)], {})),
    "sigmoid": (torch.sigmoid, ([x(3, 7)], {}), ([x(2, 33, scale=60.0)], {})),
    "gelu": (lambda x, tanh=0: F.gelu(x, approximate="tanh" if tanh else "none"),
        ([x(3, 7)], {}), ([x(2, 33, scale=12.0)], {}), ([x(3, 7)], dict(tanh=1)), ([x(2, 33, scale=12.0)], dict(tanh=1))),
    "add": (torch.add, ([x(3, 7), x(3, 7)], {}), ([x(2, 3, 5), param(3, 5)], {}), ([x(4, 3, 5), param(5)], {})),
    "mul": (torch.mul, ([x(3, 7), x(3, 7)], {}), ([x(2, 3, 5), param(3, 5)], {}), ([x(4, 3, 5), param(5)], {})),
    "scale": (lambda x, factor=1.0, term=0.0: x * factor + term,
        ([x(3, 7)], {}), ([x(3, 7)], dict(factor=0.125)), ([x(3, 7)], dict(factor=-3, term=0.5))),
    "permute": (permute,
        ([x(2, 3, 5)], dict(order="1,0")), ([x(2, 3, 4, 5)], dict(order="1,2,0")), ([x(2, 2, 3, 4, 5)], dict(order="3,1,0,2"))),
    "sum": (reduction(torch.sum),
        ([x(3, 7)], {}), ([x(2, 3, 33)], dict(axis=-1)), ([x(2, 3, 5, 4)], dict(axis=2)), ([x(2, 3, 5)], dict(axis=1, keep=1))),
    "mean": (reduction(torch.mean),
        ([x(3, 7)], {}), ([x(2, 3, 33)], dict(axis=-1)), ([x(2, 3, 5, 4)], dict(axis=2)), ([x(2, 3, 5)], dict(axis=1, keep=1))),
    "softmax": (lambda x: F.softmax(x, -1),
        ([x(4, 7)], {}), ([x(2, 3, 33, scale=20.0)], {}), ([x(3, 1)], {})),
    "log_softmax": (lambda x: F.log_softmax(x, -1),
        ([x(4, 7)], {}), ([x(2, 3, 33, scale=20.0)], {}), ([x(3, 1)], {})),
    "cross_entropy": (cross_entropy,
        ([x(5, 10), index(10, 5)], {}),
        ([x(3, 4, 7, scale=16.0), index(7, 3, 4)], {}),
        ([x(5, 10), index(10, 5)], dict(label_smoothing=0.1)),
        ([x(4, 3, 6), index(6, 4, 3, ignore=-100)], dict(ignore=1, ignore_index=-100)),
        ([x(4, 3, 6), index(6, 4, 3, ignore=2)], dict(ignore=1, ignore_index=2, label_smoothing=0.2)),
        ([x(5, 10), index(10, 5), index(10, 5), target(5)], {}),
        ([x(3, 4, 7), index(7, 3, 4), index(7, 3, 4), target(3, 4)], dict(label_smoothing=0.1))),
    "linear_cross_entropy": (linear_cross_entropy,
        ([x(5, 6), param(10, 6), index(10, 5)], {}),
        ([x(3, 4, 7), param(9, 7), index(9, 3, 4)], {}),
        ([x(5, 6), param(10, 6), index(10, 5)], dict(label_smoothing=0.1)),
        ([x(4, 3, 6), param(11, 6), index(11, 4, 3, ignore=-100)], dict(ignore=1, ignore_index=-100)),
        ([x(4, 3, 6), param(11, 6), index(11, 4, 3, ignore=2)], dict(ignore=1, ignore_index=2, label_smoothing=0.2)),
        ([x(4, 3, 6), param(11, 6), index(11, 4, 3, ignore=-100), param(11)], dict(ignore=1, ignore_index=-100)),
        ([x(4, 3, 6), param(11, 6), index(11, 4, 3), absent], dict(cap=1.5)),
        ([x(5, 6), param(10, 6), index(10, 5), param(10)], dict(label_smoothing=0.1, cap=1))),
    "mse": (lambda x, t: ((x - t) ** 2).reshape(x.shape[0], -1).sum(1), ([x(3, 7), target(3, 7)], {}), ([x(2, 3, 5), target(2, 3, 5)], {})),
    "embedding": (lambda x, w: F.embedding(x, w),
        ([index(5, 3), param(5, 7)], {}), ([index(9, 2, 11), param(9, 4)], {}), ([index(3, 2, 2, 5), param(3, 1)], {})),
    "layer_norm": (lambda x, w, b, eps=1e-5: F.layer_norm(x, x.shape[-1:], w, b, eps),
        ([x(3, 7), param(7), param(7)], {}), ([x(2, 3, 33), param(33), absent], dict(eps=1e-3)), ([x(4, 10), absent, absent], {}),
        ([x(5, 9), absent, param(9)], {}), ([x(2, 2, 64, scale=0.01), param(64), param(64)], {})),
    "group_norm": (lambda x, w, b, groups=1, eps=1e-5: F.group_norm(x, groups, w, b, eps),
        ([x(2, 8, 5, 3), param(8), param(8)], dict(groups=4)), ([x(3, 6, 7), param(6), absent], dict(groups=6, eps=1e-3)),
        ([x(2, 4, 3, 3), absent, absent], {})),
    "local_response_norm": (lambda x, size, alpha=1e-4, beta=0.75, k=1.0: F.local_response_norm(x, size, alpha, beta, k),
        ([x(2, 7, 3, 4)], dict(size=5, k=2)), ([x(2, 6, 9, scale=20.0)], dict(size=4, alpha=0.1)),
        ([x(3, 3, 5)], dict(size=7, alpha=1, beta=0.5))),
    "add_position": (add_position,
        ([x(3, 5, 7), param(5, 7), absent], {}), ([x(2, 3, 8), param(9, 8), index(7, 2)], {}), ([x(2, 9, 10), absent, absent], {}),
        ([x(3, 2, 7), absent, index(5000, 3)], {})),
    "matmul": (matmul,
        ([x(2, 3, 5), x(2, 5, 4)], {}), ([x(2, 2, 3, 7), x(2, 2, 9, 7)], dict(transpose_y=1)), ([x(3, 7, 4), x(3, 7, 2)], dict(transpose_x=1)),
        ([x(2, 6, 3), x(2, 5, 6)], dict(transpose_x=1, transpose_y=1))),
    "mask": (mask,
        ([x(2, 3, 5, 5), absent, absent], dict(causal=1)), ([x(3, 2, 4, 6), index(2, 3, 6), absent], {}),
        ([x(2, 3, 4, 5), index(2, 2, 5), param(4, 5)], {}), ([x(2, 3, 4, 4), absent, param(3, 4, 4)], dict(causal=1)),
        ([x(2, 3, 4, 5), absent, x(2, 4, 5)], dict(causal=1)), ([x(2, 2, 6, 5), absent, absent], dict(causal=1, window=2))),
    "rms_norm": (lambda x, w, eps=2.0**-23, plus_one=0: F.rms_norm(x, x.shape[-1:], 1 + w if plus_one else w, eps),
        ([x(3, 7), param(7)], {}), ([x(2, 3, 33), param(33)], dict(eps=1e-3)), ([x(4, 10), absent], {}),
        ([x(2, 3, 20), param(20)], dict(eps=1e-6, plus_one=1))),
    "silu": (F.silu, ([x(3, 7)], {}), ([x(2, 33, scale=60.0)], {})),
    "hardswish": (F.hardswish, ([x(3, 7)], {}), ([x(2, 33, scale=12.0)], {})),
    "swiglu": (lambda x, y: F.silu(x) * y if y is not None else F.silu(x.chunk(2, -1)[0]) * x.chunk(2, -1)[1],
        ([x(3, 7), x(3, 7)], {}), ([x(2, 33, scale=30.0), x(2, 33)], {}), ([x(2, 3, 22), absent], {})),
    "geglu": (geglu,
        ([x(3, 7), x(3, 7)], {}), ([x(2, 33, scale=12.0), x(2, 33)], dict(tanh=1)), ([x(2, 3, 22), absent], {}), ([x(2, 3, 22), absent], dict(tanh=1))),
    "rotary": (rotary,
        ([x(2, 5, 6), absent], {}), ([x(3, 2, 40), index(5000, 3)], dict(heads=5, rotate=3)), ([x(2, 4, 24), absent], dict(heads=2, base=500000)),
        ([x(2, 5, 12), index(50, 2)], dict(heads=2, interleaved=1)), ([x(2, 7, 20), absent], dict(heads=2, columns=6, scaling="linear", factor=4)),
        ([x(2, 7, 16), absent], dict(base=100, scaling="llama3", factor=8, low=1, high=4, original=32)),
        ([x(2, 7, 24), absent], dict(base=50, scaling="yarn", factor=4, original=64)),
        ([x(2, 7, 16), absent], dict(base=50, scaling="yarn", factor=1.5, low=2, high=5, original=64))),
    "attention": (attention,
        ([x(2, 7, 5), x(2, 9, 5), x(2, 9, 5), absent, absent], {}),
        ([x(3, 5, 24), absent, absent, absent, absent], dict(heads=2, causal=1)),
        ([x(2, 5, 32), absent, absent, absent, absent], dict(heads=4, kv_heads=2, causal=1, scale=0.25)),
        ([x(3, 4, 12), x(3, 6, 12), x(3, 6, 12), index(2, 3, 6), absent], dict(heads=2)),
        ([x(3, 4, 12), x(3, 6, 12), x(3, 6, 12), absent, param(4, 6, scale=4.0)], dict(heads=2)),
        ([x(3, 4, 12), x(3, 6, 6), x(3, 6, 6), index(2, 3, 6), param(2, 4, 6, scale=4.0)], dict(heads=2, kv_heads=1)),
        ([x(3, 5, 12), x(3, 5, 12), x(3, 5, 12), absent, target(3, 5, 5)], dict(heads=2, causal=1)),
        ([x(1, 70, 9), absent, absent, absent, absent], dict(causal=1)),
        ([x(4, 3, 8), x(4, 3, 8), x(4, 3, 8), absent, absent, absent, absent, index(4, 4)], dict(scale=1)),
        ([x(2, 7, 24), absent, absent, absent, absent], dict(heads=2, causal=1, window=3)),
        ([x(2, 7, 24), absent, absent, absent, absent, absent, absent, absent, index(1, 2, 7)], dict(heads=2, causal=1, cap=0.75)),
        ([x(3, 5, 16), absent, absent, absent, absent, absent, absent, absent, index(2, 3, 5)], dict(heads=2, kv_heads=1, causal=1, window=4, cap=2))),
    "additive_attention": (additive_attention,
        ([x(2, 7, 5), x(2, 9, 5), param(5), x(2, 9, 6), absent], {}),
        ([x(4, 3, 8), x(4, 3, 8), param(8), x(4, 3, 4), index(4, 4)], {}),
        ([x(5, 33), x(5, 4, 33), param(33), x(5, 4, 7), index(5, 5)], {})),
}
