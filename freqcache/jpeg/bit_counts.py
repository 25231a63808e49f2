"""Single instructions of the processor that Numba has no name for: zeros at either end of a number.

The first and the last bit that is set say how long a value is, and which coefficient of a block comes next.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from freqcache.compiled import intrinsic

_BIT = ir.IntType(1)


@intrinsic
def trailing_zeros(_typing: Any, number: Any) -> Any:
    """Zeros below the lowest bit set of an int64; 64 for 0."""
    del number

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], _BIT(0))

    return types.int64(types.int64), generate


@intrinsic
def leading_zeros(_typing: Any, number: Any) -> Any:
    """Zeros above the highest bit set of an int64; 64 for 0."""
    del number

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], _BIT(0))

    return types.int64(types.int64), generate
