"""Moves batches to the device that wants them.

To a GPU they go from page-locked memory, on a stream of their own, while the device computes: :meth:`Mover.send` is
called where batches are made, which may be another thread, and :meth:`Mover.receive` where they are used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from freqcache.batches import FrequencyBatch


class Sent(NamedTuple):
    """A batch on its way.

    Attributes
    ----------
    coefficients : Tensor or FrequencyBatch
    labels : Tensor
    arrived : torch.cuda.Event or None
        When the copies are done, on a GPU.
    """

    coefficients: Any
    labels: Tensor
    arrived: torch.cuda.Event | None = None


class Mover:
    """Moves batches to a device; does nothing where that is the CPU.

    Parameters
    ----------
    device : torch.device or str, optional
        Batches stay in main memory without one.
    pin_memory : bool
        Page-locked batches, also without a device, where there is CUDA.

    Raises
    ------
    ValueError
        For a CUDA device where there is no CUDA.
    """

    def __init__(self, device: torch.device | str | None, *, pin_memory: bool) -> None:
        self._device = None if device is None else torch.device(device)
        self._stream: torch.cuda.Stream | None = None
        if self._device is not None and self._device.type == "cuda":
            if not torch.cuda.is_available():
                msg = f"device: {device} is not here: no CUDA device was found"
                raise ValueError(msg)
            # The current device is a thread's own: batches may be sent from another.
            index = torch.cuda.current_device() if self._device.index is None else self._device.index
            self._device = torch.device("cuda", index)
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        self._pins = torch.cuda.is_available() and (pin_memory or self._stream is not None)

    def send(self, coefficients: Tensor | FrequencyBatch, labels: Tensor) -> Sent:
        """Start moving a batch."""
        if self._pins:
            coefficients, labels = coefficients.pin_memory(), labels.pin_memory()
        if self._stream is None:
            return self._to_device(coefficients, labels)
        with torch.cuda.stream(self._stream):
            # What it is copied from may be freed before: torch keeps page-locked memory until its copies are done.
            return self._to_device(coefficients, labels)._replace(arrived=self._stream.record_event())

    def receive(self, sent: Sent) -> tuple[Any, Tensor]:
        """Return a batch for use on the current stream."""
        if sent.arrived is not None:
            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(sent.arrived)
            # They were allocated on another stream, which would use their memory again while this one still does.
            for tensor in _tensors(sent):
                tensor.record_stream(stream)
        return sent.coefficients, sent.labels

    def _to_device(self, coefficients: Tensor | FrequencyBatch, labels: Tensor) -> Sent:
        if self._device is None:
            return Sent(coefficients, labels)
        coefficients = coefficients.to(self._device, non_blocking=True)
        if isinstance(coefficients, FrequencyBatch):
            return Sent(coefficients, coefficients.labels)
        return Sent(coefficients, labels.to(self._device, non_blocking=True))


def _tensors(sent: Sent) -> Iterator[Tensor]:
    yield sent.labels
    batch = sent.coefficients
    if isinstance(batch, FrequencyBatch):
        yield from (*batch.parts[0], batch.quantization, batch.labels)
    else:
        yield batch
