# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds in tests/fuzz/corpus/tokenizer, as fuzz_tokenizer.c reads them (committed; needs Python alone)."""
import json
import pathlib

here = pathlib.Path(__file__).parent / "tokenizer"
END = "<|endoftext|>"


def put(name, kind, data):
    here.mkdir(exist_ok=True)
    (here / name).write_bytes(bytes([kind]) + (data if isinstance(data, bytes) else data.encode()))


printed = [b for b in range(256) if 0x21 <= b <= 0x7E or (b >= 0xA1 and b != 0xAD)]
others = [b for b in range(256) if b not in printed]
char = {b: chr(b) for b in printed} | {b: chr(256 + i) for i, b in enumerate(others)}
level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
cutting = {
    "type": "Sequence",
    "pretokenizers": [{"type": "Split", "pattern": {"Regex": "[\\s\\S]"}, "behavior": "Isolated", "invert": False}, level | {"use_regex": False}],
}


def written(text):
    return "".join(char[b] for b in text.encode())


def tokenizer(model, cut, added, normalizer=None):
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    added = [{"id": i, "content": c, "normalized": n, "special": s} | flags for i, c, n, s in added]
    whole = {"version": "1.0", "added_tokens": added, "normalizer": normalizer, "pre_tokenizer": cut, "post_processor": None, "decoder": level, "model": model}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


merges = ["a a", "b b", "t h", "th e", "Ġ the", "Ã ©", "aa aa", "Ġ c"]
vocab = {c: i for i, c in enumerate(sorted(char.values()))}
for m in merges:
    vocab[m.replace(" ", "")] = len(vocab)
end = len(vocab)
bpe = {"type": "BPE", "dropout": None, "unk_token": None, "vocab": vocab | {END: end}, "merges": merges}
put("bpe", 0, tokenizer(bpe, level, [(end, END, False, True)]))
put("bpe-added", 0, tokenizer(bpe | {"merges": [m.split(" ") for m in merges]}, level, [(end, END, False, True), (end + 1, "cat", True, False), (end + 2, "日", False, True), (end + 3, "<|", False, False)]))  # fmt: skip
put("bytes", 0, tokenizer({"type": "BPE", "vocab": {char[b]: b for b in range(256)}, "merges": []}, level, [(256, END, False, True)]))
letters = {written(c): i for i, c in enumerate("\0\n abcdeh'stÄé12\ufffd")}
put("chars", 0, tokenizer({"type": "WordLevel", "vocab": letters, "unk_token": "?"}, cutting, [(len(letters), END, False, True)]))
ends, lower = {"type": "Replace", "pattern": {"String": "\n"}, "content": " <eos> "}, {"type": "Lowercase"}
words = {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(["<unk>", "<eos>", "the", "hat", "été", "12"])}, "unk_token": "<unk>"}
put("words", 0, tokenizer(words, {"type": "WhitespaceSplit"}, [], ends))
put("words-lower", 0, tokenizer(words, {"type": "WhitespaceSplit"}, [], {"type": "Sequence", "normalizers": [ends, lower]}))
put("bpe-lower", 0, tokenizer(bpe, level, [(end, END, False, True)], lower))
digits = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, level]}
put("bpe-digits", 0, tokenizer(bpe | {"vocab": {c: i for i, c in enumerate(sorted(set(vocab) - {"e", "2"}, key=vocab.get))}, "merges": merges[:2]}, digits, []))
flagged = json.loads(tokenizer(bpe, level, [(end, END, False, True), (end + 1, "cat", True, False), (end + 2, "hat", True, False)], lower))
for i, flag in enumerate(["rstrip", "lstrip", "single_word"]):
    flagged["added_tokens"][i][flag] = True
