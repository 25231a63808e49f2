"""Makes a complete store of any number of samples, small on disk: one shard of a real store over and over.

    python tests/benchmarks/large_store.py BASE OUT --samples 10000000

BASE is a store whose first shard is full, OUT becomes one of its first split. Shards are hard links to the first of
BASE, up to the number that a file can have, then to copies of it; the small arrays are real, as long as the samples
are many, with quantization tables, source sizes and digests that differ from sample to sample as those of a mixed
collection do. Whatever reads stores reads this one; nothing can be learned from it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import freqcache
from freqcache.building.arrays import write_array, write_sealed_group
from freqcache.store.targets import LocalTarget
from freqcache_formats.layout import ATTRIBUTE, SAMPLE_ARRAYS, array_rows, small_arrays

LINKS = 60_000
"""Names that a file gets: ext4 allows 65,000."""

TABLES = 2_000
"""Different sets of quantization tables: qualities and encoders."""

PATH = 24
"""Bytes of a source path."""


def make_large_store(base: Path, out: Path, samples: int) -> Path:
    """Write a store of `samples` samples, rounded up to whole shards' if that is more than one."""
    store = freqcache.open(base)
    split = store[store.splits[0]]
    assert not len(split.absent)
    folder = out / split.name
    readers = split.coefficient_arrays
    geometry = next(iter(readers.values())).geometry
    starts = split.values("row_group_start")
    groups = geometry.groups_per_shard
    if len(starts) <= groups:
        msg = f"{base}: its first shard has {len(starts) - 1} of {groups} row groups: give a store of more samples"
        raise SystemExit(msg)
    period = int(starts[groups])
    shards = max(1, -(-samples // period))
    slots = shards * period
    arrays = _small(split, period, shards, groups)
    names = list(array_rows(store.kind, store.channels.indices))
    for name in names:
        _repeat_shard(base / split.name / name, folder / name, readers[name].geometry, shards)
    for name, values in arrays.items():
        write_array(LocalTarget(folder / name), values, small_arrays(store.kind)[name].dimensions)
    document = json.loads((base / split.name / "zarr.json").read_bytes())
    attributes = document["attributes"][ATTRIBUTE] | {"slots": slots, "samples": slots}
    (folder / "zarr.json").write_text(json.dumps(document | {"attributes": {ATTRIBUTE: attributes}}))
    root = json.loads((base / "zarr.json").read_bytes())["attributes"][ATTRIBUTE]
    root.pop("metadata_digest", None)
    identity = hashlib.blake2b(f"{store.id} {slots}".encode(), digest_size=16).hexdigest()
    write_sealed_group(
        LocalTarget(out), root | {"splits": [split.name], "id": identity}, [split.name], [*names, *arrays]
    )
    return out


def _small(split: Any, period: int, shards: int, groups: int) -> dict[str, npt.NDArray[Any]]:
    """Return the small arrays."""
    generator = np.random.default_rng(0)
    slots = period * shards
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name in SAMPLE_ARRAYS:
        arrays[name] = np.tile(split.values(name)[:period], (shards, *[1] * len(SAMPLE_ARRAYS[name].shape)))
    arrays["source_bytes"] = generator.integers(20_000, 500_000, slots)
    arrays["source_digest"] = generator.integers(0, 256, (slots, 16), dtype=np.uint8)
    paths = np.char.add("photos/", np.char.zfill(np.arange(slots).astype("U13"), 13)).astype(f"S{PATH - 4}")
    blob = np.zeros((slots, PATH), dtype=np.uint8)
    blob[:, : PATH - 4] = paths.view(np.uint8).reshape(slots, -1)
    blob[:, PATH - 4 :] = np.frombuffer(b".jpg", dtype=np.uint8)
    arrays["source_path"] = blob.reshape(-1)
    arrays["source_path_offset"] = np.arange(slots + 1) * PATH
    starts = split.values("row_group_start")[:groups]
    arrays["row_group_start"] = np.append((np.arange(shards)[:, None] * period + starts).reshape(-1), slots)
    for name, values in (("shard_bytes", 1), ("shard_digest", 1)):
        first = split.values(name)[:, :1]
        arrays[name] = np.repeat(first, shards, axis=values)
    if split.coefficient_arrays.keys() == {"coefficients"}:
        arrays["quantization"] = split.values("quantization")
        return arrays
    arrays["blocks"] = np.tile(split.values("blocks")[:period], (shards, 1, 1))
    lengths = np.array([reader.geometry.chunk[1] for reader in split.coefficient_arrays.values()]) * groups
    offset = split.values("offset")[:period]
    arrays["offset"] = (offset + np.arange(shards)[:, None, None] * lengths).reshape(slots, 3)
    tables = generator.integers(1, 256, (TABLES, 3, 64), dtype=np.uint16)
    arrays["quantization"] = tables[generator.integers(0, TABLES, slots)]
    return arrays


def _repeat_shard(source: Path, target: Path, geometry: Any, shards: int) -> None:
    """Make an array whose shards all are the first of another."""
    document = json.loads((source / "zarr.json").read_bytes())
    document["shape"][geometry.group_axis] = geometry.shard[geometry.group_axis] * shards
    target.mkdir(parents=True)
    (target / "zarr.json").write_text(json.dumps(document))
    first = target / "first"
    for number in range(shards):
        path = target / geometry.shard_key(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % LINKS == 0:
            shutil.copyfile(source / geometry.shard_key(0), path)
            first = path
        else:
            os.link(first, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path, metavar="BASE")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--samples", type=int, default=10_000_000)
    options = parser.parse_args()
    store = freqcache.open(make_large_store(options.base, options.out, options.samples))
    print(store, store[store.splits[0]].metadata.slots)


if __name__ == "__main__":
    main()
