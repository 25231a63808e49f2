"""Vector instructions for the resampling kernel: widening loads, small matrix products, 8x8 transpositions.

Written as LLVM vector operations, so that one text serves every processor. Addresses and strides are in bytes.
Nothing is checked here: see :mod:`freqcache.resampling.kernel`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils

from freqcache.compiled import intrinsic, kernel

LANES: Final = 16
"""Floats that the widening load and the products take at once."""

SIDE: Final = 8
"""Rows and columns of a transposition; outputs of a product at most; rows of a band for one block."""

_FLOAT: Final = ir.FloatType()
_WORD: Final = ir.IntType(64)
_ROW: Final = ir.VectorType(_FLOAT, SIDE)
_WIDE: Final = ir.VectorType(_FLOAT, LANES)
_DOUBLES: Final = ir.VectorType(ir.DoubleType(), SIDE)
_FUSED: Final = ("contract",)
"""Lets LLVM fuse a product and a sum where the processor can."""


_variable: Any = cgutils.alloca_once
"""A variable of a type; LLVM keeps it in a register."""


_declared: Any = cgutils.get_or_insert_function


def _at(builder: Any, address: Any, form: Any) -> Any:
    return builder.inttoptr(address, form.as_pointer())


def _bytes(count: int) -> Any:
    return ir.Constant(_WORD, count)


def _splat(builder: Any, value: Any, form: Any) -> Any:
    undefined = ir.Constant(form, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.IntType(32)(0))
    places = ir.Constant(ir.VectorType(ir.IntType(32), form.count), [0] * form.count)
    return builder.shuffle_vector(first, undefined, places)


def _multiply_add(builder: Any, x: Any, y: Any, z: Any) -> Any:
    return builder.fadd(builder.fmul(x, y, flags=_FUSED), z, flags=_FUSED)


@intrinsic
def widen(_typing: Any, array: Any, position: Any, scale: Any, target: Any) -> Any:
    """16 elements of an array of int8, int16 or float32, times `scale`, to floats at an address."""
    del position, scale, target

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        values = context.make_array(kind)(context, builder, arguments[0])
        element = context.get_data_type(kind.dtype)
        address = builder.ptrtoint(builder.gep(values.data, [arguments[1]]), _WORD)
        vector = builder.load(_at(builder, address, ir.VectorType(element, LANES)), align=1)
        if element != _FLOAT:
            vector = builder.sitofp(vector, _WIDE)
        scaled = builder.fmul(vector, _splat(builder, arguments[2], _WIDE))
        builder.store(scaled, _at(builder, arguments[3], _WIDE), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.float32, types.uintp), generate


@intrinsic
def prefetch(_typing: Any, array: Any, position: Any) -> Any:
    """Ask for the cache line of an element that will be read soon; any position will do."""
    del position

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = context.make_array(signature.args[0])(context, builder, arguments[0])
        flag = ir.IntType(32)
        byte = ir.IntType(8).as_pointer()
        form = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = _declared(builder.module, form, "llvm.prefetch.p0i8")
        address = builder.bitcast(builder.gep(values.data, [arguments[1]]), byte)
        builder.call(function, [address, flag(0), flag(3), flag(1)])  # to read, soon and often, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@intrinsic
def add_scaled(_typing: Any, target: Any, source: Any, weight: Any) -> Any:
    """``target[k] += weight * source[k]`` for eight doubles."""
    del target, source, weight

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        target, source = (_at(builder, address, _DOUBLES) for address in arguments[:2])
        weight = _splat(builder, arguments[2], _DOUBLES)
        values = builder.load(source, align=8)
        builder.store(_multiply_add(builder, weight, values, builder.load(target, align=8)), target, align=8)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.float64), generate


@intrinsic
def multiply_block(_typing: Any, left: Any, right: Any, target: Any) -> Any:
    """Multiply two 8x8 matrices of doubles; the product is rounded to floats once."""
    del left, right, target

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        left, right, target = arguments
        step = _bytes(8 * SIDE)
        rows = []
        for _ in range(SIDE):
            rows.append(builder.load(_at(builder, right, _DOUBLES), align=8))
            right = builder.add(right, step)
        for _ in range(SIDE):
            total = ir.Constant(_DOUBLES, [0.0] * SIDE)
            for row in rows:
                weight = _splat(builder, builder.load(_at(builder, left, ir.DoubleType()), align=8), _DOUBLES)
                total = _multiply_add(builder, weight, row, total)
                left = builder.add(left, _bytes(8))
            builder.store(builder.fptrunc(total, _ROW), _at(builder, target, _ROW), align=4)
            target = builder.add(target, _bytes(4 * SIDE))
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp, types.uintp), generate


def _product(outputs: int, vectors: int = 1) -> Any:
    """Return the product with a number of outputs and of vectors a row: they stay in registers over the whole sum."""

    @intrinsic
    def multiply(
        _typing: Any,
        matrix: Any,
        rows: Any,
        block_stride: Any,
        row_stride: Any,
        blocks: Any,
        inner: Any,
        target: Any,
        target_stride: Any,
    ) -> Any:
        """``target[k] = sum over w < blocks, f < inner of matrix[w][f][k] * rows[w][f]``, 16 floats a row.

        A matrix has 8x8 floats for each block.
        """
        del matrix, rows, block_stride, row_stride, blocks, inner, target, target_stride

        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            matrix, rows, block_stride, row_stride, blocks, inner, target, target_stride = arguments
            sums = [[_variable(builder, _WIDE) for _ in range(vectors)] for _ in range(outputs)]
            for total in chain.from_iterable(sums):
                builder.store(ir.Constant(_WIDE, [0.0] * LANES), total)
            weights_of_block, block, weights, row = (_variable(builder, _WORD) for _ in range(4))
            builder.store(matrix, weights_of_block)
            builder.store(rows, block)
            with cgutils.for_range(builder, blocks):
                builder.store(builder.load(weights_of_block), weights)
                builder.store(builder.load(block), row)
                with cgutils.for_range(builder, inner):
                    at, here = builder.load(weights), builder.load(row)
                    row_vectors = [
                        builder.load(_at(builder, builder.add(here, _bytes(4 * LANES * i)), _WIDE), align=4)
                        for i in range(vectors)
                    ]
                    for k, totals in enumerate(sums):
                        weight = builder.load(_at(builder, builder.add(at, _bytes(4 * k)), _FLOAT), align=4)
                        weight = _splat(builder, weight, _WIDE)
                        for vector, total in zip(row_vectors, totals, strict=True):
                            builder.store(_multiply_add(builder, weight, vector, builder.load(total)), total)
                    builder.store(builder.add(at, _bytes(4 * SIDE)), weights)
                    builder.store(builder.add(here, row_stride), row)
                next_weights = builder.add(builder.load(weights_of_block), _bytes(4 * SIDE * SIDE))
                builder.store(next_weights, weights_of_block)
                builder.store(builder.add(builder.load(block), block_stride), block)
            for totals in sums:
                for i, total in enumerate(totals):
                    place = builder.add(target, _bytes(4 * LANES * i))
                    builder.store(builder.load(total), _at(builder, place, _WIDE), align=4)
                target = builder.add(target, target_stride)
            return context.get_dummy_value()

        return types.void(*[types.uintp] * 8), generate

    return multiply


_1x2, _2x2, _3x2, _4x2 = (_product(outputs, 2) for outputs in range(1, SIDE // 2 + 1))
_1, _2, _3, _4, _5, _6, _7, _8 = (_product(outputs) for outputs in range(1, SIDE + 1))


@kernel
def multiply_band(
    outputs: int,
    twice: bool,
    matrix: Any,
    rows: Any,
    block_stride: Any,
    row_stride: Any,
    blocks: Any,
    inner: Any,
    target: Any,
    target_stride: Any,
) -> None:
    """Apply the first `outputs`, 1 to 8, of the eight rows of an output block's band to 16 columns, or `twice` as many.

    With more than 4 outputs, two vectors of each would not stay in registers: then `twice` must be false.
    """
    if twice and outputs == 1:
        _1x2(matrix, rows, block_stride, row_stride, blocks, inner, target, target_stride)
    elif twice and outputs == 2:
        _2x2(matrix, rows, block_stride, row_stride, blocks, inner, target, target_stride)
    elif twice and outputs == 3:
        _3x2(matrix, rows, block_stride, row_stride, blocks, inner, target, target_stride)
    elif twice:
        _4x2(matrix, rows, block_stride, row_stride, blocks, inner, target, target_stride)
    elif outputs == 1:
        _1(matrix, rows, block_stride, row_stride, blocks, inner, target, target_stride)
    elif outputs == 2:
        _2(matrix, rows, block_stride, row_stride, blocks, inner, target, target_stride)
    elif outputs == 3:
        _3(matrix, rows, block_stride, row_stride, blocks, inner, target, target_stride)
    elif outputs == 4:
        _4(matrix, rows, block_stride, row_stride, blocks, inner, target, target_stride)
    elif outputs == 5:
        _5(matrix, rows, block_stride, row_stride, blocks, inner, target, target_stride)
    elif outputs == 6:
        _6(matrix, rows, block_stride, row_stride, blocks, inner, target, target_stride)
    elif outputs == 7:
        _7(matrix, rows, block_stride, row_stride, blocks, inner, target, target_stride)
    else:
        _8(matrix, rows, block_stride, row_stride, blocks, inner, target, target_stride)


def _pick(builder: Any, first: Any, second: Any, places: Sequence[int]) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), list(places))
    return builder.shuffle_vector(first, second, mask)


def _transposed(builder: Any, rows: Sequence[Any]) -> list[Any]:
    """Exchange elements at distance 1, 2 and 4 between rows at the same distance."""
    rows = list(rows)
    for step in (1, 2, 4):
        for i in (i for i in range(SIDE) if not i & step):
            upper, lower = rows[i], rows[i + step]
            rows[i] = _pick(builder, upper, lower, [c if not c & step else c - step + SIDE for c in range(SIDE)])
            rows[i + step] = _pick(builder, upper, lower, [c + step if not c & step else c + SIDE for c in range(SIDE)])
    return rows


@intrinsic
def transpose(_typing: Any, source: Any, source_stride: Any, target: Any, target_stride: Any) -> Any:
    """Eight rows of eight floats to eight columns."""
    del source, source_stride, target, target_stride

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, source_stride, target, target_stride = arguments
        rows = []
        for _ in range(SIDE):
            rows.append(builder.load(_at(builder, source, _ROW), align=4))
            source = builder.add(source, source_stride)
        for row in _transposed(builder, rows):
            builder.store(row, _at(builder, target, _ROW), align=4)
            target = builder.add(target, target_stride)
        return context.get_dummy_value()

    return types.void(*[types.uintp] * 4), generate


@intrinsic
def transpose_scaled(
    _typing: Any, base: Any, offsets: Any, scale: Any, offset: Any, target: Any, target_stride: Any
) -> Any:
    """Rows of eight floats at eight int64 byte `offsets` from `base` to columns, times `scale` plus `offset`."""
    del base, offsets, scale, offset, target, target_stride

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        base, offsets, scale, offset, target, target_stride = arguments
        rows = []
        for i in range(SIDE):
            distance = builder.load(_at(builder, builder.add(offsets, _bytes(8 * i)), _WORD), align=8)
            rows.append(builder.load(_at(builder, builder.add(base, distance), _ROW), align=4))
        factor, addend = (builder.load(_at(builder, address, _ROW), align=4) for address in (scale, offset))
        for row in _transposed(builder, rows):
            builder.store(_multiply_add(builder, row, factor, addend), _at(builder, target, _ROW), align=4)
            target = builder.add(target, target_stride)
        return context.get_dummy_value()

    return types.void(*[types.uintp] * 6), generate
