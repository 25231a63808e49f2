"""Samples from image files: each file is read, hashed, extracted, and brought to the form of the store.

A file that fails leaves its slot absent and an entry in the ledger. Writing is :mod:`freqcache.building.shard`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xxhash

from freqcache.building.options import BuildOptions, LedgerEntry
from freqcache.building.plan import end_if_damaged
from freqcache.building.shard import Part, ShardTask, SlotContent
from freqcache.building.slots import Slot
from freqcache.errors import SourceError
from freqcache.extraction import Sample, extract
from freqcache.fixed_samples import to_fixed
from freqcache.sources import SourceFile, SourceReader
from freqcache.sources.ahead import read_ahead
from freqcache_formats.layout import COEFFICIENTS, COLUMNS, NATIVE_SAMPLE_ARRAYS, SAMPLE_ARRAYS, Origin


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """Makes samples of files.

    Attributes
    ----------
    reader : SourceReader
        Gives the bytes of the files.
    options : BuildOptions
        What decides a sample.
    """

    reader: SourceReader
    options: BuildOptions

    def contents(self, task: ShardTask) -> Iterator[SlotContent]:
        """Yield what goes into each slot of a shard: see :class:`freqcache.building.shard.SampleSource`."""
        slots = [slot for group in task.groups for slot in group]
        for slot, data in zip(slots, read_ahead(self.reader, map(_file_of, slots)), strict=True):
            yield self._content(slot, task.split, data)

    def _content(self, slot: Slot, split: str, data: bytes | SourceError) -> SlotContent:
        """Return the slot's sample, or an entry for the ledger instead."""
        options = self.options
        values: dict[str, Any] = {}
        if isinstance(data, SourceError):
            return SlotContent(failures=(_entry(slot, split, str(data)),))
        values["source_bytes"] = len(data)
        values["source_digest"] = np.frombuffer(xxhash.xxh3_128_digest(data), dtype=np.uint8)
        try:
            sample = extract(data, options.per_sample)
        except SourceError as error:
            end_if_damaged(slot.path, error, options.per_sample)
            return SlotContent(values=values, failures=(_entry(slot, split, str(error)),))
        if options.size is None and sample.block_counts != slot.blocks:
            reason = f"its header promised {slot.blocks} blocks, its data gave {sample.block_counts}"
            return SlotContent(values=values, failures=(_entry(slot, split, reason),))
        kept = (_entry(slot, split, "; ".join(sample.warnings), kept=True),) if sample.warnings else ()
        content = content_of(sample, options)
        values |= {"label": slot.label} | content.values
        return replace(content, values=values, failures=kept)


def content_of(sample: Sample, options: BuildOptions) -> SlotContent:
    """Return what a store that is built with `options` holds of a sample, but its label and what is of the file."""
    fixed = options.size is not None
    values: dict[str, Any] = {
        "width": sample.width,
        "height": sample.height,
        "source_width": sample.source_width,
        "source_height": sample.source_height,
        "orientation": sample.orientation,
        "origin": Origin.REDUCED if fixed and sample.origin is Origin.EXTRACTED else sample.origin,
        "sampling": np.zeros(SAMPLE_ARRAYS["sampling"].shape, dtype=np.uint8),
    }
    for component, part in enumerate(sample.components):
        values["sampling"][component] = part.h, part.v
    if options.size is not None:
        whole = to_fixed(sample, size=options.size, exact=options.exact)
        coefficients: Part = (whole.coefficients, whole.steps)
        return SlotContent(parts={COEFFICIENTS: coefficients}, values=values, saturated=whole.saturated)
    for name in ("blocks", "quantization"):
        layout = NATIVE_SAMPLE_ARRAYS[name]
        values[name] = np.zeros(layout.shape, dtype=layout.dtype)
    parts: dict[str, Part] = {}
    for component, (name, part) in enumerate(zip(COLUMNS, sample.components, strict=False)):
        values["blocks"][component] = part.coefficients.shape[1:]
        values["quantization"][component] = part.quantization
        parts[name] = (part.coefficients, part.quantization)
    return SlotContent(parts=parts, values=values)


def _file_of(slot: Slot) -> SourceFile:
    if slot.file is None:
        msg = f"{slot.path}: a slot without a file"
        raise ValueError(msg)
    return slot.file


def _entry(slot: Slot, split: str, reason: str, *, kept: bool = False) -> LedgerEntry:
    return LedgerEntry(path=slot.path, split=split, reason=reason, kept=kept)
