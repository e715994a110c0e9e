# SPDX-License-Identifier: Apache-2.0
"""Models of translation: number of parameters, logits, ten losses of SGD with momentum, and the weights of attention to the source.

The Transformer is torch.nn.Transformer with scaled embeddings, sinusoids and a tied output layer.  The recurrent encoder-decoders are written
here after Sutskever 2014, Bahdanau 2014 and Luong 2015, on torch.nn.LSTM, GRU and RNN with packed sequences.  Parameters and tokens are set by formula.
Samples have sources of 1 to S tokens and targets of 1 to T.
"""
import math

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import formula

SOURCES, TARGETS, WIDTH, HEADS, HIDDEN, SAMPLES, S, T = 31, 29, 12, 2, 20, 6, 9, 7
TRANSFORMERS = {"post-norm": dict(), "pre-norm": dict(norm_first=1, joint=1), "smoothed": dict(smoothing=0.1)}
SEQ2SEQ = {
    "lstm": dict(layers=2), "gru-reverse": dict(cell="gru", reverse=1), "tanh-bidirectional": dict(cell="rnn_tanh", bidirectional=1),
    "dot": dict(attention="dot", bidirectional=1, layers=2), "general": dict(attention="general", cell="gru"),
    "concat": dict(attention="concat", tied=1, joint=1, smoothing=0.1), "general-lstm": dict(attention="general", bidirectional=1),
    "additive-gru": dict(attention="additive", cell="gru", bidirectional=1), "additive-lstm": dict(attention="additive", layers=2),
    "general-feed": dict(attention="general", input_feed=1, layers=2), "concat-feed": dict(attention="concat", cell="gru", input_feed=1),
}


def lengths(name, most):
    return torch.from_numpy(formula.labels(name, SAMPLES, most)) + 1


def embeddings(net, joint):
    if joint:
        net.embedding = nn.Embedding(TARGETS, WIDTH)
        return net.embedding, net.embedding
    net.source, net.target = nn.Embedding(SOURCES, WIDTH), nn.Embedding(TARGETS, WIDTH)
    return net.source, net.target


def positions(x):
    at, i = torch.arange(x.shape[1])[:, None], torch.arange(0, WIDTH, 2)
    angle = at / 10000 ** (i / WIDTH)
    return math.sqrt(WIDTH) * x + torch.stack([angle.sin(), angle.cos()], -1).flatten(1)


class Transformer(nn.Module):
    def __init__(self, norm_first=0, joint=0):
        super().__init__()
        self.tables = embeddings(self, joint)
        t = nn.Transformer(WIDTH, HEADS, 2, 2, HIDDEN, 0.0, batch_first=True, norm_first=bool(norm_first))
        self.encoder, self.decoder = t.encoder, t.decoder

    def forward(self, x, length, y):
        hidden = torch.arange(x.shape[1])[None] >= length[:, None]
        memory = self.encoder(positions(self.tables[0](x)), src_key_padding_mask=hidden)
        causal = nn.Transformer.generate_square_subsequent_mask(y.shape[1])
        y = self.decoder(positions(self.tables[1](y)), memory, tgt_mask=causal, memory_key_padding_mask=hidden)
        return y @ self.tables[1].weight.T


