"""Numba intrinsics: calls of C functions by their address, and copies of memory.

An address is an argument, so that the machine code of a kernel can be kept on disk: it holds no address itself.
Nothing here checks bounds; the kernels that use it do.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from freqcache.compiled import intrinsic

_copy: Any = cgutils.raw_memcpy

__all__ = ["call_codec", "copy_memory", "extend_crc32c"]


@intrinsic
def call_codec(_typing: Any, address: Any, context: Any, target: Any, capacity: Any, source: Any, size: Any) -> Any:
    """Call ``size_t f(void *context, void *target, size_t capacity, const void *source, size_t size)``."""
    del address, context, target, capacity, source, size
    signature = types.uintp(types.uintp, types.uintp, types.uintp, types.uintp, types.uintp, types.uintp)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = arguments[0].type
        function = ir.FunctionType(word, [word] * 5)
        return builder.call(builder.inttoptr(arguments[0], function.as_pointer()), arguments[1:])

    return signature, generate


@intrinsic
def extend_crc32c(_typing: Any, address: Any, source: Any, size: Any) -> Any:
    """Call ``uint32_t f(uint32_t crc, const uint8_t *source, size_t size)`` with a crc of 0."""
    del address, source, size
    signature = types.uint32(types.uintp, types.uintp, types.uintp)

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word, half = arguments[0].type, ir.IntType(32)
        function = ir.FunctionType(half, [half, word, word])
        pointer = builder.inttoptr(arguments[0], function.as_pointer())
        return builder.call(pointer, [half(0), arguments[1], arguments[2]])

    return signature, generate


@intrinsic
def copy_memory(_typing: Any, target: Any, source: Any, size: Any) -> Any:
    """Copy `size` bytes between two addresses that do not overlap."""
    del target, source, size
    signature = types.void(types.uintp, types.uintp, types.uintp)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        target, source = (builder.inttoptr(argument, byte) for argument in arguments[:2])
        _copy(builder, target, source, arguments[2], 1)
        return context.get_dummy_value()

    return signature, generate
