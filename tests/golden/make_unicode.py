# SPDX-License-Identifier: Apache-2.0
"""Writes datasets/tokenizer/unicode_ranges.h: the characters that Hugging Face's `tokenizers` matches with \\s, \\p{L} and \\p{N},
and the small letters of its normalizer Lowercase.  Its regular expressions have their own version of Unicode; these tables give the same words on every machine.

    python tests/golden/make_unicode.py          needs tokenizers, unlike the build and the tests"""
import pathlib

from tokenizers import Regex, __version__, normalizers
from tokenizers.pre_tokenizers import Split

OUT = pathlib.Path(__file__).parents[2] / "datasets" / "tokenizer" / "unicode_ranges.h"


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
