"""Makes several thousand different JPEG files of a few hundred, without decoding them.

    python tests/benchmarks/bench_images.py SOURCE OUT --count 4000

SOURCE is a folder of JPEG files, at any depth. OUT becomes a class-folder source, one class a file of SOURCE, with
`count` files of distinct bytes: each file itself, its seven flips and turns, then MCU-aligned crops of these eight.
All of them keep the quantized coefficients of the photograph (jpegtran, of Debian's libjpeg-turbo-progs), so sizes,
sampling and tables stay those of real files. The same SOURCE gives the same OUT; files that are there already are kept.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
from pathlib import Path

from PIL import Image

TURNS = (
    (),
    ("-flip", "horizontal"),
    ("-flip", "vertical"),
    ("-rotate", "90"),
    ("-rotate", "180"),
    ("-rotate", "270"),
    ("-transpose",),
    ("-transverse",),
)
STEP = 16
"""Pixels: a multiple of every iMCU of 4:4:4, 4:2:2 and 4:2:0, so that crops need no rounding."""


def jpeg_files(folder: Path) -> list[Path]:
    """Return the JPEG files below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg") and path.is_file())


def crop(number: int, width: int, height: int) -> tuple[str, ...]:
    """Return jpegtran's words for crop `number`: 0 is none, 1, 2, 3, ... cut one step more from alternating sides."""
    if number == 0:
        return ()
    x, y = STEP * ((number + 1) // 2 % 3), STEP * (number // 2 % 3)
    less = STEP * ((number + 2) // 3)
    size = max(STEP, width - x - less), max(STEP, height - y - less)
    return "-crop", f"{size[0]}x{size[1]}+{x}+{y}"


def variant(path: Path, number: int, size: tuple[int, int]) -> bytes:
    """Return variant `number` of a file: 0 is the file itself."""
    if number == 0:
        return path.read_bytes()
    crops, turns = divmod(number, len(TURNS))
    turned = any(word in TURNS[turns] for word in ("90", "270", "-transpose", "-transverse"))
    width, height = reversed(size) if turned else size  # jpegtran turns first and crops then
    words = [*TURNS[turns], *crop(crops, width, height)]
    trim = ["-trim"] if turns else []
    command = ["jpegtran", "-copy", "all", "-optimize", *trim, *words, str(path)]
    return subprocess.run(command, capture_output=True, check=True).stdout


def make(source: Path, out: Path, count: int) -> list[Path]:
    """Make OUT and return its files, refusing two of the same bytes."""
    if not shutil.which("jpegtran"):
        msg = "jpegtran is missing: apt-get install libjpeg-turbo-progs"
        raise SystemExit(msg)
    originals = jpeg_files(source)
    if not originals:
        msg = f"{source}: no JPEG files"
        raise SystemExit(msg)
    sizes = [Image.open(path).size for path in originals]
    seen: dict[bytes, Path] = {}
    made = []
    for i in range(count):
        number, which = divmod(i, len(originals))
        path = out / originals[which].stem / f"{number:03}.jpg"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            partial.write_bytes(variant(originals[which], number, sizes[which]))
            partial.replace(path)
        digest = hashlib.blake2b(path.read_bytes()).digest()
        if digest in seen:
            msg = f"{path} has the bytes of {seen[digest]}: too many variants asked of too few files"
            raise SystemExit(msg)
        seen[digest] = path
        made.append(path)
    return made


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=4000)
    options = parser.parse_args()
    made = make(options.source, options.out, options.count)
    print(f"{options.out}: {len(made)} distinct files, {sum(path.stat().st_size for path in made) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
