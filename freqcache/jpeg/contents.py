"""Everything a file contains short of its coefficients: headers, scans, the tables in force for each.

All segments are read, and the scans are counted, before coefficients get memory. Damage between scans ends the walk:
the scans before it can still be decoded, and the reason is told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from freqcache.errors import CorruptImageError, ImageLimitError, UnsupportedImageError
from freqcache.jpeg.frame import Frame
from freqcache.jpeg.metadata import color_space
from freqcache.jpeg.scan import Scan
from freqcache.jpeg.segments import HeaderTruncatedError, SegmentReader
from freqcache.jpeg.stream import find_end
from freqcache.jpeg.types import ColorSpace, Limits


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What is in a file.

    Attributes
    ----------
    frame : Frame
        The frame header.
    color_space : str
        As in :class:`~freqcache.jpeg.types.JpegHeader`.
    orientation : int
        1..8.
    quantization : tuple of (64,) uint16 in zigzag order
        By component: the table in force when its first scan began; the last one where it has no scan.
    scans : tuple of Scan
        In the order of the file.
    ends : tuple of int
        By scan: the position after its entropy-coded data.
    warnings : tuple of str
        What is wrong with the headers.
    """

    frame: Frame
    color_space: ColorSpace
    orientation: int
    quantization: tuple[npt.NDArray[np.uint16], ...]
    scans: tuple[Scan, ...]
    ends: tuple[int, ...]
    warnings: tuple[str, ...]


def read_contents(data: bytes, octets: npt.NDArray[np.uint8], limits: Limits) -> Contents:
    """Walk over a whole file.

    Parameters
    ----------
    data : bytes
        The file.
    octets : (n,) uint8
        The same bytes.
    limits : Limits
        Checked before memory is taken.

    Raises
    ------
    CorruptImageError, UnsupportedImageError, ImageLimitError
        As :func:`freqcache.jpeg.read_coefficients` says.
    """
    reader = SegmentReader(data, limits)
    scan, frame = _first_scan(reader)
    tables: list[npt.NDArray[np.uint16] | None] = [None] * len(frame.components)
    _latch(scan, frame, reader, tables)
    scans, ends = [scan], [find_end(octets, scan.start)]
    reader.position = ends[0]
    warnings: list[str] = []
    while True:
        try:
            following = reader.next_scan()
            if following is None:
                break
            if len(scans) == limits.max_scans:
                msg = f"more scans than the limit max_scans={limits.max_scans}"
                raise ImageLimitError(msg)
            _latch(following, frame, reader, tables)
        except HeaderTruncatedError:
            warnings.append("the data ends without an end-of-image marker")
            break
        except (CorruptImageError, UnsupportedImageError) as error:
            warnings.append(f"after scan {len(scans)}: {error}")
            break
        scans.append(following)
        ends.append(find_end(octets, following.start))
        reader.position = ends[-1]
    quantization = tuple(_table(index, frame, reader) if table is None else table for index, table in enumerate(tables))
    space, doubt = color_space(tuple(c.identifier for c in frame.components), jfif=reader.jfif, adobe=reader.adobe)
    return Contents(
        frame=frame,
        color_space=space,
        orientation=reader.orientation or 1,
        quantization=quantization,
        scans=tuple(scans),
        ends=tuple(ends),
        warnings=(*reader.warnings, *warnings, *([doubt] if doubt else [])),
    )


def _first_scan(reader: SegmentReader) -> tuple[Scan, Frame]:
    scan = reader.next_scan()
    if scan is None or reader.frame is None:
        msg = "the file has no scan"
        raise CorruptImageError(msg)
    return scan, reader.frame


def _latch(scan: Scan, frame: Frame, reader: SegmentReader, tables: list[npt.NDArray[np.uint16] | None]) -> None:
    """Keep the quantization tables in force for components that were in no scan before."""
    for index in scan.components:
        if tables[index] is None:
            tables[index] = _table(index, frame, reader)


def _table(index: int, frame: Frame, reader: SegmentReader) -> npt.NDArray[np.uint16]:
    number = frame.components[index].table
    table = reader.quantization[number]
    if table is None:
        msg = f"component {index} uses quantization table {number}, which is not defined"
        raise CorruptImageError(msg)
    return table
