"""Robustness: seeded mutants of diverse files, read by kernels compiled with bounds checks.

    python -m tests.jpeg.mutants --count 100000 --leak 20000

reads so many mutants and then the seeds so many times, and prints the counts as JSON; anything but the library's own
errors, a read of more than 2 seconds, or memory that grows beyond the bound ends it with an error. The tests run it
with a few hundred mutants, in a process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SLOWEST = 2.0
MEMORY_BOUND = 192 * 2**20
LEAK_BOUND = 4 * 2**20


def check_bounds() -> None:
    """Make Numba compile with bounds checks, and keep that code away from all other; before numba is imported."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "freqcache" / "jpeg").glob("*.py")):
        digest.update(path.read_bytes())
    os.environ["NUMBA_BOUNDSCHECK"] = "1"
    folder = Path(tempfile.gettempdir()) / f"freqcache-mutants-{os.getuid()}-{digest.hexdigest()[:16]}"
    os.environ["NUMBA_CACHE_DIR"] = str(folder)


def seeds(corpus: Path | None) -> list[bytes]:
    """Files of many kinds, of up to about 3 kB; with small legal files of `corpus` where it exists."""
    import io

    import numpy as np
    from PIL import Image

    from tests.jpeg.conftest import picture
    from tests.jpeg.encoder import ScanSpec, encode, random_components
    from tests.jpeg.test_exotic_files import SAMPLINGS, progressive_script

    found = []
    for number, options in enumerate(
        [
            {"quality": 75},
            {"quality": 95, "subsampling": "4:4:4"},
            {"quality": 60, "progressive": True},
            {"quality": 60, "progressive": True, "restart_marker_blocks": 2},
            {"quality": 80, "restart_marker_blocks": 1},
            {"quality": 80, "optimize": True, "mode": "L"},
            {"quality": 30, "mode": "CMYK"},
            {"quality": 80, "exif": Image.Exif()},
        ]
    ):
        mode = str(options.pop("mode", "RGB"))
        buffer = io.BytesIO()
        picture(33, 26, number, mode).save(buffer, "JPEG", **options)
        found.append(buffer.getvalue())
    rng = np.random.default_rng(0)
    for sampling in SAMPLINGS:
        components = random_components(rng, 37, 21, sampling)
        everything = tuple(range(len(sampling)))
        sequential = [ScanSpec(components=everything, restart=2)]
        found.append(encode(components, 37, 21, sequential))
        found.append(encode(components, 37, 21, progressive_script(len(sampling), 3), frame=0xC2, ac_bits=12))
        found.append(encode(components, 37, 21, [ScanSpec(components=(i,)) for i in everything], ac_bits=16))
    if corpus is not None:
        paths = sorted(corpus.glob("valid-*.jpg"))
        found += [p.read_bytes() for p in paths if p.stat().st_size <= 3000]
    return found


def _markers(data: bytes) -> list[int]:
    return [i for i in range(len(data) - 1) if data[i] == 0xFF and data[i + 1] not in (0, 0xFF)]


def _place(data: bytes, choose: Callable[[int], int]) -> int:
    """Anywhere, but mostly behind the first scan header: damage before it is found too easily."""
    scan = data.find(b"\xff\xda")
    if 0 <= scan < len(data) - 15 and choose(4):
        return scan + 14 + choose(len(data) - scan - 14)
    return choose(len(data))


