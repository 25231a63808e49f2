"""Bit shuffle of 16-bit elements, as blosc's frames have it: 16 planes of one bit each, and back.

Plane ``p`` of ``n`` elements is ``n / 8`` bytes; bit ``e % 8`` of its byte ``e // 8`` is bit ``p`` of element ``e``.
The work is done on vectors of 64-bit lanes, each an 8x8 matrix of bits (8 elements by 8 planes) that is transposed
in three exchange steps; written as LLVM vector operations, so that one text serves every processor. Source: the
layout of Blosc's bitshuffle filter; the transposition is the one of H. S. Warren, Hacker's Delight, 7-3.

``n`` is a multiple of 8. Nothing is checked here; see :mod:`freqcache.store.frames`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types

from freqcache.compiled import inlined, intrinsic

PLANES: Final = 16
_WIDE: Final = 32
"""Bytes of each plane that the vector code takes at once: 256 elements."""

_BYTE: Final = ir.IntType(8)
_LANE: Final = ir.IntType(64)
_STEPS: Final = ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0))


def _splat(value: int, lanes: int) -> Any:
    return ir.Constant(ir.VectorType(_LANE, lanes), [value] * lanes)


def _pick(builder: Any, first: Any, second: Any, places: Sequence[int]) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), list(places))
    return builder.shuffle_vector(first, second, mask)


def _interleave(builder: Any, first: Any, second: Any) -> Any:
    n = first.type.count
    return _pick(builder, first, second, [i // 2 + n * (i % 2) for i in range(2 * n)])


def _every_other(builder: Any, vector: Any, start: int) -> Any:
    return _pick(builder, vector, vector, range(start, vector.type.count, 2))


def _transpose_bits(builder: Any, octets: Any) -> Any:
    """Transpose the 8x8 bits of every eight bytes."""
    lanes = octets.type.count // 8
    x = builder.bitcast(octets, ir.VectorType(_LANE, lanes))
    for shift, mask in _STEPS:
        count = _splat(shift, lanes)
        changed = builder.and_(builder.xor(x, builder.lshr(x, count)), _splat(mask, lanes))
        x = builder.xor(builder.xor(x, changed), builder.shl(changed, count))
    return builder.bitcast(x, octets.type)


def _join_rows(builder: Any, rows: Sequence[Any]) -> Any:
    """Eight rows of bytes to one vector, column by column."""
    while len(rows) > 1:
        half = len(rows) // 2
        rows = [_interleave(builder, rows[i], rows[i + half]) for i in range(half)]
    return rows[0]


def _split_rows(builder: Any, octets: Any) -> list[Any]:
    """Undo :func:`_join_rows`."""
    rows = [octets]
    while len(rows) < 8:
        rows = [_every_other(builder, row, start) for start in (0, 1) for row in rows]
    return rows


def _pointer(builder: Any, address: Any, length: int) -> Any:
    return builder.inttoptr(address, ir.VectorType(_BYTE, length).as_pointer())


@intrinsic
def _to_planes(_typing: Any, elements: Any, planes: Any, stride: Any) -> Any:
    """256 elements at an address to 32 bytes of each plane; planes lie `stride` bytes apart."""
    del elements, planes, stride

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, target, step = arguments
        octets = builder.load(_pointer(builder, source, 16 * _WIDE), align=1)
        for high in (0, 1):
            matrices = _transpose_bits(builder, _every_other(builder, octets, high))
            for row in _split_rows(builder, matrices):
                builder.store(row, _pointer(builder, target, _WIDE), align=1)
                target = builder.add(target, step)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.uintp), generate


@intrinsic
def _from_planes(_typing: Any, planes: Any, stride: Any, elements: Any) -> Any:
    """32 bytes of each plane to 256 elements at an address."""
    del planes, stride, elements

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, step, target = arguments
        rows = []
        for _ in range(PLANES):
            rows.append(builder.load(_pointer(builder, source, _WIDE), align=1))
            source = builder.add(source, step)
        low, high = (_transpose_bits(builder, _join_rows(builder, rows[i : i + 8])) for i in (0, 8))
        builder.store(_interleave(builder, low, high), _pointer(builder, target, 16 * _WIDE), align=1)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.uintp), generate


@inlined
def _transposed(x: np.uint64) -> np.uint64:
    """Transpose one 8x8 matrix of bits."""
    changed = (x ^ (x >> np.uint64(7))) & np.uint64(0x00AA00AA00AA00AA)
    x ^= changed ^ (changed << np.uint64(7))
    changed = (x ^ (x >> np.uint64(14))) & np.uint64(0x0000CCCC0000CCCC)
    x ^= changed ^ (changed << np.uint64(14))
    changed = (x ^ (x >> np.uint64(28))) & np.uint64(0x00000000F0F0F0F0)
    return x ^ changed ^ (changed << np.uint64(28))


@inlined
def shuffle(source: Any, first: int, n: int, target: Any) -> None:
    """Write the planes of `n` elements, the little-endian bytes ``source[first:]``, to the start of `target`."""
    stride = n // 8
    wide = stride // _WIDE * _WIDE
    elements, planes = np.uintp(source.ctypes.data), np.uintp(target.ctypes.data)
    for group in range(0, wide, _WIDE):
        _to_planes(elements + np.uintp(first + 16 * group), planes + np.uintp(group), np.uintp(stride))
    for group in range(wide, stride):
        for high in range(2):
            x = np.uint64(0)
            for i in range(8):
                x |= np.uint64(source[first + 16 * group + 2 * i + high]) << np.uint64(8 * i)
            x = _transposed(x)
            for i in range(8):
                target[(8 * high + i) * stride + group] = (x >> np.uint64(8 * i)) & np.uint64(255)


@inlined
def unshuffle(source: Any, n: int, target: Any, first: int) -> None:
    """Write the `n` elements whose planes `source` begins with to ``target[first:]``."""
    stride = n // 8
    wide = stride // _WIDE * _WIDE
    planes, elements = np.uintp(source.ctypes.data), np.uintp(target.ctypes.data)
    for group in range(0, wide, _WIDE):
        _from_planes(planes + np.uintp(group), np.uintp(stride), elements + np.uintp(first + 16 * group))
    for group in range(wide, stride):
        for high in range(2):
            x = np.uint64(0)
            for i in range(8):
                x |= np.uint64(source[(8 * high + i) * stride + group]) << np.uint64(8 * i)
            x = _transposed(x)
            for i in range(8):
                target[first + 16 * group + 2 * i + high] = (x >> np.uint64(8 * i)) & np.uint64(255)
