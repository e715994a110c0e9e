#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds in tests/fuzz/corpus.  They are committed; only making them again needs h5py, numpy and pillow."""
import gzip, io, os, pathlib, struct, tempfile

import h5py, numpy as np
from PIL import Image

here = pathlib.Path(__file__).parent / "corpus"


def put(target, name, data):
    (here / target).mkdir(parents=True, exist_ok=True)
    (here / target / name).write_bytes(data)


def idx_file(images, n, side=3):
    body = bytes((i * 37) % 256 for i in range(n * side * side)) if images else bytes(i * 7 % 10 for i in range(n))
    return struct.pack(">II", 0x800 + (3 if images else 1), n) + (struct.pack(">II", side, side) if images else b"") + body


for k, (images, n) in enumerate([(True, 12), (False, 12), (True, 5), (False, 5)]):
    put("import_mnist", f"plain{k}", bytes([k]) + idx_file(images, n))
    put("import_mnist", f"packed{k}", bytes([k + 4 + 16]) + idx_file(images, n))
    put("import_mnist", f"gzip{k}", bytes([k + 8]) + gzip.compress(idx_file(images, n), mtime=0))
put("import_mnist", "short", bytes([0]) + idx_file(True, 12)[:-1])
put("import_mnist", "huge", bytes([2]) + struct.pack(">IIII", 0x803, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF))


sample = bytes([3]) + bytes(i * 7 % 256 for i in range(3072))
put("import_cifar", "ten", bytes([0]) + sample)
put("import_cifar", "hundred", bytes([1]) + bytes([19]) + sample)
put("import_cifar", "coarse", bytes([3]) + bytes([19]) + sample)
put("import_cifar", "ten-names", bytes([4 * 6]) + b"airplane\ncat\n")
put("import_cifar", "hundred-names", bytes([1 + 4 * 2]) + b"a\nb\r\nc\n")
put("import_cifar", "names-with-marks", bytes.fromhex("18610d0a61052a630a0a240a0a890a6202010a63090a620d0a6324090a620a1047434f4c0147434f4c01102c1369cf90ad55000a0023ed24"))
put("import_cifar", "short", bytes([4]) + sample[:1000])
put("import_cifar", "label", bytes([0]) + bytes([10]) + sample[1:])


def picture(mode, form, **how):
    x = (np.arange(11 * 9 * 3) * 7 % 256).astype("u1").reshape(9, 11, 3)
    out = io.BytesIO()
    Image.fromarray(x).convert(mode).save(out, form, **how)
    return out.getvalue()


for mode in ["L", "RGB", "RGBA", "P", "1", "LA"]:
    put("image_file", f"png-{mode}", b"\x55" + picture(mode, "PNG"))
for mode in ["L", "RGB", "CMYK"]:
    put("image_file", f"jpeg-{mode}", b"\x54" + picture(mode, "JPEG"))
put("image_file", "jpeg-progressive", b"\x53" + picture("RGB", "JPEG", progressive=True))
exif = Image.Exif()
exif[0x112] = 6
for form in ["PNG", "JPEG"]:
    put("image_file", f"{form.lower()}-exif", b"\x57" + picture("RGB", form, exif=exif))
for mode in ["L", "RGB", "P", "1"]:
    put("image_file", f"bmp-{mode}", b"\x55" + picture(mode, "BMP"))
for mode in ["L", "RGB", "1"]:
    put("image_file", f"ppm-{mode}", b"\x55" + picture(mode, "PPM"))
put("image_file", "ppm-text", b"\x55P3\n2 2 # x\n100\n0 1 2 3 50 49 99 100 51 25 75 33")
put("image_file", "ppm-16", b"\x55P6 2 1 1000\n" + struct.pack(">6H", 0, 1, 500, 777, 999, 1000))


def bmp(bits, compression, data, size=40):
    head = struct.pack("<IiiHHIIiiII", size, 9, 4, 1, bits, compression, len(data), 0, 0, 0, 0) + bytes(size - 40)
    colours = bytes(i * 3 % 256 for i in range(4 << bits)) if bits <= 8 else b""
    return b"BM" + struct.pack("<IHHI", 14 + len(head + colours + data), 0, 0, 14 + len(head + colours)) + head + colours + data


runs = bytes([3, 7, 0, 4, 1, 2, 3, 4, 2, 9, 0, 0, 9, 5, 0, 0, 2, 1, 0, 2, 3, 1, 4, 8, 0, 3, 9, 8, 7, 0, 0, 0, 9, 4, 0, 1])
put("image_file", "bmp-rle8", b"\x55" + bmp(8, 1, runs))
put("image_file", "bmp-rle4", b"\x54" + bmp(4, 2, runs))
put("image_file", "bmp-555", b"\x56" + bmp(16, 0, bytes(range(80))))
put("image_file", "bmp-v5", b"\x51" + bmp(32, 0, bytes(range(144)), 124))


