"""Bytes, rows and columns that go to a temporary file, against those in memory; the external sort, against sorted()."""

from __future__ import annotations

import gc
import random
import tempfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from freqcache.errors import BuildError
from freqcache.scratch import KEY, Chunk, Column, RowTable, Scratch, keys_of, regrouped, sorted_rows, sorting

ROW = np.dtype([("start", "<i8"), ("length", "<i4"), KEY, ("number", "<i8")])


@pytest.mark.parametrize("held", [0, 100, 1 << 20])
def test_bytes_are_read_as_they_were_appended(held: int, tmp_path: Path) -> None:
    draw = random.Random(held)
    expected = b""
    scratch = Scratch(tmp_path / "made" / "when needed", held=held)
    for _ in range(200):
        data = draw.randbytes(draw.choice((0, 1, 7, 150)))
        scratch.append(data)
        expected += data
        start, length = draw.randrange(len(expected) + 10), draw.randrange(200)
        assert scratch.read(start, length) == expected[start : start + length]
    assert len(scratch) == len(expected)
    assert scratch.read(0, len(expected)) == expected
    assert (tmp_path / "made").exists() == (held < len(expected))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]  # the file has no name


def test_a_file_goes_with_what_it_held(tmp_path: Path) -> None:
    def ours() -> int:
        links = list(Path("/proc/self/fd").iterdir())  # that of the listing itself is gone
        return sum(link.is_symlink() and str(link.readlink()).startswith(str(tmp_path)) for link in links)

    closed, dropped = Scratch(tmp_path, held=0), Scratch(tmp_path, held=0)
    closed.append(b"one")
    dropped.append(b"other")
    assert ours() == 2
    closed.close()
    closed.close()
    assert (len(closed), closed.read(0, 9), ours()) == (0, b"", 1)
    del dropped
    gc.collect()
    assert ours() == 0


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    scratch = Scratch(tmp_path / "file", held=2)
    scratch.append(b"ab")
    with pytest.raises(BuildError, match=r"file: a temporary file in it cannot be used: .*exists"):
        scratch.append(b"c")


def test_a_full_disk_is_told_with_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def on_a_full_disk(**_: object) -> BinaryIO:
        return Path("/dev/full").open("r+b", buffering=0)

    monkeypatch.setattr(tempfile, "TemporaryFile", on_a_full_disk)
    scratch = Scratch(tmp_path, held=0)
    with pytest.raises(BuildError, match=rf"{tmp_path}: a temporary file in it cannot be used: No space left"):
        scratch.append(b"ab")


def some_rows(draw: random.Random, count: int, *, equal: bool) -> tuple[list[tuple[bytes, int, bytes]], list[Chunk]]:
    """Return rows as (digest, number, text), and the same in chunks."""
    digests = [draw.randbytes(16) for _ in range(max(1, count // (4 if equal else 1)))]
    rows = [(draw.choice(digests) if equal else digests[i], i, draw.randbytes(draw.randrange(9))) for i in range(count)]
    chunks, first = [], 0
    while first < count:
        some = rows[first : first + draw.randrange(1, 50)]
        table = np.zeros(len(some), dtype=ROW)
        table["key"] = keys_of([digest for digest, _, _ in some])
        table["number"] = [number for _, number, _ in some]
        table["length"] = [len(text) for _, _, text in some]
        chunks.append(Chunk(table, b"".join(text for _, _, text in some)))
        first += len(some)
    return rows, chunks


def content(chunk: Chunk) -> list[tuple[bytes, int, bytes]]:
    """Return rows as (digest, number, text)."""
    starts, ends = chunk.bounds()
    digests = chunk.rows["key"].astype(">u8").tobytes()
    return [
        (digests[16 * i : 16 * i + 16], int(number), chunk.text[starts[i] : ends[i]])
        for i, number in enumerate(chunk.rows["number"])
    ]


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("count", [0, 1, 7, 1000])
@pytest.mark.parametrize("bucket", [8, 1 << 17])
def test_sorting_is_that_of_python(
    bucket: int, count: int, equal: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sorting, "_BUCKET_ROWS", bucket)
    monkeypatch.setattr(sorting, "_HELD", 300)
    monkeypatch.setattr(sorting, "_PARTED_ROWS", 100)
    rows, chunks = some_rows(random.Random(count), count, equal=equal)
    table = sorted_rows(chunks, count + 3, ROW, tmp_path)
    assert [row for chunk in table.chunks(size=13) for row in content(chunk)] == sorted(rows, key=lambda row: row[0])


def test_rows_are_read_in_any_pieces(tmp_path: Path) -> None:
    rows, chunks = some_rows(random.Random(5), 500, equal=False)
    table = RowTable(ROW, tmp_path, held=100)
    for chunk in regrouped(chunks, 90):
        table.append(chunk)
    assert len(table) == 500
    for first, last in ((0, 500), (3, 4), (499, 600), (500, 501), (7, 7), (100, 350)):
        assert content(table.read(first, last)) == rows[first:last]
    taken = table.read(100, 200).taken(np.array([5, 0, 99, 5]))
    assert content(taken) == [rows[i] for i in (105, 100, 199, 105)]


def test_a_column_is_its_array(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    values = draw.integers(0, 1 << 16, (1000, 3, 2)).astype(np.uint16)
    column = Column(values.dtype, (3, 2), tmp_path)
    for part in np.split(values, [10, 10, 500]):
        column.append(part)
    assert column.shape == values.shape
    blocks = list(column.blocks(300))
    assert [len(block) for block in blocks] == [300, 300, 300, 100]
    np.testing.assert_array_equal(np.concatenate(blocks), values)
    with pytest.raises(ValueError, match="shape"):
        column.append(values[:, 0])
