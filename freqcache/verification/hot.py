"""A store's hot copy: its metadata, every sample's checksums, and whether it holds the store's own coefficients.

Bytes that no sample covers, and all that an absent slot has, mean nothing (``formats/v1/spec.md``, section 11) and are
not looked at. The copy is read as files, never mapped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Final

import google_crc32c
import numpy as np
import numpy.typing as npt

from freqcache.errors import FormatError, StoreError
from freqcache.store.places import Place, RangeFile
from freqcache.verification.documents import Documents, array_problems, group_problems
from freqcache.verification.findings import Findings
from freqcache.verification.metadata import check_keys, check_metadata_digest
from freqcache.verification.splits import SplitData, read_small
from freqcache_formats.hot import CHECKSUM, START, HotMetadata
from freqcache_formats.layout import ATTRIBUTE, COEFFICIENTS, COLUMNS, HOT, ArrayLayout, array_rows

_ITEM: Final = 4
"""Bytes of a checksum."""

_OPEN: Final = 16
"""Files held open at a time."""


@dataclass(kw_only=True, eq=False)
class HotCheck:
    """The hot copy of a split, and what checks it; picklable.

    Attributes
    ----------
    place : Place
        The store.
    key : str
        Path of the split's copy in it.
    held : (channels,) intp
        Storage indices of the channels that the copy holds.
    per_chunk : int
        Consecutive slots whose samples share a chunk.
    elements : dict of str to int
        Elements in a chunk of each array of coefficients.
    starts : (slots, 3) int64 or None
        First element of each sample in each component's array, of a native store.
    """

    place: Place
    key: str
    held: npt.NDArray[np.intp]
    per_chunk: int
    elements: dict[str, int]
    starts: npt.NDArray[np.int64] | None
    _files: dict[str, RangeFile] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_files": {}}

    def part(self, first: int, last: int) -> HotCheck:
        """Return the check of some slots."""
        return replace(self, starts=None if self.starts is None else self.starts[first:last], _files={})

    def check(
        self, findings: Findings, slot: int, split: SplitData, planes: dict[str, npt.NDArray[Any]] | None
    ) -> None:
        """Check one sample: its checksums, and that it equals the store's.

        Parameters
        ----------
        findings : Findings
            Gets what is wrong.
        slot : int
            Counted from the first of `split`.
        split : SplitData
            With the slot.
        planes : dict of str to (channels, blocks) array, or None
            The store's coefficients of the sample; None where they could not be read.
        """
        if split.kind == "native" and "blocks" not in split.arrays:
            return  # which is a finding already: how long the sample is, nobody knows
        chunk, row = divmod(split.first_slot + slot, self.per_chunk)
        first = 0
        for name, rows in array_rows(split.kind, self.held).items():
            key = self._key(name, chunk)
            try:
                data, checksums = self._read(name, chunk, row, slot, split, first, len(rows))
            except StoreError as error:
                findings.add("hot", key, str(error), split.name_samples([slot]))
                return
            first += len(rows)
            found = [google_crc32c.value(plane.tobytes()) for plane in data]
            bad = [i for i, (one, other) in enumerate(zip(found, checksums, strict=True)) if one != other]
            if bad and data.shape[1]:
                reason = f"CRC-32C of {len(bad)} channels does not match"
                findings.add("hot-checksum", key, reason, split.name_samples([slot]))
                return
            if planes is not None and name in planes:
                stored = planes[name][self._places(split, name, rows)]
                if not np.array_equal(stored, data.view(stored.dtype)):
                    findings.add("hot-differs", key, "differs from the store", split.name_samples([slot]))
                    return
        findings.counts.hot_samples += planes is not None

    def _read(
        self, name: str, chunk: int, row: int, slot: int, split: SplitData, first: int, rows: int
    ) -> tuple[npt.NDArray[np.uint8], list[int]]:
        """Return a sample's bytes, (channels, bytes), and its checksums of an array."""
        if name == COEFFICIENTS:
            plane = self.elements[name] // self.per_chunk // rows * split.geometries[name].dtype.itemsize
            begin = row * rows * plane
        else:
            component, itemsize = COLUMNS.index(name), split.geometries[name].dtype.itemsize
            plane = itemsize * int(split.arrays["blocks"][slot, component].astype(np.int64).prod())
            start = 0 if self.starts is None else int(self.starts[slot, component])
            begin = itemsize * (start - chunk * self.elements[name])
            if plane and not 0 <= begin <= itemsize * self.elements[name] - plane * rows:
                msg = "its elements do not lie in its chunk"
                raise StoreError(msg)
        data = self._range(self._key(name, chunk), begin, plane * rows) if plane else np.zeros(0, dtype=np.uint8)
        at = _ITEM * (row * len(self.held) + first)
        checksums = self._range(self._key(CHECKSUM, chunk), at, _ITEM * rows).view("<u4")
        return data.reshape(rows, -1), checksums.tolist()

    def _places(self, split: SplitData, name: str, rows: range) -> npt.NDArray[np.intp]:
        """Return where the copy's channels of an array stand among the store's."""
        stored = split.rows[name]
        return np.searchsorted(split.channels[stored.start : stored.stop], self.held[rows.start : rows.stop])

    def _key(self, name: str, chunk: int) -> str:
        return f"{self.key}/{name}/c/{chunk}" + {COEFFICIENTS: "/0/0/0", CHECKSUM: "/0"}.get(name, "")

    def _range(self, key: str, begin: int, length: int) -> npt.NDArray[np.uint8]:
        file = self._files.get(key)
        if file is None:
            if len(self._files) >= _OPEN:
                self._files.clear()
            file = self._files[key] = self.place.open(key)
        data = bytearray(length)
        file.read_into(begin, memoryview(data))
        return np.frombuffer(data, dtype=np.uint8)


