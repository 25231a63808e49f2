"""Which frequencies to read so that a resized crop has the wanted ones, and what is lost by reading fewer.

A resize mixes the frequencies along an axis, chroma upsampling does too, and so does a crop that is not aligned to
blocks. Policy ``exact`` reads every frequency that reaches a wanted one. Policy ``fast`` leaves out those that matter
least, as many as a tolerance allows. They are ranked by their variance in the cache's statistics times the squared
entries of the operator, averaged over crops as they will be drawn. How many can be left out is measured on some images
of the cache: neighbouring blocks are correlated, and errors worked out as if they were not are too small by half. So a
store that lacks some of what reaches the wanted channels can be resized by neither policy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import torch

from freqcache.batches import FrequencyBatch
from freqcache.crops import CentreCrop, Crop
from freqcache.errors import MaskError, StoreError
from freqcache.normalization import LEAST_DEVIATION
from freqcache.resampling.bands import axis_band
from freqcache.resampling.operator import resample
from freqcache.spread import spread
from freqcache_formats.channels import N_COMPONENTS, N_FREQUENCIES, ZIGZAG_TO_NATURAL
from freqcache_formats.mask import ChannelMask

Policy: TypeAlias = Literal["exact", "fast"]
TOLERANCE: Final = 0.1
"""Root mean square of the error that ``fast`` allows in a channel, as a share of the channel's deviation."""

_IMAGES: Final = 48
_CROPS: Final = 192
"""Images whose sizes decide the ranking, and crops drawn to rank and to measure."""

_V, _U = np.divmod(ZIGZAG_TO_NATURAL, 8)
Float = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """What is read to make the wanted channels.

    Attributes
    ----------
    channels : ChannelMask
        Read.
    policy : str
        ``"exact"`` or ``"fast"``.
    error : (wanted channels,) float64
        Expected root mean square of what each wanted channel misses, as a share of the channel's deviation, as it was
        measured on some images of the cache; zeros where nothing is left out.
    """

    channels: ChannelMask
    policy: Policy
    error: Float


@dataclass(frozen=True, kw_only=True, eq=False)
class Sizes:
    """Geometry of the images of a split: see :class:`freqcache.resampling.geometry.Crops`.

    Attributes
    ----------
    blocks : (images, 3, 2) int32
    sampling : (images, 3, 2) uint8
    width, height : (images,) int32
    """

    blocks: npt.NDArray[np.int32]
    sampling: npt.NDArray[np.uint8]
    width: npt.NDArray[np.int32]
    height: npt.NDArray[np.int32]

    def axes(self, crop: Crop, chosen: npt.NDArray[np.intp] | slice, generator: Any = None) -> npt.NDArray[Any]:
        """Return AXIS records of some images."""
        width, height = self.width[chosen], self.height[chosen]
        crops = crop.draw(width, height, generator)
        return crops.axes(blocks=self.blocks[chosen], sampling=self.sampling[chosen], width=width, height=height)


def check_policy(policy: str, tolerance: float) -> None:
    """Raise StoreError for an unknown policy, or a tolerance that is not positive."""
    if policy not in get_args(Policy):
        msg = f"policy: expected one of {', '.join(get_args(Policy))}, found {policy!r}"
        raise StoreError(msg)
    if not tolerance > 0:
        msg = f"tolerance: expected a positive share, found {tolerance}"
        raise StoreError(msg)


