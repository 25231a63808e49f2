r"""Batch normalization over the batches of all ranks.

Several ranks with BatchNorm of their own train another network than one process does: each normalizes by the statistics
of its share. Here they are those of the joint batch, forwards and backwards, so that the number of ranks changes
nothing but rounding. On CUDA this is torch's SyncBatchNorm, which refuses the CPU; :class:`CrossRankBatchNorm2d` is for
the CPU.

Source: Ioffe & Szegedy, "Batch Normalization" (ICML 2015). With :math:`N` values of a channel on all ranks,
:math:`\hat x = (x - \mu) / \sqrt{\sigma^2 + \epsilon}` and :math:`y = w \hat x + b`, the gradient is

.. math:: \partial_x = \frac{w}{\sqrt{\sigma^2 + \epsilon}}
    \left(\partial_y - \frac{1}{N} \sum \partial_y - \hat x \, \frac{1}{N} \sum \partial_y \hat x\right)

whose sums are over all ranks. Variances of parts are put together as by Chan, Golub & LeVeque, "Updating formulae and a
pairwise algorithm for computing sample variances" (1979), in float64: a difference of mean squares would cancel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.autograd.function import once_differentiable
from torch.nn import functional

from freqcache.errors import TrainingError
from freqcache.training.collectives import sum_over_ranks, world_size


class CrossRankBatchNorm2d(nn.BatchNorm2d):
    """:class:`torch.nn.BatchNorm2d` of the joint batch of all ranks, on the CPU.

    Parameters, buffers and state dict are those of BatchNorm2d. All ranks must call it equally often in training mode;
    their batches may differ in size. In evaluation mode, and where there is one rank, it is BatchNorm2d.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, H, W) floats; the running statistics follow those of the joint batch.

        Raises
        ------
        ValueError
            If `x` has not four axes, or all ranks together have one value per channel.
        """
        if not self.training or world_size() == 1:
            return super().forward(x)
        self._check_input_dim(x)
        with torch.autocast(x.device.type, enabled=False):
            return self._normalized(x.float() if x.dtype in (torch.bfloat16, torch.float16) else x).to(x.dtype)

    def _normalized(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W) float32 or float64 of the same: statistics of 8 bits of mantissa would be none."""
        count, mean, variance = joint_statistics(x.detach())
        if count < 2:
            msg = f"expected more than one value per channel on all ranks, found {count} of shape {tuple(x.shape)}"
            raise ValueError(msg)
        self._track(count, mean, variance)
        statistics = mean.to(x.dtype), variance.to(x.dtype)
        y: Tensor = _Normalize.apply(x, self.weight, self.bias, *statistics, self.eps, count)  # type: ignore[no-untyped-call]
        return y

    @torch.no_grad()
    def _track(self, count: int, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics; the variance's is the unbiased one."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        factor = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), factor)
        self.running_var.lerp_((variance * (count / (count - 1))).to(self.running_var.dtype), factor)


def joint_statistics(x: Tensor) -> tuple[int, Tensor, Tensor]:
    """Return the number of values per channel, their mean and biased variance, over all ranks.

    Parameters
    ----------
    x : (N, C, ...) float
        This rank's; N may differ between ranks, and be 0.

    Returns
    -------
    int, (C,) float64, (C,) float64
        The same bits on every rank.
    """
    channels = x.shape[1]
    own = x.new_zeros(1 + 2 * channels, dtype=torch.float64)  # count, means, variances
    if x.numel():
        mean, variance = torch.batch_norm_update_stats(x, None, None, 0.0)  # biased; accurate, and fast on the CPU
        own[0] = x.numel() // channels
        own[1:] = torch.cat([mean, variance])
    parts = [own]
    if world_size() > 1:
        parts = [torch.empty_like(own) for _ in range(world_size())]
        dist.all_gather(parts, own)
    table = torch.stack(parts)  # (ranks, 1 + 2C)
    counts, means, variances = table[:, :1], table[:, 1 : 1 + channels], table[:, 1 + channels :]
    count = int(counts.sum())
    shares = counts / max(count, 1)  # (ranks, 1)
    joint = (shares * means).sum(0)
    return count, joint, (shares * (variances + (means - joint).square())).sum(0)


class _Normalize(torch.autograd.Function):
    """Normalize by statistics of all ranks, through which the gradient flows too."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        eps: float,
        count: int,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps, ctx.count = eps, count
        return functional.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance = ctx.saved_tensors
        inverse = (variance + ctx.eps).rsqrt()  # (C,)
        centred = x - _per_channel(mean)
        # Of this rank: what the parameters get here; like all gradients, they are averaged over ranks later.
        summed = upstream.sum((0, 2, 3))
        projected = (upstream * centred).sum((0, 2, 3)) * inverse
        for_x: Tensor | None = None
        if ctx.needs_input_grad[0]:
            sums = sum_over_ranks(torch.stack([summed, projected]).double()) / ctx.count
            factor = inverse if weight is None else inverse * weight
            offset, slope = factor * sums[0].to(x.dtype), factor * inverse * sums[1].to(x.dtype)
            for_x = centred.mul_(_per_channel(-slope)).addcmul_(upstream, _per_channel(factor))
            for_x = for_x.sub_(_per_channel(offset))
        for_weight = projected if ctx.needs_input_grad[1] else None
        for_bias = summed if ctx.needs_input_grad[2] else None
        return for_x, for_weight, for_bias, None, None, None, None


def _per_channel(values: Tensor) -> Tensor:
    """Return (C,) values as (C, 1, 1)."""
    return values[:, None, None]


def use_cross_rank_batchnorm(module: nn.Module, device: torch.device | str) -> nn.Module:
    """Replace a module's BatchNorm2d layers by ones that normalize over all ranks.

    Parameters and buffers stay the same objects, under the same names. Call it before :func:`data_parallel`.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place.
    device : torch.device or str
        Where it runs: SyncBatchNorm on CUDA, else :class:`CrossRankBatchNorm2d`.

    Returns
    -------
    torch.nn.Module
        `module`; a new one if it is a BatchNorm2d itself. Untouched where there is one rank.

    Raises
    ------
    TrainingError
        If it has BatchNorm1d or BatchNorm3d layers, on the CPU.
    """
    if world_size() == 1:
        return module
    if torch.device(device).type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
        return converted
    for name, child in list(module.named_children()):
        setattr(module, name, use_cross_rank_batchnorm(child, device))
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm3d):
        msg = f"BatchNorm over all ranks is made for images; {type(module).__name__} has none on the CPU"
        raise TrainingError(msg)
    return _converted(module) if isinstance(module, nn.BatchNorm2d) else module


def _converted(layer: nn.BatchNorm2d) -> nn.BatchNorm2d:
    made = CrossRankBatchNorm2d(
        layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats, device="meta"
    )
    for name, parameter in layer.named_parameters(recurse=False):
        setattr(made, name, parameter)
    for name, buffer in layer.named_buffers(recurse=False):
        setattr(made, name, buffer)
    return made.train(layer.training)
