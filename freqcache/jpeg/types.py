"""What the coefficient reader takes and returns: limits, headers, components, coefficients.

Nothing here reads a file. Component grids follow ITU-T T.81 A.1.1 and A.2.4: a component has
``ceil(ceil(height * v / v_max) / 8)`` rows of blocks, and alike columns; blocks that only complete an MCU are not
part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

ColorSpace: TypeAlias = Literal["YCbCr", "gray", "RGB", "CMYK", "YCCK"]
FrameType: TypeAlias = Literal["baseline", "extended", "progressive"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds that are checked against the headers before memory is taken or a scan is decoded.

    Attributes
    ----------
    max_pixels : int
        Largest width x height.
    max_blocks : int
        Largest number of 8x8 blocks over all components; a block takes 128 bytes of coefficients.
    max_scans : int
        Largest number of scans.
    """

    max_pixels: int = 100_000_000
    max_blocks: int = 5_000_000
    max_scans: int = 256


@dataclass(frozen=True, kw_only=True)
class ComponentHeader:
    """One component as the headers describe it.

    Attributes
    ----------
    identifier : int
        Component identifier of the frame header, 0..255.
    h, v : int
        Horizontal and vertical sampling factors, 1..4.
    quantization : (64,) uint16, zigzag order, or None
        Table in force at the first scan of the file; None where that scan comes before the table.
    block_rows, block_cols : int
        The component's grid of 8x8 blocks.
    """

    identifier: int
    h: int
    v: int
    quantization: npt.NDArray[np.uint16] | None
    block_rows: int
    block_cols: int


@dataclass(frozen=True, kw_only=True)
class JpegHeader:
    """What a JPEG file says of itself before its first scan.

    Attributes
    ----------
    width, height : int
        Size in pixels, as coded (before the EXIF orientation).
    color_space : {'YCbCr', 'gray', 'RGB', 'CMYK', 'YCCK'}
        By the JFIF and Adobe markers and the component identifiers, as libjpeg decides it.
    orientation : int
        EXIF orientation 1..8; 1 where absent or invalid.
    progressive : bool
        Whether the frame is progressive (SOF2).
    frame_type : {'baseline', 'extended', 'progressive'}
        From the frame header: SOF0, SOF1, SOF2.
    precision : int
        Bits a sample; always 8, since others are refused.
    warnings : tuple of str
        What is wrong with the headers, although they could be read.
    components : tuple of ComponentHeader
        In the order of the frame header.
    """

    width: int
    height: int
    color_space: ColorSpace
    orientation: int
    progressive: bool
    frame_type: FrameType
    precision: int
    warnings: tuple[str, ...]
    components: tuple[ComponentHeader, ...]


@dataclass(frozen=True, kw_only=True)
class JpegComponent:
    """Quantized DCT coefficients of one component.

    Attributes
    ----------
    identifier : int
        Component identifier of the frame header, 0..255.
    h, v : int
        Horizontal and vertical sampling factors, 1..4.
    quantization : (64,) uint16, zigzag order
        Table in force when the component's first scan began.
    coefficients : (64, block_rows, block_cols) int16, quantized, zigzag order, C-contiguous
        ``coefficients[k]`` is the plane of the frequency at zigzag position k. The planes of an image's
        components may be views of one common allocation.
    """

    identifier: int
    h: int
    v: int
    quantization: npt.NDArray[np.uint16]
    coefficients: npt.NDArray[np.int16]

    @property
    def block_rows(self) -> int:
        """Rows of 8x8 blocks."""
        return int(self.coefficients.shape[1])

    @property
    def block_cols(self) -> int:
        """Columns of 8x8 blocks."""
        return int(self.coefficients.shape[2])


@dataclass(frozen=True, kw_only=True)
class JpegCoefficients:
    """The coefficients of one image and what is needed to use them.

    Attributes
    ----------
    width, height : int
        Size in pixels, as coded (before the EXIF orientation).
    color_space : {'YCbCr', 'gray', 'RGB', 'CMYK', 'YCCK'}
        By the JFIF and Adobe markers and the component identifiers, as libjpeg decides it.
    orientation : int
        EXIF orientation 1..8; 1 where absent or invalid.
    progressive : bool
        Whether the frame is progressive (SOF2).
    warnings : tuple of str
        Reasons to believe that the file is damaged; empty means that nothing was found. With warnings, the
        coefficients are what could be decoded, and zero elsewhere.
    components : tuple of JpegComponent
        In the order of the frame header.
    """

    width: int
    height: int
    color_space: ColorSpace
    orientation: int
    progressive: bool
    warnings: tuple[str, ...]
    components: tuple[JpegComponent, ...]