def plan_reading(
    wanted: ChannelMask,
    crop: Crop,
    sizes: Sizes,
    variance: Float,
    sample: Callable[[ChannelMask], FrequencyBatch],
    *,
    policy: Policy = "exact",
    tolerance: float = TOLERANCE,
    threads: int = 1,
    stored: ChannelMask | None = None,
) -> Reading:
    """Choose what to read.

    Parameters
    ----------
    wanted : ChannelMask
        Channels of the result.
    crop : Crop
        How parts of the images are chosen.
    sizes : Sizes
        Of the images of the split.
    variance : (192,) float64
        Of the stored coefficients, dequantized.
    sample : callable
        Reads these channels of some images; called for ``"fast"`` only.
    policy : str
        ``"exact"`` or ``"fast"``.
    tolerance : float
        For ``"fast"``.
    threads : int
        For ``"fast"``.
    stored : ChannelMask, optional
        The channels that there are; all by default.

    Raises
    ------
    MaskError
        If a channel that reaches a wanted one is not stored.
    ValueError
        If an image is smaller than the crop.
    """
    reached = _reached(wanted, crop, sizes)
    exact = ChannelMask.from_indices(np.flatnonzero(reached), name=f"all that reaches {wanted.name}")
    if stored is not None:
        _check_stored(exact, wanted, stored)
    nothing = np.zeros(len(wanted))
    if policy == "exact" or len(exact) == len(wanted) or len(sizes.width) == 0:
        return Reading(channels=exact, policy=policy, error=nothing)
    images = sample(exact)
    kept: list[int] = []
    errors = []
    # What is read of a component concerns its own channels alone.
    for component, frequencies in enumerate(wanted.frequencies):
        if len(frequencies):
            part = ChannelMask.from_indices(component * N_FREQUENCIES + frequencies)
            own = exact.indices[exact.indices // N_FREQUENCIES == component]
            chosen, error = _fewest(part, own, _Loss(images, crop, part, threads), sizes, variance, tolerance)
            kept += chosen.tolist()
            errors.append(error)
    channels = ChannelMask.from_indices(kept, name=f"most of what reaches {wanted.name}")
    return Reading(channels=channels, policy=policy, error=np.concatenate(errors))


def _check_stored(exact: ChannelMask, wanted: ChannelMask, stored: ChannelMask) -> None:
    """Raise MaskError unless everything is stored that a resize or crop mixes into the wanted channels."""
    try:
        exact.places_in(stored)
    except MaskError as error:
        mixed = f"a resize or crop mixes {len(exact)} channels into the {len(wanted)} wanted"
        msg = f"{error} ({mixed}, and what fast leaves out is measured against all of them)"
        raise MaskError(msg) from error


def _fewest(
    wanted: ChannelMask,
    reaching: npt.NDArray[np.intp],
    loss: _Loss,
    sizes: Sizes,
    variance: Float,
    tolerance: float,
) -> tuple[npt.NDArray[np.intp], Float]:
    """Return the fewest of the channels that reach the wanted ones of a component, and the error with those."""
    shares = _contributions(wanted, loss.crop, sizes, variance)[:, reaching]
    total = shares.sum(axis=1, keepdims=True)
    shares = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
    # The most important first, and the mean of the blocks before all others.
    importance = shares.max(axis=0) + 2 * (reaching % N_FREQUENCIES == 0)
    order = reaching[np.argsort(-importance, kind="stable")]
    fewest, enough, error = 1, len(order), np.zeros(len(wanted))
    while fewest < enough:
        middle = (fewest + enough) // 2
        measured = loss.of(order[:middle])
        if measured.max() <= tolerance:
            enough, error = middle, measured
        else:
            fewest = middle + 1
    return order[:enough], error


class _Loss:
    """What is lost by leaving channels of some images out."""

    def __init__(self, batch: FrequencyBatch, crop: Crop, wanted: ChannelMask, threads: int) -> None:
        self._batch = batch
        self.crop = crop
        self._wanted = wanted
        draws = -(-_CROPS // max(len(batch), 1))
        self._crops = [crop.draw(batch.width, batch.height, _generator(seed)) for seed in range(draws)]
        self._threads = threads
        self._whole = [resample(batch, crops, wanted, threads=threads) for crops in self._crops]
        self._variance = torch.cat(self._whole).double().var(dim=(0, 2, 3), correction=0)

    def of(self, channels: npt.NDArray[np.intp]) -> Float:
        """Return the root mean square error of each wanted channel, as a share of its deviation."""
        kept = torch.zeros(N_COMPONENTS * N_FREQUENCIES)
        kept[torch.from_numpy(channels)] = 1
        steps = self._batch.quantization * kept.view(N_COMPONENTS, N_FREQUENCIES)
        part = replace(self._batch, quantization=steps)
        squares = torch.zeros(len(self._wanted), dtype=torch.float64)
        for crops, whole in zip(self._crops, self._whole, strict=True):
            lost = resample(part, crops, self._wanted, threads=self._threads) - whole
            squares += lost.double().square().mean(dim=(0, 2, 3)) / len(self._crops)
        shares = torch.where(self._variance > LEAST_DEVIATION**2, squares / self._variance, 0)
        error: Float = shares.sqrt().numpy()
        return error


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _reached(wanted: ChannelMask, crop: Crop, sizes: Sizes) -> npt.NDArray[np.bool_]:
    """(192,) bool; the channels that some wanted channel of some image depends on."""
    reached = np.zeros((N_COMPONENTS, N_FREQUENCIES), dtype=np.bool_)
    mixes = np.ones((N_COMPONENTS, 2), dtype=np.bool_)
    if isinstance(crop, CentreCrop):
        whole = sizes.axes(crop, slice(None))["whole"] >= 0
        mixes = np.asarray((~whole & (sizes.sampling[:, :, :1] > 0)).any(axis=0))
    for component, frequencies in enumerate(wanted.frequencies):
        for frequency in frequencies:
            same_v, same_u = _V[frequency] == _V, _U[frequency] == _U
            reached[component] |= (same_v | mixes[component, 0]) & (same_u | mixes[component, 1])
    return reached.ravel()


def _contributions(wanted: ChannelMask, crop: Crop, sizes: Sizes, variance: Float) -> Float:
    """(wanted, 192); the variance that each stored channel gives each wanted one, averaged over drawn crops."""
    generator = _generator(len(wanted))
    chosen = spread(len(sizes.width), _IMAGES)
    gains = np.zeros((N_COMPONENTS, 8, 8, 8, 8))  # [component, v out, v in, u out, u in]
    counts = np.zeros(N_COMPONENTS)
    for _ in range(-(-_CROPS // len(chosen))):
        axes = sizes.axes(crop, chosen, generator)
        for image, records in enumerate(axes):
            for component in range(N_COMPONENTS):
                if sizes.sampling[chosen[image], component, 0] and len(wanted.frequencies[component]):
                    vertical, horizontal = (_gain(records[component, axis]) for axis in (0, 1))
                    gains[component] += vertical[:, :, None, None] * horizontal
                    counts[component] += 1
    gains /= np.maximum(counts, 1)[:, None, None, None, None]
    result = np.zeros((len(wanted), N_COMPONENTS, N_FREQUENCIES))
    for row, (c, frequency) in enumerate(divmod(int(index), N_FREQUENCIES) for index in wanted.indices):
        result[row, c] = gains[c, _V[frequency], _V, _U[frequency], _U]
    return result.reshape(len(wanted), -1) * variance


def _gain(axis: npt.NDArray[Any]) -> Float:
    """(8, 8): [out, in]; what a frequency's variance is multiplied by, averaged over the output's blocks."""
    _, matrices = axis_band(np.asarray(axis))
    gain: Float = np.square(matrices, dtype=np.float64).sum(axis=2).mean(axis=0)
    return gain