def shard(**how):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.h5")
        with h5py.File(path, "w") as f:
            f.attrs["lockstep_format"] = 1
            f.attrs["split"] = "train"
            f.attrs["classes"] = 3
            f.attrs["mean"] = np.float32([0.5])
            f.attrs["std"] = np.float32([0.25])
            f.create_dataset("image", data=np.arange(4 * 6, dtype="u1").reshape(4, 1, 2, 3), **how)
            f.create_dataset("label", data=np.int32([0, 1, 2, 0]))
            if how:
                f["class_names"] = ["a", "b", "c"]
        return pathlib.Path(path).read_bytes()


put("image_hdf5", "contiguous", b"\0" + shard())
put("image_hdf5", "chunked", b"\0" + shard(chunks=(2, 1, 2, 3)))
put("image_hdf5", "packed", b"\0" + shard(chunks=(2, 1, 2, 3), compression="gzip"))

one, three, half = struct.pack("<i", 1), struct.pack("<i", 3), struct.pack("<f", 0.5)


def made(image=b"\0", dims=(4, 1, 2, 3)):
    """Builds the input of fuzz_image_hdf5.c: an attribute is one byte and 24 bytes of data, a data set one byte and its values."""
    pad = lambda b: b"\0" + b.ljust(24, b"\0")
    return (b"\1" + bytes(dims) + pad(one) + pad(b"train") + pad(three) + pad(half * 4) + pad(half * 4) + b"\xff" + image + b"\0" * 70 + b"\x10" + b"\0" * 66 + b"\xff")


put("image_hdf5", "made", made())
put("image_hdf5", "made-chunks", made(b"\1" + b"\0" * 4))
put("image_hdf5", "made-large", made(b"\xd3\4\xff\1\2\3"))


def shard_of_files():
    files = [b"P5 2 2 255 \1\2\3\4", picture("RGB", "PNG"), picture("RGB", "JPEG")]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.h5")
        with h5py.File(path, "w") as f:
            for name, value in {"lockstep_format": 1, "split": "train", "classes": 3, "channels": 3, "height": 4, "width": 5}.items():
                f.attrs[name] = value
            f.attrs["mean"] = f.attrs["std"] = np.float32([0.5, 0.5, 0.5])
            f.create_dataset("bytes", data=np.frombuffer(b"".join(files), dtype="u1"))
            f.create_dataset("offset", data=np.int64([0] + [sum(map(len, files[: k + 1])) for k in range(3)]))
            f.create_dataset("label", data=np.int32([0, 1, 2]))
        return pathlib.Path(path).read_bytes()


def made_files():
    pad = lambda b: b"\0" + b.ljust(24, b"\0")
    image = b"P5 2 2 255 \1\2\3\4"
    offsets = struct.pack("<3q", 0, 15, 30)
    return (b"\5" + bytes([2, 1, 2, 3]) + pad(one) + pad(b"train") + pad(three) + pad(half * 4) + pad(half * 4) + b"\xff"
            + bytes([30]) + pad(one) + pad(struct.pack("<i", 4)) + pad(struct.pack("<i", 5))
            + b"\0" + (image * 2).ljust(64, b"\0") + b"\0" + offsets.ljust(64, b"\0") + b"\x10" + b"\0" * 66 + b"\xff")


put("image_hdf5", "files", b"\0" + shard_of_files())
put("image_hdf5", "made-files", made_files())


def text(**how):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.h5")
        with h5py.File(path, "w") as f:
            f.attrs["lockstep_format"] = 1
            f.attrs["split"] = "train"
            f.attrs["vocabulary"] = 65
            f.attrs["bytes"] = 20
            f.create_dataset("tokens", data=np.arange(20, dtype="u2"), **how)
            f.create_dataset("documents", data=np.int64([0, 7]))
        return pathlib.Path(path).read_bytes()


def made_text():
    wide = lambda n: b"\0" + struct.pack("<q", n).ljust(24, b"\0")
    word = lambda b: b"\0" + b.ljust(24, b"\0")
    return b"\3\20\2" + b"\0" + one.ljust(24, b"\0") + word(b"train") + wide(65) + wide(20) + word(b"chars") + b"\xff\xff" + b"\1" + b"\x10" + b"\0" * 64 + b"\x10" + b"\0" * 66


