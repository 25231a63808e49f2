"""Writes quantized DCT coefficients as a JPEG file, without making pixels: the inverse of :mod:`freqcache.jpeg.reader`.

Sequential Huffman coding with codes made for each image. A file is baseline, or extended sequential where a
quantization table needs 16 bits. No progressive files, no restart markers, no metadata but JFIF and, on request, the
EXIF orientation. Source: ITU-T T.81 annexes A, B, F; ITU-T T.871 (JFIF); CIPA DC-008 (EXIF).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from freqcache.errors import ExportError
from freqcache.jpeg.markers import APP0, APP1, DHT, DQT, EOI, SOF0, SOI, SOS
from freqcache.jpeg.optimal import optimal_codes
from freqcache.jpeg.tokens import MOST_EXTRA, TABLES, find_nonzero, make_tokens, write_bits
from freqcache.jpeg.types import JpegComponent

_LONGEST: Final = 65_535
_BLOCKS_IN_MCU: Final = 10
"""T.81 B.2.3: most blocks in the MCU of a scan with several components."""

_JFIF: Final = b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0"
"""Version 1.02, no density, no thumbnail."""

_EXIF: Final = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01"
"""A directory of one entry, the orientation, whose value follows."""

_NAMES: Final = ("Y", "Cb", "Cr")


def write_coefficients(components: Sequence[JpegComponent], *, width: int, height: int, orientation: int = 1) -> bytes:
    """Write the coefficients of one image as a JPEG file.

    Parameters
    ----------
    components : sequence of JpegComponent
        Y; or Y, Cb and Cr. They are numbered from 1, whatever their identifiers.
    width, height : int
        Size in pixels.
    orientation : int
        EXIF orientation that the file shall carry; 1 writes none.

    Returns
    -------
    bytes
        The file. Blocks that only complete an MCU repeat the DC coefficient before them and have no other.

    Raises
    ------
    ExportError
        If the image is larger than a JPEG file can say, a coefficient is larger than one of 8-bit samples can be coded
        (a DC difference of more than 2047, any other of more than 1023), or a component's sampling factors, grid or
        table cannot be those of such an image.
    ValueError
        If there are not one or three components.

    Notes
    -----
    The components go into one scan, unless their sampling factors need more than 10 blocks in an MCU; then each has a
    scan of its own. The GIL is released while coefficients are coded.
    """
    _check(components, width, height)
    tables: list[bytes] = []
    for part in components:
        coded = part.quantization.astype(">u2").tobytes()
        if coded not in tables:
            tables.append(coded)
    numbers = [tables.index(part.quantization.astype(">u2").tobytes()) for part in components]
    wide = [any(table[::2]) for table in tables]
    pieces = [bytes([0xFF, SOI]), _segment(APP0, _JFIF)]
    if orientation != 1:
        pieces.append(_segment(APP1, _EXIF + bytes([0, orientation, 0, 0, 0, 0, 0, 0])))
    for number, table in enumerate(tables):
        pieces.append(_segment(DQT, bytes([wide[number] << 4 | number]) + (table if wide[number] else table[1::2])))
    frame = bytes([8]) + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes([len(components)])
    for index, part in enumerate(components):
        frame += bytes([index + 1, part.h << 4 | part.v, numbers[index]])
    pieces.append(_segment(SOF0 + any(wide), frame))
    return b"".join([*pieces, *_scans(components, width, height), bytes([0xFF, EOI])])


def _check(components: Sequence[JpegComponent], width: int, height: int) -> None:
    """Refuse what is no image of one or three components, or what a frame header cannot say."""
    if len(components) not in (1, 3):
        msg = f"expected 1 or 3 components, found {len(components)}"
        raise ValueError(msg)
    if not (1 <= width <= _LONGEST and 1 <= height <= _LONGEST):
        msg = f"{width} x {height} pixels: a JPEG file has 1 to {_LONGEST} in each direction"
        raise ExportError(msg)
    h_max, v_max = max(part.h for part in components), max(part.v for part in components)
    for name, part in zip(_NAMES, components, strict=False):
        if not (1 <= part.h <= 4 and 1 <= part.v <= 4):
            msg = f"{name}: expected sampling factors 1..4, found {part.h} x {part.v}"
            raise ExportError(msg)
        grid = (_blocks(height, part.v, v_max), _blocks(width, part.h, h_max))
        if part.coefficients.shape != (64, *grid) or part.coefficients.dtype != np.int16:
            found = f"{part.coefficients.dtype} {part.coefficients.shape}"
            msg = f"{name}: expected int16 {(64, *grid)} for {width} x {height} pixels, found {found}"
            raise ExportError(msg)
        if part.quantization.shape != (64,) or part.quantization.min() < 1:
            msg = f"{name}: expected 64 quantization steps of at least 1"
            raise ExportError(msg)


def _blocks(length: int, factor: int, largest: int) -> int:
    """Return a component's blocks along one axis: T.81 A.1.1."""
    samples = -(-length * factor // largest)
    return -(-samples // 8)


def _scans(components: Sequence[JpegComponent], width: int, height: int) -> list[bytes]:
    """Return the Huffman tables and scans."""
    blocks = [part.block_rows * part.block_cols for part in components]
    starts = [sum(blocks[:i]) for i in range(len(blocks))]
    planes = np.concatenate([part.coefficients.reshape(-1) for part in components])
    masks = np.empty(sum(blocks), dtype=np.int64)
    nonzero = [find_nonzero(planes, 64 * starts[i], blocks[i], starts[i], masks) for i in range(len(blocks))]
    every = list(range(len(components)))
    interleaved = len(every) > 1 and sum(part.h * part.v for part in components) <= _BLOCKS_IN_MCU
    pieces = []
    for members in [every] if interleaved else [[i] for i in every]:
        units, mcu_rows, mcu_cols = _units(components, members, starts, width, height)
        n_blocks = len(units) * mcu_rows * mcu_cols
        tokens = np.empty(sum(nonzero[i] for i in members) + MOST_EXTRA * n_blocks, dtype=np.uint32)
        counts, fault = np.zeros(TABLES * 256, dtype=np.int64), np.zeros(5, dtype=np.int64)
        used = make_tokens(planes, masks, units, mcu_rows, mcu_cols, tokens, counts, fault)
        if used < 0:
            raise ExportError(_describe(fault))
        pieces += _scan(members, tokens[:used], counts)
    return pieces


def _units(
    components: Sequence[JpegComponent], members: Sequence[int], starts: Sequence[int], width: int, height: int
) -> tuple[npt.NDArray[np.int64], int, int]:
    """Return the blocks of an MCU as :func:`freqcache.jpeg.tokens.make_tokens` wants them, and the grid of MCUs."""
    alone = len(members) == 1
    units = []
    for index in members:
        part = components[index]
        # A scan of one component has one block in an MCU, whatever its factors (T.81 A.2.2).
        rows, cols = (1, 1) if alone else (part.v, part.h)
        place = (64 * starts[index], starts[index], part.block_rows, part.block_cols, rows, cols)
        tables = (min(index, 1), index)
        units += [(*place, row, col, *tables) for row in range(rows) for col in range(cols)]
    if alone:
        mcu_rows, mcu_cols = components[members[0]].block_rows, components[members[0]].block_cols
    else:
        h_max, v_max = max(part.h for part in components), max(part.v for part in components)
        mcu_rows, mcu_cols = -(-height // (8 * v_max)), -(-width // (8 * h_max))
    return np.array(units, dtype=np.int64), mcu_rows, mcu_cols


def _scan(members: Sequence[int], tokens: npt.NDArray[np.uint32], counts: npt.NDArray[np.int64]) -> list[bytes]:
    """Return the Huffman tables that a scan needs, its header and its data."""
    codes = np.zeros(TABLES * 256, dtype=np.int64)
    coded = np.zeros(16 + 256, dtype=np.uint8)
    tables = b""
    for table in sorted({kind + min(index, 1) for index in members for kind in (0, 2)}):
        mine = slice(256 * table, 256 * (table + 1))
        length = optimal_codes(counts[mine], codes[mine], coded)
        tables += bytes([(table & 2) << 3 | table & 1]) + coded[: 16 + length].tobytes()
    symbols = np.arange(TABLES * 256)
    n_bits = int((counts * ((codes & 31) + (symbols & 15))).sum())
    out = np.empty(2 * (n_bits // 8 + 8), dtype=np.uint8)  # every byte may need a stuffed one
    written = write_bits(tokens, codes, out)
    header = bytes([len(members)])
    for index in members:
        header += bytes([index + 1, min(index, 1) * 0x11])
    return [_segment(DHT, tables), _segment(SOS, header + b"\0\x3f\0"), out[:written].tobytes()]


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + payload


def _describe(fault: npt.NDArray[np.int64]) -> str:
    component, row, col, k, value = fault.tolist()
    what, most = ("the DC coefficient differs from the one before by", 2047) if k == 0 else ("a coefficient is", 1023)
    where = f"{_NAMES[component]}, block ({row}, {col}), zigzag position {k}"
    return f"{where}: {what} {value}; a JPEG file of 8-bit samples can code {-most} to {most}"