def mutate(data: bytes, others: list[bytes], choose: Callable[[int], int]) -> bytes:
    """Damage a file in one way or two; `choose` gives a number below its argument."""
    for _ in range(1 + choose(2)):
        if len(data) < 8:
            return data
        out = bytearray(data)
        kind = choose(8)
        at = _place(data, choose)
        if kind == 0:
            del out[at:]
        elif kind == 1:
            for _ in range(1 + choose(8)):
                out[_place(data, choose)] ^= 1 + choose(255)
        elif kind == 2:
            mark = _markers(data)
            at = mark[choose(len(mark))] if mark else 0
            out[min(at + 1 + choose(4), len(out) - 1)] = choose(256)
        elif kind == 3:
            out[at : at + 1 + choose(64)] = bytes([0xFF, 0xC0 + choose(64)]) if choose(2) else b""
        elif kind == 4:
            other = others[choose(len(others))]
            first, second = _markers(data), _markers(other)
            if first and second:
                begin = second[choose(len(second))]
                piece = other[begin : begin + 1 + choose(400)]
                at = first[choose(len(first))]
                out[at:at] = piece
        elif kind == 5:
            frame = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"), data.find(b"\xff\xc1"))
            if 0 <= frame < len(out) - 20:
                for _ in range(1 + choose(3)):
                    out[frame + 2 + choose(18)] = choose(256)
        elif kind == 6:
            scan = data.find(b"\xff\xda")
            if 0 <= scan < len(out) - 14:
                out[scan + 2 + choose(12)] = choose(256)
        else:
            size = 1 + choose(200)
            out[at:at] = out[choose(len(out)) :][:size]
        data = bytes(out)
    return data


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _reset_peak() -> None:
    """Forget the peak so far (proc(5), clear_refs): compiling takes more memory than any file may."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """Return the most resident memory, in bytes, since :func:`_reset_peak`."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def run(count: int, leak: int, seed: int, corpus: Path | None) -> dict[str, object]:
    """Read `count` mutants and then the seeds `leak` times; return what came of it.

    Raises
    ------
    RuntimeError
        A read took too long, or memory grew too far. Errors that are not the library's own are not caught.
    """
    import random

    from freqcache.errors import SourceError
    from freqcache.jpeg import Limits, read_coefficients, read_header

    originals = seeds(corpus)
    limits = Limits(max_pixels=2**22, max_blocks=2**18)
    # Compiles everything, so that no mutant's time contains it.
    for data in originals:
        with suppress(SourceError):
            read_coefficients(data, limits=limits)
    chooser = random.Random(seed)
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    _reset_peak()
    start = _resident()
    for number in range(count):
        mutant = mutate(originals[number % len(originals)], originals, chooser.randrange)
        began = time.perf_counter()
        try:
            image = read_coefficients(mutant, limits=limits)
            outcomes["with warnings" if image.warnings else "clean"] += 1
        except SourceError as error:
            outcomes[type(error).__name__] += 1
        try:
            read_header(mutant, limits=limits)
        except SourceError:
            outcomes["header refused"] += 1
        took = time.perf_counter() - began
        slowest = max(slowest, took)
        if took > SLOWEST:
            msg = f"mutant {number} of seed {seed} took {took:.2f} s"
            raise RuntimeError(msg)
    peak = _peak() - start
    if peak > MEMORY_BOUND:
        msg = f"memory grew by {peak / 2**20:.0f} MiB at most, over {MEMORY_BOUND / 2**20:.0f}"
        raise RuntimeError(msg)
    grown = _leak(originals, leak)
    return {
        "mutants": count,
        "seeds": len(originals),
        "outcomes": dict(outcomes),
        "slowest_seconds": round(slowest, 4),
        "peak_mib_over_start": round(peak / 2**20, 1),
        "reads": leak,
        "leak_mib": round(grown / 2**20, 2),
    }


def _leak(originals: list[bytes], reads: int) -> int:
    """Read intact and cut files again and again; return by how much memory grew after the first tenth."""
    from freqcache.errors import SourceError
    from freqcache.jpeg import read_coefficients

    before = 0
    for number in range(reads):
        if number == reads // 10:
            before = _resident()
        data = originals[number % len(originals)]
        with suppress(SourceError):
            read_coefficients(data if number % 3 else data[: len(data) * 2 // 3])
    grown = _resident() - before if reads else 0
    if grown > LEAK_BOUND:
        msg = f"{reads} reads left {grown / 2**20:.1f} MiB behind"
        raise RuntimeError(msg)
    return grown


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--leak", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", type=Path, default=None, help="a folder of valid-*.jpg to take seeds from")
    options = parser.parse_args()
    check_bounds()
    json.dump(run(options.count, options.leak, options.seed, options.corpus), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
