"""Goldens of the block formats: what ggml's own library makes of given blocks and of given rows.

OUT/<TYPE>.blocks: N blocks as in a file, then their N * 32 or N * 256 values as ggml dequantises them.
The first blocks have the scales at which arithmetic could differ (subnormal, zero, the largest), the
bytes behind them are random. OUT/<TYPE>.rows: N * 32 float32 values, then the N blocks that ggml's
reference quantiser makes of them. The number of blocks follows from the size of the file.

Usage: python3 make_quant.py LIBGGML_BASE.so OUT
The goldens in tests/golden/quant are from llama.cpp v0.5.0: libggml-base.so in the npm package
@node-llama-cpp/linux-x64 of node-llama-cpp 3.22.1. Needs nothing but Python's own library.
"""
import argparse
import ctypes
import pathlib
import random
import struct

# Bit patterns of f16 scales: 1.0, the smallest and largest subnormal, the smallest normal, the largest
# number, zeros of both signs, and negative ones.
F16_SCALES = [0x3C00, 0x0001, 0x03FF, 0x0400, 0x7BFF, 0x0000, 0x8000, 0x8001, 0xFBFF, 0xB555]
E8M0_SCALES = [127, 0, 1, 2, 3, 128, 254, 255, 100, 126]

# Name: elements, bytes, offsets of f16 fields, blocks in the golden.
TYPES = {
    "Q4_0": (32, 18, [0], 12),
    "Q4_1": (32, 20, [0, 2], 12),
    "Q5_0": (32, 22, [0], 12),
    "Q5_1": (32, 24, [0, 2], 12),
    "Q8_0": (32, 34, [0], 12),
    "IQ4_NL": (32, 18, [0], 12),
    "MXFP4": (32, 17, [], 12),
    "Q2_K": (256, 84, [80, 82], 5),
    "Q3_K": (256, 110, [108], 5),
    "Q4_K": (256, 144, [0, 2], 5),
    "Q5_K": (256, 176, [0, 2], 5),
    "Q6_K": (256, 210, [208], 5),
    "IQ4_XS": (256, 136, [0], 5),
}


def make_blocks(name, rng):
    """Random blocks with finite scales, the listed ones first."""
    elements, size, scales, num_blocks = TYPES[name]
    blocks = bytearray()
    for i in range(num_blocks):
        block = bytearray(rng.randbytes(size))
        if not scales:
            block[0] = E8M0_SCALES[i] if i < len(E8M0_SCALES) else rng.randrange(256)
        for k, offset in enumerate(scales):
            listed = F16_SCALES[(i + 3 * k) % len(F16_SCALES)]
            drawn = rng.randrange(0x7C00) | rng.randrange(2) << 15
            struct.pack_into("<H", block, offset, listed if i < num_blocks - 2 else drawn)
        blocks += block
    return bytes(blocks)


def symbol_name(name):
    """Lower case, but for the K of Q4_K."""
    return name[:-1].lower() + name[-1] if name.endswith("_K") else name.lower()


def dequantize(library, name, blocks):
    elements, size, _, _ = TYPES[name]
    count = len(blocks) // size * elements
    values = (ctypes.c_float * count)()
    function = getattr(library, "dequantize_row_" + symbol_name(name))
    function.restype = None
    function(blocks, values, ctypes.c_int64(count))
    return bytes(values)


def make_rows(rng):
    """Rows of 32: normal, heavy-tailed, constant, zero, tiny, ties of the extremes, one value."""
    rows = [[rng.gauss(0, 1) for _ in range(32)] for _ in range(6)]
    rows += [[rng.gauss(0, 0.02) / (rng.random() + 0.01) for _ in range(32)] for _ in range(6)]
    rows += [[0.25] * 32, [-3.0] * 32, [0.0] * 32, [rng.gauss(0, 1e-6) for _ in range(32)]]
    rows += [[(-1) ** j * 2.0 for j in range(32)], [(-1) ** (j + 1) * 2.0 for j in range(32)]]
    rows += [[0.0] * 31 + [-1.5], [j / 32 for j in range(32)], [0.5 * j - 8 for j in range(32)]]
    return [struct.pack("<32f", *row) for row in rows]


def quantize(library, name, rows):
    _, size, _, _ = TYPES[name]
    floats = (ctypes.c_float * (32 * len(rows))).from_buffer_copy(b"".join(rows))
    blocks = ctypes.create_string_buffer(size * len(rows))
    function = getattr(library, f"quantize_row_{name.lower()}_ref")
    function.restype = None
    function(floats, blocks, ctypes.c_int64(32 * len(rows)))
    return blocks.raw


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    library = ctypes.CDLL(args.library)
    rng = random.Random(4)
    for name in TYPES:
        blocks = make_blocks(name, rng)
        (args.out / f"{name}.blocks").write_bytes(blocks + dequantize(library, name, blocks))
    rows = make_rows(rng)
    for name in ("Q4_0", "Q8_0"):
        (args.out / f"{name}.rows").write_bytes(b"".join(rows) + quantize(library, name, rows))


if __name__ == "__main__":
    main()
