"""From a batch as it was read to a network's input: crop, resize, mirror, colours, erasing, normalization.

The crop is one linear operator on the coefficients (:mod:`freqcache.resampling`); dequantization, the colours and the
normalization are an affine map of each channel and happen in the same pass. Random numbers come from the generator
that is given, on the CPU, or from torch's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

import torch
from torch import Tensor, nn

from freqcache.batches import FrequencyBatch
from freqcache.buffers import Buffers
from freqcache.crops import Crop
from freqcache.normalization import Kind, Normalization
from freqcache.resampling.operator import resample
from freqcache.transforms.colour import LUMA_DC, ColourJitter
from freqcache.transforms.erasing import RandomErasing
from freqcache_formats.channels import COMPONENTS
from freqcache_formats.mask import ChannelMask

if TYPE_CHECKING:
    from freqcache.dataset import FrequencyDataset

_DTYPES: Final = (torch.float32, torch.bfloat16)

# The numbers of the crops decide the shapes of everything in there: a compiler would make a graph for each batch.
_uncompiled: Any = torch.compiler.disable
_resample: Any = _uncompiled(resample)


class EvalTransform(nn.Module):
    """Crop, resize and normalize a batch.

    Parameters
    ----------
    channels : ChannelMask
        Channels of the result.
    crop : Crop
        What becomes of each image, such as :class:`~freqcache.crops.CentreCrop`.
    normalization : Normalization
        Of `channels`.
    held : ChannelMask, optional
        Channels of dense batches; `channels` by default.
    scale : (held,) float32 tensor, optional
        Their steps; ones by default.
    dtype : torch.dtype
        float32 or bfloat16.
    threads : int
        For batches in main memory.

    Raises
    ------
    ValueError
        If the parts do not fit together.
    """

    factor: Tensor
    offset: Tensor
    scale: Tensor

    def __init__(
        self,
        channels: ChannelMask,
        *,
        crop: Crop,
        normalization: Normalization,
        held: ChannelMask | None = None,
        scale: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
        threads: int = 1,
    ) -> None:
        super().__init__()
        if dtype not in _DTYPES:
            msg = f"dtype: expected {' or '.join(str(kind) for kind in _DTYPES)}, found {dtype}"
            raise ValueError(msg)
        if not len(normalization.mean) == len(normalization.std) == len(channels):
            msg = f"expected the normalization of {len(channels)} channels, found {len(normalization.mean)}"
            raise ValueError(msg)
        if threads < 1:
            msg = f"threads: expected at least 1, found {threads}"
            raise ValueError(msg)
        self.channels = channels
        self.held = channels if held is None else held
        self.crop = crop
        self.normalization = normalization
        self.dtype = dtype
        self.threads = threads
        self._memory = Buffers()
        factor, offset = normalization.affine()
        self.register_buffer("factor", factor[None])
        self.register_buffer("offset", offset[None])
        self.register_buffer("scale", torch.ones(len(self.held)) if scale is None else scale)

    @classmethod
    def of(
        cls, dataset: FrequencyDataset, normalization: Normalization | Kind = "cache", **options: Any
    ) -> EvalTransform:
        """Return the transform for the items of a dataset that was opened with a crop.

        Parameters
        ----------
        dataset : FrequencyDataset
            Its channels, crop and threads are taken.
        normalization : Normalization or its name
            ``"cache"`` (the default): :meth:`FrequencyDataset.normalization` of the dataset; ``"dctnet"``: the
            published one. A validation set takes the object of the training set.
        **options
            As for the class.

        Raises
        ------
        ValueError
            If the dataset has no crop.
        """
        if dataset.crop is None:
            msg = f"{dataset.cache_path}: expected a dataset opened with a crop, such as CentreCrop(size=448)"
            raise ValueError(msg)
        if normalization == "cache":
            mean, std = dataset.normalization()
            normalization = Normalization(mean=mean, std=std)
        elif normalization == "dctnet":
            normalization = Normalization.dctnet(dataset.channels)
        elif isinstance(normalization, str):
            msg = f"normalization: expected one of {', '.join(get_args(Kind))}, found {normalization!r}"
            raise ValueError(msg)
        return cls(
            dataset.channels,
            crop=dataset.crop,
            normalization=normalization,
            held=dataset.held_channels,
            scale=dataset.scale,
            **({"threads": dataset.threads} | options),
        )

    def forward(self, batch: FrequencyBatch | Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the network's input.

        Parameters
        ----------
        batch : FrequencyBatch or (images, held, block_rows, block_cols) int8 or int16 tensor
            Quantized coefficients.
        generator : torch.Generator, optional
            On the CPU.

        Returns
        -------
        (images, channels, size / 8, size / 8) float32 or bfloat16, in channels-last memory

        Raises
        ------
        ValueError
            If a crop is larger than its image, or the batch holds nothing of a component that is wanted.
        """
        return self._finished(self._cropped(batch, self.factor, self.offset, generator))

    def _cropped(
        self, batch: FrequencyBatch | Tensor, scale: Tensor, offset: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        if isinstance(batch, Tensor):
            batch = FrequencyBatch.from_dense(batch, self.held, self.scale)
        for component, wanted, there in zip(
            COMPONENTS, self.channels.frequencies, batch.channels.frequencies, strict=True
        ):
            if len(wanted) and not len(there):
                msg = f"channels of {component} are wanted, and the batch holds none of {component}"
                raise ValueError(msg)
        crops = self.crop.draw(batch.width, batch.height, generator)
        options = {"threads": self.threads, "buffers": self._memory}
        result: Tensor = _resample(batch, crops, self.channels, scale=scale, offset=offset, **options)
        return result

    def _finished(self, x: Tensor) -> Tensor:
        return x.to(self.dtype, memory_format=torch.channels_last)


class TrainTransform(EvalTransform):
    """Crop, resize, mirror, recolour, normalize and erase a batch at random.

    Parameters
    ----------
    channels, crop, normalization, **options
        As :class:`EvalTransform`; the crop such as :class:`~freqcache.crops.RandomResizedCrop`, which mirrors too.
    colour : ColourJitter, optional
        How far colours change.
    erasing : RandomErasing, optional
        Rectangles that are set to each channel's mean.
    """

    def __init__(
        self,
        channels: ChannelMask,
        *,
        crop: Crop,
        normalization: Normalization,
        colour: ColourJitter | None = None,
        erasing: RandomErasing | None = None,
        **options: Any,
    ) -> None:
        super().__init__(channels, crop=crop, normalization=normalization, **options)
        self.colour = colour
        self.erasing = erasing

    def forward(self, batch: FrequencyBatch | Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the network's input: see :meth:`EvalTransform.forward`."""
        if self.colour is None:
            x = self._cropped(batch, self.factor, self.offset, generator)
        else:
            x = self._recoloured(batch, self.colour, generator)
        if self.erasing is not None:
            x = self.erasing(x, generator)
        return self._finished(x)

    def _recoloured(
        self, batch: FrequencyBatch | Tensor, colour: ColourJitter, generator: torch.Generator | None
    ) -> Tensor:
        """Crop and recolour in one pass, but for the mean brightness: it needs the mean of the crop's luma."""
        factors = colour.draw(len(batch), generator)
        scale, offset, mean_weight = (part.to(self.factor.device) for part in factors.affine(self.channels))
        scale, offset = scale * self.factor, offset * self.factor + self.offset
        if self.channels.channels[0] != LUMA_DC:  # in storage order it can only be the first
            return self._cropped(batch, scale, offset, generator)
        luma_scale, luma_offset = scale[:, 0].clone(), offset[:, 0].clone()
        scale[:, 0], offset[:, 0] = 1, 0
        x = self._cropped(batch, scale, offset, generator)
        luma = x[:, 0]
        luma_offset += mean_weight * self.factor[0, 0] * luma.mean((1, 2))
        x[:, 0] = torch.addcmul(luma_offset[:, None, None], luma, luma_scale[:, None, None])
        return x
