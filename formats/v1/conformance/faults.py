"""The faults of the invalid examples: each a function that puts exactly one of them into a valid store.

Where a shard is changed, what is recorded of it (its digest, its length) is made to fit again, so that
this does not give the fault away; there are examples where nothing but that is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numcodecs.blosc
import numpy as np
import zarr
from shard_files import CRC_BYTES, DIGEST_BYTES, MISSING, crc32c, identity, read_index, seal, write_index

GRAY, ABSENT, INT8, INT16 = "native-grayscale", "native-absent", "fixed-int8", "fixed-int16-absent"
NATIVE_24, FIXED_24 = "native-24", "fixed-24"
SEALED = "native-sealed"
ROOT, SPLIT = "zarr.json", "train/zarr.json"
SHARD = "train/cr/c/0/0"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One invalid example.

    Attributes
    ----------
    base : str
        The valid store that it is derived from.
    kinds : tuple of str
        The kinds of problem that the checker must report: these and no others.
    reader : str
        ``"must"``: every reader must refuse the store. ``"should"``: a reader that reads the damaged sample should.
        ``"may"``: only a checker can be expected to notice.
    sentence : str
        The fault, in words.
    apply : callable
        Puts it into the store at a path.
    is_metadata : bool
        Whether it is a change of metadata that the digest of all metadata tells, which is then not made to fit.
    """

    base: str
    kinds: tuple[str, ...]
    reader: str
    sentence: str
    apply: Callable[[Path], None]
    is_metadata: bool = False


@contextmanager
def edit_json(path: Path) -> Iterator[dict[str, Any]]:
    """Read a JSON object, let the caller change it, write it without indentation."""
    document = json.loads(path.read_text(encoding="utf-8"))
    yield document
    path.write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")


def _attribute(path: str, key: str, value: Any) -> Callable[[Path], None]:
    """Set one of this format's attributes of a group."""

    def apply(store: Path) -> None:
        with edit_json(store / path) as document:
            document["attributes"]["freqcache"][key] = value

    return apply


def _field(path: str, key: str, value: Any) -> Callable[[Path], None]:
    """Set a field of an array's metadata."""

    def apply(store: Path) -> None:
        with edit_json(store / path / "zarr.json") as document:
            document[key] = value

    return apply


