"""LitData over the same channels, run by a Python that has it (setup_peers.sh): peers.py starts it.

    peer_litdata.py write STORE OUT zstd|none CHANNELS   a sample is {"x": (channels, rows, cols), "y": label}
    peer_litdata.py read FOLDER shuffled|in-order        answers passes: samples copied into batches of 64

The channels are read from a fixed store with zarr-python. Of the settings tried, each reads with the fastest: a
compressed or ordered set in windows of rows ("auto"), an uncompressed shuffled one row by row, which is a hundred
times as fast for it as the default.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import zarr
from litdata import StreamingDataset
from litdata.streaming.cache import Cache
from peer_worker import serve

BATCH = 64
STEP = 16


def write(store: Path, out: Path, compression: str, channels: list[int]) -> None:
    """Write under another name first: a set that is there is complete."""
    split = zarr.open_group(store, mode="r")
    name = split.attrs["freqcache"]["splits"][0]
    coefficients, labels = split[name]["coefficients"], np.asarray(split[name]["label"])
    partial = out.with_name(out.name + ".partial")
    cache = Cache(str(partial), chunk_bytes="64MB", compression=None if compression == "none" else compression)
    first, last = min(channels), max(channels) + 1
    for start in range(0, len(labels), STEP):
        values = coefficients[start : start + STEP, first:last][:, np.array(channels) - first]
        for position, value in enumerate(values):
            cache[start + position] = {"x": value, "y": int(labels[start + position])}
    cache.done()
    cache.merge()
    partial.rename(out)


def read(folder: Path, order: str) -> None:
    """Serve passes over the whole set."""
    shuffled, compressed = order == "shuffled", "zstd" in (folder / "index.json").read_text()
    rows = 0 if shuffled and not compressed else "auto"
    dataset = StreamingDataset(str(folder), shuffle=shuffled, seed=0, batch_decode=rows)
    batch = np.empty((BATCH, *dataset[0]["x"].shape), dtype=dataset[0]["x"].dtype)

    def epoch() -> int:
        count = 0
        for sample in dataset:
            batch[count % BATCH] = sample["x"]
            count += 1
        return count

    kib = sum(path.stat().st_size for path in folder.iterdir()) / len(dataset) / 1024
    serve(epoch, kib, version("litdata"))


def main() -> None:
    """Command line."""
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], [int(c) for c in sys.argv[5].split(",")])
    else:
        read(Path(sys.argv[2]), sys.argv[3])


if __name__ == "__main__":
    main()
