"""What the kernels need to know of a scan, as arrays: its blocks, its MCUs, its lookup tables.

Source: ITU-T T.81 A.2 (order of blocks: an MCU of a scan of one component is one block).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from freqcache.errors import CorruptImageError
from freqcache.jpeg import huffman
from freqcache.jpeg.frame import Frame
from freqcache.jpeg.scan import Scan


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One scan, ready to be decoded.

    Attributes
    ----------
    mcu_rows, mcu_cols : int
        Grid of MCUs.
    interval : int
        MCUs between restart markers; all of them where there are none.
    units : (blocks in an MCU, 10) int64
        As :func:`freqcache.jpeg.sequential.decode_sequential` takes them.
    tables : (n * ROW,) int32
        Lookup tables.
    """

    mcu_rows: int
    mcu_cols: int
    interval: int
    units: npt.NDArray[np.int64]
    tables: npt.NDArray[np.int32]

    @property
    def segments(self) -> int:
        """Number of segments between restart markers."""
        return -(-self.mcu_rows * self.mcu_cols // self.interval)


def plan_scan(frame: Frame, scan: Scan, offsets: list[int]) -> Plan:
    """Prepare a scan.

    Parameters
    ----------
    frame, scan : Frame, Scan
        The headers.
    offsets : list of int
        Where the components begin in the array that holds their coefficients.

    Raises
    ------
    CorruptImageError
        A Huffman table is missing or broken.
    """
    if len(scan.components) == 1:
        component = frame.components[scan.components[0]]
        rows, cols = component.block_rows, component.block_cols
    else:
        rows = -(-frame.height // (8 * frame.v_max))
        cols = -(-frame.width // (8 * frame.h_max))
    lookups = _Lookups(2 * len(scan.components))
    units: list[tuple[int, ...]] = []
    for place, index in enumerate(scan.components):
        c = frame.components[index]
        dc, ac = _tables(frame, scan, place, lookups)
        h, v = (c.h, c.v) if len(scan.components) > 1 else (1, 1)
        units += [
            (offsets[index], c.block_rows, c.block_cols, v, h, y, x, dc, ac, place) for y in range(v) for x in range(h)
        ]
    return Plan(
        mcu_rows=rows,
        mcu_cols=cols,
        interval=scan.restart_interval or rows * cols,
        units=np.array(units, dtype=np.int64),
        tables=lookups.rows(),
    )


class _Lookups:
    """Lookup tables of one scan, each built once."""

    def __init__(self, most: int) -> None:
        self._array = np.empty((most, huffman.ROW), dtype=np.int32)
        self._known: dict[tuple[bytes, int], int] = {}

    def add(self, coded: bytes | None, kind: int) -> int:
        if coded is None:
            msg = "a scan uses a Huffman table that is not defined"
            raise CorruptImageError(msg)
        row = self._known.get((coded, kind))
        if row is None:
            row = self._known[coded, kind] = len(self._known)
            huffman.fill_lookup(coded, kind, self._array[row])
        return row

    def rows(self) -> npt.NDArray[np.int32]:
        return self._array[: len(self._known)].reshape(-1)


def _tables(frame: Frame, scan: Scan, place: int, lookups: _Lookups) -> tuple[int, int]:
    """Rows of the lookup tables of one component; 0 for a table that the scan does not use."""
    dc, ac = scan.dc_tables[place], scan.ac_tables[place]
    if frame.kind != "progressive":
        return lookups.add(dc, huffman.DC), lookups.add(ac, huffman.AC)
    if scan.spectral_start == 0:
        return (lookups.add(dc, huffman.DC) if scan.high == 0 else 0), 0
    return 0, lookups.add(ac, huffman.AC_REFINEMENT if scan.high else huffman.AC_FIRST)
