# SPDX-License-Identifier: Apache-2.0
"""Writes values/bleu.txt.gz: 200 hypotheses with references and the lines that sacreBLEU prints for them; and
launch/score/score_unicode_ranges.h: the characters that sacreBLEU's tokenizers and Python's str.lower distinguish.

    python tests/golden/make_bleu.py             needs sacrebleu, unlike the build and the tests"""
import gzip
import pathlib
import platform
import subprocess
import sys
import tempfile
import unicodedata

import regex
import sacrebleu
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest
from sacrebleu.utils import smart_open

HERE = pathlib.Path(__file__).parent
RANGES = HERE.parents[1] / "launch" / "score" / "score_unicode_ranges.h"
VALUES = HERE / "values" / "bleu.txt.gz"


# ---- characters ----------------------------------------------------------------------------------------------------


def ranges(found):
    out = []
    for c in found:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def write_ranges():
    every = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    # str.lower makes a final sigma of a capital one behind a cased character, between which only ignorable ones may stand.
    cased = [c for c in every if (" " + chr(c) + "\u03a3").lower()[-1] == "\u03c2"]
    known = set(cased)
    ignorable = [c for c in every if c not in known and ("A" + chr(c) + "\u03a3").lower()[-1] == "\u03c2"]
    sets = {
        "SPACE": [c for c in every if chr(c).isspace()],
        "NUMBER": [c for c in every if regex.match(r"\p{N}", chr(c))],
        "PUNCTUATION": [c for c in every if regex.match(r"\p{P}", chr(c))],
        "SYMBOL": [c for c in every if regex.match(r"\p{S}", chr(c))],
        "CASED": cased,
        "IGNORABLE": ignorable,
    }
    runs = []
    for c in every:
        low = chr(c).lower()
        if low == chr(c):
            continue
        if len(low) > 1:
            assert c == 0x130 and low == "i\u0307"  # ls__score_lower has this one
            continue
        step = c - runs[-1][1] if runs else 0
        if runs and ord(low) - c == runs[-1][3] and step in (1, 2) and runs[-1][2] in (0, step):
            runs[-1][1:3] = [c, step]
        else:
            runs.append([c, c, 0, ord(low) - c])
    lines = [
        "/* SPDX-License-Identifier: Apache-2.0",
        f" * Made by tests/golden/make_bleu.py with regex {regex.__version__} (NUMBER, PUNCTUATION, SYMBOL) and Python",
        f" * {platform.python_version()}, Unicode {unicodedata.unidata_version} (the others).  X: first and last character of a range.",
        " * L: first and last capital, the step between capitals, and the distance to the small letter. */",
    ]
    for name, found in sets.items():
        words = [f"X({name}, 0x{a:x}, 0x{b:x})" for a, b in ranges(found)]
        lines += [" ".join(words[i : i + 3]) for i in range(0, len(words), 3)]
    words = [f"L(0x{a:x}, 0x{b:x}, {step or 1}, {delta})" for a, b, step, delta in runs]
    lines += [" ".join(words[i : i + 4]) for i in range(0, len(words), 4)]
    RANGES.write_text("\n".join(lines) + "\n")


# ---- texts ---------------------------------------------------------------------------------------------------------


class Numbers:
    def __init__(self, seed):
        self.state = (seed * 2654435761 + 12345) % 2**32

    def below(self, n):
        self.state = (self.state * 1664525 + 1013904223) % 2**32
        return (self.state >> 8) * n >> 24


PLAIN = "the a man dog is in of on two young Girl plays with Ball red street and while people Several watching sits".split()
MIXED = """Straße ÜBER Ärger déjà-vu Ŧest ΟΔΟΣ ΣΑΣ Σ ΌΣΟΣ. ΑΣ-ΑΣ İstanbul ISTANBUL Ǆungla ŞİŞLİ Привет МИР, 你好世界。 東京タワー
    مرحبا، نعم؟ नमस्ते। שלום ไทยแลนด์ 한국어 e\u0301te\u0301 A\u0301 👩‍👩‍👧 😀! ②③ ½ Ⅷ x² ª""".split()