put("bpe-flags", 0, json.dumps(flagged, ensure_ascii=False, separators=(",", ":")))
pieces = ["[UNK]", "[CLS]", "[SEP]", "the", "ca", "##t", "'", "s", "1", "##2", "e", "##te", "<", "|", ">", "endoftext", "\u65e5"]
bert = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 20, "vocab": {w: i for i, w in enumerate(pieces)}}
clean = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
around = json.loads(tokenizer(bert, {"type": "BertPreTokenizer"}, [(1, "[CLS]", False, True), (2, "[SEP]", False, True), (17, "H\u0301at", True, False)], clean))
a, b = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
cls, sep = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}
special = {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}
around |= {"decoder": None, "post_processor": {"type": "TemplateProcessing", "single": [cls, a, sep], "pair": [cls, a, sep, b, sep], "special_tokens": special}}
put("wordpiece", 0, json.dumps(around, ensure_ascii=False, separators=(",", ":")))
split = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
cut = {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False}, level | {"use_regex": False}]}
put("bpe-cl100k", 0, tokenizer(bpe | {"ignore_merges": True, "merges": merges[:-1]}, cut, [(end, END, False, True), (end + 1, "e\u0301", True, False)], {"type": "NFC"}))
mark = "\u2581"
chars = [f"<0x{b:02X}>" for b in range(256)] + [mark, "t", "h", "e", "a", "c", mark * 2, "th", "the", mark + "the", mark + "c", "\u00e9", "aa"]
spaced = {"type": "BPE", "dropout": None, "unk_token": None, "byte_fallback": True, "vocab": {c: i for i, c in enumerate(chars)}}
spaced |= {"merges": [[mark, mark], ["t", "h"], ["th", "e"], [mark, "the"], [mark, "c"], ["a", "a"]]}
flags = [(256 + 13, "<|endoftext|>", False, True), (256 + 6, mark * 2, False, False), (256 + 14, " hat", True, False)]
replace, prepend = {"type": "Replace", "pattern": {"String": " "}, "content": mark}, {"type": "Prepend", "prepend": mark}


def characters(cut, normalizer, **more):
    return json.dumps(json.loads(tokenizer(spaced | more, cut, flags, normalizer)) | {"decoder": None}, ensure_ascii=False, separators=(",", ":"))


put("bpe-gemma", 0, characters({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}, replace))
put("bpe-llama2", 0, characters(None, {"type": "Sequence", "normalizers": [prepend, replace]}))
put("bpe-metaspace", 0, characters({"type": "Metaspace", "replacement": mark, "prepend_scheme": "first", "split": False}, None))
crossing = {"vocab": spaced["vocab"] | {"a" + mark: 269}, "merges": spaced["merges"] + [["a", mark]]}
flags[2] = (271, " hat", True, False)
flags[0] = (270, "<|endoftext|>", False, True)
put("bpe-crossing", 0, characters({"type": "Metaspace", "replacement": mark, "prepend_scheme": "always", "split": True}, None, **crossing))
put("pair", 1, json.dumps(vocab | {END: end}, ensure_ascii=False).encode() + b"\0" + ("#version: 0.2\n" + "\n".join(merges) + "\n").encode())
put("pair-without-merges", 1, json.dumps(vocab, ensure_ascii=False))
put("text", 2, f"it's the cat's  hat, we'll {END} see 12 ½ 日本語 e\u0301\n\n \t{END}")
put("text-broken", 2, b"\xff\xc3 \xe2\x82 <|endof\xf0\x9f\x98text|>\x80\x80 a\xed\xa0\x80\0'\xe2\x80\xa8x")
put("text-long", 2, "a" * 70 + "ab" * 40 + " " * 9 + "é" * 40)
put("learn", 3, "the cat sat on the mat; the other cat did not.\n" * 4 + END + "aaaa aaaa bbbb\n" * 3)
put("learn-capitals", 3, "THE \u0130CE THE \u0130! \u0130x \u023a\u023a\u023a the\0 x\u3000<eos>y <unk>\r\n\n" * 4)
put("learn-broken", 3, b"\xff\xfe\0\0 aa aa \xe2\x82\xac\xe2\x82\xac aa")
