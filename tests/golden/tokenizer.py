# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/tokenizer/: small tokenizers, and the tokens that Hugging Face's `tokenizers` gives with them.

    python tests/golden/tokenizer.py SHAKESPEARE        the text of tiny Shakespeare; needs tokenizers
    python tests/golden/tokenizer.py SHAKESPEARE --compare FOLDER TOKENS
        instead: does FOLDER/tokenizer.json give the tokens (a file of int32) for that text?

The mixed text has 10,000 lines of scripts, emoji, control characters and bytes that are not UTF-8, made of numbers by formula:
mixed_text.h beside the test makes the same."""
import array
import json
import pathlib
import sys

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

OUT = pathlib.Path(__file__).parent / "tokenizer"
END = "<|endoftext|>"
LINES = 10000

# ---- the mixed text; keep in step with tests/datasets/tokenizer/mixed_text.h

RANGES = [
    (0x61, 0x7A), (0x41, 0x5A), (0x30, 0x39), (0x21, 0x2F), (0x20, 0x20), (0x00, 0x1F), (0x7F, 0x9F), (0xC0, 0x52F), (0x590, 0xDFF),
    (0x660, 0x669), (0x1C80, 0x1C8F), (0x2000, 0x200A), (0x2150, 0x218F), (0x3040, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
    (0xFE00, 0xFFFF), (0x10000, 0x1FFFF), (0x1F300, 0x1FAFF), (0x80, 0xD7FF), (0xE000, 0x10FFFF),
]  # fmt: skip
WORDS = [
    b" the", b"and", b"'s", b"'ll", b"'re", b"'S", b"'", b" '", b"don't", b"l'", b"  ", b"\r\n", b"\t", b"\n\n", " König".encode(),
    "日本語".encode(), "👩‍👩‍👧‍👦".encode(), "\u00a0".encode(), "\u3000 ".encode(), "\u0085".encode(), " \u2028".encode(), "e\u0301".encode(),
]  # fmt: skip
BROKEN = [
    b"\xc0\x80", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf",
    b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xf0\x9f", b"\xff", b"\xfe", b"\x80", b"\xbf\xbf", b"\xe2\x82\xc3", b"\xef\xbf\xbd",
]  # fmt: skip


def mixed_line(index):
    state = (index + 1) * 2654435769 % 2**32

    def draw(n):
        nonlocal state
        state = (state * 1664525 + 1013904223) % 2**32
        return (state >> 8) % n

    out = bytearray()
    for _ in range(1 + draw(16)):
        kind, times = draw(len(RANGES) + 4), 1 + draw(5)
        if kind < len(RANGES):
            first, last = RANGES[kind]
            for _ in range(times):
                out += chr(first + draw(last - first + 1)).encode()
        elif kind < len(RANGES) + 2:
            out += WORDS[draw(len(WORDS))]
        elif kind < len(RANGES) + 3:
            out += BROKEN[draw(len(BROKEN))]
        else:
            for _ in range(times):
                out.append(0x80 + draw(0x80))
    return bytes(out) + b"\n"


def letters(n):
    state, text = 1, ""
    for _ in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        text += "etaoinsh"[(state >> 8) % 8]
    return text


def fnv(numbers):
    h = 0xCBF29CE484222325
    for n in numbers:
        h = (h ^ n) * 0x100000001B3 % 2**64
    return f"{h:016x}"


def as_text(raw):
    return raw.decode("utf-8", errors="replace")


# ---- tokenizers


def byte_level(model):
    t = Tokenizer(model)
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    return t


def learn(text, size):
    t = byte_level(models.BPE())
    t.train_from_iterator(
        [text],
        trainers.BpeTrainer(vocab_size=size - 1, min_frequency=2, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False),
    )
    t.add_special_tokens([END])
    return t


def save_as_gpt2(t, name):
    """vocab.json, with the end of text in it, and merges.txt, as GPT-2's files are."""
    t.model.save(str(OUT), name)
    path = OUT / f"{name}-vocab.json"
    vocab = json.loads(path.read_text())
    vocab[END] = len(vocab)
    path.write_text(json.dumps(vocab, ensure_ascii=False, separators=(",", ":")) + "\n")


