"""The frame header: size, components, sampling, and what is refused because of it.

Source: ITU-T T.81 B.2.2 (frame header), A.1.1 (sampling), B.2.5 (number of lines). Nothing here touches
entropy-coded data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from freqcache.errors import CorruptImageError, ImageLimitError, UnsupportedImageError
from freqcache.jpeg.markers import FRAMES
from freqcache.jpeg.types import ColorSpace, ComponentHeader, FrameType, JpegHeader, Limits


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameComponent:
    """One component of the frame header.

    Attributes
    ----------
    identifier : int
        0..255; not necessarily unique.
    h, v : int
        Sampling factors, 1..4.
    table : int
        Quantization table destination, 0..3.
    block_rows, block_cols : int
        The component's own grid, without blocks that only complete an MCU; 0 rows while the height is unknown.
    """

    identifier: int
    h: int
    v: int
    table: int
    block_rows: int
    block_cols: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """The frame header of a file that can be decoded.

    Attributes
    ----------
    kind : {'baseline', 'extended', 'progressive'}
        From the marker.
    width, height : int
        Size in pixels; the height is 0 where a DNL segment after the first scan gives it.
    h_max, v_max : int
        Largest sampling factors.
    components : tuple of FrameComponent
        1, 3 or 4 of them.
    """

    kind: FrameType
    width: int
    height: int
    h_max: int
    v_max: int
    components: tuple[FrameComponent, ...]

    def header(
        self,
        *,
        color_space: ColorSpace,
        orientation: int,
        tables: Sequence[npt.NDArray[np.uint16] | None],
        warnings: tuple[str, ...],
    ) -> JpegHeader:
        """Return the public header of this frame; `tables` are the components' quantization tables."""
        return JpegHeader(
            width=self.width,
            height=self.height,
            color_space=color_space,
            orientation=orientation,
            progressive=self.kind == "progressive",
            frame_type=self.kind,
            precision=8,
            warnings=warnings,
            components=tuple(
                ComponentHeader(
                    identifier=c.identifier,
                    h=c.h,
                    v=c.v,
                    quantization=table,
                    block_rows=c.block_rows,
                    block_cols=c.block_cols,
                )
                for c, table in zip(self.components, tables, strict=True)
            ),
        )

    @property
    def blocks(self) -> int:
        """Number of blocks over all components."""
        return sum(c.block_rows * c.block_cols for c in self.components)

    def with_height(self, height: int) -> Frame:
        """Return the frame with the number of lines that a DNL segment gave."""
        components = tuple(replace(c, block_rows=_blocks(height, c.v, self.v_max)) for c in self.components)
        return replace(self, height=height, components=components)

    def check(self, limits: Limits) -> None:
        """Refuse a frame that would take more memory than the limits allow.

        Raises
        ------
        ImageLimitError
            With the limit's name, the limit, and what the frame asks for.
        """
        if self.width * self.height > limits.max_pixels:
            msg = f"{self.width}x{self.height} pixels are over the limit max_pixels={limits.max_pixels}"
            raise ImageLimitError(msg)
        if self.blocks > limits.max_blocks:
            msg = f"{self.blocks} blocks are over the limit max_blocks={limits.max_blocks}"
            raise ImageLimitError(msg)


def _blocks(size: int, factor: int, largest: int) -> int:
    """Blocks along one axis: ceil(ceil(size * factor / largest) / 8)."""
    return -(-(size * factor) // (8 * largest))


def parse_frame(code: int, payload: bytes) -> Frame:
    """Read a frame header segment.

    Parameters
    ----------
    code : int
        A key of :data:`~freqcache.jpeg.markers.FRAMES`.
    payload : bytes
        The segment without marker and length.

    Raises
    ------
    CorruptImageError
        Broken header.
    UnsupportedImageError
        Not 8 bits a sample, or not 1, 3 or 4 components.
    """
    if len(payload) < 6:
        msg = f"the frame header has {len(payload)} bytes, expected at least 6"
        raise CorruptImageError(msg)
    precision, count = payload[0], payload[5]
    height = int.from_bytes(payload[1:3], "big")
    width = int.from_bytes(payload[3:5], "big")
    if precision == 12:
        msg = "12 bits a sample; only 8-bit JPEG can be read"
        raise UnsupportedImageError(msg)
    if precision != 8:
        msg = f"the frame header says {precision} bits a sample, expected 8"
        raise CorruptImageError(msg)
    if len(payload) != 6 + 3 * count or count == 0:
        msg = f"the frame header has {len(payload)} bytes for {count} components, expected {6 + 3 * count}"
        raise CorruptImageError(msg)
    if width == 0:
        msg = "the frame header says that the image is 0 pixels wide"
        raise CorruptImageError(msg)
    if count not in (1, 3, 4):
        msg = f"{count} colour components; only 1, 3 or 4 can be read"
        raise UnsupportedImageError(msg)
    return _with_components(FRAMES[code], width, height, payload[6:])


def _with_components(kind: FrameType, width: int, height: int, payload: bytes) -> Frame:
    fields = [(payload[i], payload[i + 1] >> 4, payload[i + 1] & 15, payload[i + 2])
              for i in range(0, len(payload), 3)]  # fmt: skip
    for index, (_, h, v, table) in enumerate(fields):
        if not (1 <= h <= 4 and 1 <= v <= 4):
            msg = f"component {index} has the sampling factors {h}x{v}, expected 1..4"
            raise CorruptImageError(msg)
        if table > 3:
            msg = f"component {index} names quantization table {table}, expected 0..3"
            raise CorruptImageError(msg)
    h_max = max(h for _, h, _, _ in fields)
    v_max = max(v for _, _, v, _ in fields)
    components = tuple(
        FrameComponent(
            identifier=identifier,
            h=h,
            v=v,
            table=table,
            block_rows=_blocks(height, v, v_max),
            block_cols=_blocks(width, h, h_max),
        )
        for identifier, h, v, table in fields
    )
    return Frame(kind=kind, width=width, height=height, h_max=h_max, v_max=v_max, components=components)
