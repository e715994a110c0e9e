#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The seeds of tests/fuzz/corpus/safetensors, checkpoint and pretrained_input: python3 tests/fuzz/corpus/make_dist_seeds.py"""
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


# config.json, preprocessor_config.json and the description in the metadata, separated by zero bytes: fuzz_pretrained_input.c
TIMM = ('{"architecture":"resnet18","num_classes":2,"label_names":["ant","bee"],"pretrained_cfg":{"input_size":[3,64,64],'
        '"interpolation":"bicubic","crop_pct":0.875,"crop_mode":"center","mean":[0.5,0.4,0.3],"std":[0.2,0.2,0.2]}}')
TRANSFORMERS = '{"model_type":"resnet","id2label":{"0":"ant","1":"bee"}}'
CROPPED = ('{"do_resize":true,"size":{"shortest_edge":72},"resample":3,"do_center_crop":true,"crop_size":{"height":64,"width":64},'
           '"image_mean":[0.5,0.4,0.3],"image_std":[0.2,0.2,0.2]}')
PERCENT = ('{"size":{"shortest_edge":224},"resample":2,"crop_pct":0.875,"image_mean":[0.5,0.4,0.3],"image_std":[0.2,0.2,0.2]}')
CARD = ('{"kind":"images","split":"test","channels":1,"height":28,"width":28,"classes":2,"mean":[0.1],"std":[0.3],'
        '"class_names":["0","1"]}')


def describe(name, *texts):
    (here / "pretrained_input").mkdir(exist_ok=True)
    (here / "pretrained_input" / name).write_bytes(b"\0".join(t.encode() for t in texts))


describe("timm", TIMM)
describe("transformers", TRANSFORMERS, CROPPED)
describe("transformers-percent", TRANSFORMERS, PERCENT)
describe("card", "", "", CARD)
describe("all", TIMM, CROPPED, CARD)
describe("no-names", TIMM.replace('"label_names":["ant","bee"],', ""))
describe("large-side", TIMM.replace("[3,64,64]", "[3,64,4611686018427387904]"))
describe("crop-nan", TIMM.replace("0.875", "1e999"))
describe("deep", '{"pretrained_cfg":' + "[" * 3000)
