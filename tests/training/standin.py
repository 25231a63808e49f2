"""A cache in memory with the interface of FrequencyDataset, so that the training tests build no store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from freqcache.errors import StoreError
from freqcache.training import data, evaluation, logs
from freqcache_formats.mask import ChannelMask


@dataclass(frozen=True, kw_only=True)
class MemorySplit:
    stored: np.ndarray  # (N, 192, H, W) int8
    labels: np.ndarray  # (N,) int64


@dataclass(frozen=True, kw_only=True)
class MemoryCache:
    """Splits, quantization steps and names; `path` need not exist."""

    splits: dict[str, MemorySplit]
    scale: np.ndarray  # (192,) float32
    path: str = "/nowhere/memory.zarr"
    id: str = "memory-1"
    classes: tuple[str, ...] = ("a", "b", "c")


class MemoryDataset:
    def __init__(self, cache: MemoryCache, split: str, channels: Any = None) -> None:
        self.cache, self.split = cache, split
        self.channels = ChannelMask.load("192" if channels is None else channels)
        self.held_channels = self.channels
        self.held = torch.from_numpy(cache.splits[split].stored)
        self.labels = cache.splits[split].labels
        self.classes, self.cache_id, self.cache_path = cache.classes, cache.id, cache.path
        self.scale = torch.from_numpy(cache.scale[self.channels.indices])
        self.grid = (self.held.shape[2], self.held.shape[3])
        self.has_grid, self.size, self.crop = True, None, None
        self.store = SimpleNamespace(metadata=SimpleNamespace(options={"size": 8 * self.grid[0]}))
        self.dtype = self.held.dtype
        self.row_groups = np.arange(len(self.labels)) // 16
        self.channel_bytes = np.full(len(self.channels), 10.0)
        self.bytes_per_image = float(self.channel_bytes.sum())

    def __len__(self) -> int:
        return len(self.labels)

    def labels_of(self, indices: np.ndarray) -> np.ndarray:
        return self.labels[indices]

    def n_bytes(self, indices: np.ndarray, most: int | None = None) -> int:
        return len(indices) * len(self.channels) * self.grid[0] * self.grid[1] * self.dtype.itemsize

    def read(self, indices: Sequence[int], out: torch.Tensor | None = None) -> torch.Tensor:
        values = self.held[torch.as_tensor(np.asarray(indices))][:, torch.as_tensor(self.channels.indices)]
        return values if out is None else out.copy_(values)

    def normalization(self) -> tuple[torch.Tensor, torch.Tensor]:
        name = "train" if "train" in self.cache.splits else self.split
        stored = torch.from_numpy(self.cache.splits[name].stored[:, self.channels.indices])
        values = stored.double() * self.scale.double()[:, None, None]
        return values.mean(dim=(0, 2, 3)).float(), values.std(dim=(0, 2, 3), unbiased=False).float()


def install(monkeypatch: pytest.MonkeyPatch, *caches: MemoryCache) -> None:
    """Let freqcache.training open `caches` by their paths."""
    by_path = {cache.path: cache for cache in caches}

    def find(path: object) -> MemoryCache:
        if str(path) not in by_path:
            msg = f"{path}: no such cache"
            raise StoreError(msg)
        return by_path[str(path)]

    def open_store(path: object) -> SimpleNamespace:
        cache = find(path)
        names = {"splits": tuple(cache.splits), "id": cache.id, "classes": cache.classes}
        return SimpleNamespace(kind="fixed", channels=ChannelMask.preset("192"), **names)

    def open_dataset(
        path: object, *, split: str, channels: Any = None, size: int | None = None, threads: int = 1
    ) -> MemoryDataset:
        return MemoryDataset(find(path), split, channels)

    monkeypatch.setattr(data, "open_store", open_store)
    monkeypatch.setattr(evaluation, "open_store", open_store)
    monkeypatch.setattr(data, "FrequencyDataset", open_dataset)
    monkeypatch.setattr(logs, "find_spec", lambda _name: None)  # whether TensorBoard is installed changes no test


INFORMATIVE = (0, 1, 2, 64, 128)
"""Storage indices of the channels of :func:`toy_cache` that tell the classes apart."""


def toy_cache(
    *, train: int = 96, val: int = 48, grid: int = 4, splits: tuple[str, ...] = ("train", "val"), **names: Any
) -> MemoryCache:
    """Three classes told apart by the signs of a few channels; all other channels are noise."""
    generator = np.random.default_rng(0)
    signs = np.array([[1, 1, -1, 1, -1], [-1, 1, 1, -1, -1], [1, -1, 1, -1, 1]])
    made = {}
    for split in splits:
        count = val if split == "val" else train
        labels = np.arange(count, dtype=np.int64) % 3
        stored = generator.normal(0, 20, (count, 192, grid, grid))
        stored[:, INFORMATIVE] += 30 * signs[labels][:, :, None, None]
        made[split] = MemorySplit(stored=np.clip(np.rint(stored), -127, 127).astype(np.int8), labels=labels)
    scale = np.linspace(1, 3, 192, dtype=np.float32)
    return MemoryCache(splits=made, scale=scale, **names)
