# SPDX-License-Identifier: Apache-2.0
"""Pseudo-random numbers by formula, equal in Python and in C (golden_fill in tests/golden.h), so that no file stores them.

value(i) = scale * ((s(i) >> 8) 2^-24 - 1/2), where s(0) = s, s(i + 1) = 1664525 s(i) + 1013904223 modulo 2^32, and s is
the 32-bit FNV-1a hash of a name.  The product is rounded once, from double to float32.
"""
import numpy as np


def states(name, count):
    s = 0x811C9DC5
    for byte in name.encode():
        s = (s ^ byte) * 0x01000193 % 2**32
    # s(i) = a^i s + c (1 + a + ... + a^(i-1)), in arithmetic modulo 2^32
    powers = np.full(count, 1664525, np.uint32)
    powers[:1] = 1
    np.cumprod(powers, dtype=np.uint32, out=powers)
    sums = np.cumsum(powers, dtype=np.uint32) - powers
    out = (powers * np.uint32(s) + sums * np.uint32(1013904223)).astype(np.uint64)
    return out


def fill(name, shape, scale=1.0):
    s = states(name, int(np.prod(shape)))
    return ((scale * ((s >> np.uint64(8)).astype(np.float64) * 2.0**-24 - 0.5)).astype(np.float32)).reshape(shape)


def labels(name, count, classes=10):
    return ((states(name, count) >> np.uint64(16)) % np.uint64(classes)).astype(np.int64)