put("image_hdf5", "text", b"\0" + text())
put("image_hdf5", "text-chunks", b"\0" + text(chunks=(7,)))
put("image_hdf5", "made-text", made_text())


def arrays(flags, **sets):
    with tempfile.NamedTemporaryFile(suffix=".h5") as f:
        with h5py.File(f.name, "w", libver="earliest") as h:
            for name, (value, options) in sets.items():
                h.create_dataset(name, data=value, **options)
        return bytes([flags]) + pathlib.Path(f.name).read_bytes()


x = np.arange(60, dtype="f4").reshape(20, 3)
labels = np.arange(20) % 3
put("array_hdf5", "regression", arrays(0, x=(x, {}), y=(x[:, 0].astype("f8"), {})))
put("array_hdf5", "split", arrays(4, x=(x.astype("i2"), {}), y=(x[:, :2], {})))
put("array_hdf5", "classes", arrays(2 + 4, x=(x, {"chunks": (8, 2), "compression": "gzip"}), y=(labels, {}), class_names=(np.array([b"a", b"b", b"c"]), {})))
put("array_hdf5", "names", arrays(2, x=(x, {}), y=(labels == 1, {}), class_names=(["no", "yes"], {})))
put("array_hdf5", "nan", arrays(8, x=(np.where(x == 7, np.nan, x), {})))
for k, flags in enumerate((1, 3, 5, 7, 9, 13)):  # as fuzz_array_hdf5.c reads them: sizes, then a byte and values for each array
    rest = bytes((i * 97 + k) % 200 for i in range(64)) + bytes([20]) + bytes([k % 3] * 64) + bytes([1, 0]) + bytes(range(20))
    put("array_hdf5", f"made-{k}", bytes([flags, 20 + k, 2, 1, 1, 2, k % 4, k & 1, k & 1, 16 + (0, 1, 2, 9)[k % 4], 3, 3, 3, 3]) + rest)



def pairs():
    with tempfile.NamedTemporaryFile(suffix=".h5") as f:
        with h5py.File(f.name, "w", libver="earliest") as h:
            for name, value in {"lockstep_format": 1, "split": "train", "joint": 1}.items():
                h.attrs[name] = value
            for side in ("source", "target"):
                for name, value in {"vocabulary": 257, "end": 256, "tokenizer": "bytes", "tokenizer_hash": "0123456789abcdef"}.items():
                    h.attrs[f"{side}_{name}"] = value
            h["pair_tokens"], h["pair_starts"] = np.arange(97, 109, dtype="u4"), np.int64([0, 2, 5, 5, 9, 12, 12])
            h["lines"], h["line_starts"] = np.arange(97, 109, dtype="u1"), np.int64([0, 2, 5, 5, 9, 12, 12])
        return b"\0" + pathlib.Path(f.name).read_bytes()


