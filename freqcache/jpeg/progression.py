"""Which bits of which coefficients the scans of a file have sent, and whether the next scan may follow.

Source: ITU-T T.81 G.1.1.1 (progressive scans) and B.2.3 (scan parameters). libjpeg-turbo goes on after an
inconsistent order of scans, with a warning; here the decoding ends before such a scan, which also bounds the work
that a file can ask for: no bit of a coefficient is ever decoded twice.
"""

from __future__ import annotations

from freqcache.jpeg.frame import Frame
from freqcache.jpeg.scan import Scan

_UNSEEN = -1
_MAX_LOW = 13


class Progression:
    """What the scans so far have sent.

    Parameters
    ----------
    frame : Frame
        The frame that the scans belong to.
    """

    def __init__(self, frame: Frame) -> None:
        self._progressive = frame.kind == "progressive"
        # For each component and zigzag position, the position of the lowest bit sent.
        self._low = [[_UNSEEN] * 64 for _ in frame.components]

    def admit(self, scan: Scan) -> str | None:
        """Note a scan that is to be decoded.

        Parameters
        ----------
        scan : Scan
            The next one.

        Returns
        -------
        str or None
            Why it cannot be decoded; None where it can.
        """
        if not self._progressive:
            return self._admit_sequential(scan)
        start, end, high, low = scan.spectral_start, scan.spectral_end, scan.high, scan.low
        fits = start == end == 0 or (1 <= start <= end <= 63 and len(scan.components) == 1)
        if not fits or low > _MAX_LOW or (high != 0 and low != high - 1):
            return f"a progressive scan with impossible parameters ({start}, {end}, {high}, {low})"
        for index in scan.components:
            known = self._low[index]
            if start > 0 and known[0] == _UNSEEN:
                return "AC coefficients before the DC coefficients of their component"
            expected = _UNSEEN if high == 0 else high
            if any(known[k] != expected for k in range(start, end + 1)):
                return "a progressive scan that does not continue those before it"
            known[start : end + 1] = [low] * (end + 1 - start)
        return None

    def _admit_sequential(self, scan: Scan) -> str | None:
        for index in scan.components:
            if self._low[index][0] != _UNSEEN:
                return f"a second scan of component {index}"
            self._low[index] = [0] * 64
        return None

    def missing(self) -> tuple[int, ...]:
        """Return the components of which no scan was admitted."""
        return tuple(index for index, low in enumerate(self._low) if low[0] == _UNSEEN)
