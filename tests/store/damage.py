"""Damages shard files of built stores: every damage must be found by reading what it hit, and nothing else be lost.

    python tests/store/damage.py WORK [--flips 2000]

Flips single random bits in the shards of a native and of a fixed store. A flip in a chunk must raise when that chunk is
read, and no other chunk may raise; a flip behind the chunks must raise when the shard is opened. Then shards are cut,
zeroed in part and in whole, removed, and exchanged for each other.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from photographs import write_tree  # noqa: E402

import freqcache.building.plan as plan_module  # noqa: E402
from freqcache.building import BuildOptions, build  # noqa: E402
from freqcache.errors import StoreError  # noqa: E402
from freqcache.store import FixedSplit, NativeSplit, open_store  # noqa: E402
from freqcache.store.columns import ChunkReader  # noqa: E402

TAIL = 16 + 4
"""Bytes of a shard's digest and of its index's checksum."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A shard file and what of its array lies in it."""

    path: Path
    reader: Callable[[], ChunkReader]
    number: int

    def chunks(self) -> dict[tuple[int, int], range]:
        """Bytes of each chunk, by row group and channel."""
        geometry = self.reader().geometry
        data = self.path.read_bytes()
        index = np.frombuffer(data[-4 - 16 * geometry.chunks_per_shard : -4], dtype="<u8").reshape(-1, 2)
        first = self.number * geometry.groups_per_shard
        places = {}
        for group in range(first, min(first + geometry.groups_per_shard, geometry.n_groups)):
            numbers = geometry.inner_index(group - first, np.arange(geometry.n_channels))
            for channel, (offset, length) in enumerate(index[numbers].tolist()):
                places[group, channel] = range(offset, offset + length)
        return places


def shards_of(store: Path) -> list[Shard]:
    """All shards of a store's training split."""
    split = open_store(store)["train"]
    assert isinstance(split, FixedSplit | NativeSplit)
    names = ["coefficients"] if isinstance(split, FixedSplit) else ["y", "cb", "cr"]

    def opened(position: int) -> ChunkReader:
        fresh = open_store(store)["train"]
        return fresh._reader if isinstance(fresh, FixedSplit) else fresh._readers[position]

    return [
        Shard(
            path=split.place.path / name / opened(position).geometry.shard_key(number),
            reader=lambda position=position: opened(position),
            number=number,
        )
        for position, name in enumerate(names)
        for number in range(opened(position).geometry.n_shards)
    ]


def refused(shard: Shard, group: int, channel: int) -> bool:
    """Whether reading a chunk raises an error that names its file."""
    try:
        shard.reader().read(group, channel)
    except StoreError as error:
        if str(shard.path) not in str(error):
            sys.exit(f"the error does not name {shard.path}: {error}")
        return True
    return False


def flip(shard: Shard, rng: np.random.Generator) -> None:
    """Flip one bit, read the chunk that it hit and another one, put the bit back."""
    chunks = shard.chunks()
    content = shard.path.read_bytes()
    position, bit = int(rng.integers(len(content))), int(rng.integers(8))
    hurt = bytearray(content)
    hurt[position] ^= 1 << bit
    shard.path.write_bytes(hurt)
    hit = [place for place, where in chunks.items() if position in where]
    others = [place for place in chunks if place not in hit]
    other = others[int(rng.integers(len(others)))]
    if not hit and position < len(content) - 16 * shard.reader().geometry.chunks_per_shard - TAIL:
        sys.exit(f"{shard.path}: byte {position} belongs to nothing")
    if not refused(shard, *(hit[0] if hit else other)):
        sys.exit(f"{shard.path}: bit {bit} of byte {position} passed")
    if hit and refused(shard, *other):
        sys.exit(f"{shard.path}: bit {bit} of byte {position} is in chunk {hit[0]}, but {other} is refused")
    shard.path.write_bytes(content)


def spoil(shards: list[Shard], rng: np.random.Generator) -> int:
    """Cut, zero, remove and exchange shards; return how many damages were tried."""
    tried = 0
    for shard in shards:
        content = shard.path.read_bytes()
        places = shard.chunks()
        group, channel = sorted(places)[int(rng.integers(len(places)))]
        where = places[group, channel]
        middle = content[: where.start] + bytes(len(where)) + content[where.stop :]
        cut = int(rng.integers(len(content)))
        for hurt in (content[:cut], content[:-1], b"", bytes(len(content)), middle, content + b"\0"):
            shard.path.write_bytes(hurt)
            if not refused(shard, group, channel):
                sys.exit(f"{shard.path}: {len(hurt)} bytes instead of {len(content)} passed")
            tried += 1
        shard.path.unlink()
        if not refused(shard, group, channel):
            sys.exit(f"{shard.path}: its absence passed")
        shard.path.write_bytes(content)
        tried += 1
        for other in shards:
            if other is not shard:
                shard.path.write_bytes(other.path.read_bytes())
                if not refused(shard, group, channel):
                    sys.exit(f"{shard.path}: {other.path} in its place passed")
                shard.path.write_bytes(content)
                tried += 1
    return tried


def check(work: Path, flips: int, size: int | None) -> tuple[int, int]:
    """Damage one store; return how many flips and how many other damages were found."""
    plan_module.SHARD_SAMPLES, plan_module.ROW_GROUP_SAMPLES, plan_module.ROW_GROUP_BLOCKS = 8, 4, 100
    source, store = work / "source", work / f"{size}.zarr"
    if not source.exists():
        write_tree(source, per_class=8)
    build(source, store, BuildOptions(size=size), workers=1, quiet=True)
    shards, rng = shards_of(store), np.random.default_rng(0)
    for _ in range(flips):
        flip(shards[int(rng.integers(len(shards)))], rng)
    return flips, spoil(shards, rng)


def main() -> None:
    """Run both kinds of store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--flips", type=int, default=2000)
    options = parser.parse_args()
    for size in (None, 48):
        flips, others = check(options.work, options.flips // 2, size)
        print(f"{'native' if size is None else 'fixed'}: {flips} flipped bits and {others} other damages, all found")


if __name__ == "__main__":
    main()
