"""Batches for a training step, made ahead in a thread: what stands between a dataset and a network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from itertools import count
from queue import Empty, Full, Queue
from typing import Any

import numpy as np
import torch
from pipelines import read_batch, units_of
from torch import Tensor

from freqcache import FrequencyDataset
from freqcache.loader import FrequencyLoader
from freqcache.transforms import TrainTransform

Batch = tuple[Any, Tensor]


def batches(dataset: FrequencyDataset, size: int) -> Iterator[Batch]:
    """Yield full batches in random order for ever, by the loader where it can read batches of a dataset with a crop.

    Where it cannot, row groups in random order are read whole, as many as a batch needs, and the images not used are
    left out.
    """
    if len(dataset) < size:
        msg = f"{dataset.cache_path}: expected at least the {size} images of a batch, found {len(dataset)}"
        raise SystemExit(msg)
    if hasattr(dataset, "read_batch"):
        loader: Any = FrequencyLoader(dataset, size, shuffle=True, drop_last=True)
        for epoch in count():
            loader.set_epoch(epoch)
            yield from loader
    groups = units_of(dataset.row_groups)
    generator = np.random.default_rng(0)
    while True:
        order = np.concatenate([groups[i] for i in generator.permutation(len(groups))])
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            yield read_batch(dataset, chosen), torch.from_numpy(dataset.labels[chosen])


class Feed:
    """Inputs of a network on a device, made ahead in a thread.

    Parameters
    ----------
    dataset : FrequencyDataset
        With a crop; its threads read.
    transform : TrainTransform
        On `device`, or on the CPU: then inputs are copied to the device, not coefficients.
    size : int
        Images in a batch.
    device : torch.device
        Where the inputs go.
    ahead : int
        Batches that wait at most.
    """

    def __init__(
        self, dataset: FrequencyDataset, transform: TrainTransform, size: int, device: torch.device, ahead: int = 2
    ) -> None:
        self._dataset, self._transform, self._size, self._device = dataset, transform, size, device
        self._on_device = transform.factor.device.type == device.type
        self._queue: Queue[Batch | BaseException] = Queue(ahead)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._produce)

    def __enter__(self) -> Callable[[], tuple[Tensor, Tensor]]:
        self._thread.start()
        return self._next

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _produce(self) -> None:
        try:
            for coefficients, labels in batches(self._dataset, self._size):
                made = coefficients if self._on_device else self._transform(coefficients)
                if self._device.type == "cuda":
                    made, labels = made.pin_memory(), labels.pin_memory()
                if not self._put((made, labels)):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self._put(error)

    def _put(self, item: Batch | BaseException) -> bool:
        while not self._done.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except Full:
                continue
            return True
        return False

    def _next(self) -> tuple[Tensor, Tensor]:
        while True:
            try:
                item = self._queue.get(timeout=1)
            except Empty:
                if self._thread.is_alive():
                    continue
                raise
            if isinstance(item, BaseException):
                raise item
            made, labels = (part.to(self._device, non_blocking=True) for part in item)
            return self._transform(made) if self._on_device else made, labels
