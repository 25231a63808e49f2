"""A batch as it was read: quantized integers of each component at its own grid, and what is needed to use them.

Images of a native cache have their own sizes, so a batch of them is three flat arrays and a few numbers an image. The
coefficients move to a device as the one or two bytes that they are; geometry stays in main memory, where crops are
chosen. Resampling to a common grid is :mod:`freqcache.resampling`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from freqcache.compiled import kernel
from freqcache.store import NativeBatch, NativeSample
from freqcache_formats.channels import N_COMPONENTS, N_FREQUENCIES
from freqcache_formats.mask import ChannelMask

Positions = Sequence[int] | npt.NDArray[np.integer[Any]]


# No collections.abc.Sequence: releases of torch that look for one first would take it apart to pin its memory.
@dataclass(frozen=True, kw_only=True, eq=False)
class FrequencyBatch:
    """Images read together; a sequence of (:class:`~freqcache.store.NativeSample`, label), which are views of it.

    Attributes
    ----------
    channels : ChannelMask
        The channels held.
    coefficients : tuple of three flat int8 or int16 tensors
        Of Y, Cb and Cr, quantized: an image's part is (frequencies, block_rows, block_cols), the frequencies those of
        `channels` in zigzag order.
    quantization : (images, 3, 64) float32 tensor
        Steps of all frequencies, zigzag order; on the device of the coefficients.
    labels : (images,) int64 tensor
        On the device of the coefficients.
    starts : (images, 3) int64 array
        Where each image's part of each component begins.
    blocks : (images, 3, 2) int32 array
        Block rows and columns.
    sampling : (images, 3, 2) uint8 array
        Factors (h, v); zero where a component is absent (grayscale).
    width, height : (images,) int32 array
        Pixels.
    """

    channels: ChannelMask
    coefficients: tuple[Tensor, ...]
    quantization: Tensor
    labels: Tensor
    starts: npt.NDArray[np.int64]
    blocks: npt.NDArray[np.int32]
    sampling: npt.NDArray[np.uint8]
    width: npt.NDArray[np.int32]
    height: npt.NDArray[np.int32]

    @classmethod
    def from_native(cls, batch: NativeBatch, channels: ChannelMask, labels: npt.NDArray[np.int64]) -> FrequencyBatch:
        """Wrap what a native split read, without copying the coefficients."""
        return cls(
            channels=channels,
            coefficients=tuple(torch.from_numpy(flat) for flat in batch.coefficients),
            quantization=torch.from_numpy(batch.quantization.astype(np.float32)),
            labels=torch.from_numpy(labels),
            starts=batch.starts,
            blocks=batch.blocks,
            sampling=batch.sampling,
            width=batch.width,
            height=batch.height,
        )

    @classmethod
    def from_dense(
        cls, coefficients: Tensor, channels: ChannelMask, scale: Tensor, labels: Tensor | None = None
    ) -> FrequencyBatch:
        """Take a dense batch for images whose components all have the same grid, without copying it.

        Parameters
        ----------
        coefficients : (images, channels, block_rows, block_cols) int8 or int16 tensor
            Quantized, contiguous.
        channels : ChannelMask
            Its channels.
        scale : (channels,) float tensor
            Their steps.
        labels : (images,) int64 tensor, optional
            Zeros by default.

        Raises
        ------
        ValueError
            If the channels, the steps and the shape disagree.
        """
        if coefficients.ndim != 4 or not coefficients.shape[1] == len(channels) == len(scale):
            msg = (
                f"expected coefficients (images, {len(channels)}, block_rows, block_cols) and as many steps, "
                f"found shape {tuple(coefficients.shape)} and {len(scale)} steps"
            )
            raise ValueError(msg)
        coefficients = coefficients.contiguous()
        images, held, rows, columns = coefficients.shape
        firsts = np.cumsum([0, *(len(f) for f in channels.frequencies)])[:N_COMPONENTS]
        steps = torch.ones(N_COMPONENTS * N_FREQUENCIES, device=coefficients.device)
        steps[torch.from_numpy(channels.indices)] = scale.to(coefficients.device, torch.float32)
        return cls(
            channels=channels,
            coefficients=(coefficients.view(-1),) * N_COMPONENTS,
            quantization=steps.view(1, N_COMPONENTS, N_FREQUENCIES).expand(images, -1, -1),
            labels=torch.zeros(images, dtype=torch.int64) if labels is None else labels,
            starts=(np.arange(images)[:, None] * held + firsts) * (rows * columns),
            blocks=np.tile(np.array([rows, columns], dtype=np.int32), (images, N_COMPONENTS, 1)),
            sampling=np.ones((images, N_COMPONENTS, 2), dtype=np.uint8),
            width=np.full(images, 8 * columns, dtype=np.int32),
            height=np.full(images, 8 * rows, dtype=np.int32),
        )

    @classmethod
    def gather(cls, parts: Sequence[FrequencyBatch], part: Positions, row: Positions) -> FrequencyBatch:
        """Return images of several batches as one, whose flat tensors hold them in order and nothing else.

        Parameters
        ----------
        parts : sequence of FrequencyBatch
            At least one, of the same channels and dtype, in main memory.
        part, row : (images,) int
            Of each image: its batch, and its place in that.
        """
        part, row = np.asarray(part, dtype=np.intp), np.asarray(row, dtype=np.intp)
        first = parts[0]
        geometry: dict[str, Any] = {}
        for name in ("blocks", "sampling", "width", "height", "quantization", "labels"):
            model = np.asarray(getattr(first, name))
            geometry[name] = np.empty((len(part), *model.shape[1:]), dtype=model.dtype)
        where = {k: np.flatnonzero(part == k) for k in np.unique(part).tolist()}
        for k, here in where.items():
            for name, values in geometry.items():
                values[here] = np.asarray(getattr(parts[k], name))[row[here]]
        sizes = _sizes(geometry["blocks"], first.channels)
        ends = np.cumsum(sizes, axis=0)
        starts = ends - sizes
        flats = []
        for component, like in enumerate(first.coefficients):
            packed = np.empty(int(ends[-1, component]) if len(ends) else 0, dtype=like.numpy().dtype)
            for k, here in where.items():
                begins = parts[k].starts[row[here], component]
                flat = parts[k].coefficients[component].numpy()
                _copy_spans(flat, begins, starts[here, component], sizes[here, component], packed)
            flats.append(torch.from_numpy(packed))
        return replace(
            first,
            coefficients=tuple(flats),
            starts=starts,
            quantization=torch.from_numpy(geometry.pop("quantization")),
            labels=torch.from_numpy(geometry.pop("labels")),
            **geometry,
        )

    @property
    def device(self) -> torch.device:
        """Where the coefficients are."""
        return self.coefficients[0].device

    @property
    def n_bytes(self) -> int:
        """Bytes of the images' coefficients, whatever else their flat tensors hold."""
        widths = np.array([flat.element_size() for flat in self.coefficients])
        return int((_sizes(self.blocks, self.channels) * widths).sum())

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[tuple[NativeSample, int]]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> tuple[NativeSample, int]: ...

    @overload
    def __getitem__(self, index: slice) -> list[tuple[NativeSample, int]]: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            msg = f"index {index} is outside the {len(self)} images of the batch"
            raise IndexError(msg)
        steps = self.quantization[index].cpu().numpy().astype(np.uint16)
        sample = NativeSample(
            coefficients=tuple(self._plane(index, component) for component in range(N_COMPONENTS)),
            quantization=tuple(steps[c, f] for c, f in enumerate(self.channels.frequencies)),
            frequencies=self.channels.frequencies,
            sampling=self.sampling[index],
            width=int(self.width[index]),
            height=int(self.height[index]),
        )
        return sample, int(self.labels[index])

    def select(self, positions: Positions) -> FrequencyBatch:
        """Return some of the images, in the order of `positions`; they share the flat tensors with this batch."""
        chosen = np.asarray(positions, dtype=np.intp)
        there = torch.from_numpy(chosen)
        geometry = {name: getattr(self, name)[chosen] for name in ("starts", "blocks", "sampling", "width", "height")}
        return replace(
            self,
            quantization=self.quantization[there.to(self.device)],
            labels=self.labels[there.to(self.labels.device)],
            **geometry,
        )

    def compact(self) -> FrequencyBatch:
        """Return a batch whose flat tensors hold its images and nothing else, each component by itself.

        Only for batches in main memory.
        """
        return self.gather([self], np.zeros(len(self), dtype=np.intp), np.arange(len(self)))

    def pin_memory(self) -> FrequencyBatch:
        """Return the batch compacted in page-locked memory, from which copies to a GPU are asynchronous."""
        return self.compact()._mapped(Tensor.pin_memory)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> FrequencyBatch:
        """Return the batch with its tensors on a device."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def _mapped(self, change: Any) -> FrequencyBatch:
        first = self.coefficients[0]
        if all(flat is first for flat in self.coefficients):
            flats: tuple[Tensor, ...] = (change(first),) * len(self.coefficients)
        else:
            flats = tuple(change(flat) for flat in self.coefficients)
        return replace(self, coefficients=flats, quantization=change(self.quantization), labels=change(self.labels))

    def _plane(self, index: int, component: int) -> npt.NDArray[Any]:
        rows, columns = self.blocks[index, component].tolist()
        frequencies = len(self.channels.frequencies[component])
        start = int(self.starts[index, component])
        flat = self.coefficients[component][start : start + frequencies * rows * columns]
        plane: npt.NDArray[Any] = flat.cpu().numpy().reshape(frequencies, rows, columns)
        return plane


def _sizes(blocks: npt.NDArray[np.int32], channels: ChannelMask) -> npt.NDArray[np.int64]:
    """Return (images, 3) int64; the coefficients of each image's components."""
    frequencies = np.array([len(f) for f in channels.frequencies])
    sizes: npt.NDArray[np.int64] = blocks.astype(np.int64).prod(axis=2) * frequencies
    return sizes


@kernel
def _copy_spans(
    source: npt.NDArray[Any],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    out: npt.NDArray[Any],
) -> None:
    """Copy spans of one flat array to their places in another."""
    for span in range(len(starts)):
        start, to, size = starts[span], ends[span], sizes[span]
        out[to : to + size] = source[start : start + size]
