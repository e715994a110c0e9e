# SPDX-License-Identifier: Apache-2.0
"""Writes datasets/tokenizer/unicode/unicode_ranges.h: the characters that Hugging Face's `tokenizers` matches with \\s, \\p{L} and \\p{N},
and the small letters of its normalizer Lowercase; unicode_flags.h: the
characters that its other normalizers and pre-tokenizers treat specially; and unicode_decompositions.h.
Each part of the library has its own version of Unicode; these tables give the same tokens on every machine.

    python tests/golden/make_unicode.py          needs tokenizers, unlike the build and the tests"""
import pathlib
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, __version__, models, normalizers
from tokenizers.pre_tokenizers import BertPreTokenizer, Digits, Split

OUT = pathlib.Path(__file__).parents[2] / "datasets" / "tokenizer" / "unicode" / "unicode_ranges.h"
CHARACTERS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
NFC, NFD = normalizers.NFC(), normalizers.NFD()


def members(pattern):
    keep, found = Split(Regex(pattern), "removed", invert=True), set()
    for start in range(0, 0x110000, 4096):
        text = "".join(chr(c) for c in range(start, start + 4096) if not 0xD800 <= c < 0xE000)
        for piece, _ in keep.pre_tokenize_str(text) if text else []:
            found.update(map(ord, piece))
    return found


def ranges(found):
    out = []
    for c in sorted(found):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def small_letters():
    """Runs of capitals: first, last, the step between capitals, the distance to the small letter.  U+0130 has two characters."""
    lower, runs = normalizers.Lowercase().normalize_str, []
    for c in range(0x110000):
        small = chr(c) if 0xD800 <= c < 0xE000 else lower(chr(c))
        if small == chr(c) or c == 0x130:
            continue
        distance, last = ord(small) - c, runs[-1] if runs else None
        if last and last[3] == distance and (last[2] in (0, c - last[1])) and c - last[1] <= 2:
            last[1:3] = c, c - last[1]
        else:
            runs.append([c, c, 0, distance])
    return [(first, last, step or 1, distance) for first, last, step, distance in runs]


lines = [
    "/* SPDX-License-Identifier: Apache-2.0",
    f" * Made by tests/golden/make_unicode.py with Hugging Face's tokenizers {__version__}: first and last character of each",
    " * range.  L: first and last capital, the step between capitals, and the distance to the small letter. */",
]
for name, pattern in [("SPACE", r"\s"), ("LETTER", r"\p{L}"), ("NUMBER", r"\p{N}")]:
    found = ranges(members(pattern))
    lines.append(f"/* {pattern} */")
    for i in range(0, len(found), 4):
        lines.append(" ".join(f"X({name}, 0x{a:x}, 0x{b:x})" for a, b in found[i : i + 4]))
runs = small_letters()
lines.append("/* Lowercase */")
for i in range(0, len(runs), 3):
    lines.append(" ".join(f"L(0x{a:x}, 0x{b:x}, {step}, {distance})" for a, b, step, distance in runs[i : i + 3]))
OUT.write_text("\n".join(lines) + "\n")


# ---- characters by their roles in normalizers and pre-tokenizers


def alone(step, c):
    """The character behind an 'a', normalized."""
    return step.normalize_str("a" + chr(c))[1:]


def word_characters():
    """\\w of the library's other regular expressions, which decide whether an added token is a single word."""
    t = Tokenizer(models.BPE())
    t.add_tokens([AddedToken("a", single_word=True, normalized=False)])
    return {c for c in CHARACTERS if c != 0x61 and not t.encode("a" + chr(c)).ids} | {0x61}


def flags():
    clean = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    bare = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    digits, bert = Digits(individual_digits=True), BertPreTokenizer()
    yield "NUMERIC", {c for c in CHARACTERS if len(digits.pre_tokenize_str("a" + chr(c))) == 2}
    yield "REMOVED", {c for c in CHARACTERS if not alone(clean, c)}
    yield "PUNCTUATION", {c for c in CHARACTERS if len(bert.pre_tokenize_str("a" + chr(c))) == 2}
    yield "NONSPACING", {c for c in CHARACTERS if not alone(bare, c)}
    yield "WORD", word_characters()
    joins = {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}  # vowels and tails of Hangul
    joins |= {c for c, _ in classes()} | {b for _, _, b, again in decompositions() if again}
    yield "JOINS", joins | {c for c in CHARACTERS if ord((alone(NFD, c) or "a")[0]) in joins}
    yield "CHANGES", {c for c in CHARACTERS if alone(NFC, c) != chr(c) and NFC.normalize_str(chr(c)) != chr(c)}


def classes():
    """Canonical combining classes, where the library's version of Unicode has them.  U+0345 has the highest class, 240."""
    for c in CHARACTERS:
        if alone(NFD, c) and NFD.normalize_str("a\u0345" + chr(c)) == f"a{chr(c)}\u0345" and c != 0x345:
            yield c, unicodedata.combining(chr(c))
    yield 0x345, 240


def decompositions():
    """Canonical decompositions into one (b is 0) or two characters, and whether these compose again.  Hangul has a formula."""
    for c in CHARACTERS:
        if alone(NFD, c) != chr(c) and alone(NFD, c) and not 0xAC00 <= c <= 0xD7A3:
            a, b = (unicodedata.decomposition(chr(c)).split() + ["0"])[:2]
            text = chr(int(a, 16)) + (chr(int(b, 16)) if b != "0" else "")
            assert NFD.normalize_str(text) == NFD.normalize_str(chr(c)), hex(c)
            yield c, int(a, 16), int(b, 16), NFC.normalize_str(text) == chr(c)


def pack(items, width=118):
    lines = [""]
    for item in items:
        if len(lines[-1]) + len(item) + 1 > width:
            lines.append("")
        lines[-1] += " " * bool(lines[-1]) + item
    return lines


def write_table(name, explanation, lines):
    head = f"/* SPDX-License-Identifier: Apache-2.0\n * Made by tests/golden/make_unicode.py with Hugging Face's tokenizers {__version__}{explanation} */\n"
    (OUT.parent / name).write_text(head + "\n".join(lines) + "\n")


lines = []
for name, found in flags():
    lines += ["/* " + name.capitalize() + " */"] + pack(f"F({name}, 0x{a:x}, 0x{b:x})" for a, b in ranges(found))
write_table("unicode_flags.h", ": first and last character\n * with a flag.  Its normalizers have an older version of Unicode than its regular expressions.", lines)
runs = []
for c, combining in sorted(classes()):
    if runs and runs[-1][1] == c - 1 and runs[-1][2] == combining:
        runs[-1][1] = c
    else:
        runs.append([c, c, combining])
lines = ["/* Combining classes */"] + pack(f"C(0x{a:x}, 0x{b:x}, {n})" for a, b, n in runs)
lines += ["/* Decompositions */"] + pack(f"D(0x{c:x}, 0x{a:x}, 0x{b:x}, {int(again)})" for c, a, b, again in decompositions())
explanation = ".  C: canonical combining\n * class, first and last character.  D: character, its canonical decomposition (the second character may be 0), and\n * whether this composes again."
write_table("unicode_decompositions.h", explanation, lines)