def tokens_of(t, text, plain=False):
    t.encode_special_tokens = plain
    return t.encode(text, add_special_tokens=False).ids


# ---- golden values

out = []


def case(name, **settings):
    out.append(" ".join(["case", name] + [f"{k}={v}" for k, v in settings.items()]))


def put(name, numbers):
    out.append(f"array {name} i32 {len(numbers)}")
    for i in range(0, len(numbers), 24):
        out.append(" ".join(map(str, numbers[i : i + 24])))


def write(shakespeare):
    lines = [mixed_line(i) for i in range(LINES)]
    raw = b"".join(lines)
    small, mixed, special = learn(shakespeare, 1000), learn(as_text(raw), 1000), learn(shakespeare, 300)
    special.add_tokens([AddedToken("<|", normalized=False), AddedToken("king", normalized=True), AddedToken(" king", normalized=True), "Kö"])
    special.add_special_tokens(["<|end|>", "<|endoftext"])
    OUT.mkdir(exist_ok=True)
    small.save(str(OUT / "shakespeare.json"), pretty=False)
    special.save(str(OUT / "special.json"), pretty=False)
    save_as_gpt2(mixed, "mixed")

    out.append("# Made by tests/golden/tokenizer.py.  Hashes: FNV-1a, of whole tokens (mixed_text: of bytes).")
    case("mixed_text", bytes=len(raw), hash=fnv(raw), replaced=as_text(raw).count("\ufffd") - raw.count("\ufffd".encode()))
    tokens = tokens_of(small, shakespeare)
    case("shakespeare", count=len(tokens), hash=fnv(tokens))
    for name, t in [("shakespeare.json", small), ("mixed-vocab.json", mixed)]:
        for block in range(0, LINES, 1000):
            tokens = tokens_of(t, as_text(b"".join(lines[block : block + 1000])))
            case("block", tokenizer=name, first=block, count=len(tokens), hash=fnv(tokens))
        tokens = [n for line in lines for n in tokens_of(t, as_text(line))]
        case("each_line", tokenizer=name, count=len(tokens), hash=fnv(tokens))
    shown = 0
    for i, line in enumerate(lines):
        tokens = tokens_of(mixed, as_text(line))
        if len(tokens) <= 50 and shown < 300:
            case("line", index=i)
            put("tokens", tokens)
            shown += 1
    for piece, times in [("a", 65), ("a", 4096), ("the", 500), ("ou'll", 100), (" ", 300), ("K\u00f6", 99), ("\u65e5", 77), ("<|", 40), ("there ", 50)]:
        tokens = tokens_of(small, piece * times)
        case("long", times=times, count=len(tokens), hash=fnv(tokens))
        put("text", list(piece.encode()))
    tokens = tokens_of(small, letters(20000))
    case("letters", bytes=20000, count=len(tokens), hash=fnv(tokens))
    texts = [
        END, f"a{END}b", f" {END} ", f"{END}{END}", "<|endoftext", "<|end|>", "<|en", "<|<|end|>|>", f"the kings{END}'s", "a king", "aking", "Kö King  \n",
        f"x  {END}  y", f"'{END}s", f"<{END}", "\u00e9<|\u00e9",
    ]  # fmt: skip
    for text in texts:
        for plain in (False, True):
            case("special", plain=int(plain))
            put("text", list(text.encode()))
            put("tokens", tokens_of(special, text, plain))
    (OUT / "tokens.txt").write_text("\n".join(out) + "\n")


def compare(text, folder, path):
    ours = array.array("i", pathlib.Path(path).read_bytes())
    theirs = Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    print("equal" if list(ours) == theirs else "different", len(ours), len(theirs))


if __name__ == "__main__":
    shakespeare = as_text(pathlib.Path(sys.argv[1]).read_bytes())
    if "--compare" in sys.argv:
        compare(shakespeare, *sys.argv[3:5])
    else:
        write(shakespeare)
