"""Builds a native cache of a source, exports it, and compares every exported file with its original.

    python tests/exporting/roundtrip.py SOURCE WORK [--pattern 'valid-*.jpg']

SOURCE is a source of ``freqcache build``, or with --pattern a folder of files that are linked into one class.
Coefficients are those that jpeglib reads from both files (libjpeg-turbo 2.1.0, in a process of its own); where it
cannot read one, those of the libjpeg-turbo of tests/jpeg/oracles.py. Pixels are Pillow's. Samples that the build turned
by their EXIF orientation are compared by the cache's integers, and with the pixels of Pillow's ``exif_transpose``,
which differ by a few units of rounding. Also says what the files weigh.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "cli"), str(ROOT / "formats")]

import freqcache  # noqa: E402
from freqcache import BuildOptions, ChannelMask  # noqa: E402
from freqcache.exporting.names import FileNames  # noqa: E402
from freqcache.extraction import ExtractionOptions  # noqa: E402
from freqcache_formats.layout import Origin  # noqa: E402
from tests.jpeg.oracles import LibjpegOracle, jpeglib_read, libjpeg_oracle  # noqa: E402


def pixels(data: bytes, *, upright: bool = False) -> np.ndarray:
    """Return what Pillow decodes."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image) if upright else image)


class Comparison:
    """Compares exported files with their originals, and counts."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.differences: list[str] = []
        found = libjpeg_oracle()
        self.libjpeg: LibjpegOracle | None = None if isinstance(found, str) else found

    def coefficients(self, pairs: list[tuple[Path, Path]], batch: int = 50) -> None:
        """Compare the coefficients of originals and exported files, as others read both."""
        for start in range(0, len(pairs), batch):
            some = pairs[start : start + batch]
            readings = jpeglib_read([path for pair in some for path in pair])
            for original, exported in some:
                if original in readings and exported in readings:
                    ours, theirs = readings[exported], readings[original]
                    self._count("coefficients by jpeglib", equal_planes(ours, theirs), original)
                elif self.libjpeg is not None:
                    self.by_libjpeg(original, exported)
                else:
                    self.outcomes["not compared: jpeglib cannot read it, and there is no libjpeg"] += 1

    def by_libjpeg(self, original: Path, exported: Path) -> None:
        """Compare two files by the libjpeg-turbo oracle, tables and sampling included."""
        assert self.libjpeg is not None
        ours, theirs = self.libjpeg.read(exported.read_bytes()), self.libjpeg.read(original.read_bytes())
        same = ours.warnings == 0 and (ours.width, ours.height) == (theirs.width, theirs.height)
        same = same and len(ours.components) == len(theirs.components)
        for x, y in zip(ours.components, theirs.components, strict=False):
            same = same and x[1:3] == y[1:3] and np.array_equal(x[3], y[3]) and np.array_equal(x[4], y[4])
        self._count("coefficients by libjpeg-turbo, jpeglib cannot read it", same, original)

    def pixels(self, original: Path, exported: Path, *, upright: bool) -> None:
        """Compare what Pillow decodes."""
        ours, theirs = pixels(exported.read_bytes()), pixels(original.read_bytes(), upright=upright)
        if upright:  # turned, libjpeg rounds its inverse DCT and its chroma elsewhere
            same = ours.shape == theirs.shape
            worst = int(np.abs(ours.astype(int) - theirs).max()) if same else 255
            self.outcomes[f"turned pixels: largest difference {worst}"] += 1
            return
        self._count("pixels by Pillow", np.array_equal(ours, theirs), original)

    def _count(self, what: str, same: bool, original: Path) -> None:
        self.outcomes[f"{what}: {'same' if same else 'DIFFERENT'}"] += 1
        if not same:
            self.differences.append(f"{original}: {what}")


def equal_planes(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    """Whether all coefficients are the same."""
    return len(ours) == len(theirs) and all(np.array_equal(x, y) for x, y in zip(ours, theirs, strict=True))


def linked(folder: Path, pattern: str, work: Path) -> Path:
    """Return a source of one class with links to the files of a folder."""
    target = work / "source" / "corpus"
    target.mkdir(parents=True)
    for path in sorted(folder.glob(pattern)):
        (target / path.name).symlink_to(path)
    return work / "source"


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--pattern")
    parser.add_argument("--workers", type=int)
    arguments = parser.parse_args()
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    source = linked(arguments.source, arguments.pattern, work) if arguments.pattern else arguments.source
    options = BuildOptions(extraction=ExtractionOptions(max_size=None))
    if not (work / "native.zarr").exists():
        built = freqcache.build(source, work / "native.zarr", options, workers=arguments.workers, quiet=True)
        print(f"{built.n_samples} samples, {built.origins}, {built.n_failed} failed")
    full = freqcache.export_jpegs(work / "native.zarr", work / "full", workers=arguments.workers, quiet=True)
    masked = freqcache.export_jpegs(
        work / "native.zarr", work / "24", channels="24", workers=arguments.workers, quiet=True
    )
    for name, sizes in full.origins.items():
        print(
            f"{name}: {sizes.files} files, sources {sizes.source_bytes}, exported {sizes.bytes} "
            f"({sizes.bytes / sizes.source_bytes:.3f}), 24 channels {masked.origins[name].bytes} "
            f"({masked.origins[name].bytes / sizes.source_bytes:.3f})"
        )
    comparison = Comparison()
    compare(freqcache.open(work / "native.zarr"), source, work / "full", comparison)
    for what, count in sorted(comparison.outcomes.items()):
        print(f"{count:6}  {what}")
    print("\n".join(comparison.differences) or "no difference")
    return 1 if comparison.differences or not comparison.outcomes else 0


def compare(store: freqcache.store.Store, source: Path, exported: Path, comparison: Comparison) -> None:
    """Compare every file of an export."""
    upright: list[tuple[Path, Path]] = []
    turned: dict[Path, tuple[str, int]] = {}
    for name in store.splits:
        split = store[name]
        origins, orientations = split.values("origin"), split.values("orientation")
        names = FileNames(split)
        for slot in split.slots.tolist():
            path = names.of(slot)
            original, file = source / split.source_path(slot), exported / path
            if origins[slot] != Origin.EXTRACTED:
                comparison.outcomes["not extracted: not compared with an original"] += 1
                continue
            comparison.pixels(original, file, upright=orientations[slot] != 1)
            if orientations[slot] == 1:
                upright.append((original, file))
            else:
                turned[file] = (name, slot)
    comparison.coefficients(upright)
    for file, planes in jpeglib_read(list(turned)).items():
        name, slot = turned[file]
        (sample,) = store[name].read([slot], ChannelMask.load("all"))
        mine = [plane for plane, (h, _) in zip(sample.coefficients, sample.sampling, strict=True) if h]
        comparison._count("turned: the cache's integers by jpeglib", equal_planes(mine, planes), file)


if __name__ == "__main__":
    sys.exit(main())