ODD = """" ' “quoted” ‘so’ «ça» „unten“ &quot; &quot;in&quot; &amp; &amp;lt; &lt;b&gt; &apos; &#39; AT&T <skipped> a<skipped>b
    <skip<skipped>ped> 1,000.5 3.14 .5 5. 1. 2-3 -5 x-1 1-a a.b a.,b ,, ... …. 1,a 9.9.9 10:30 50% $5 €7 5° 3−2 -- – — a—b 1–2
    - _ __init__ {x} [y] (z) \\ / ^ ~ ` | @ # * + = != http://a.b/c?d=1&e=2 a@b.org don't rock'n'roll ok!? ¿qué? ¡no! ⁉ ٣,٤ ٣. १.२
    \u0663-\u0664 №5 ©2020 ™ ´ ¨ ‐ ‑ → ∞ \u2060 \u200bx \ufeffy \u00adz A\u00ad\u03a3 \u1b4ex 𝟙.𝟚 ﬁ ǅ ẞ K Å Ω 𐐀𐐨 Ა Ꭰ ꭰ Ⓐ""".split()
GAPS = [" "] * 24 + ["  ", "\t", "\u00a0", "\u2009", "\u3000", "\x0b", "\x1c", "\x1f", "\x85", "\u2028", " \r ", "", "", ""]


def sentence(numbers, kind):
    words = [" "] if numbers.below(29) == 0 else []
    for _ in range(1 + numbers.below(14)):
        pool = [PLAIN, PLAIN + MIXED, PLAIN + ODD, PLAIN + MIXED + ODD][kind]
        if kind and numbers.below(3) == 0:
            pool = MIXED if kind == 1 else ODD
        words += [pool[numbers.below(len(pool))], GAPS[numbers.below(len(GAPS)) if kind else 0]]
    text = "".join(words)
    return text + " ." if numbers.below(4) == 0 else text.rstrip() + "." if numbers.below(2) else text


def changed(numbers, text):
    words = text.split(" ")
    for _ in range(numbers.below(5)):
        at = numbers.below(len(words))
        what = numbers.below(4)
        if what == 0:
            words[at] = PLAIN[numbers.below(len(PLAIN))]
        elif what == 1:
            words.insert(at, words[numbers.below(len(words))])
        elif what == 2:
            words[at] = words[at].swapcase()
        elif len(words) > 1:
            del words[at]
    return " ".join(words)


def file_of(lines, style):
    end = ["\n", "\n", "\r\n", "\r\n", " \n"][style]
    text = "".join(line + end for line in lines)
    return (text[: -len(end)] if style in (1, 3) and lines[-1] else text).encode()


