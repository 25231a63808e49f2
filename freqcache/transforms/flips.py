"""Mirrored, turned and shifted images, on their blocks.

Mirroring an image reverses the order of its blocks and negates the basis functions that are odd along that axis;
transposing it transposes the grid and every block (Park & Johnson, "RGB no more", CVPR 2023). Shifts are by whole
blocks: a finer one mixes frequencies, and is :mod:`freqcache.resampling`'s. The same steps on NumPy arrays of single
images are :mod:`freqcache.orientation`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from freqcache.transforms.sending import sent
from freqcache_formats.channels import Channel
from freqcache_formats.mask import ChannelMask


class RandomHorizontalFlip(nn.Module):
    """Mirror each image of a batch with probability `p`, on its coefficients.

    Works on stored or dequantized coefficients, before normalization: the mean of an odd frequency is not
    exactly 0.

    Parameters
    ----------
    channels : ChannelMask
        Channels of the batch.
    p : float
        Probability of mirroring an image.
    """

    sign: Tensor

    def __init__(self, channels: ChannelMask, p: float = 0.5) -> None:
        super().__init__()
        self.p = p
        odd = torch.tensor([channel.u % 2 for channel in channels.channels], dtype=torch.int8)
        self.register_buffer("sign", (1 - 2 * odd)[:, None, None])

    def flip(self, x: Tensor) -> Tensor:
        """Mirror every image of x, (B, C, H, W); applied twice it is the identity."""
        return x.flip(-1) * self.sign.to(x.dtype)

    def draw(self, images: int, generator: torch.Generator | None = None) -> Tensor:
        """Return which of `images` are to be mirrored, (images,) bool on the CPU, where `generator` lives."""
        return torch.rand(images, generator=generator) < self.p

    def forward(self, x: Tensor, generator: torch.Generator | None = None, *, chosen: Tensor | None = None) -> Tensor:
        """Return a copy of x, (B, C, H, W), some of its images mirrored: those `chosen`, or drawn by `generator`."""
        if chosen is None:
            chosen = self.draw(x.shape[0], generator)
        where = sent(chosen.nonzero().flatten(), x.device)
        if where.numel() == 0:
            return x
        return x.index_copy(0, where, self.flip(x.index_select(0, where)))


class RandomQuarterTurn(nn.Module):
    """Turn each image of a batch by a random multiple of 90 degrees, on its coefficients.

    Used before normalization, as the flip is. A turn by 90 degrees exchanges v and u, so frequency (u, v) takes the
    place of (v, u), whose quantization step may be another.

    Parameters
    ----------
    channels : ChannelMask
        Channels of the batch: with a channel (v, u) also (u, v) of the same component.
    turns : sequence of int
        Quarter turns counterclockwise, 0..3, of which one is drawn for each image, all equally probable; one that
        is listed twice is twice as probable.
    scale : (C,) float, optional
        Quantization step of each channel, for batches of stored coefficients: what comes from (u, v) is brought to
        the step of (v, u), so that ``scale`` still dequantizes it. Where such steps differ, integers become float32.
        Without it batches are dequantized already, or their steps are symmetric.

    Raises
    ------
    ValueError
        If the mask lacks channels that a turn needs, `turns` is empty or has another number, or `scale` another
        shape.
    """

    factor: Tensor
    source: Tensor

    def __init__(self, channels: ChannelMask, turns: Sequence[int] = (0, 1, 2, 3), scale: Tensor | None = None) -> None:
        super().__init__()
        if not turns or not set(turns) <= {0, 1, 2, 3}:
            msg = f"expected quarter turns in 0..3, found {tuple(turns)}"
            raise ValueError(msg)
        if scale is not None and scale.shape != (len(channels),):
            msg = f"expected a step for each of {len(channels)} channels, found shape {tuple(scale.shape)}"
            raise ValueError(msg)
        self.turns = tuple(turns)
        source = torch.tensor(_transposed(channels))
        v, u = torch.tensor([(channel.v, channel.u) for channel in channels.channels]).T
        # Counterclockwise is a transposition, then a mirroring top to bottom, which negates odd v.
        sign = 1 - 2 * torch.stack([0 * v, v % 2, (v + u) % 2, u % 2])
        steps = torch.ones(len(channels)) if scale is None else scale
        ratio = steps[source].double() / steps.double()
        # Symmetric steps leave integers what they are.
        self.is_integral = bool((ratio == 1).all())
        weighted = torch.stack([sign[k] * ratio if k % 2 else sign[k].double() for k in range(4)])
        factor = weighted.to(torch.int8 if self.is_integral else torch.float32)
        self.register_buffer("factor", factor[:, :, None, None])  # (4, C, 1, 1)
        self.register_buffer("source", source)

    def turn(self, x: Tensor, k: int) -> Tensor:
        """Turn every image of x, (B, C, H, W), by `k` quarters counterclockwise; any whole `k`.

        Returns (B, C, H, W), or (B, C, W, H) for an odd `k`: of the type of x, or float32 for integers whose steps
        are not symmetric.
        """
        k %= 4
        x = x.to(self._dtype(x))
        if k % 2:
            x = x.index_select(1, self.source)
        return torch.rot90(x, k, (-2, -1)) * self.factor[k].to(x.dtype)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a copy of x, (B, C, H, W), its images turned; `generator` lives on the CPU.

        Raises
        ------
        ValueError
            If the grid is not square and an image may be turned by 90 or 270 degrees.
        """
        if x.shape[-1] != x.shape[-2] and any(k % 2 for k in self.turns):
            msg = f"a quarter turn needs a square grid of blocks, found {x.shape[-2]} rows and {x.shape[-1]} columns"
            raise ValueError(msg)
        drawn = torch.tensor(self.turns)[torch.randint(len(self.turns), (x.shape[0],), generator=generator)]
        turned = x.to(self._dtype(x), copy=True)
        for k in (1, 2, 3):
            where = sent((drawn == k).nonzero().flatten(), x.device)
            if where.numel() > 0:
                turned.index_copy_(0, where, self.turn(x.index_select(0, where), k))
        return turned

    def _dtype(self, x: Tensor) -> torch.dtype:
        return x.dtype if self.is_integral or x.is_floating_point() else torch.float32


