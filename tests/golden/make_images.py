# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/images.bin.gz: image files, and the pixels that Pillow reads from them, for test_image_golden.c.

    python tests/golden/make_images.py          needs numpy and Pillow 13

A case: name, channels, interpolation, fit, as_stored, height, width, the file, and either its pixels (height x width x
channels) or, for a file that must be refused, a part of the message.  Sizes are little-endian.
"""
import gzip
import io
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

rng = np.random.default_rng(20)
cases = []
BILINEAR, BICUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC


def smooth(h, w, channels):
    """Waves with noise: neither constant nor so rough that a JPEG file hides differences."""
    y, x = np.mgrid[0:h, 0:w].astype(float)
    planes = [127 + 90 * np.sin(x / (2 + c) + y / 3 + c) + rng.normal(0, 12, (h, w)) for c in range(channels)]
    return np.clip(np.stack(planes, -1), 0, 255).astype("u1")


def add(name, data, size=None, channels=3, bicubic=False, crop=False, as_stored=False, part=b""):
    h, w = size or (0, 0)
    if part:
        expected = part
        h, w = 5, 6
    else:
        image = Image.open(io.BytesIO(data))
        image = image if as_stored else ImageOps.exif_transpose(image)
        image = image.convert("RGB" if channels == 3 else "L")
        if not size:
            w, h = image.size
        filter = BICUBIC if bicubic else BILINEAR
        if crop:
            iw, ih = image.size
            cover = (int(h * iw / ih), h) if iw * h >= ih * w else (w, int(w * ih / iw))
            image = image.resize(cover, filter)
            top, left = int(round((cover[1] - h) / 2.0)), int(round((cover[0] - w) / 2.0))
            image = image.crop((left, top, left + w, top + h))
        else:
            image = image.resize((w, h), filter)
        expected = np.asarray(image).tobytes()
        assert len(expected) == h * w * channels, name
    head = struct.pack("<BBBBBHHII", bool(part), channels, bicubic, crop, as_stored, h, w, len(data), len(expected))
    cases.append(struct.pack("<B", len(name)) + name.encode() + head + data + expected)


def refuse(name, data, part):
    add(name, data, part=part.encode())


def save(array, form, mode=None, **how):
    out = io.BytesIO()
    Image.fromarray(array if array.shape[-1] != 1 else array[..., 0], mode).save(out, form, **how)
    return out.getvalue()


# ---- JPEG

H, W = 13, 18
rgb, grey, inks = smooth(H, W, 3), smooth(H, W, 1), smooth(H, W, 4)
for s in range(3):
    add(f"jpeg subsampling {s}", save(rgb, "JPEG", quality=92, subsampling=s))
    add(f"jpeg progressive {s}", save(rgb, "JPEG", quality=80, subsampling=s, progressive=True))
plain = save(rgb, "JPEG", quality=90)
add("jpeg as grey", plain, channels=1)
add("jpeg poor", save(rgb, "JPEG", quality=10))
add("jpeg restart markers", save(rgb, "JPEG", quality=75, restart_marker_blocks=1))
add("jpeg rgb", save(rgb, "JPEG", quality=90, keep_rgb=True))
add("jpeg trailing bytes", plain + b"more")
add("jpeg one pixel", save(rgb[:1, :1], "JPEG"))
for n in (8, 16, 17):
    add(f"jpeg {n} wide", save(smooth(9, n, 3), "JPEG", quality=88))
add("jpeg grey", save(grey, "JPEG", quality=90))
add("jpeg grey as grey", save(grey, "JPEG", quality=90), channels=1)
add("jpeg grey progressive", save(grey, "JPEG", progressive=True))
cmyk = save(inks, "JPEG", mode="CMYK", quality=90)
adobe = cmyk.index(b"Adobe")
assert cmyk[adobe + 11] == 0
ycck = cmyk[: adobe + 11] + b"\2" + cmyk[adobe + 12 :]
no_adobe = cmyk[: adobe - 4] + cmyk[adobe + 12 :]
for name, data in (("cmyk", cmyk), ("ycck", ycck), ("cmyk without adobe", no_adobe)):
    add(f"jpeg {name}", data)
    add(f"jpeg {name} as grey", data, channels=1)
add("jpeg cmyk progressive", save(inks, "JPEG", mode="CMYK", progressive=True))


def tiff(value, order="<", kind="H", extra=0):
    head = b"II*\0" if order == "<" else b"MM\0*"
    entries = b"".join(struct.pack(order + "HHI4s", 0x100 + i, 3, 1, b"\0\1\0\0") for i in range(extra))
    field = struct.pack(order + kind, value).ljust(4, b"\0")
    entries += struct.pack(order + "HHI4s", 0x112, 3 if kind == "H" else 4, 1, field)
    return head + struct.pack(order + "IH", 8, extra + 1) + entries + b"\0\0\0\0"


def with_app1(data, segment):
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


for o in range(10):
    for order in "<>":
        file = with_app1(plain, b"Exif\0\0" + tiff(o, order, extra=o % 3))
        add(f"jpeg orientation {o} {order}", file)
        add(f"jpeg orientation {o} {order} as stored", file, as_stored=True)
for o in range(1, 9):
    add(f"grey orientation {o}", with_app1(save(grey, "JPEG"), b"Exif\0\0" + tiff(o)), channels=1)
    add(f"resized orientation {o}", with_app1(plain, b"Exif\0\0" + tiff(o, ">")), size=(7, 10))
add("jpeg long orientation", with_app1(plain, b"Exif\0\0" + tiff(6, ">", "I")))
xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description "
add("jpeg xmp attribute", with_app1(plain, xmp + b'tiff:Orientation="8"/></x:xmpmeta>'))
add("jpeg xmp element", with_app1(plain, xmp + b"><tiff:Orientation>3</tiff:Orientation>"))
add("jpeg exif before xmp", with_app1(with_app1(plain, xmp + b'tiff:Orientation="8"/>'), b"Exif\0\0" + tiff(2)))

# ---- PNG


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def rows(samples, depth):
    """Packs H x W x samples into filtered rows (filter 0)."""
    out = b""
    for row in samples:
        flat = row.reshape(-1)
        if depth == 16:
            packed = flat.astype(">u2").tobytes()
        elif depth == 8:
            packed = flat.astype("u1").tobytes()
        else:
            bits = "".join(format(int(v), f"0{depth}b") for v in flat)
            bits += "0" * (-len(bits) % 8)
            packed = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
        out += b"\0" + packed
    return out


def png(samples, depth, kind, before=b"", after=b"", interlaced=False):
    h, w = samples.shape[:2]
    body = rows(samples, depth)
    if interlaced:
        passes = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)]
        parts = [samples[y::dy, x::dx] for y, dy, x, dx in passes]
        body = b"".join(rows(p, depth) for p in parts if p.size)
    head = struct.pack(">IIBBBBB", w, h, depth, kind, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + chunk(b"IDAT", zlib.compress(body)) + after + chunk(b"IEND", b"")


def noise(depth, samples, h=7, w=11):
    return rng.integers(0, 1 << depth, (h, w, samples))


def palette(colours):
    return chunk(b"PLTE", rng.integers(0, 256, 3 * colours).astype("u1").tobytes())


for interlaced in (False, True):
    name = "interlaced " if interlaced else ""
    for depth in (1, 2, 4, 8):
        add(f"png {name}grey {depth}", png(noise(depth, 1), depth, 0, interlaced=interlaced))
        add(f"png {name}palette {depth}", png(noise(depth, 1), depth, 3, palette(1 << depth), interlaced=interlaced))
    for depth in (8, 16):
        add(f"png {name}rgb {depth}", png(noise(depth, 3), depth, 2, interlaced=interlaced))
        add(f"png {name}rgba {depth}", png(noise(depth, 4), depth, 6, interlaced=interlaced))
        add(f"png {name}grey alpha {depth}", png(noise(depth, 2), depth, 4, interlaced=interlaced))
        add(f"png {name}grey alpha {depth} as grey", png(noise(depth, 2), depth, 4, interlaced=interlaced), channels=1)
add("png palette as grey", png(noise(8, 1), 8, 3, palette(256)), channels=1)
add("png short palette", png(noise(8, 1), 8, 3, palette(100)))
add("png short palette 4", png(noise(4, 1), 4, 3, palette(5)))
add("png palette transparent", png(noise(8, 1), 8, 3, palette(256) + chunk(b"tRNS", bytes(range(200)))))
add("png grey transparent", png(noise(8, 1), 8, 0, chunk(b"tRNS", b"\0\7")))
add("png grey 2 transparent", png(noise(2, 1), 2, 0, chunk(b"tRNS", b"\0\1")))
add("png rgb transparent", png(noise(8, 3), 8, 2, chunk(b"tRNS", b"\0\7\0\1\0\2")))
add("png gamma", png(noise(8, 3), 8, 2, chunk(b"gAMA", struct.pack(">I", 100000))))
add("png rgba gamma", png(noise(16, 4), 16, 6, chunk(b"gAMA", struct.pack(">I", 22222))))
add("png one pixel", png(noise(8, 3, 1, 1), 8, 2))
add("png one pixel enlarged", png(noise(8, 3, 1, 1), 8, 2), size=(5, 3))
add("png one column", png(noise(1, 1, 30, 1), 1, 0))
for o in range(1, 9):
    add(f"png exif {o}", png(noise(8, 3), 8, 2, chunk(b"eXIf", tiff(o))))
add("png exif after pixels", png(noise(8, 3), 8, 2, after=chunk(b"eXIf", tiff(6, ">"))))
itxt = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<rdf:Description tiff:Orientation=\"5\"/>")
add("png xmp", png(noise(8, 3), 8, 2, itxt))
add("png of pillow", save(rgb, "PNG"))
add("png of pillow as grey", save(rgb, "PNG"), channels=1)
filtered = save(np.arange(40 * 31 * 3).reshape(40, 31, 3).astype("u1"), "PNG", optimize=True)
add("png filtered rows", filtered, size=(10, 9))

# ---- BMP


def bmp(h, w, bits, data, compression=0, colours=b"", masks=b"", header=40, top_down=False, count=0):
    if header == 12:
        head = struct.pack("<IHHHH", 12, w, h, 1, bits)
    else:
        head = struct.pack("<IiiHHIIiiII", header, w, -h if top_down else h, 1, bits, compression, len(data), 0, 0, count, 0)
        head += masks + bytes(header - 40 - len(masks) if header > 40 else 0)
    offset = 14 + len(head) + len(colours)
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + head + colours + data


def bmp_rows(h, w, bits):
    return rng.integers(0, 256, (w * bits + 31) // 32 * 4 * h).astype("u1").tobytes()


def bmp_colours(n, entry=4):
    return rng.integers(0, 256, (n, entry)).astype("u1").tobytes()


for w in (8, 9, 11):
    for bits in (1, 4, 8):
        add(f"bmp palette {bits} x {w}", bmp(5, w, bits, bmp_rows(5, w, bits), colours=bmp_colours(1 << bits)))
    for bits in (16, 24, 32):
        add(f"bmp {bits} x {w}", bmp(5, w, bits, bmp_rows(5, w, bits)))
add("bmp top down", bmp(5, 7, 24, bmp_rows(5, 7, 24), top_down=True))
add("bmp palette top down", bmp(5, 7, 4, bmp_rows(5, 7, 4), colours=bmp_colours(16), top_down=True))
add("bmp os2 24", bmp(5, 7, 24, bmp_rows(5, 7, 24), header=12))
add("bmp os2 palette", bmp(5, 7, 8, bmp_rows(5, 7, 8), header=12, colours=bmp_colours(256, 3)))
add("bmp 565", bmp(5, 7, 16, bmp_rows(5, 7, 16), 3, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F)))
add("bmp 555 masks", bmp(5, 7, 16, bmp_rows(5, 7, 16), 3, masks=struct.pack("<III", 0x7C00, 0x3E0, 0x1F)))
add("bmp v4 bgra", bmp(5, 7, 32, bmp_rows(5, 7, 32), 3, masks=struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000), header=108))
add("bmp v5 rgba", bmp(5, 7, 32, bmp_rows(5, 7, 32), 3, masks=struct.pack("<IIII", 0xFF, 0xFF00, 0xFF0000, 0xFF000000), header=124))
add("bmp v5 24", bmp(5, 7, 24, bmp_rows(5, 7, 24), header=124))
add("bmp short palette", bmp(5, 7, 8, bmp_rows(5, 7, 8), colours=bmp_colours(20), count=20))
add("bmp of pillow", save(rgb, "BMP"))
add("bmp grey of pillow", save(grey, "BMP"))
runs = bytes([3, 7, 0, 4, 1, 2, 3, 4, 2, 9, 0, 0, 9, 5, 0, 0, 2, 1, 0, 2, 3, 1, 4, 8, 0, 3, 9, 8, 7, 0, 0, 1])
add("bmp rle8", bmp(4, 9, 8, runs[:-2] + bytes([0, 0, 9, 4]), 1, bmp_colours(256)))
runs = bytes([5, 0x7A, 0, 5, 0x12, 0x34, 0x50, 0, 0, 0, 10, 0x5B, 0, 0, 2, 1, 0, 2, 3, 0, 4, 8, 0, 3, 0x98, 0x70, 0, 0])
add("bmp rle4", bmp(4, 10, 4, runs + bytes([0, 0, 10, 4]), 2, bmp_colours(16)))

# ---- Netpbm

add("p6", save(rgb, "PPM"))
add("p5", save(grey, "PPM"))
add("p5 as grey", save(grey, "PPM"), channels=1)
add("p4", b"P4\n11 4\n" + rng.integers(0, 256, 8).astype("u1").tobytes())
add("p1", b"P1 # bits\n5 3\n10110 0 1 0 0 1\n11111\n")
add("p2", b"P2\n3 2 # size\n255\n0 7 255 9\n#comment\n12 100")
add("p2 of 15", b"P2 4 1 15 0 7 8 15")
add("p3", b"P3\n2 2\n100\n0 1 2 3 50 49 99 100 51 25 75 33")
add("p5 of 100", b"P5 6 1 100\n" + bytes([0, 1, 49, 50, 99, 100]))
add("p6 of 31", b"P6 2 2 31\n" + bytes(range(0, 24, 2)))
add("p6 of 1000", b"P6 2 1 1000\n" + struct.pack(">6H", 0, 1, 500, 777, 999, 1000))
add("p6 of 65535", b"P6 2 1 65535\n" + struct.pack(">6H", 0, 128, 129, 32768, 65534, 65535))

# ---- resize

big, wide, small = save(smooth(37, 53, 3), "PNG"), save(smooth(5, 61, 1), "PNG"), save(smooth(6, 4, 3), "PNG")
for bicubic in (False, True):
    for h, w in ((37, 53), (37, 20), (12, 53), (1, 1), (2, 3), (16, 16), (18, 26), (36, 54), (38, 52), (48, 64), (7, 70), (70, 7), (12, 41), (12, 40), (11, 41)):
        add(f"resize {h} x {w}", big, size=(h, w), bicubic=bicubic)
        add(f"resize grey {h} x {w}", big, size=(h, w), bicubic=bicubic, channels=1)
    for h, w in ((5, 7), (28, 28), (1, 61), (3, 122)):
        add(f"resize wide {h} x {w}", wide, size=(h, w), bicubic=bicubic)
    for h, w in ((24, 16), (6, 5), (5, 4), (1, 9), (33, 40)):
        add(f"resize small {h} x {w}", small, size=(h, w), bicubic=bicubic)
    for h, w in ((16, 16), (15, 16), (20, 7), (7, 20), (37, 53), (40, 40), (1, 1)):
        add(f"crop {h} x {w}", big, size=(h, w), bicubic=bicubic, crop=True)
        add(f"crop small {h} x {w}", small, size=(h, w), bicubic=bicubic, crop=True)
edges = np.where(rng.random((40, 40, 3)) < 0.5, 0, 255).astype("u1")
for size in ((39, 39), (41, 41), (13, 80)):
    add(f"resize edges {size}", save(edges, "PNG"), size=size, bicubic=True)

# ---- refused


def cut(data, part):
    return data[: int(len(data) * part)]


for name, data, message in (
    ("jpeg", plain, "JPEG file"),
    ("jpeg progressive", save(rgb, "JPEG", progressive=True), "JPEG file"),
    ("jpeg cmyk", cmyk, "JPEG file"),
    ("png", save(rgb, "PNG"), "PNG file"),
    ("png palette", png(noise(8, 1), 8, 3, palette(256)), "PNG file"),
    ("bmp", save(rgb, "BMP"), "BMP file"),
    ("bmp palette", bmp(5, 9, 8, bmp_rows(5, 9, 8), colours=bmp_colours(256)), "BMP file"),
    ("ppm", save(rgb, "PPM"), "PNM file"),
):
    for part in (0.1, 0.5, 0.9):
        if name.startswith("jpeg") and part == 0.1:
            part = 0.02
        refuse(f"truncated {name} {part}", cut(data, part), message)
frames = [Image.fromarray(rng.integers(0, 256, (9, 9, 3)).astype("u1")) for _ in range(2)]
for form, message in (("GIF", "GIF"), ("WEBP", "WebP"), ("TIFF", "TIFF"), ("PNG", "animated PNG")):
    out = io.BytesIO()
    frames[0].save(out, form, save_all=True, append_images=frames[1:])
    refuse(f"animated {form}", out.getvalue(), message)
refuse("webp", save(rgb, "WEBP"), "WebP")
refuse("tiff", save(rgb, "TIFF"), "TIFF")
refuse("ico", save(smooth(16, 16, 3), "ICO"), "ICO")
refuse("empty", b"", "is empty")
refuse("text", b"cat\n", "is no image")
refuse("html", b"<!DOCTYPE html><title>404", "is no image")
refuse("svg", b"<svg xmlns='x'/>", "SVG")
refuse("pdf", b"%PDF-1.4", "PDF")
refuse("heic", b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC")
refuse("avif", b"\0\0\0\x18ftypavif\0\0\0\0", "AVIF")
refuse("zeros", bytes(100), "is no image")
refuse("png grey 16", png(noise(16, 1), 16, 0), "16-bit grey")
refuse("png large", png(noise(8, 1, 1, 1), 8, 0).replace(struct.pack(">II", 1, 1), struct.pack(">II", 1 << 20, 1 << 20)), "PNG file")
large = struct.pack(">IIBBBBB", 16000, 16000, 8, 2, 0, 0, 0)
refuse("png too many pixels", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", large) + chunk(b"IDAT", b"\0"), "million in total")
refuse("png zero wide", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 5, 8, 2, 0, 0, 0)), "PNG file")
refuse("png no palette", png(noise(8, 1), 8, 3), "PNG file")
refuse("png wrong checksum", save(rgb, "PNG")[:-20] + b"\1\2" + save(rgb, "PNG")[-18:], "PNG file")
refuse("png signature only", b"\x89PNG\r\n\x1a\n", "PNG file")
refuse("png no pixels", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 5, 8, 2, 0, 0, 0)) + chunk(b"IEND", b""), "PNG file")
refuse("jpeg header only", b"\xff\xd8\xff", "JPEG file")
refuse("jpeg two components", plain.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x0e\x08", 1), "JPEG file")
start = plain.index(b"\xff\xc0")
refuse("jpeg large", plain[: start + 5] + struct.pack(">HH", 30000, 30000) + plain[start + 9 :], "at most 16384")
refuse("jpeg 12 bits", plain[: start + 4] + b"\x0c" + plain[start + 5 :], "JPEG file")
refuse("jpeg no quantisation", plain.replace(b"\xff\xdb", b"\xff\xfe"), "JPEG file")
refuse("jpeg zeros as data", plain[: len(plain) // 2] + b"\xff\xd9", "JPEG file")
refuse("bmp header", bmp(5, 5, 24, b"", header=41), "a header of 41")
refuse("bmp 48 bits", bmp(5, 5, 48, bytes(900)), "48 bits")
refuse("bmp jpeg inside", bmp(5, 5, 24, bytes(900), 4), "compression 4")
refuse("bmp masks", bmp(5, 5, 32, bytes(900), 3, masks=struct.pack("<III", 0xFF, 0xFF, 0xFF)), "masks")
refuse("bmp many colours", bmp(5, 5, 8, bytes(40), colours=bytes(2000), count=300), "300 colours")
refuse("bmp large", bmp(30000, 5, 24, b""), "at most 16384")
refuse("bmp zero wide", bmp(5, 0, 24, b""), "at most 16384")
refuse("bmp offset", bmp(5, 5, 24, bytes(80))[:10] + b"\xff\xff\xff\x7f" + bmp(5, 5, 24, bytes(80))[14:], "truncated BMP")
refuse("bmp rle8 cut", bmp(4, 9, 8, b"\3\7\0", 1, bmp_colours(256)), "truncated BMP")
refuse("bmp rle4 cut", bmp(4, 9, 4, b"\3\7\0\7\1", 2, bmp_colours(16)), "truncated BMP")
refuse("p5 of 65535", b"P5 2 1 65535\n\0\1\2\3", "up to 65535")
refuse("p2 of 1000", b"P2 2 1 1000\n3 4", "up to 1000")
refuse("p6 of 0", b"P6 2 1 0\n123456", "expected a maximum value")
refuse("p6 of 70000", b"P6 2 1 70000\n123456", "expected a maximum value")
refuse("p2 value", b"P2 2 1 9\n3 10", "expected a value of at most 9")
refuse("p2 letter", b"P2 2 1 9\n3 x", "expected the value")
refuse("p1 digit", b"P1 2 1\n1 2", "expected 0 or 1")
refuse("p3 cut", b"P3 2 1 9\n1 2 3 4", "end of the file")
refuse("p4 cut", b"P4 9 2\n\0\0\0", "truncated PNM")
refuse("p5 width", b"P5 x 2 255\n", "expected the width")
refuse("p5 negative", b"P5 -3 2 255\n", "expected the width")
refuse("p5 large", b"P5 99999999999 1 255\n", "at most 16384")
refuse("p5 zero", b"P5 0 1 255\n", "at most 16384")
refuse("p6 header only", b"P6 2 2", "expected the maximum value")
refuse("p6 no pixels", b"P6 2 2 255", "white space before the pixels")

out = pathlib.Path(__file__).with_name("images.bin.gz")
out.write_bytes(gzip.compress(b"".join(cases), 9, mtime=0))
print(f"{out}: {len(cases)} cases, {out.stat().st_size} bytes")
