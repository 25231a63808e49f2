"""What reading a native split gives: samples, each with its own grids, in one piece of memory a component."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class NativeSample:
    """The masked coefficients of one native sample, each component at its own grid.

    Attributes
    ----------
    coefficients : tuple of three (frequencies, block_rows, block_cols) int16
        Quantized, of Y, Cb and Cr; the frequencies wanted of each, in zigzag order. A grayscale sample's chroma
        has no blocks.
    quantization : tuple of three (frequencies,) uint16
        Their steps: ``coefficients * quantization`` dequantizes.
    frequencies : tuple of three (frequencies,) intp
        Zigzag positions of the first axis.
    sampling : (3, 2) uint8
        Factors (h, v) of each component; zero where a component is absent.
    width, height : int
        Pixels.
    """

    coefficients: tuple[npt.NDArray[np.int16], ...]
    quantization: tuple[npt.NDArray[np.uint16], ...]
    frequencies: tuple[npt.NDArray[np.intp], ...]
    sampling: npt.NDArray[np.uint8]
    width: int
    height: int


@dataclass(frozen=True, kw_only=True, eq=False)
class NativeBatch(Sequence[NativeSample]):
    """Samples read together; a sequence of :class:`NativeSample`, which are views of it.

    Attributes
    ----------
    coefficients : tuple of three flat int16 arrays
        Of Y, Cb and Cr: sample after sample, each (frequencies, block_rows, block_cols).
    starts : (samples, 3) int64
        Where each sample's part begins.
    blocks : (samples, 3, 2) int32
        Block rows and columns.
    quantization : (samples, 3, 64) uint16
        Steps of all frequencies, zigzag order.
    frequencies : tuple of three (frequencies,) intp
        Zigzag positions that were read.
    sampling : (samples, 3, 2) uint8
        Factors (h, v).
    width, height : (samples,) int32
        Pixels.
    """

    coefficients: tuple[npt.NDArray[np.int16], ...]
    starts: npt.NDArray[np.int64]
    blocks: npt.NDArray[np.int32]
    quantization: npt.NDArray[np.uint16]
    frequencies: tuple[npt.NDArray[np.intp], ...]
    sampling: npt.NDArray[np.uint8]
    width: npt.NDArray[np.int32]
    height: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> NativeSample: ...

    @overload
    def __getitem__(self, index: slice) -> list[NativeSample]: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            msg = f"index {index} is outside the {len(self)} samples of the batch"
            raise IndexError(msg)
        return NativeSample(
            coefficients=tuple(self._plane(index, component) for component in range(3)),
            quantization=tuple(self.quantization[index, c, f] for c, f in enumerate(self.frequencies)),
            frequencies=self.frequencies,
            sampling=self.sampling[index],
            width=int(self.width[index]),
            height=int(self.height[index]),
        )

    def _plane(self, index: int, component: int) -> npt.NDArray[np.int16]:
        rows, columns = self.blocks[index, component].tolist()
        frequencies = len(self.frequencies[component])
        start = int(self.starts[index, component])
        flat = self.coefficients[component][start : start + frequencies * rows * columns]
        return flat.reshape(frequencies, rows, columns)
