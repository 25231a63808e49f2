"""A small JPEG encoder of coefficients, for files that no encoder at hand makes: any sampling, any order of scans.

Huffman codes are flat: every symbol has a code of the same length, which is also how codes of more than 11 bits get
tested. Written from ITU-T T.81 annexes B, F and G.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Component:
    identifier: int
    h: int
    v: int
    coefficients: npt.NDArray[np.int16]  # (64, block_rows, block_cols), zigzag
    table: int = 0


@dataclass(frozen=True, kw_only=True)
class ScanSpec:
    components: tuple[int, ...]
    start: int = 0
    end: int = 63
    high: int = 0
    low: int = 0
    restart: int = 0
    before: bytes = b""


@dataclass
class Bits:
    value: int = 0
    count: int = 0
    out: bytearray = field(default_factory=bytearray)

    def put(self, value: int, count: int) -> None:
        self.value = self.value << count | (value & ((1 << count) - 1))
        self.count += count

    def finish(self) -> bytes:
        spare = -self.count % 8
        self.put((1 << spare) - 1, spare)
        raw = self.value.to_bytes(self.count // 8, "big")
        return raw.replace(b"\xff", b"\xff\x00")


def segment(code: int, payload: bytes) -> bytes:
    return bytes([0xFF, code]) + (len(payload) + 2).to_bytes(2, "big") + payload


def flat_table(kind: int, index: int, length: int) -> bytes:
    """DHT segment in which symbol i of 12 (DC) or 255 (AC) has the code i of `length` bits."""
    symbols = bytes(range(12 if kind == 0 else 255))
    counts = [0] * 16
    counts[length - 1] = len(symbols)
    return segment(0xC4, bytes([kind << 4 | index, *counts]) + symbols)


def quantization_table(index: int, values: npt.NDArray[np.uint16], *, wide: bool = False) -> bytes:
    body = values.astype(">u2" if wide else np.uint8).tobytes()
    return segment(0xDB, bytes([int(wide) << 4 | index]) + body)


def frame_header(code: int, width: int, height: int, components: list[Component]) -> bytes:
    body = bytes([8]) + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes([len(components)])
    for c in components:
        body += bytes([c.identifier, c.h << 4 | c.v, c.table])
    return segment(code, body)


class Coder:
    """Codes the blocks of one scan."""

    def __init__(self, spec: ScanSpec, components: list[Component], dc_bits: int, ac_bits: int, *, progressive: bool):
        self.spec, self.components = spec, components
        self.dc_bits, self.ac_bits = dc_bits, ac_bits
        self.progressive = progressive
        self.reset()

    def reset(self) -> None:
        self.bits = Bits()
        self.predictions: dict[int, int] = {}
        self.run = 0
        self.pending: list[int] = []

    def close(self) -> bytes:
        self.flush_run()
        data = self.bits.finish()
        self.reset()
        return data

    def sized(self, value: int, size: int) -> None:
        self.bits.put(value if value > 0 else value + (1 << size) - 1, size)

    def dc(self, index: int, value: int | None) -> None:
        previous = self.predictions.get(index, 0)
        value = previous if value is None else value
        self.predictions[index] = value
        size = abs(value - previous).bit_length()
        self.bits.put(size, self.dc_bits)
        if size:
            self.sized(value - previous, size)

    def ac(self, values: list[int]) -> None:
        zeros = 0
        for value in values:
            if value == 0:
                zeros += 1
                continue
            self.flush_run()
            while zeros > 15:
                self.bits.put(0xF0, self.ac_bits)
                zeros -= 16
            size = abs(value).bit_length()
            self.bits.put(zeros << 4 | size, self.ac_bits)
            self.sized(value, size)
            zeros = 0
        if zeros:
            self.run += 1
            if not self.progressive or self.run == 0x7FFF:
                self.flush_run()

    def refine(self, values: list[int]) -> None:
        low = self.spec.low
        magnitudes = [abs(v) >> low for v in values]
        last_new = max((i for i, m in enumerate(magnitudes) if m == 1), default=-1)
        zeros = 0
        corrections: list[int] = []
        for i, magnitude in enumerate(magnitudes):
            if magnitude == 0:
                zeros += 1
                continue
            while zeros > 15 and i <= last_new:
                self.flush_run()
                self.bits.put(0xF0, self.ac_bits)
                self.corrections(corrections)
                zeros -= 16
            if magnitude > 1:
                corrections.append(magnitude & 1)
                continue
            self.flush_run()
            self.bits.put(zeros << 4 | 1, self.ac_bits)
            self.bits.put(int(values[i] > 0), 1)
            self.corrections(corrections)
            zeros = 0
        if zeros or corrections:
            self.run += 1
            self.pending += corrections
            if self.run == 0x7FFF:
                self.flush_run()

    def corrections(self, bits: list[int]) -> None:
        for bit in bits:
            self.bits.put(bit, 1)
        bits.clear()

    def flush_run(self) -> None:
        if not self.run:
            return
        size = self.run.bit_length() - 1
        self.bits.put(size << 4, self.ac_bits)
        self.bits.put(self.run, size)
        self.run = 0
        self.corrections(self.pending)

    def block(self, index: int, row: int, col: int) -> None:
        spec = self.spec
        plane = self.components[index].coefficients
        inside = row < plane.shape[1] and col < plane.shape[2]
        values = plane[:, row, col].tolist() if inside else [0] * 64
        if not self.progressive:
            self.dc(index, values[0] if inside else None)
            self.ac(values[1:])
        elif spec.start == 0 and spec.high == 0:
            self.dc(index, values[0] >> spec.low if inside else None)
        elif spec.start == 0:
            self.bits.put(values[0] >> spec.low & 1, 1)
        elif spec.high == 0:
            band = values[spec.start : spec.end + 1]
            self.ac([(abs(v) >> spec.low) * (1 if v > 0 else -1) for v in band])
        else:
            self.refine(values[spec.start : spec.end + 1])


def mcus(spec: ScanSpec, components: list[Component], width: int, height: int) -> Iterator[list[tuple[int, int, int]]]:
    if len(spec.components) == 1:
        (index,) = spec.components
        _, rows, cols = components[index].coefficients.shape
        for row in range(rows):
            for col in range(cols):
                yield [(index, row, col)]
        return
    h_max = max(c.h for c in components)
    v_max = max(c.v for c in components)
    for y in range(-(-height // (8 * v_max))):
        for x in range(-(-width // (8 * h_max))):
            yield [
                (i, y * components[i].v + dy, x * components[i].h + dx)
                for i in spec.components
                for dy in range(components[i].v)
                for dx in range(components[i].h)
            ]


def scan_bytes(
    spec: ScanSpec,
    components: list[Component],
    width: int,
    height: int,
    *,
    dc_bits: int,
    ac_bits: int,
    progressive: bool,
) -> bytes:
    out = spec.before + segment(0xDD, spec.restart.to_bytes(2, "big"))
    body = bytes([len(spec.components)])
    for i in spec.components:
        body += bytes([components[i].identifier, 0])
    out += segment(0xDA, body + bytes([spec.start, spec.end, spec.high << 4 | spec.low]))
    coder = Coder(spec, components, dc_bits, ac_bits, progressive=progressive)
    for number, mcu in enumerate(mcus(spec, components, width, height)):
        if spec.restart and number and number % spec.restart == 0:
            out += coder.close() + bytes([0xFF, 0xD0 + (number // spec.restart - 1) % 8])
        for index, row, col in mcu:
            coder.block(index, row, col)
    return out + coder.close()


def encode(
    components: list[Component],
    width: int,
    height: int,
    scans: list[ScanSpec],
    *,
    frame: int = 0xC0,
    tables: bytes | None = None,
    dc_bits: int = 5,
    ac_bits: int = 9,
    with_huffman: bool = True,
    header_height: int | None = None,
    after_first_scan: bytes = b"",
    start: bytes = b"",
) -> bytes:
    """Encode; `frame` is the marker code, `tables` the DQT segments (default: table 0, all ones)."""
    out = b"\xff\xd8" + start
    out += quantization_table(0, np.ones(64, np.uint16)) if tables is None else tables
    out += frame_header(frame, width, height if header_height is None else header_height, components)
    if with_huffman:
        out += flat_table(0, 0, dc_bits) + flat_table(1, 0, ac_bits)
    for number, spec in enumerate(scans):
        out += scan_bytes(spec, components, width, height, dc_bits=dc_bits, ac_bits=ac_bits, progressive=frame == 0xC2)
        out += after_first_scan if number == 0 else b""
    return out + b"\xff\xd9"


def random_components(
    rng: np.random.Generator, width: int, height: int, sampling: list[tuple[int, int]]
) -> list[Component]:
    """Components of photograph-like sparsity, with every magnitude up to the largest allowed ones."""
    h_max = max(h for h, _ in sampling)
    v_max = max(v for _, v in sampling)
    components = []
    for index, (h, v) in enumerate(sampling):
        rows = math.ceil(math.ceil(height * v / v_max) / 8)
        cols = math.ceil(math.ceil(width * h / h_max) / 8)
        scale = 300.0 / (1 + np.arange(64)) ** 1.3
        values = np.rint(rng.laplace(size=(64, rows, cols)) * scale[:, None, None])
        values[1:] *= rng.random((63, rows, cols)) < 0.3
        empty = rng.random((rows, cols)) < 0.3
        values[1:, empty] = 0
        clipped = np.clip(values, -1023, 1023).astype(np.int16)
        components.append(Component(identifier=index + 1, h=h, v=v, coefficients=clipped))
    return components