def _transposed(channels: ChannelMask) -> list[int]:
    """Return the place of channel (u, v) for each channel (v, u) of a mask."""
    place = {channel: i for i, channel in enumerate(channels.channels)}
    wanted = [Channel(channel.component, channel.u, channel.v) for channel in channels.channels]
    missing = [str(channel) for channel in wanted if channel not in place]
    if missing:
        msg = f"a quarter turn exchanges v and u: the mask lacks {', '.join(missing)}"
        raise ValueError(msg)
    return [place[channel] for channel in wanted]


class RandomBlockShift(nn.Module):
    """Translate each image by a random whole number of blocks, filling with zeros.

    Used after normalization, where 0 is each channel's mean.

    Parameters
    ----------
    blocks : int
        Largest shift in either direction along each axis; 0 leaves the batch as it is.
    step : int
        Rows of the input per block: 1 for coefficients, 4 for the pixels of :class:`ToPixels`.
    """

    def __init__(self, blocks: int, step: int = 1) -> None:
        super().__init__()
        self.blocks = blocks
        self.step = step

    def draw(self, images: int, generator: torch.Generator | None = None) -> Tensor:
        """Return where the rows and columns of `images` begin, (2, images) int64 in 0..2 * blocks, on the CPU."""
        return torch.randint(0, 2 * self.blocks + 1, (2, images), generator=generator)

    def forward(self, x: Tensor, generator: torch.Generator | None = None, *, begin: Tensor | None = None) -> Tensor:
        """Return x, (B, C, H, W), each image translated: by `begin`, as :meth:`draw` has it, or by `generator`."""
        if self.blocks == 0:
            return x
        batch, _, height, width = x.shape
        pad = self.blocks * self.step
        shift = self.step * sent(self.draw(batch, generator) if begin is None else begin, x.device)
        rows = shift[0, :, None] + torch.arange(height, device=x.device)  # (B, H)
        cols = shift[1, :, None] + torch.arange(width, device=x.device)  # (B, W)
        padded = nn.functional.pad(x, (pad, pad, pad, pad)).permute(0, 2, 3, 1)  # (B, H + 2p, W + 2p, C)
        image = torch.arange(batch, device=x.device)[:, None, None]
        return padded[image, rows[:, :, None], cols[:, None, :]].permute(0, 3, 1, 2)  # (B, C, H, W)