def read_hot(documents: Documents, store_id: str, splits: list[SplitData]) -> dict[str, HotCheck]:
    """Read what the hot copy of a store says of itself.

    Parameters
    ----------
    documents : Documents
        Of the store, which has a hot copy.
    store_id : str
        Its id.
    splits : list of SplitData
        Its splits.

    Returns
    -------
    dict of str to HotCheck
        By split: those that can be checked further.
    """
    findings, file = documents.findings, f"{HOT}/zarr.json"
    root = documents.read(HOT, "hot")
    if root is None:
        return {}
    problems = group_problems(root)
    documents.report(HOT, problems)
    if problems:
        return {}
    attributes = root["attributes"][ATTRIBUTE]
    check_keys(findings, file, attributes, "hot.schema.json")
    try:
        metadata = HotMetadata.from_dict(attributes)
    except FormatError as error:
        findings.add("hot", file, str(error))
        return {}
    if metadata.of != store_id:
        findings.add("hot", file, f"a hot copy of the store {metadata.of}, not of this one: remove it or make it anew")
    held = metadata.channels.indices
    checks = {split.name: check for split in splits if (check := _read_split(documents, split, held)) is not None}
    check_metadata_digest(documents, HOT, attributes)
    return checks


def _read_split(documents: Documents, split: SplitData, held: npt.NDArray[np.intp]) -> HotCheck | None:
    """Return the check of a split's copy; None where its form is not sound."""
    key, findings = f"{HOT}/{split.name}", documents.findings
    group = documents.read(key, "array-missing")
    if group is not None:
        documents.report(key, group_problems(group, has_attribute=False))
    if not np.isin(held, split.channels).all():
        findings.add("hot", f"{HOT}/zarr.json", "holds channels that the store does not")
        return None
    checksum = _Form.read(documents, f"{key}/{CHECKSUM}", "uint32", ("sample", "channel"))
    if checksum is None or not checksum.fits([split.slots, len(held)], [-1, len(held)]):
        return None
    per_chunk, elements, sound = checksum.chunk[0], {}, checksum.check_files(_ITEM)
    for name, rows in array_rows(split.kind, held).items():
        geometry, fixed = split.geometries.get(name), name == COEFFICIENTS
        if geometry is None:
            return None
        dimensions = ("sample", "channel", "row", "column") if fixed else ("element",)
        form = _Form.read(documents, f"{key}/{name}", geometry.dtype.name, dimensions)
        if form is None:
            return None
        sample = [len(rows), *geometry.shape[2:]]
        shape = [split.slots, *sample] if fixed else [form.chunk[0] * -(-split.slots // per_chunk)]
        if not form.fits(shape, [per_chunk, *sample] if fixed else [-1]):
            return None
        elements[name] = math.prod(form.chunk)
        sound = form.check_files(geometry.dtype.itemsize) and sound
    starts = None
    if split.kind == "native":
        starts = read_small(
            documents, f"{key}/{START}", ArrayLayout("int64", ("sample", "component"), (3,)), split.slots
        )
        if starts is None:
            return None
        _check_starts(findings, f"{key}/{START}", split, held, starts, per_chunk, elements)
    if not sound:
        return None
    return HotCheck(place=documents.place, key=key, held=held, per_chunk=per_chunk, elements=elements, starts=starts)


def _check_starts(
    findings: Findings,
    file: str,
    split: SplitData,
    held: npt.NDArray[np.intp],
    starts: npt.NDArray[np.int64],
    per_chunk: int,
    elements: dict[str, int],
) -> None:
    """Check that no two samples of a native store share elements; that each lies in its chunk, its own check tells."""
    present = split.present
    if present is None or "blocks" not in split.arrays:
        return
    blocks = split.arrays["blocks"].astype(np.int64).prod(axis=2)
    for name, rows in array_rows("native", held).items():
        component = COLUMNS.index(name)
        sizes = blocks[:, component] * len(rows)
        slots = np.flatnonzero(present & (sizes > 0))
        slots = slots[np.argsort(starts[slots, component], kind="stable")]
        firsts = starts[slots, component]
        ends = np.maximum.accumulate(firsts + sizes[slots]) if len(slots) else firsts
        wrong = np.concatenate([np.zeros(min(1, len(slots)), dtype=bool), firsts[1:] < ends[:-1]])
        wrong |= firsts // elements[name] != slots // per_chunk
        if wrong.any():
            reason = f"samples that overlap in {name}, or do not lie in their chunk"
            findings.add("hot", file, reason, split.name_samples(np.sort(slots[wrong])))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Form:
    """Shape and chunk of an array of the copy that has no compressor."""

    documents: Documents
    key: str
    shape: list[int]
    chunk: list[int]

    @classmethod
    def read(cls, documents: Documents, key: str, dtype: str, dimensions: tuple[str, ...]) -> _Form | None:
        """Read an array's metadata; note what is wrong."""
        document = documents.read(key, "array-missing")
        if document is None:
            return None
        documents.report(key, array_problems(document, dtype, dimensions, []))
        try:
            shape, chunk = document["shape"], document["chunk_grid"]["configuration"]["chunk_shape"]
            lengths = len(shape), len(chunk)
            sound = all(type(n) is int for n in (*shape, *chunk)) and min(chunk) > 0
        except (KeyError, TypeError, ValueError):
            sound, lengths = False, (0, 0)
        if not sound or lengths != (len(dimensions), len(dimensions)):
            documents.report(key, [("shape", "no shape in regular chunks")])
            return None
        return cls(documents=documents, key=key, shape=shape, chunk=chunk)

    def fits(self, shape: list[int], chunk: list[int]) -> bool:
        """Whether shape and chunk are these (-1: any length); a finding says if not."""
        if self.shape == shape and all(n in (-1, found) for n, found in zip(chunk, self.chunk, strict=True)):
            return True
        self.documents.report(self.key, [("shape", f"shape {self.shape} in chunks of {self.chunk}")])
        return False

    def check_files(self, itemsize: int) -> bool:
        """Check that every chunk file is there and has its length."""
        findings, place, sound = self.documents.findings, self.documents.place, True
        wanted = itemsize * math.prod(self.chunk)
        for number in range(-(-self.shape[0] // self.chunk[0])):
            file = f"{self.key}/c/{number}" + "/0" * (len(self.shape) - 1)
            self.documents.expected.add(file)
            try:
                size = place.open(file).size
            except StoreError as error:
                findings.add("hot", file, str(error).removeprefix(f"{place}/{file}: "))
                sound = False
                continue
            findings.counts.files += 1
            findings.counts.bytes += size
            if size != wanted:
                findings.add("hot", file, f"has {size} bytes, expected {wanted}")
                sound = False
        return sound
