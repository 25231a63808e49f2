"""Arrays that are appended to along their first axis, and read again from its begin, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache.scratch.pieces import Scratch


class Column:
    """One such array.

    Parameters
    ----------
    dtype : numpy dtype
        Of its elements.
    shape : tuple of int
        Of all axes but the first.
    folder : Path, optional
        For a temporary file: see :class:`Scratch`.
    """

    def __init__(self, dtype: np.dtype[Any], shape: tuple[int, ...] = (), folder: Path | None = None) -> None:
        self.dtype, self._shape = dtype, shape
        self._row_bytes = dtype.itemsize * prod(shape)
        self._bytes = Scratch(folder)

    def __len__(self) -> int:
        return len(self._bytes) // self._row_bytes

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array as it stands."""
        return (len(self), *self._shape)

    def append(self, values: npt.NDArray[Any]) -> None:
        """Append rows, (n, ...).

        Raises
        ------
        ValueError
            If they have another shape.
        BuildError
            If the temporary file cannot be written.
        """
        if values.shape[1:] != self._shape:
            msg = f"rows of shape {values.shape[1:]} for a column of {self._shape}"
            raise ValueError(msg)
        self._bytes.append(np.ascontiguousarray(values, dtype=self.dtype).tobytes())

    def blocks(self, length: int) -> Iterator[npt.NDArray[Any]]:
        """Yield all rows, `length` at a time; fewer in the last block."""
        for first in range(0, len(self), length):
            data = self._bytes.read(first * self._row_bytes, length * self._row_bytes)
            yield np.frombuffer(data, dtype=self.dtype).reshape(-1, *self._shape)

    def close(self) -> None:
        """Give up the array and its file."""
        self._bytes.close()
