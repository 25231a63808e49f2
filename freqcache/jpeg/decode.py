"""From a file's bytes to the coefficients of its components: the scans one after the other.

Damage inside a scan ends the decoding after that scan: what was decoded is kept, and the reasons are told.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from freqcache.errors import CorruptImageError
from freqcache.jpeg import bits
from freqcache.jpeg.contents import Contents, read_contents
from freqcache.jpeg.plan import Plan, plan_scan
from freqcache.jpeg.progression import Progression
from freqcache.jpeg.progressive import decode_ac_first, decode_ac_refinement, decode_dc
from freqcache.jpeg.scan import Scan
from freqcache.jpeg.sequential import decode_sequential
from freqcache.jpeg.stream import PADDING, cut_segments
from freqcache.jpeg.types import JpegCoefficients, JpegComponent, JpegHeader, Limits

_FAULTS: Final = {
    bits.BAD_CODE: "codes that are in no Huffman table",
    bits.ENDS_EARLY: "entropy-coded data that ends early",
    bits.LEFT_OVER: "entropy-coded data left over",
    bits.TOO_MANY: "more coefficients or blocks than there is room for",
    bits.OUT_OF_RANGE: "coefficients out of the range of 8-bit samples",
}


class Image:
    """A file in memory: its headers are read at once, its scans when it is decoded.

    Parameters
    ----------
    data : bytes
        The file.
    limits : Limits
        What the headers may ask for.

    Raises
    ------
    SourceError
        As :func:`freqcache.jpeg.read_coefficients` for what comes before the first scan.
    """

    def __init__(self, data: bytes, limits: Limits) -> None:
        self.octets = np.frombuffer(data, dtype=np.uint8)
        self.contents = read_contents(data, self.octets, limits)

    @property
    def header(self) -> JpegHeader:
        """What the file says of itself."""
        contents = self.contents
        return contents.frame.header(
            color_space=contents.color_space,
            orientation=contents.orientation,
            tables=contents.quantization,
            warnings=contents.warnings,
        )

    def decode(self) -> JpegCoefficients:
        """Decode the scans one after the other: see :func:`freqcache.jpeg.read_coefficients`."""
        contents = self.contents
        planes = _Planes(self.octets, contents)
        progression = Progression(contents.frame)
        warnings = list(contents.warnings)
        for number, scan in enumerate(contents.scans):
            try:
                refusal = progression.admit(scan)
                faults = [refusal] if refusal else planes.decode(number, scan)
            except CorruptImageError as error:
                if number == 0:
                    raise
                faults = [str(error)]
            warnings += [f"scan {number + 1}: {fault}" for fault in faults]
            if faults:
                break
        warnings += [f"component {index} has no scan" for index in progression.missing()]
        return planes.result(tuple(warnings))


class _Planes:
    """The coefficients that the scans of one file fill."""

    def __init__(self, octets: npt.NDArray[np.uint8], contents: Contents) -> None:
        self.octets = octets
        self.contents = contents
        sizes = [64 * c.block_rows * c.block_cols for c in contents.frame.components]
        self.offsets = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
        # Room for one more block, where blocks go that only complete an MCU.
        self.out = np.zeros(self.offsets[-1] + 64, dtype=np.int16)
        longest = max(end - scan.start for scan, end in zip(contents.scans, contents.ends, strict=True))
        self.stream = np.empty(longest + PADDING, dtype=np.uint8)

    def decode(self, number: int, scan: Scan) -> list[str]:
        """Decode a scan; return what was wrong with it."""
        plan = plan_scan(self.contents.frame, scan, self.offsets)
        bounds = np.empty(plan.segments + 1, dtype=np.int64)
        lost = cut_segments(self.octets, scan.start, self.contents.ends[number], self.stream, bounds)
        faults = np.zeros(bits.FAULTS, dtype=np.int64)
        if self.contents.frame.kind == "progressive":
            self._decode_progressive(scan, plan, bounds, faults)
        else:
            decode_sequential(
                self.stream,
                bounds,
                plan.units,
                plan.mcu_rows,
                plan.mcu_cols,
                plan.interval,
                plan.tables,
                self.out,
                faults,
            )
        reasons = [f"{_FAULTS[i]} ({n})" for i, n in enumerate(faults.tolist()) if n]
        if self.contents.frame.kind != "progressive" and not scan.is_whole:
            reasons.append("scan parameters of a progressive scan in a sequential frame")
        return [*reasons, f"restart markers lost or misplaced ({lost})"] if lost else reasons

    def _decode_progressive(
        self, scan: Scan, plan: Plan, bounds: npt.NDArray[np.int64], faults: npt.NDArray[np.int64]
    ) -> None:
        if scan.spectral_start == 0:
            decode_dc(
                self.stream,
                bounds,
                plan.units,
                plan.mcu_rows,
                plan.mcu_cols,
                plan.interval,
                plan.tables,
                scan.low,
                scan.high != 0,
                self.out,
                faults,
            )
            return
        index = scan.components[0]
        planes = self.out[self.offsets[index] : self.offsets[index + 1]].reshape(64, -1)
        decode_ac = decode_ac_refinement if scan.high else decode_ac_first
        decode_ac(
            self.stream,
            bounds,
            plan.interval,
            plan.tables,
            scan.spectral_start,
            scan.spectral_end,
            scan.low,
            planes,
            faults,
        )

    def result(self, warnings: tuple[str, ...]) -> JpegCoefficients:
        """Return what was decoded."""
        contents = self.contents
        components = tuple(
            JpegComponent(
                identifier=c.identifier,
                h=c.h,
                v=c.v,
                quantization=contents.quantization[index],
                coefficients=self.out[self.offsets[index] : self.offsets[index + 1]].reshape(
                    64, c.block_rows, c.block_cols
                ),
            )
            for index, c in enumerate(contents.frame.components)
        )
        return JpegCoefficients(
            width=contents.frame.width,
            height=contents.frame.height,
            color_space=contents.color_space,
            orientation=contents.orientation,
            progressive=contents.frame.kind == "progressive",
            warnings=warnings,
            components=components,
        )
