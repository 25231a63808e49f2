"""A store's samples against the files that they were made of: read, known by their digest, extracted anew, compared.

Extracted samples must be the file's integers. Reduced and computed ones went through float32 arithmetic, and a last bit
may differ between machines and releases of Pillow: single steps in a few coefficients are counted as rounding.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xxhash

from freqcache.building.files import content_of
from freqcache.building.ledger import read_ledger as read_entries
from freqcache.building.options import MADE_FROM, BuildOptions
from freqcache.building.shard import SlotContent
from freqcache.errors import BuildError, SourceError, StoreError
from freqcache.extraction import Sample, extract
from freqcache.pixels import decode_planes
from freqcache.sources import SourceFile, SourceReader, SourceTree
from freqcache.store.targets import Target
from freqcache.verification import pixels
from freqcache.verification.findings import Findings
from freqcache.verification.splits import SplitData
from freqcache_formats.channels import N_CHANNELS, N_FREQUENCIES
from freqcache_formats.layout import COEFFICIENTS, COLUMNS, Origin

_ROUNDED: Final = 1e-3
"""Share of a sample's coefficients that may be a step off, where they were computed in float32."""

_TINY: Final = 8
"""Pixels of a side up to which libjpeg repeats subsampled chroma instead of interpolating it (components of up to two
columns): then luma alone is compared."""

