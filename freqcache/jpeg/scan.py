"""The scan header and the tables in force for it.

Source: ITU-T T.81 B.2.3 (scan header), G.1.1.1 (parameters of progressive scans). Nothing here touches
entropy-coded data.
"""

from __future__ import annotations

from dataclasses import dataclass

from freqcache.errors import CorruptImageError
from freqcache.jpeg.frame import Frame
from freqcache.jpeg.standard import standard_tables

MAX_BLOCKS_IN_MCU = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """One scan: its header, the tables in force, and where its entropy-coded data begins.

    Attributes
    ----------
    components : tuple of int
        Indices into the frame's components, in the order of the scan.
    dc_tables, ac_tables : tuple of bytes or None
        Huffman tables of these components, as coded: 16 counts and the symbols. None where never defined.
    spectral_start, spectral_end : int
        First and last zigzag position (Ss, Se).
    high, low : int
        Successive approximation (Ah, Al).
    restart_interval : int
        MCUs between restart markers; 0 for none.
    start : int
        Position of the first byte of entropy-coded data.
    """

    components: tuple[int, ...]
    dc_tables: tuple[bytes | None, ...]
    ac_tables: tuple[bytes | None, ...]
    spectral_start: int
    spectral_end: int
    high: int
    low: int
    restart_interval: int
    start: int

    @property
    def is_whole(self) -> bool:
        """Whether it holds all bits of all coefficients, as every scan of a sequential frame must."""
        return (self.spectral_start, self.spectral_end, self.high, self.low) == (0, 63, 0, 0)


def parse_scan(
    payload: bytes,
    frame: Frame,
    *,
    dc: list[bytes | None],
    ac: list[bytes | None],
    restart_interval: int,
    start: int,
) -> Scan:
    """Read a scan header segment.

    Parameters
    ----------
    payload : bytes
        The segment without marker and length.
    frame : Frame
        The frame it belongs to.
    dc, ac : list of bytes or None
        The four destinations of each class of Huffman tables.
    restart_interval : int
        In force.
    start : int
        Position of the first byte after the segment.

    Raises
    ------
    CorruptImageError
        Broken header.
    """
    count = payload[0] if payload else 0
    if not 1 <= count <= 4 or len(payload) != 4 + 2 * count:
        msg = f"a scan header has {len(payload)} bytes for {count} components, expected {4 + 2 * count}"
        raise CorruptImageError(msg)
    components: list[int] = []
    for i in range(count):
        components.append(_find(payload[1 + 2 * i], frame, components))
    if components != sorted(components):
        msg = "a scan header has its components in another order than the frame header"
        raise CorruptImageError(msg)
    selectors = payload[2 : 2 + 2 * count : 2]
    blocks = sum(frame.components[i].h * frame.components[i].v for i in components)
    if count > 1 and blocks > MAX_BLOCKS_IN_MCU:
        msg = f"a scan has {blocks} blocks in an MCU, expected at most {MAX_BLOCKS_IN_MCU}"
        raise CorruptImageError(msg)
    # Only sequential frames can do with the standard tables: they lack the symbols of progressive scans.
    standard = ((), ()) if frame.kind == "progressive" else standard_tables()
    return Scan(
        components=tuple(components),
        dc_tables=tuple(_table(dc, s >> 4, standard[0]) for s in selectors),
        ac_tables=tuple(_table(ac, s & 15, standard[1]) for s in selectors),
        spectral_start=payload[-3],
        spectral_end=payload[-2],
        high=payload[-1] >> 4,
        low=payload[-1] & 15,
        restart_interval=restart_interval,
        start=start,
    )


def _find(identifier: int, frame: Frame, taken: list[int]) -> int:
    # Some encoders give all components the same identifier: the first that is not yet in the scan is meant.
    for index, component in enumerate(frame.components):
        if component.identifier == identifier and index not in taken:
            return index
    msg = f"a scan header names component {identifier}, which the frame header does not have"
    raise CorruptImageError(msg)


def _table(defined: list[bytes | None], index: int, standard: tuple[bytes, ...]) -> bytes | None:
    # A progressive scan uses only one kind of table; some encoders do not care what they name as the other.
    table = defined[index] if index < len(defined) else None
    return standard[index] if table is None and index < len(standard) else table
