"""A batch as it was read: quantized integers of each component at its own grid, and what is needed to use them.

Images of a native cache have their own sizes, so a batch of them is flat arrays and a few numbers an image. A shuffled
batch is made of images that were read with others: it refers to the arrays that they were read to, and copies nothing
before it moves. The coefficients move to a device as the one or two bytes that they are; geometry stays in main memory,
where crops are chosen. Resampling to a common grid is :mod:`freqcache.resampling`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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

Flats = tuple[Tensor, ...]
Positions = Sequence[int] | npt.NDArray[np.integer[Any]]


# No collections.abc.Sequence: releases of torch that look for one first would take it apart to pin its memory.
@dataclass(frozen=True, kw_only=True, eq=False)
class FrequencyBatch:
    """Images read together; a sequence of (:class:`~freqcache.store.NativeSample`, label), which are views of it.

    Attributes
    ----------
    channels : ChannelMask
        The channels held.
    parts : tuple of tuples of three flat int8 or int16 tensors
        Of Y, Cb and Cr each, quantized: an image's share is (frequencies, block_rows, block_cols), the frequencies
        those of `channels` in zigzag order. All of one dtype and on one device; only in main memory more than one part.
    part : (images,) intp array
        The part of each image.
    quantization : (images, 3, 64) float32 tensor
        Steps of all frequencies, zigzag order; on the device of the coefficients.
    labels : (images,) int64 tensor
        On the device of the coefficients.
    starts : (images, 3) int64 array
        Where each image's share of each component begins in its part.
    blocks : (images, 3, 2) int32 array
        Block rows and columns.
    sampling : (images, 3, 2) uint8 array
        Factors (h, v); zero where a component is absent (grayscale).
    width, height : (images,) int32 array
        Pixels.
    """

    channels: ChannelMask
    parts: tuple[Flats, ...]
    part: npt.NDArray[np.intp]
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
            parts=(tuple(torch.from_numpy(flat) for flat in batch.coefficients),),
            part=np.zeros(len(batch), dtype=np.intp),
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
        if coefficients.dtype not in {torch.int8, torch.int16}:
            msg = f"expected quantized coefficients, int8 or int16, found {coefficients.dtype}"
            raise ValueError(msg)
        coefficients = coefficients.contiguous()
        images, held, rows, columns = coefficients.shape
        firsts = np.cumsum([0, *(len(f) for f in channels.frequencies)])[:N_COMPONENTS]
        steps = torch.ones(N_COMPONENTS * N_FREQUENCIES, dtype=torch.float32, device=coefficients.device)
        steps[torch.from_numpy(channels.indices)] = scale.to(coefficients.device, torch.float32)
        return cls(
            channels=channels,
            parts=((coefficients.view(-1),) * N_COMPONENTS,),
            part=np.zeros(images, dtype=np.intp),
            quantization=steps.view(1, N_COMPONENTS, N_FREQUENCIES).expand(images, -1, -1),
            labels=torch.zeros(images, dtype=torch.int64, device=steps.device) if labels is None else labels,
            starts=(np.arange(images)[:, None] * held + firsts) * (rows * columns),
            blocks=np.tile(np.array([rows, columns], dtype=np.int32), (images, N_COMPONENTS, 1)),
            sampling=np.ones((images, N_COMPONENTS, 2), dtype=np.uint8),
            width=np.full(images, 8 * columns, dtype=np.int32),
            height=np.full(images, 8 * rows, dtype=np.int32),
        )

    @classmethod
    def join(cls, batches: Sequence[FrequencyBatch], batch: Positions, row: Positions) -> FrequencyBatch:
        """Return images of several batches as one, without copying their coefficients.

        Parameters
        ----------
        batches : sequence of FrequencyBatch
            At least one, of the same channels and dtype, in main memory.
        batch, row : (images,) int
            Of each image: its batch, and its place in that.
        """
        number, place = np.asarray(batch, dtype=np.intp), np.asarray(row, dtype=np.intp)
        firsts = np.cumsum([0, *(len(b.parts) for b in batches)])
        values: dict[str, Any] = {}
        for name in ("part", "starts", "blocks", "sampling", "width", "height", "quantization", "labels"):
            model = np.asarray(getattr(batches[0], name))
            values[name] = np.empty((len(number), *model.shape[1:]), dtype=model.dtype)
        for k in np.unique(number).tolist():
            here = np.flatnonzero(number == k)
            for name, out in values.items():
                out[here] = np.asarray(getattr(batches[k], name))[place[here]]
            values["part"][here] += firsts[k]
        values |= {name: torch.from_numpy(values[name]) for name in ("quantization", "labels")}
        parts = tuple(part for one in batches for part in one.parts)
        return replace(batches[0], parts=parts, **values)._without_unused()

    @property
    def device(self) -> torch.device:
        """Where the coefficients are."""
        return self.parts[0][0].device

    @property
    def n_bytes(self) -> int:
        """Bytes of the images' coefficients, whatever else their flat tensors hold."""
        return int(_sizes(self.blocks, self.channels).sum()) * self.parts[0][0].element_size()

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
        chosen = np.asarray(positions)
        if chosen.dtype == np.bool_:
            msg = "positions: expected numbers of images, found a mask of booleans"
            raise TypeError(msg)
        chosen = chosen.astype(np.intp)
        there = torch.from_numpy(chosen)
        names = ("part", "starts", "blocks", "sampling", "width", "height")
        selected = replace(
            self,
            quantization=self.quantization[there.to(self.device)],
            labels=self.labels[there.to(self.labels.device)],
            **{name: getattr(self, name)[chosen] for name in names},
        )
        return selected._without_unused()

    def compact(self) -> FrequencyBatch:
        """Return a batch of one part that holds its images in order and nothing else, each component by itself.

        Only for batches in main memory.
        """
        sizes = _sizes(self.blocks, self.channels)
        ends = np.cumsum(sizes, axis=0)
        starts = ends - sizes
        dtype = self.parts[0][0].numpy().dtype
        packed = [np.empty(n, dtype=dtype) for n in (ends[-1].tolist() if len(ends) else [0] * N_COMPONENTS)]
        for k, flats in enumerate(self.parts):
            here = np.flatnonzero(self.part == k)
            for c, (flat, out) in enumerate(zip(flats, packed, strict=True)):
                _copy_spans(flat.numpy(), self.starts[here, c], starts[here, c], sizes[here, c], out)
        part = np.zeros(len(self), dtype=np.intp)
        return replace(self, parts=(tuple(torch.from_numpy(out) for out in packed),), part=part, starts=starts)

    def pin_memory(self) -> FrequencyBatch:
        """Return the batch compacted in page-locked memory, from which copies to a GPU are asynchronous."""
        return self.compact()._mapped(Tensor.pin_memory)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> FrequencyBatch:
        """Return the batch with its tensors on a device; there it is of one part."""
        if torch.device(device).type == self.device.type == "cpu":
            return self
        batch = self.compact() if self.device.type == "cpu" and not self._is_compact else self
        return batch._mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    @property
    def _is_compact(self) -> bool:
        held = {id(flat): len(flat) for flats in self.parts for flat in flats}
        return len(self.parts) == 1 and sum(held.values()) == _sizes(self.blocks, self.channels).sum()

    def _without_unused(self) -> FrequencyBatch:
        """Let go of parts that no image is in, but for one."""
        used, part = np.unique(self.part, return_inverse=True)
        parts = tuple(self.parts[k] for k in used.tolist()) or self.parts[:1]
        return replace(self, parts=parts, part=part.astype(np.intp))

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> FrequencyBatch:
        moved = {id(flat): change(flat) for flats in self.parts for flat in flats}
        parts = tuple(tuple(moved[id(flat)] for flat in flats) for flats in self.parts)
        return replace(self, parts=parts, quantization=change(self.quantization), labels=change(self.labels))

    def _plane(self, index: int, component: int) -> npt.NDArray[Any]:
        rows, columns = self.blocks[index, component].tolist()
        frequencies = len(self.channels.frequencies[component])
        start = int(self.starts[index, component])
        flat = self.parts[self.part[index]][component][start : start + frequencies * rows * columns]
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
