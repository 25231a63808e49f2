"""zarr-python, tensorstore and zarrs read what freqcache's reader reads, array by array, and notice a flipped bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr

import freqcache
from freqcache.store import FixedSplit
from freqcache_formats import ChannelMask
from freqcache_formats.layout import COEFFICIENTS, COLUMNS

Read = Callable[[Path], npt.NDArray[Any]]


def zarr_python(path: Path) -> npt.NDArray[Any]:
    return np.asarray(zarr.open_array(path, mode="r")[...])


def tensorstore(path: Path) -> npt.NDArray[Any]:
    ts = pytest.importorskip("tensorstore", reason="tensorstore is not installed")
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}
    return np.asarray(ts.open(spec, read=True).result().read().result())


def zarrs(path: Path) -> npt.NDArray[Any]:
    pytest.importorskip("zarrs", reason="zarrs is not installed")
    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        return np.asarray(zarr.open_array(path, mode="r")[...])


READERS: list[Read] = [zarr_python, tensorstore, zarrs]


def arrays(split: Path) -> list[str]:
    return sorted(path.parent.name for path in split.glob("*/zarr.json"))


@pytest.mark.parametrize("read", READERS)
def test_coefficients_are_freqcaches(built: Path, read: Read) -> None:
    for name in ("train", "val"):
        split = freqcache.open(built)[name]
        everything = ChannelMask.load("all")
        if isinstance(split, FixedSplit):
            expected = split.read(split.slots, everything)
            found = read(built / name / COEFFICIENTS)
            assert found.dtype == split.dtype
            np.testing.assert_array_equal(found[split.slots], expected)
            continue
        columns = [read(built / name / column) for column in COLUMNS]
        offset, blocks = read(built / name / "offset"), read(built / name / "blocks")
        for slot, sample in zip(split.slots, split.read(split.slots, everything), strict=True):
            for c, column in enumerate(columns):
                here = slice(offset[slot, c], offset[slot, c] + blocks[slot, c].prod())
                np.testing.assert_array_equal(column[:, here].reshape(64, *blocks[slot, c]), sample.coefficients[c])


@pytest.mark.parametrize("read", READERS[1:])
def test_every_array_reads_as_with_zarr_python(built: Path, read: Read) -> None:
    for name in ("train", "val"):
        names = arrays(built / name)
        assert len(names) >= 15
        for array in names:
            expected, found = zarr_python(built / name / array), read(built / name / array)
            assert found.dtype == expected.dtype, array
            np.testing.assert_array_equal(found, expected, err_msg=array)


@pytest.mark.parametrize("read", READERS[1:])
def test_every_array_of_the_hot_copy_reads_as_with_zarr_python(built: Path, read: Read) -> None:
    names = arrays(built / "hot" / "train")
    assert len(names) >= 2
    for array in names:
        expected = zarr_python(built / "hot" / "train" / array)
        np.testing.assert_array_equal(read(built / "hot" / "train" / array), expected, err_msg=array)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("position", [5, 40, -100, -1], ids=["header", "payload", "index", "index checksum"])
def test_a_flipped_bit_raises(built: Path, read: Read, position: int, tmp_path: Path) -> None:
    name = COEFFICIENTS if (built / "train" / COEFFICIENTS).is_dir() else "y"
    copy = tmp_path / "y"
    shutil.copytree(built / "train" / name, copy)
    read(copy)  # sound before the flip, and skipped where the reader is missing
    (shard,) = (path for path in copy.rglob("*") if path.is_file() and path.name != "zarr.json")
    data = bytearray(shard.read_bytes())
    data[position] ^= 4
    shard.write_bytes(data)
    with pytest.raises((ValueError, RuntimeError, OSError)):
        read(copy)


@pytest.mark.parametrize("read", READERS)
def test_a_missing_shard_is_all_fill_values(built: Path, read: Read, tmp_path: Path) -> None:
    """None of them raises: that is why the fill value is never a coded value."""
    name = COEFFICIENTS if (built / "train" / COEFFICIENTS).is_dir() else "y"
    (tmp_path / "array").mkdir()
    shutil.copyfile(built / "train" / name / "zarr.json", tmp_path / "array" / "zarr.json")
    fill = {"int8": -128, "int16": -32768}
    values = read(tmp_path / "array")
    assert values.size > 0
    assert (values == fill[values.dtype.name]).all()
