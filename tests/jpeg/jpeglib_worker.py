"""Reads files with jpeglib, for :func:`tests.jpeg.oracles.jpeglib_read`: it may crash, so it has its own process.

Takes a JSON list of paths on stdin; prints for each the path of an .npz file in the folder argv[1], or an empty line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jpeglib
import numpy as np


def main() -> None:
    jpeglib.version.set("turbo210")
    folder = Path(sys.argv[1])
    for number, path in enumerate(json.loads(sys.stdin.read())):
        try:
            image = jpeglib.read_dct(path)
        except (OSError, RuntimeError, ValueError, IndexError):
            print(flush=True)
            continue
        planes = [image.Y, image.Cb, image.Cr, image.K]
        arrays = {f"c{i}": plane for i, plane in enumerate(planes) if plane is not None}
        target = folder / f"{number}.npz"
        np.savez(target, **arrays)
        print(target, flush=True)


if __name__ == "__main__":
    main()
