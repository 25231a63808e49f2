"""What of a build goes through tables on disk, against the same in memory: order, layout, arrays, and whole stores."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from build_process import SMALL, everything, write_source

from freqcache import BuildOptions
from freqcache.building import build_tree, headers, plan
from freqcache.building.arrays import CHUNK_LENGTH, cut, write_array, write_blocks
from freqcache.building.form import StoreForm
from freqcache.building.gathering import gather
from freqcache.building.options import LedgerEntry
from freqcache.building.plan import layout, plan_split
from freqcache.building.records import ShardRecord
from freqcache.building.slots import Slot, chunks_of, ordered, shuffle_key
from freqcache.scratch import pieces, sorting
from freqcache.sources import SourceFile, list_source
from freqcache.sources.table import FileTable
from freqcache.statistics import Accumulator
from freqcache.store.content import SplitDigest, digested_arrays, split_digest
from freqcache.store.targets import LocalTarget
from freqcache.workers import Pool
from freqcache_formats.layout import DIGEST_BYTES, Origin, per_slot_arrays, small_arrays

NATIVE, FIXED = StoreForm.of_build(BuildOptions()), StoreForm.of_build(BuildOptions(size=64))


def some_slots(count: int) -> list[Slot]:
    """Return slots of a rewrite: gray ones and coloured ones, of names with any bytes."""
    draw = random.Random(count)
    slots = []
    for i in range(count):
        name = draw.randbytes(draw.randrange(9)).decode("utf-8", "surrogateescape")
        blocks = tuple(draw.randrange(1, 60) for _ in range(draw.choice((1, 3))))
        slots.append(Slot(path=f"{name}/{i}", label=draw.randrange(5), blocks=blocks, stored=(i % 3, 7 * i)))
    return slots


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small row groups, shards and batches, so that a small source makes many."""
    for name, value in SMALL.items():
        monkeypatch.setattr(name, value)


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stays in memory."""
    monkeypatch.setattr(pieces, "HELD", 0)
    monkeypatch.setattr(sorting, "_HELD", 0)
    monkeypatch.setattr(sorting, "_BUCKET_ROWS", 8)


@pytest.mark.parametrize("seed", [None, 0, 2**64 - 1])
@pytest.mark.parametrize("count", [0, 1, 300])
def test_slots_are_in_the_order_of_their_keys(count: int, seed: int | None, on_disk: None, tmp_path: Path) -> None:
    slots = some_slots(count)
    table = ordered(chunks_of(slots), count, seed, tmp_path)
    expected = slots if seed is None else sorted(slots, key=lambda slot: shuffle_key(slot.path, seed))
    assert list(table) == expected
    assert len(table) == count
    assert table[3:7] == tuple(expected[3:7])
    assert table[::-50] == tuple(expected[::-50])
    for number in (0, -1) if count else ():
        assert table[number] == expected[number]
    with pytest.raises(IndexError):
        table[count]


def test_slots_of_one_name_stay_in_their_order(tmp_path: Path) -> None:
    slots = [Slot(path="same", label=i, blocks=(1,)) for i in range(100)]
    assert list(ordered(chunks_of(slots), 100, 3, tmp_path)) == slots


def test_a_slot_of_a_file_comes_from_a_listing() -> None:
    file = SourceFile(path="a", label=0, size=0, mtime_ns=0)
    with pytest.raises(ValueError, match="from a listing"):
        list(chunks_of([Slot(path="a", label=0, blocks=(1,), file=file)]))


def groups_of(slots: list[Slot]) -> Iterator[list[Slot]]:
    """Yield native row groups, as the specification has them."""
    group: list[Slot] = []
    for slot in slots:
        if group and sum(other.blocks[0] for other in group) + slot.blocks[0] > plan.ROW_GROUP_BLOCKS:
            yield group
            group = []
        group.append(slot)
    if group:
        yield group


@pytest.mark.parametrize("count", [1, 2, 200])
def test_row_groups_are_those_of_the_specification(
    count: int, small: None, on_disk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = some_slots(count)
    planned = plan_split("train", ordered(chunks_of(slots), count, None), NATIVE)
    expected = list(groups_of(slots))
    found = [list(group) for shard in range(planned.n_shards) for group in planned.shard_groups(shard)]
    assert found == expected
    assert [planned.slots[i] for i in planned.starts[:-1].tolist()] == [group[0] for group in expected]
    for component, geometry in enumerate(planned.arrays.values()):
        fullest = max(sum(sum(slot.blocks[component : component + 1]) for slot in group) for group in expected)
        length = -(-max(1, fullest) // 8) * 8
        assert geometry.shape == (64, length * len(expected))
        assert geometry.shard == (64, length * planned.groups_per_shard)
    digest = hashlib.blake2b(plan.__version__.encode(), digest_size=16)
    digest.update(f"\ntrain {planned.groups_per_shard} {planned.arrays}\n".encode())
    for group in expected:
        digest.update(b"".join(f"{s.path}\0{s.blocks}\n".encode("utf-8", "surrogateescape") for s in group) + b"\n")
    assert layout([planned]) == digest.hexdigest()


@pytest.mark.parametrize("count", [1, 15, 16, 17, plan.SHARD_SAMPLES, plan.SHARD_SAMPLES + 1])
def test_fixed_shards_hold_a_number_of_samples(count: int) -> None:
    planned = plan_split("all", ordered(chunks_of(some_slots(count)), count, None), FIXED)
    sizes = [[len(group) for group in planned.shard_groups(shard)] for shard in range(planned.n_shards)]
    assert sum(map(sum, sizes)) == count
    assert [sum(shard) for shard in sizes[:-1]] == [plan.SHARD_SAMPLES] * (len(sizes) - 1)
    assert {size for shard in sizes for size in shard[:-1]} <= {16}


def test_results_come_in_order_whenever_they_come() -> None:
    numbers = list(range(50))
    random.Random(0).shuffle(numbers)
    assert list(headers.in_order((number, -number) for number in numbers)) == [-number for number in range(50)]


def test_tasks_are_asked_for_when_there_is_a_worker_for_them() -> None:
    asked: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(10):
            asked.append(number)
            yield number

    with Pool(2, apart=True) as pool:
        for done, _ in enumerate(pool.run(abs, tasks())):
            assert len(asked) <= done + 4  # two at work, and one for each that ended together
    assert asked == list(range(10))
    with Pool(1) as pool:
        assert next(pool.run(abs, iter([-3, -4]))) == 3
        assert list(pool.run(abs, iter([]))) == []


def test_failures_are_in_the_order_of_the_listing(tmp_path: Path) -> None:
    tree = list_source(write_source(tmp_path / "photos", per_class=3))
    paths = [file.path for file in tree.files]
    failures = [LedgerEntry(path=path, split="", reason="") for path in reversed(paths[::2])]
    assert [entry.path for entry in headers.in_listing_order(failures, tree)] == paths[::2]
    assert headers.in_listing_order([], tree) == []


@pytest.mark.parametrize("length", [0, 1, CHUNK_LENGTH - 1, CHUNK_LENGTH, 2 * CHUNK_LENGTH + 5])
def test_an_array_is_written_alike_in_blocks(length: int, tmp_path: Path) -> None:
    values = np.random.default_rng(length).integers(-9, 9, (length, 2)).astype(np.int32)
    write_array(LocalTarget(tmp_path / "whole"), values, ("sample", "pair"))
    blocks = (block.copy() for block in cut(values))
    write_blocks(LocalTarget(tmp_path / "blocks"), blocks, values.shape, values.dtype, ("sample", "pair"))
    found = [{str(path.relative_to(tmp_path / name)): path.read_bytes() for path in (tmp_path / name).rglob("[z0-9]*")
              if path.is_file()} for name in ("whole", "blocks")]  # fmt: skip
    assert found[0] == found[1]
    assert len(found[0]) == 1 + -(-length // CHUNK_LENGTH)


@pytest.mark.parametrize("lengths", [[3], [2, 2], [5, 1], []])
def test_blocks_of_another_length_are_refused(lengths: list[int], tmp_path: Path) -> None:
    blocks = (np.zeros(length, dtype=np.uint8) for length in lengths)
    with pytest.raises(ValueError, match="rows"):
        write_blocks(LocalTarget(tmp_path / "a"), blocks, (5,), np.dtype(np.uint8), ("byte",))


@pytest.mark.parametrize("kind", ["native", "fixed"])
def test_a_digest_does_not_depend_on_the_blocks(kind: str) -> None:
    draw = np.random.default_rng(0)
    shapes = {name: (50, *(abs(n) for n in array.shape)) for name, array in small_arrays(kind).items()}
    arrays = {
        name: draw.integers(0, 99, shape).astype(small_arrays(kind)[name].dtype) for name, shape in shapes.items()
    }
    digest, whole = SplitDigest(), hashlib.blake2b(digest_size=DIGEST_BYTES)
    for name in digested_arrays(kind):
        for _ in digest.through(np.array_split(arrays[name], 7)):
            pass
        whole.update(arrays[name].tobytes())
    assert digest.digest() == split_digest(kind, arrays) == whole.digest()


def test_records_are_gathered_one_by_one(on_disk: None, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    records = []
    for number, length in enumerate((5, 1, 3)):
        samples = {
            name: draw.integers(0, 99, (length, *array.shape)).astype(array.dtype)
            for name, array in per_slot_arrays("native").items()
        }
        samples["origin"][:] = [Origin.ABSENT, *[number % 2] * (length - 1)]
        sums = Accumulator(192)
        sums.sums[:] = number
        records.append(
            ShardRecord(
                samples=samples,
                statistics=sums.sums,
                files={
                    "shard_digest": np.full((3, DIGEST_BYTES), number, dtype=np.uint8),
                    "shard_bytes": np.array([number, 1, 1]),
                },
                failures=(LedgerEntry(path=str(number), split="all", reason=""),),
                saturated=number,
            )
        )
    gathered = gather(iter(records), NATIVE, tmp_path)
    for name, column in gathered.samples.items():
        expected = np.concatenate([record.samples[name] for record in records])
        np.testing.assert_array_equal(np.concatenate(list(column.blocks(2))), expected)
    origin = np.concatenate([record.samples["origin"] for record in records])
    assert (gathered.n_samples, gathered.saturated, gathered.shard_bytes) == (6, 3, 9)
    assert gathered.bytes_in == np.concatenate([r.samples["source_bytes"] for r in records])[origin != 255].sum()
    assert gathered.origins[:2].tolist() == [6, 0]
    assert [entry.path for entry in gathered.failures] == ["0", "1", "2"]
    assert gathered.files["shard_bytes"].tolist() == [[0, 1, 2], [1, 1, 1], [1, 1, 1]]
    assert gathered.files["shard_digest"].shape == (3, 3, DIGEST_BYTES)


@pytest.mark.parametrize("options", [BuildOptions(), BuildOptions(size=48, shuffle=False)])
def test_stores_do_not_depend_on_what_holds_the_listing(
    options: BuildOptions, small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tuples or tables, in memory or on disk, with one worker or two: the same bytes, the same ledger."""
    source = write_source(tmp_path / "photos", per_class=7)
    tree = list_source(source)
    assert all(isinstance(files, FileTable) for files in tree.splits.values())
    of_tuples = replace(tree, splits={name: tuple(files) for name, files in tree.splits.items()})
    assert plan.fingerprint(tree, options) == plan.fingerprint(of_tuples, options)
    found = []
    for number, (each, workers) in enumerate([(of_tuples, 1), (tree, 2), (None, 1)]):
        if each is None:  # from here on nothing stays in memory
            monkeypatch.setattr(pieces, "HELD", 0)
            each = list_source(source, scratch=tmp_path)
        place = tmp_path / str(number)
        report = build_tree(each, place / "out.zarr", options, workers=workers, quiet=True)
        assert report.n_failed == 2
        found.append(everything(place / "out.zarr"))
    assert found[0] == found[1] == found[2]
