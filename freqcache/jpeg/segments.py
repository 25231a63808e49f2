"""Walks the marker segments of a file and keeps the tables in force.

Source: ITU-T T.81 annex B. Bytes between segments, which libjpeg skips with a warning, are skipped and noted.
Nothing here decodes entropy-coded data: whoever asks for the next scan moves :attr:`SegmentReader.position` past
the data of the last one first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from freqcache.errors import CorruptImageError, UnsupportedImageError
from freqcache.jpeg import markers
from freqcache.jpeg.frame import Frame, parse_frame
from freqcache.jpeg.metadata import adobe_transform, exif_orientation, is_jfif
from freqcache.jpeg.scan import Scan, parse_scan
from freqcache.jpeg.types import Limits


class HeaderTruncatedError(CorruptImageError):
    """The data ends inside the headers; more of the file may follow."""


class SegmentReader:
    """State of a walk over the segments of one file.

    Parameters
    ----------
    data : bytes
        The file, or its beginning.
    limits : Limits
        Checked as soon as the frame header, or a DNL segment, gives the size.

    Attributes
    ----------
    position : int
        Where the walk goes on.
    frame : Frame or None
        None before the frame header.
    jfif : bool
        Whether a JFIF marker was seen.
    adobe : int or None
        Transform of the last Adobe marker.
    orientation : int or None
        Of the first EXIF marker that has one.
    warnings : list of str
        Oddities so far.
    ended : bool
        Whether the end-of-image marker was seen.
    """

    def __init__(self, data: bytes, limits: Limits) -> None:
        self.data = data
        self.limits = limits
        self.position = 2
        self.frame: Frame | None = None
        self.jfif = False
        self.adobe: int | None = None
        self.orientation: int | None = None
        self.warnings: list[str] = []
        self.ended = False
        self.quantization: list[npt.NDArray[np.uint16] | None] = [None] * 4
        self._dc: list[bytes | None] = [None] * 4
        self._ac: list[bytes | None] = [None] * 4
        self._restart_interval = 0
        _check_start(data)

    def next_scan(self) -> Scan | None:
        """Walk to the next scan header and return it, or None at the end-of-image marker.

        Raises
        ------
        CorruptImageError
            Broken segment, or no further marker (then of the kind :class:`HeaderTruncatedError`).
        UnsupportedImageError, ImageLimitError
            As :func:`freqcache.jpeg.read_coefficients` says.
        """
        while True:
            code = self._next_marker()
            if code == markers.EOI:
                self.ended = True
                return None
            if markers.RST0 <= code <= markers.RST7 or code == markers.TEM:
                self._warn(f"a marker {markers.marker_name(code)} outside entropy-coded data")
                continue
            if code == markers.SOI:
                msg = "a second start-of-image marker"
                raise CorruptImageError(msg)
            payload = self._payload(code)
            if code == markers.SOS:
                return self._scan(payload)
            self._segment(code, payload)

    def _next_marker(self) -> int:
        data, position = self.data, self.position
        pair = data[position : position + 2]
        if len(pair) == 2 and pair[0] == 0xFF and 0 < pair[1] < 0xFF:
            self.position = position + 2
            return pair[1]
        return self._search_marker()

    def _search_marker(self) -> int:
        """Find the next marker behind fill bytes, and bytes that belong to no segment."""
        data, position = self.data, self.position
        while True:
            start = data.find(b"\xff", position)
            end = start + 1
            while data[end : end + 1] == b"\xff":
                end += 1
            if start < 0 or end >= len(data):
                self.position = len(data)
                msg = "the data ends where a marker was expected"
                raise HeaderTruncatedError(msg)
            if start > position or not data[end]:
                self._warn("bytes that belong to no segment")
            position = self.position = end + 1
            if data[end]:
                return data[end]

    def _payload(self, code: int) -> bytes:
        start = self.position
        length = int.from_bytes(self.data[start : start + 2], "big")
        if len(self.data) < start + max(length, 2):
            msg = f"the data ends inside the segment {markers.marker_name(code)}"
            raise HeaderTruncatedError(msg)
        if length < 2:
            msg = f"the segment {markers.marker_name(code)} has the length {length}, expected at least 2"
            raise CorruptImageError(msg)
        self.position = start + length
        return self.data[start + 2 : start + length]

    def _segment(self, code: int, payload: bytes) -> None:
        if code == markers.DQT:
            self._quantization_tables(payload)
        elif code == markers.DHT:
            self._huffman_tables(payload)
        elif code in markers.FRAMES:
            if self.frame is not None:
                msg = "a second frame header"
                raise CorruptImageError(msg)
            self.frame = parse_frame(code, payload)
            self.frame.check(self.limits)
        elif code in markers.REFUSED_FRAMES:
            msg = f"{markers.REFUSED_FRAMES[code]}; only baseline and progressive Huffman-coded JPEG can be read"
            raise UnsupportedImageError(msg)
        elif code == markers.DRI:
            if len(payload) != 2:
                msg = f"the restart interval has {len(payload)} bytes, expected 2"
                raise CorruptImageError(msg)
            self._restart_interval = int.from_bytes(payload, "big")
        elif markers.APP0 <= code <= markers.APP15:
            self._application(code, payload)
        elif code not in (markers.COM, markers.DNL, markers.DAC):
            msg = f"the unknown marker {markers.marker_name(code)}"
            raise CorruptImageError(msg)

    def _application(self, code: int, payload: bytes) -> None:
        if code == markers.APP0:
            self.jfif = self.jfif or is_jfif(payload)
        elif code == markers.APP1 and self.orientation is None:
            self.orientation = exif_orientation(payload)
        elif code == markers.APP14:
            transform = adobe_transform(payload)
            self.adobe = self.adobe if transform is None else transform

    def _quantization_tables(self, payload: bytes) -> None:
        position = 0
        while position < len(payload):
            wide, index = divmod(payload[position], 16)
            end = position + 1 + (128 if wide else 64)
            if index > 3 or end > len(payload):
                msg = f"a quantization table segment is broken (table {index}, {len(payload)} bytes)"
                raise CorruptImageError(msg)
            kind = ">u2" if wide else np.uint8
            table = np.frombuffer(payload[position + 1 : end], dtype=kind).astype(np.uint16)
            table.setflags(write=False)
            self.quantization[index] = table
            position = end

    def _huffman_tables(self, payload: bytes) -> None:
        position = 0
        while position < len(payload):
            kind, index = divmod(payload[position], 16)
            end = position + 17 + sum(payload[position + 1 : position + 17])
            if kind > 1 or index > 3 or end > len(payload) or end - position > 17 + 256:
                msg = f"a Huffman table segment is broken (class {kind}, table {index}, {len(payload)} bytes)"
                raise CorruptImageError(msg)
            (self._ac if kind else self._dc)[index] = payload[position + 1 : end]
            position = end

    def _scan(self, payload: bytes) -> Scan:
        if self.frame is None:
            msg = "a scan before the frame header"
            raise CorruptImageError(msg)
        if self.frame.height == 0:
            self.frame = self.frame.with_height(find_number_of_lines(self.data, self.position))
            self.frame.check(self.limits)
        return parse_scan(
            payload,
            self.frame,
            dc=self._dc,
            ac=self._ac,
            restart_interval=self._restart_interval,
            start=self.position,
        )

    def _warn(self, warning: str) -> None:
        if warning not in self.warnings:
            self.warnings.append(warning)


def _check_start(data: bytes) -> None:
    if data[:2] == b"\xff\xd8":
        return
    for start, name in markers.OTHER_FORMATS:
        if data.startswith(start):
            msg = f"not a JPEG file but {name}"
            raise UnsupportedImageError(msg)
    msg = f"not a JPEG file: it begins with {data[:2].hex(' ') or 'nothing'}, expected ff d8"
    raise CorruptImageError(msg)


def find_number_of_lines(data: bytes, start: int) -> int:
    """Find the number of lines in the DNL segment that follows the first scan (T.81 B.2.5).

    Parameters
    ----------
    data : bytes
        The file.
    start : int
        Position of the first byte of the first scan's entropy-coded data.

    Raises
    ------
    CorruptImageError
        There is no such segment, or it says 0.
    """
    position = start
    while True:
        position = data.find(b"\xff", position)
        code = data[position + 1] if 0 <= position < len(data) - 1 else None
        if code is None or (code == markers.DNL and position + 6 > len(data)):
            msg = "the frame header gives no height, and the data ends before a DNL segment does"
            raise HeaderTruncatedError(msg)
        if code == 0xFF:
            position += 1
        elif code == 0 or markers.RST0 <= code <= markers.RST7:
            position += 2
        else:
            break
    height = int.from_bytes(data[position + 4 : position + 6], "big")
    if code != markers.DNL or data[position + 2 : position + 4] != b"\x00\x04" or height == 0:
        msg = "the image is 0 pixels high: neither the frame header nor a DNL segment gives a height"
        raise CorruptImageError(msg)
    return height