def pair(i):
    numbers = Numbers(i)
    kind, count, refs = i % 4, 1 + numbers.below(7), 1 + (i // 4) % 3
    base = [sentence(numbers, kind) for _ in range(count)]
    base = ["" if numbers.below(17) == 0 else line for line in base]
    if i == 0:
        base = [""]
    if i == 1:
        base = ["one"]
    if i == 2:
        base = ["word " * 700 + "end", "", "x" * 3000 + "."]
    hypothesis = [changed(numbers, line) for line in base]
    references = [base] + [[changed(numbers, changed(numbers, line)) for line in base] for _ in range(refs - 1)]
    special = {3: base, 4: [""] * count, 5: ["zzz"] * count, 6: [line + " " + line for line in base], 7: [line[:9] for line in base]}
    hypothesis = special.get(i, hypothesis)
    hypothesis = ["" if numbers.below(19) == 0 else line for line in hypothesis]
    return [hypothesis, *references], [file_of(f, (i + k) % 5) for k, f in enumerate([hypothesis, *references])]


# ---- scores --------------------------------------------------------------------------------------------------------


def read(path):
    return [line.rstrip() for line in smart_open(str(path))]


def settings(i):
    """Options of `lockstep bleu`, with sacreBLEU's options and metric."""
    smooth = [("none", None), ("floor", None), ("add-k", None), ("floor", 0.25), ("add-k", 2.0)][i % 5]
    width = [1, 2, 4, 8][i % 4]
    value = [] if smooth[1] is None else ["--smooth-value", str(smooth[1])]
    tokenize = ["13a", "intl", "none", "char"][i // 4 % 4]
    case = i % 3 == 0
    yield [], [], BLEU(), 1
    yield ["--tokenize", "intl"], ["-tok", "intl"], BLEU(tokenize="intl"), width
    yield ["--tokenize", "none", "--lowercase"], ["-tok", "none", "-lc"], BLEU(tokenize="none", lowercase=True), width
    yield ["--tokenize", "char"], ["-tok", "char"], BLEU(tokenize="char"), width
    yield ["--lowercase", "--tokenize", "intl"], ["-lc", "-tok", "intl"], BLEU(lowercase=True, tokenize="intl"), width
    yield (
        ["--smooth", smooth[0], "--tokenize", tokenize] + value + ["--lowercase"] * case,
        ["-s", smooth[0], "-tok", tokenize] + (["-sv", str(smooth[1])] if value else []) + ["-lc"] * case,
        BLEU(smooth_method=smooth[0], smooth_value=smooth[1], tokenize=tokenize, lowercase=case),
        width,
    )
    yield ["--chrf"], ["-m", "chrf"], CHRF(), width
    yield ["--chrf", "--lowercase"], ["-m", "chrf", "--chrf-lowercase"], CHRF(lowercase=True), width
    yield ["--word-order", "2"], ["-m", "chrf", "--chrf-word-order", "2"], CHRF(word_order=2), width


def printed(metric, width, paths):
    hypothesis, *references = [read(p) for p in paths]
    score = metric.corpus_score(hypothesis, references)
    return score.format(width, False, metric.get_signature().format())


def check_program(options, width, paths, line):
    command = [sys.executable, "-m", "sacrebleu", *map(str, paths[1:]), "-i", str(paths[0]), "-f", "text", "-w", str(width)]
    found = subprocess.run(command + options, capture_output=True, text=True, check=True).stdout.strip()
    assert found == line, (found, line)


def write_pairs(out, folder):
    for i in range(200):
        lines, files = pair(i)
        paths = [pathlib.Path(folder) / f"{i}-{k}" for k in range(len(files))]
        for path, data in zip(paths, files):
            path.write_bytes(data)
        assert len({len(read(p)) for p in paths}) == 1, i
        out.append(f"pair {i} {len(files)}\n".encode())
        for data in files:
            out.append(f"file {len(data)}\n".encode() + data + b"\n")
        for k, (ours, theirs, metric, width) in enumerate(settings(i)):
            line = printed(metric, width, paths)
            if i % 50 == k:  # the program itself, for some
                check_program(theirs, width, paths, line)
            line = line.replace(f"version:{sacrebleu.__version__}", "version:@")
            out.append(f"score {' '.join(['--width', str(width), *ours])}\n{line}\n".encode())


def write_bootstrap(out):
    """Two systems of 300 sentences: scores, means and half widths of intervals, and the p-value."""
    numbers = Numbers(1000)
    base = [sentence(numbers, i % 4) for i in range(300)]
    first = [changed(numbers, line) for line in base]
    second = [changed(numbers, line) if numbers.below(3) else first[i] for i, line in enumerate(base)]
    files = [file_of(f, 0) for f in (first, second, base)]
    out.append(b"pair bootstrap 3\n")
    for data in files:
        out.append(f"file {len(data)}\n".encode() + data + b"\n")
    systems = [("first", first), ("second", second)]
    for name, metric in [("BLEU", BLEU(references=[base])), ("CHRF", CHRF(references=[base]))]:
        _, scores = PairedTest(systems, {name: metric}, None, test_type="bs")()
        one, two = scores[next(k for k in scores if k != "System")]
        numbers_text = f"{one.score:.6f} {one.mean:.6f} {one.ci:.6f} {two.score:.6f} {two.mean:.6f} {two.ci:.6f} {two.p_value:.6f}"
        out.append(f"score {name}\n{numbers_text}\n".encode())


if __name__ == "__main__":
    write_ranges()
    text = []
    with tempfile.TemporaryDirectory() as scratch:
        write_pairs(text, scratch)
    write_bootstrap(text)
    VALUES.write_bytes(gzip.compress(b"".join(text), 9, mtime=0))