def _sharding(path: str, key: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Change a field of an array's sharding codec."""

    def apply(store: Path) -> None:
        with edit_json(store / path / "zarr.json") as document:
            configuration = document["codecs"][0]["configuration"]
            configuration[key] = change(configuration[key])

    return apply


def _value(name: str, index: tuple[int, ...], value: int) -> Callable[[Path], None]:
    """Set one value of a per-sample array."""

    def apply(store: Path) -> None:
        with zarr.config.set({"array.write_empty_chunks": True}):
            array: Any = zarr.open_array(store / "train" / name, mode="r+")
            array[index] = value

    return apply


def _remove(path: str) -> Callable[[Path], None]:
    return lambda store: (store / path).unlink()


def _remove_array(path: str) -> Callable[[Path], None]:
    def apply(store: Path) -> None:
        for file in sorted((store / path).rglob("*")):
            if file.is_file():
                file.unlink()

    return apply


def _shard(change: Callable[[Path], None]) -> Callable[[Path], None]:
    """Change the shard of ``cr`` and make what is recorded of it fit."""

    def apply(store: Path) -> None:
        change(store / SHARD)
        seal(store / SHARD, 64)
        for name, value in identity(store / SHARD, 64).items():
            recorded: Any = zarr.open_array(store / "train" / name, mode="r+")
            found = np.frombuffer(value, dtype=recorded.dtype)
            recorded[2, 0] = found if recorded.ndim == 3 else found[0]

    return apply


def _edit_index(chunk: int, offset: int, length: int | None) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        index = read_index(path, 64)
        if index is None:
            raise SystemExit(path)
        index = index.copy()
        index[chunk] = offset, index[chunk, 1] if length is None else length
        write_index(path, index)

    return change


def _flip(position: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[position] ^= 1
        path.write_bytes(data)

    return change


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _flip_label(store: Path) -> None:
    _flip(-1)(store / "train/label/c/0")


def _code_fill(path: Path) -> None:
    """Store a chunk again, whole and with its checksum, in which a coded value is the fill value."""
    index = read_index(path, 64)
    if index is None:
        raise SystemExit(path)
    offset, length = map(int, index[0])
    data = path.read_bytes()
    chunk = np.frombuffer(numcodecs.blosc.decompress(data[offset : offset + length - CRC_BYTES]), dtype="<i2").copy()
    chunk[0] = -32768
    stored = numcodecs.blosc.compress(chunk, b"zstd", 1, 2, 0, 2)
    stored += crc32c(stored).to_bytes(CRC_BYTES, "little")
    index = index.copy()
    index[0] = len(data) - DIGEST_BYTES - 16 * 64 - CRC_BYTES, len(stored)
    path.write_bytes(data[: index[0, 0]] + stored + data[index[0, 0] :])
    write_index(path, index)


def _swap_channels(store: Path) -> None:
    with edit_json(store / ROOT) as document:
        channels = document["attributes"]["freqcache"]["channels"]
        channels[1], channels[2] = channels[2], channels[1]


def _drop_channel(store: Path) -> None:
    with edit_json(store / ROOT) as document:
        document["attributes"]["freqcache"]["channels"].pop()


def _repeat_channel(store: Path) -> None:
    with edit_json(store / ROOT) as document:
        channels = document["attributes"]["freqcache"]["channels"]
        channels[1] = channels[0]


def _shift_mean(store: Path) -> None:
    with edit_json(store / SPLIT) as document:
        document["attributes"]["freqcache"]["statistics"]["mean"][0] += 100


def _shorten_statistics(store: Path) -> None:
    with edit_json(store / SPLIT) as document:
        document["attributes"]["freqcache"]["statistics"]["std"].pop()


def _shorten_widths(store: Path) -> None:
    path = store / "train" / "width"
    width: Any = zarr.open_array(path, mode="r+")
    width.resize((len(width[...]) - 1,))


def _absent_label(store: Path) -> None:
    origin: Any = zarr.open_array(store / "train" / "origin", mode="r")
    _value("label", (int(np.flatnonzero(origin[...] == 255)[0]),), 0)(store)


def _past_its_chunk(store: Path) -> None:
    """Move the last sample of the first row group so far that its last block lies in the next row group's chunk."""
    starts: Any = zarr.open_array(store / "train" / "row_group_start", mode="r")
    y: Any = zarr.open_array(store / "train" / "y", mode="r")
    slot = int(starts[1]) - 1
    blocks: Any = zarr.open_array(store / "train" / "blocks", mode="r")
    _value("offset", (slot, 0), int(y.chunks[1] - blocks[slot, 0].prod() + 1))(store)


def _swap_shards(store: Path) -> None:
    """Put each of the two shards of ``y`` in the other's place."""
    first, second = (store / "train" / "y" / "c" / "0" / name for name in "01")
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def _drop_crc(codecs: list[Any]) -> list[Any]:
    return [codec for codec in codecs if codec["name"] != "crc32c"]


def _fault(base: str, kinds: str, reader: str, sentence: str, apply: Callable[[Path], None]) -> Fault:
    is_metadata = "metadata" in kinds.split()
    return Fault(
        base=base, kinds=tuple(kinds.split()), reader=reader, sentence=sentence, apply=apply, is_metadata=is_metadata
    )


def _round_mean(store: Path) -> None:
    """Change a mean by less than anybody would notice."""
    with edit_json(store / SPLIT) as document:
        document["attributes"]["freqcache"]["statistics"]["mean"][0] *= 1 + 1e-9


def _unknown_level(store: Path) -> None:
    """Change a number that nothing depends on: the level with which an array was compressed."""
    with edit_json(store / "train/label/zarr.json") as document:
        document["codecs"][1]["configuration"]["level"] += 1


FAULTS: dict[str, Fault] = {
    # Attributes
    "unknown-major": _fault(GRAY, "version", "must", "version is 2.0", _attribute(ROOT, "version", "2.0")),
    "incomplete": _fault(GRAY, "complete", "must", "complete is false", _attribute(ROOT, "complete", False)),
    "no-root": _fault(GRAY, "root", "must", "the root group is missing", _remove(ROOT)),
    "unknown-kind": _fault(GRAY, "kind", "must", "kind is dense", _attribute(ROOT, "kind", "dense")),
    "channels-reordered": _fault(GRAY, "channels", "must", "two channels changed places", _swap_channels),
    "channels-few-in-1.0": _fault(
        FIXED_24, "channels", "must", "24 channels in version 1.0, which has 192", _attribute(ROOT, "version", "1.0")
    ),
    "channels-repeated": _fault(NATIVE_24, "channels", "must", "a channel is listed twice", _repeat_channel),
    "channels-none": _fault(FIXED_24, "channels", "must", "no channel is listed", _attribute(ROOT, "channels", [])),
    "channels-too-few": _fault(
        NATIVE_24, "statistics shape", "should", "a channel that is stored is not listed", _drop_channel
    ),
    "column-not-there": _fault(
        NATIVE_24,
        "array-missing",
        "should",
        "the array cb, of which channels are listed, is missing",
        _remove_array("train/cb"),
    ),
    "split-missing": _fault(
        GRAY,
        "split-missing",
        "should",
        "a split is named that is not there",
        _attribute(ROOT, "splits", ["train", "val"]),
    ),
    "sample-count": _fault(GRAY, "samples", "may", "samples is one too few", _attribute(SPLIT, "samples", 1)),
    "statistics-short": _fault(GRAY, "statistics", "may", "a list of statistics has 191 numbers", _shorten_statistics),
    "statistics-wrong": _fault(GRAY, "statistics", "may", "a mean is not the coefficients' mean", _shift_mean),
    "creator-changed": _fault(
        SEALED, "metadata", "may", "the creator is not the one that was written", _attribute(ROOT, "creator", "nobody")
    ),
    "statistics-rounded": _fault(SEALED, "metadata", "may", "a mean is off by 1e-9 of it", _round_mean),
    "level-changed": _fault(SEALED, "metadata", "may", "label says another compression level", _unknown_level),
    "digest-of-others": _fault(
        SEALED,
        "metadata",
        "may",
        "the metadata digest is another one",
        _attribute(ROOT, "metadata_digest", "0" * 32),
    ),
    # Array metadata
    "array-missing": _fault(
        GRAY, "array-missing", "should", "the array label is missing", _remove_array("train/label")
    ),
    "column-missing": _fault(GRAY, "array-missing", "should", "the array cr is missing", _remove_array("train/cr")),
    "wrong-dtype": _fault(
        INT16, "dtype", "should", "coefficients is uint16", _field("train/coefficients", "data_type", "uint16")
    ),
    "wrong-fill": _fault(GRAY, "fill", "may", "the fill value of y is 0", _field("train/y", "fill_value", 0)),
    "wrong-shape": _fault(GRAY, "shape", "should", "width has a value too few", _shorten_widths),
    "index-at-start": _fault(
        GRAY,
        "index",
        "should",
        "cr says that its index is at the start",
        _sharding("train/cr", "index_location", lambda _: "start"),
    ),
    "no-crc": _fault(GRAY, "codecs", "may", "chunks of cr have no CRC-32C", _sharding("train/cr", "codecs", _drop_crc)),
    # Shards
    "shard-missing": _fault(GRAY, "shard-missing", "should", "the shard of cr is missing", _remove(SHARD)),
    "shard-truncated": _fault(
        GRAY,
        "index-checksum",
        "should",
        "the shard of cr lost its last 100 bytes",
        _shard(_truncate),
    ),
    "index-checksum": _fault(
        GRAY, "index-checksum", "should", "a bit of the index's checksum is flipped", _shard(_flip(-1))
    ),
    "chunk-missing": _fault(
        GRAY, "chunk-missing", "should", "a chunk is missing from the index", _shard(_edit_index(5, MISSING, MISSING))
    ),
    "chunk-outside": _fault(
        GRAY, "chunk-outside", "should", "a chunk lies past the shard's end", _shard(_edit_index(5, 1 << 40, None))
    ),
    "chunk-flipped": _fault(GRAY, "chunk-checksum", "should", "a bit of a chunk is flipped", _shard(_flip(20))),
    "label-chunk-missing": _fault(
        GRAY, "chunk-missing", "should", "the chunk of label is missing", _remove("train/label/c/0")
    ),
    "label-flipped": _fault(GRAY, "unreadable", "should", "a bit of label's chunk is flipped", _flip_label),
    "digest-wrong": _fault(
        GRAY,
        "shard_digest",
        "should",
        "a shard's recorded digest is another file's",
        _value("shard_digest", (0, 0, 0), 1),
    ),
    "shard-bytes-wrong": _fault(
        GRAY, "shard_bytes", "should", "a shard's recorded length is not its own", _value("shard_bytes", (0, 0), 1)
    ),
    "shards-swapped": _fault(
        ABSENT, "shard_digest", "should", "two shards of y are in each other's place", _swap_shards
    ),
    "fill-coded": _fault(GRAY, "coded-fill", "may", "a coefficient is the fill value", _shard(_code_fill)),
    # Per-sample values
    "label-outside": _fault(GRAY, "label", "may", "a label is no class", _value("label", (0,), 2)),
    "label-of-absent": _fault(ABSENT, "label", "may", "an absent slot has a class", _absent_label),
    "origin-unknown": _fault(GRAY, "origin", "may", "an origin is 7", _value("origin", (0,), 7)),
    "offset-outside": _fault(GRAY, "place", "should", "an offset lies past the array", _value("offset", (1, 0), 1000)),
    "offset-negative": _fault(GRAY, "place", "should", "an offset is negative", _value("offset", (1, 0), -1)),
    "offset-overlaps": _fault(GRAY, "place padding", "may", "two samples share a block", _value("offset", (1, 0), 0)),
    "past-its-chunk": _fault(ABSENT, "place", "should", "a sample crosses a chunk boundary", _past_its_chunk),
    "blocks-wrong": _fault(
        GRAY, "blocks", "may", "a block grid does not fit the pixels", _value("blocks", (0, 0, 0), 2)
    ),
    "step-zero": _fault(
        GRAY, "quantization", "may", "a quantization step is zero", _value("quantization", (0, 0, 0), 0)
    ),
    "row-groups-falling": _fault(
        ABSENT, "row-group", "may", "row_group_start falls", _value("row_group_start", (1,), 100)
    ),
    "row-groups-short": _fault(
        INT8, "row-group", "may", "row_group_start ends before the last slot", _value("row_group_start", (2,), 16)
    ),
    "source-path": _fault(
        GRAY, "source-path", "may", "the last source path is cut off", _value("source_path_offset", (2,), 3)
    ),
}
"""The invalid examples, by name."""