def made_pairs(steps, lines, joint=0, end=9, bad=0):
    """As fuzz_pairs_hdf5.c reads them; a step below 250 counts modulo 4, `bad` is added to the number of tokens."""
    tokens, bytes_ = sum(n % 4 for n in steps) + bad, sum(n % 4 for n in lines)
    head = [1, len(steps) // 2, tokens, bytes_, joint, 0, end, 0, end]
    return bytes(head + steps + lines + [i * 7 % 201 for i in range(tokens)]) + b"text of the lines " * 9


put("pairs_hdf5", "pairs", pairs())
put("pairs_hdf5", "made", made_pairs([1, 2, 3, 0, 2, 2, 1, 1, 3, 3], [3, 1, 2, 2, 1, 1, 3, 0, 0, 1]))
put("pairs_hdf5", "made-joint", made_pairs([3, 3] * 12, [1, 2] * 12, joint=1, end=199))
put("pairs_hdf5", "made-empty", made_pairs([0, 0], [0, 0]))
put("pairs_hdf5", "made-end", made_pairs([1, 1], [1, 1], end=201))
put("pairs_hdf5", "made-absurd", made_pairs([1, 255, 251, 0], [1, 253, 252, 1]))
put("pairs_hdf5", "made-short", made_pairs([2, 2, 1, 1], [1, 1, 1, 1], bad=1))



def labelled(classes):
    with tempfile.NamedTemporaryFile(suffix=".h5") as f:
        with h5py.File(f.name, "w", libver="earliest") as h:
            for name, value in {"lockstep_format": 1, "split": "train", "vocabulary": 257, "classes": classes, "tokenizer": "bytes",
                                "tokenizer_hash": "0123456789abcdef"}.items():
                h.attrs[name] = value
            h["text_tokens"], h["text_starts"] = np.arange(97, 109, dtype="u4"), np.int64([0, 2, 5, 9, 12])
            h["text_second"], h["label"] = np.int32([2, 1, 4, 0]), np.int32([0, 1, 1, 0]) if classes else np.float32([0, 1.5, -2, 7])
            if classes:
                h["class_names"] = ["no", "yes"]
        return b"\0" + pathlib.Path(f.name).read_bytes()


def made_labelled(steps, classes, bad=0):
    """As fuzz_labelled_hdf5.c reads them; a step below 250 counts modulo 8, `bad` is added to the number of tokens."""
    tokens = sum(n % 8 for n in steps) + bad
    rows = [x for i, n in enumerate(steps) for x in (n, 8 + i % 2, 1 + i % 2, 1)]
    return bytes([1, len(steps), tokens, classes] + rows + [i * 7 % 199 for i in range(tokens)])


put("labelled_hdf5", "classes", labelled(2))
put("labelled_hdf5", "values", labelled(0))
put("labelled_hdf5", "made", made_labelled([1, 2, 7, 3, 3, 5], 0))
put("labelled_hdf5", "made-absurd", made_labelled([1, 255, 251, 4], 0))
put("labelled_hdf5", "made-short", made_labelled([1, 2, 3], 0, bad=1))
put("labelled_hdf5", "made-no-names", made_labelled([1, 2, 3], 2))
put("import_labelled", "csv", b'\x00sentence,label\n"a ""b"", c",1\nd,0\n,1\ne,1\n')
put("import_labelled", "tsv", b"\x01sentence\tlabel\r\na \"b\tgood\r\nc\tbad\r\n\xff\xc3\tgood\r\n")
put("import_labelled", "jsonl", b'\x02{"sentence": "a", "label": 1}\n{"label": 0, "sentence": "\\u00e9"}\n')
put("import_labelled", "values", b"\x0csentence,label\na,1.5\nb,2\nc,-3\nd,4\n")
put("import_labelled", "pairs", b"\x63a,b,label\nthe cat,a dog,x\nthe,cat sat on the mat,y\n")
put("import_labelled", "pairs-cut", b"\x72a,b,label\nthe cat,a dog,x\nthe,cat sat on the mat,y\n")

put("import_csv", "numbers", b"\x01a,b,y\n1,2,0.5\n3,4,1.5\n5,6,-2e3\n7,8,9\n")
put("import_csv", "classes", b'\x09a,y\r\n1,cat\r\n2,"dog ""x"""\r\n3,cat\r\n4,"a,b"\r\n5,dog\r\n')
put("import_csv", "named", b"\x06a\tz\ty\n1\t2\t3\n4\t5\t6\n")
put("import_csv", "two-targets", b"\x1a\xef\xbb\xbfa;y;z\n1;2;3\n4;5;6.5\n7;8;9\n1;2;3\n")
put("import_csv", "quotes", b'\x01"a\nb","y"\n"1","2"\n\n" 3 ",4\n')


def table(rows):
    return '{"format": "lockstep product table 1",\n "level": "v2", "threads": 2,\n "products": [\n %s]}\n' % ",\n ".join(rows)


def row(kind="float32", layout="x w", by="OpenBLAS", m=512):
    return '{"type": "%s", "layout": "%s", "m": %s, "n": 2048, "k": 8, "by": "%s"}' % (kind, layout, m, by)


put("product_table", "rows", table([row(), row("bfloat16", "x w^T", "oneDNN"), row(layout="x^T w", m=8)]).encode())
put("product_table", "empty", table([]).encode())
put("product_table", "twice", table([row(), row()]).encode())
put("product_table", "wrong-library", table([row("bfloat16")]).encode())
put("product_table", "wrong-range", table([row(m=9007199254740993)]).encode())
put("product_table", "deep", ('{"products": ' + "[" * 3000).encode())


lines = 'the cat &quot;sat&quot; 1,000.5 - ok.\n"The" cat, sat 2-3 ΟΔΟΣ.\r\n\n你好 x\nİ Σ\n\u20ac5 &amp;lt; a.b'.encode()
for name, metric in [("bleu", 0x00), ("intl", 0x06), ("none", 0x18), ("char", 0x2E), ("add-k", 0x30), ("chrf", 0x01), ("chrf-words", 0x43)]:
    put("score", name, bytes([metric]) + lines)
put("score", "gzip", bytes([0]) + gzip.compress(lines, mtime=0))
put("score", "truncated", bytes([0]) + gzip.compress(lines, mtime=0)[:-9])
put("score", "invalid", bytes([1]) + lines + b"\xc3(")