_NAMED: Final = 20

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(kw_only=True, eq=False)
class SourceCheck:
    """What compares samples with their source; picklable.

    Attributes
    ----------
    reader : SourceReader
        Gives the files' bytes.
    options : BuildOptions
        With which the store was built.
    files : dict of int to SourceFile
        The file of each slot that is to be compared, by slot counted from the split's (or the part's) first.
    """

    reader: SourceReader
    options: BuildOptions
    files: dict[int, SourceFile]

    @cached_property
    def _slots(self) -> list[int]:
        """In order, so that taking a part costs that part."""
        return sorted(self.files)

    def part(self, first: int, last: int) -> SourceCheck:
        """Return the check of some slots."""
        begin, end = bisect_left(self._slots, first), bisect_left(self._slots, last)
        files = {slot - first: self.files[slot] for slot in self._slots[begin:end]}
        return SourceCheck(reader=self.reader, options=self.options, files=files)

    def check(self, findings: Findings, slot: int, split: SplitData, planes: Arrays | None) -> None:
        """Compare one sample with its file.

        Parameters
        ----------
        findings : Findings
            Gets what differs.
        slot : int
            Counted from the first of `split`.
        split : SplitData
            With the slot.
        planes : dict of str to (channels, blocks) array, or None
            The store's coefficients of the sample; None where they could not be read.
        """
        file = self.files.get(slot)
        if file is None:
            return

        def report(kind: str, reason: str) -> None:
            findings.add_source(kind, split.name, file.path, reason, split.name_samples([slot]))

        try:
            data = self.reader.read(file)
        except SourceError as error:
            report("source-unreadable", f"in the source, but {error}")
            return
        if not _is_known(split, slot, data):
            report("source-changed", "has changed since the store was built: its digest is another")
            return
        findings.counts.source_files += 1
        try:
            sample = extract(data, self.options.per_sample)
            theirs = content_of(sample, self.options)
        except SourceError as error:
            report("source-differs", f"gives no sample: {error}")
            return
        wrong = _values_that_differ(split, slot, theirs)
        if wrong:
            report("source-differs", f"gives other values of {', '.join(wrong)}")
        if planes is None:
            return
        reason = _coefficients_that_differ(split, slot, planes, theirs)
        if reason:
            report("source-differs", reason)
        self._check_pixels(findings, slot, split, planes, sample, data)

    def _check_pixels(
        self, findings: Findings, slot: int, split: SplitData, planes: Arrays, sample: Sample, data: bytes
    ) -> None:
        """Compare the stored sample, as pixels, with Pillow's decoding of the file."""
        arrays = split.arrays
        needed = {"quantization"} if self.options.size is not None else {"quantization", "sampling", "width", "height"}
        if sample.warnings or len(split.channels) < N_CHANNELS or not needed <= arrays.keys():
            findings.counts.no_pixels += 1
            return
        try:
            theirs = decode_planes(
                data,
                apply_orientation=not self.options.extraction.keep_orientation,
                max_pixels=self.options.extraction.limits.max_pixels,
            )
        except SourceError:  # what our decoder takes and Pillow does not
            findings.counts.no_pixels += 1
            return
        size = self.options.size
        if size is None:
            parts: list[Any] = [_plane(split, slot, planes, name) for name in COLUMNS]
            steps = [None if part is None else arrays["quantization"][slot, c] for c, part in enumerate(parts)]
            sampling = [(int(h), int(v)) for h, v in arrays["sampling"][slot].tolist()]
            pixel_size = int(arrays["width"][slot]), int(arrays["height"][slot])
        else:
            dense = planes[COEFFICIENTS].reshape(len(COLUMNS), N_FREQUENCIES, size // 8, size // 8)
            parts, steps = list(dense), list(arrays["quantization"].reshape(len(COLUMNS), N_FREQUENCIES))
            sampling, pixel_size = [(1, 1)] * len(COLUMNS), (size, size)
        if min(theirs[0].shape) <= _TINY:
            theirs = theirs[:1]
        found = pixels.differences(parts, steps, sampling, pixel_size, theirs, size)
        findings.counts.pixels += 1
        resized = pixel_size != (theirs[0].shape[1], theirs[0].shape[0])
        reason = pixels.problem(
            found, resized=resized, computed=arrays["origin"][slot] == Origin.COMPUTED or size is not None
        )
        if reason:
            findings.add_source("pixels", split.name, self.files[slot].path, reason, split.name_samples([slot]))


def read_options(options: Mapping[str, Any], store: str) -> BuildOptions:
    """Return the options of the build that made a store, or the stores that it was made from.

    Raises
    ------
    StoreError
        If it was not built from images, or by a release with other options.
    """
    of_build = {name: value for name, value in options.items() if name != MADE_FROM}
    try:
        found = BuildOptions.from_dict(of_build)
    except BuildError as error:
        msg = f"{store}: cannot be compared with a source: {error}"
        raise StoreError(msg) from error
    if found.to_dict() != of_build:
        msg = f"{store}: cannot be compared with a source: its options are not those of a build of this release"
        raise StoreError(msg)
    return found


def read_ledger(store: Target) -> set[str] | None:
    """Return the paths of the files that a build could not use; None where there is no readable ledger."""
    try:
        return {entry.path for entry in read_entries(store) if not entry.kept}
    except (OSError, ValueError):
        return None


def compare_listing(
    findings: Findings,
    tree: SourceTree,
    splits: list[SplitData],
    ledger: set[str] | None,
    options: BuildOptions,
    *,
    whole: bool,
) -> None:
    """Compare the files that a source has with those that a store was made of.

    Parameters
    ----------
    findings : Findings
        Gets vanished and new files, and those of another class or split.
    tree : SourceTree
        The source.
    splits : list of SplitData
        All splits of the store.
    ledger : set of str or None
        Paths that the build could not use.
    options : BuildOptions
        With which the store was built.
    whole : bool
        Whether the store must have all of the source.
    """
    files = {file.path: (name, file) for name, entries in tree.splits.items() for file in entries}
    known: set[str] = set()
    unknown_paths = False
    for split in splits:
        present = split.present
        for slot in range(split.slots):
            path = split.path(slot)
            unknown_paths |= not path
            known.add(path)
            if present is None or not present[slot] or not path:
                continue
            samples = split.name_samples([slot])
            if path not in files:
                findings.add_source("source-vanished", split.name, path, "no longer in the source", samples)
                continue
            name, file = files[path]
            if name != split.name:
                reason = f"in the source a file of the split {name}"
                findings.add_source("source-differs", split.name, path, reason, samples)
            class_name = tree.classes[file.label] if 0 <= file.label < len(tree.classes) else ""
            if class_name != samples[0].class_name:
                reason = f"in the source of the class {class_name}, in the store {samples[0].class_name}"
                findings.add_source("source-differs", split.name, path, reason, samples)
    if unknown_paths or not whole:
        return
    for path, (name, file) in files.items():
        if path in known or path in (ledger or ()):
            continue
        if ledger is not None:
            findings.add_source("source-new", name, path, "in the source, but not in the store nor in its ledger")
        elif _is_usable(tree, file, options):  # a file that a build refuses was in the ledger that is not here
            findings.add_source("source-new", name, path, "in the source, but not in the store")


def _is_usable(tree: SourceTree, file: SourceFile, options: BuildOptions) -> bool:
    """Whether a build would make a sample of a file."""
    if file.problem:
        return False
    try:
        extract(tree.reader.read(file), options.per_sample)
    except SourceError:
        return False
    return True


def _is_known(split: SplitData, slot: int, data: bytes) -> bool:
    """Whether these are the bytes that a sample was made of."""
    digest, length = split.arrays.get("source_digest"), split.arrays.get("source_bytes")
    same = digest is None or digest[slot].tobytes() == xxhash.xxh3_128_digest(data)
    return same and (length is None or length[slot] == len(data))


def _values_that_differ(split: SplitData, slot: int, theirs: SlotContent) -> list[str]:
    """Return the names of the arrays of values that have another value than the file gives."""
    expected: dict[str, tuple[Any, Any]] = {name: (value, slot) for name, value in theirs.values.items()}
    if split.kind == "fixed":
        expected["quantization"] = (theirs.parts[COEFFICIENTS][1][split.channels], ...)
    return [
        name
        for name, (value, where) in expected.items()
        if name in split.arrays and not np.array_equal(split.arrays[name][where], value)
    ]


def _coefficients_that_differ(split: SplitData, slot: int, planes: Arrays, theirs: SlotContent) -> str | None:
    """Return in what a sample's coefficients differ from the file's; None if in nothing."""
    exact = split.arrays["origin"][slot] == Origin.EXTRACTED
    wrong, total, largest, channels = 0, 0, 0, []
    for name, rows in split.rows.items():
        ours = planes.get(name)
        if ours is None or (name not in theirs.parts and ours.size == 0):
            continue
        held = split.channels[rows.start : rows.stop]
        within = held - (0 if name == COEFFICIENTS else N_FREQUENCIES * COLUMNS.index(name))
        absent = name not in theirs.parts
        other = np.zeros((len(rows), 0)) if absent else theirs.parts[name][0][within].reshape(len(rows), -1)
        if ours.shape != other.shape:
            return f"gives {other.shape[1]} blocks of {name}, the store has {ours.shape[1]}"
        apart = np.abs(ours.astype(np.int32) - other.astype(np.int32))
        total += apart.size
        if apart.any():
            wrong += int(np.count_nonzero(apart))
            largest = max(largest, int(apart.max()))
            channels += held[apart.any(axis=1)].tolist()
    if not wrong or (not exact and largest <= 1 and wrong <= max(1, _ROUNDED * total)):
        return None
    named = ", ".join(map(str, channels[:_NAMED])) + (", ..." if len(channels) > _NAMED else "")
    return f"gives other coefficients: {wrong} of {total} differ, by up to {largest}, in channels {named}"


def _plane(split: SplitData, slot: int, planes: Arrays, name: str) -> npt.NDArray[Any] | None:
    """Return a component of a native sample as (64, rows, columns); None if it has no blocks."""
    rows, columns = split.arrays["blocks"][slot, COLUMNS.index(name)].tolist()
    values = planes.get(name)
    return None if values is None or rows * columns == 0 else values.reshape(N_FREQUENCIES, rows, columns)