class Attention(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.seen = kind, []
        if kind != "dot":
            self.keys = nn.Linear(WIDTH, WIDTH, bias=False)
        if kind in ("concat", "additive"):
            self.queries, self.v = nn.Linear(WIDTH, WIDTH, bias=False), nn.Parameter(torch.empty(WIDTH))
        if kind != "additive":
            self.output = nn.Linear(2 * WIDTH, WIDTH, bias=False)

    def context(self, h, m, hidden):
        if self.kind in ("concat", "additive"):
            score = torch.tanh(self.queries(h)[:, :, None] + self.keys(m)[:, None]) @ self.v
        else:
            score = h @ (self.keys(m) if self.kind == "general" else m).transpose(1, 2)
        weights = score.masked_fill(hidden[:, None], -math.inf).softmax(-1)
        self.seen.append(weights.detach())
        return weights @ m

    def forward(self, h, m, hidden):
        return torch.tanh(self.output(torch.cat([self.context(h, m, hidden), h], -1)))


class Seq2Seq(nn.Module):
    def __init__(self, cell="lstm", layers=1, bidirectional=0, reverse=0, attention="none", tied=0, joint=0, input_feed=0):
        super().__init__()
        kind = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn_tanh": nn.RNN}[cell]
        self.tables = embeddings(self, joint)
        self.encoder = kind(WIDTH, WIDTH // (1 + bidirectional), layers, batch_first=True, bidirectional=bool(bidirectional))
        self.additive, self.feed = attention == "additive", input_feed
        self.decoder = kind(2 * WIDTH if self.additive or input_feed else WIDTH, WIDTH, layers, batch_first=True)
        self.reverse, self.bidirectional, self.lstm = reverse, bidirectional, cell == "lstm"
        if bidirectional:
            names = [f"h{i}" for i in range(layers)] + ([f"c{i}" for i in range(layers)] if self.lstm else [])
            self.bridge = nn.ModuleDict({n: nn.Linear(WIDTH, WIDTH, bias=False) for n in names})
        self.attention = None if attention == "none" else Attention(attention)
        if self.additive:
            self.readout = nn.Linear(3 * WIDTH, WIDTH, bias=False)
        self.output = nn.Linear(WIDTH // 2 if self.additive else WIDTH, TARGETS, bias=False)
        if tied:
            self.output.weight = self.tables[1].weight

    def begin(self, last, part):
        if not self.bidirectional:
            return last
        pairs = [torch.cat([last[2 * i], last[2 * i + 1]], -1) for i in range(len(last) // 2)]
        y = torch.stack([self.bridge[f"{part}{i}"](p) for i, p in enumerate(pairs)])
        return torch.tanh(y) if part == "h" else y

    def steps(self, e, state, m, hidden):
        out, fed = [], torch.zeros(SAMPLES, 1, WIDTH)
        for t in range(T):
            x = e[:, t:t + 1]
            if self.additive:
                c = self.attention.context((state[0] if self.lstm else state)[-1][:, None], m, hidden)
                h, state = self.decoder(torch.cat([x, c], -1), state)
                out.append(self.readout(torch.cat([h, x, c], -1)).unflatten(-1, (-1, 2)).amax(-1))
            else:
                h, state = self.decoder(torch.cat([x, fed], -1), state)
                fed = self.attention(h, m, hidden)
                out.append(fed)
        return torch.cat(out, 1)

    def forward(self, x, length, y):
        if self.reverse:
            x = torch.stack([torch.cat([s[:n].flip(0), s[n:]]) for s, n in zip(x, length)])
        m, last = self.encoder(pack_padded_sequence(self.tables[0](x), length, batch_first=True, enforce_sorted=False))
        m = pad_packed_sequence(m, batch_first=True, total_length=S)[0]
        if self.reverse:
            m = torch.stack([torch.cat([s[:n].flip(0), s[n:]]) for s, n in zip(m, length)])
        state = (self.begin(last[0], "h"), self.begin(last[1], "c")) if self.lstm else self.begin(last, "h")
        hidden = torch.arange(S)[None] >= length[:, None]
        if self.additive or self.feed:
            return self.output(self.steps(self.tables[1](y), state, m, hidden))
        h = self.decoder(self.tables[1](y), state)[0]
        if self.attention:
            h = self.attention(h, m, hidden)
        return self.output(h)


def weights_of(net, x, n, y):
    """Weights of attention for each position, samples x T x S: of the last layer of a Transformer the mean over its heads."""
    seen = []
    if isinstance(net, Transformer):
        attention = net.decoder.layers[-1].multihead_attn
        forward = attention.forward

        def watched(q, k, v, **options):
            seen.append(forward(q, k, v, **{**options, "need_weights": True})[1].detach())
            return forward(q, k, v, **options)

        attention.forward = watched
        net(x, n, y)
        attention.forward = forward
    elif net.attention:
        net.attention.seen = seen
        net(x, n, y)
    return torch.cat(seen, 1) if seen else None


def write_case(out, name, model, net, case):
    with torch.no_grad():
        for key, p in net.named_parameters():
            p.copy_(torch.from_numpy(formula.fill(key, tuple(p.shape), 1.0)))
    labels = lambda what, most, n: torch.from_numpy(formula.labels(what, SAMPLES * n, most)).reshape(SAMPLES, n)
    sources = TARGETS if case.get("joint") else SOURCES
    x, y, z = labels("source", sources, S), labels("previous", TARGETS, T), labels("target", TARGETS, T)
    n, m = lengths("source lengths", S), lengths("target lengths", T)
    z = z.masked_fill(torch.arange(T)[None] >= m[:, None], -1)
    logits = net(x, n, y).detach().masked_fill((z < 0)[:, :, None], 0)
    begun = y.clamp(min=1)  # the decoder of a translator begins with the end token, here 0
    begun[:, 0] = 0
    weights = weights_of(net, x, n, begun)
    optim = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(10):
        loss = nn.functional.cross_entropy(net(x, n, y).flatten(0, 1), z.flatten(), ignore_index=-1, label_smoothing=case.get("smoothing", 0.0))
        optim.zero_grad()
        loss.backward()
        optim.step()
        losses.append(loss.item())
    out.case(name, model=model, parameters=sum(p.numel() for p in net.parameters()), **case)
    out.array("logits", logits[:, ::3])
    out.array("losses", torch.tensor(losses))
    if weights is not None:
        out.array("weights", weights.masked_fill((z < 0)[:, :, None], 0))


def golden(out):
    for name, case in TRANSFORMERS.items():
        options = {k: v for k, v in case.items() if k != "smoothing"}
        write_case(out, name, "transformer", Transformer(**options), case)
    for name, case in SEQ2SEQ.items():
        options = {k: v for k, v in case.items() if k != "smoothing"}
        write_case(out, name, "seq2seq", Seq2Seq(**options), case)
