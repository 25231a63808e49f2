"""What others read from the same files: libjpeg-turbo by a small C library, and jpeglib in a process of its own."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from freqcache.jpeg import JpegCoefficients
from freqcache_formats.channels import ZIGZAG_TO_NATURAL

HERE = Path(__file__).parent
COLOR_SPACES = {1: "gray", 2: "RGB", 3: "YCbCr", 4: "CMYK", 5: "YCCK"}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What libjpeg-turbo read: its warnings or its error, and (identifier, h, v, quantization, coefficients)."""

    warnings: int
    message: str
    width: int = 0
    height: int = 0
    color_space: str = ""
    components: tuple[tuple[int, int, int, npt.NDArray[np.uint16], npt.NDArray[np.int16]], ...] = ()

    @property
    def failed(self) -> bool:
        return self.warnings < 0


class LibjpegOracle:
    def __init__(self, library: Path) -> None:
        self._read = ctypes.CDLL(str(library)).oracle_read
        self._read.restype = ctypes.c_long
        self._read.argtypes = [
            ctypes.c_char_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long,
            ctypes.c_char_p,
        ]  # fmt: skip

    def read(self, data: bytes) -> Reading:
        shape = np.zeros(4 + 6 * 4, np.int32)
        tables = np.zeros((4, 64), np.uint16)
        out = np.zeros(0, np.int16)
        message = ctypes.create_string_buffer(200)
        # The first call only asks for the size.
        for capacity in (0, -1):
            if capacity:
                last = shape[4 + 6 * (shape[3] - 1) :]
                out = np.zeros(int(last[5]) + 64 * int(last[3]) * int(last[4]), np.int16)
            warnings = self._read(
                data,
                len(data),
                shape.ctypes.data,
                tables.ctypes.data,
                out.ctypes.data if capacity else None,
                len(out),
                message,
            )
            if warnings < 0:
                return Reading(warnings=-1, message=message.value.decode())
        components = []
        for c in range(shape[3]):
            identifier, h, v, rows, cols, offset = shape[4 + 6 * c : 10 + 6 * c].tolist()
            blocks = out[offset : offset + 64 * rows * cols].reshape(rows, cols, 64)
            planes = np.ascontiguousarray(blocks[:, :, ZIGZAG_TO_NATURAL].transpose(2, 0, 1))
            components.append((identifier, h, v, tables[c][ZIGZAG_TO_NATURAL], planes))
        return Reading(
            warnings=warnings,
            message=message.value.decode(),
            width=int(shape[0]),
            height=int(shape[1]),
            color_space=COLOR_SPACES.get(int(shape[2]), "?"),
            components=tuple(components),
        )


@cache
def libjpeg_oracle() -> LibjpegOracle | str:
    """Compile the oracle; return why not where there is no compiler or no libjpeg."""
    compiler = shutil.which("cc")
    if compiler is None:
        return "no C compiler"
    library = Path(tempfile.mkdtemp(prefix="freqcache-oracle-")) / "oracle.so"
    command = [compiler, "-O2", "-shared", "-fPIC", str(HERE / "libjpeg_oracle.c"), "-o", str(library), "-ljpeg"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        return f"the libjpeg oracle does not compile: {result.stderr.splitlines()[:1]}"
    return LibjpegOracle(library)


def assert_same(image: JpegCoefficients, reading: Reading, name: str) -> None:
    """Every property and every coefficient is libjpeg-turbo's."""
    assert not reading.failed, f"{name}: {reading.message}"
    assert (image.width, image.height) == (reading.width, reading.height), name
    assert image.color_space == reading.color_space, name
    assert len(image.components) == len(reading.components), name
    for index, (ours, theirs) in enumerate(zip(image.components, reading.components, strict=True)):
        identifier, h, v, quantization, coefficients = theirs
        assert (ours.identifier, ours.h, ours.v) == (identifier, h, v), f"{name}, component {index}"
        np.testing.assert_array_equal(ours.quantization, quantization, err_msg=f"{name}, component {index}")
        np.testing.assert_array_equal(ours.coefficients, coefficients, err_msg=f"{name}, component {index}")


def jpeglib_read(paths: list[Path]) -> dict[Path, list[npt.NDArray[np.int16]]]:
    """Coefficients (64, rows, cols) in zigzag order by jpeglib's libjpeg-turbo 2.1.0, in another process.

    jpeglib crashes on some legal files: a file on which the process dies is left out.
    """
    readings: dict[Path, list[npt.NDArray[np.int16]]] = {}
    waiting = list(paths)
    with tempfile.TemporaryDirectory() as folder:
        while waiting:
            command = [sys.executable, str(HERE / "jpeglib_worker.py"), folder]
            result = subprocess.run(
                command, input=json.dumps([str(p) for p in waiting]), capture_output=True, text=True, check=False
            )
            done = result.stdout.splitlines()
            for path, line in zip(waiting, done, strict=False):
                if line:
                    with np.load(line) as arrays:
                        planes = [arrays[name] for name in sorted(arrays)]
                    readings[path] = [
                        np.ascontiguousarray(p.reshape(*p.shape[:2], 64)[:, :, ZIGZAG_TO_NATURAL].transpose(2, 0, 1))
                        for p in planes
                    ]
                    Path(line).unlink()
            waiting = waiting[len(done) + 1 :] if result.returncode else []
    return readings
