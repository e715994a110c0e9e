#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The seeds of tests/fuzz/corpus/safetensors and checkpoint: python3 tests/fuzz/corpus/make_dist_seeds.py"""
import pathlib
import struct

here = pathlib.Path(__file__).parent
W = '"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}'
B = '"b":{"dtype":"F32","shape":[2],"data_offsets":[24,32]}'
S = '"scale":{"dtype":"F32","shape":[1],"data_offsets":[32,36]}'
HALF = ('"w":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[12,16]},'
        '"scale":{"dtype":"F32","shape":[1],"data_offsets":[16,20]}')
EXTRA = '"x":{"dtype":"I64","shape":[],"data_offsets":[36,44]}'


def put(name, flag, header, count, length=None):
    text = header.encode()
    data = bytes([flag]) + struct.pack("<Q", len(text) if length is None else length) + text + bytes(range(count))
    (here / "safetensors" / name).write_bytes(data)


put("good", 0, "{" + ",".join([W, B, S]) + "}   ", 36)
put("metadata", 0, '{"__metadata__":{"format":"pt"},' + ",".join([S, B, W]) + "}", 36)
put("half", 0, "{" + HALF + "}", 20)
put("extra", 1, "{" + ",".join([W, B, S, EXTRA]) + "}", 44)
put("extra-not-allowed", 0, "{" + ",".join([W, B, S, EXTRA]) + "}", 44)
put("missing", 0, "{" + W + "}", 24)
put("overlap", 0, "{" + ",".join([W, B.replace("[24,32]", "[20,28]"), S]) + "}", 36)
put("gap", 0, "{" + ",".join([W, B.replace("[24,32]", "[28,36]")]) + "}", 36)
put("outside", 0, "{" + W.replace("24]", "2400]") + "}", 24)
put("huge-shape", 0, "{" + W.replace("[2,3]", "[4294967296,4294967296,16]") + "}", 24)
put("negative", 0, "{" + W.replace("[2,3]", "[-2,-3]") + "}", 24)
put("long-header", 0, "{}", 0, 1 << 40)
put("deep", 0, '{"w":' + "[" * 3000, 0)
put("twice", 0, "{" + ",".join([W, W]) + "}", 24)
put("empty", 0, "", 0)



def index(name, text):
    (here / "safetensors" / name).write_bytes(b"\2" + text.encode())


MAP = '{"metadata":{"total_size":36},"weight_map":{"w":"a","b":"a","scale":"b"}}'
index("index", MAP)
index("index-of-other-files", MAP.replace('"a"', '"c"'))
index("index-that-leads-out", MAP.replace('"b"}', '"../b"}'))
index("index-of-itself", MAP.replace('"b"}', '"model.safetensors.index.json"}'))
index("index-that-lacks-one", MAP.replace(',"scale":"b"', ""))
index("index-empty", '{"weight_map":{}}')
index("index-deep", '{"weight_map":' + "[" * 3000)

# what, where, how: see fuzz_checkpoint.c
for what in range(8):
    for where in (0, 4, 5):
        (here / "checkpoint" / f"change-{what}-{where}").write_bytes(bytes([1, what, where, 1]))
(here / "checkpoint" / "swapped-links").write_bytes(bytes([1, 2, 0, 14]))
(here / "checkpoint" / "nothing-changed").write_bytes(bytes([1]))
(here / "checkpoint" / "not-hdf5").write_bytes(b"\0not HDF5")
