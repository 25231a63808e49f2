"""Data parallel training: every rank takes its share of a batch, and all make the same step.

By torch's DistributedDataParallel: each rank's gradient becomes the mean over ranks. Where each rank's loss is the mean
over its share, and shares are of one size, that is the gradient of the mean over the joint batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any, Final

import torch
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from freqcache.training.collectives import world_size
from freqcache.training.crossrank import CrossRankBatchNorm2d

_SYNC_BUFFERS: Final = (  # the option's new name in torch 2.13, where the old one warns
    "forward_sync_buffers"
    if "forward_sync_buffers" in signature(DistributedDataParallel.__init__).parameters
    else "broadcast_buffers"
)


def data_parallel(module: nn.Module) -> nn.Module:
    """Return a module whose backward pass averages gradients over ranks.

    Parameters
    ----------
    module : torch.nn.Module
        On its device, in its memory format, with its final layers: see
        :func:`freqcache.training.crossrank.use_cross_rank_batchnorm`. Every parameter must have a part in every output.

    Returns
    -------
    torch.nn.Module
        Takes and returns what `module` does, whose parameters and buffers now have the values of rank 0. `module`
        keeps its plain names, and is what to save, to optimize and to evaluate; but keep this one too, for nothing is
        averaged once it is gone. `module` itself where there is one rank.
    """
    if world_size() == 1:
        return module
    buffers_from_main(module)
    # Running statistics over all ranks are alike anyway; others would drift apart, so those of rank 0 count.
    options: dict[str, Any] = {_SYNC_BUFFERS: any(_is_local(layer) for layer in module.modules())}
    return DistributedDataParallel(module, gradient_as_bucket_view=True, **options)


def _is_local(layer: nn.Module) -> bool:
    """Whether a layer is a BatchNorm with statistics of this rank only."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    return isinstance(layer, kinds) and not isinstance(layer, CrossRankBatchNorm2d)


@contextmanager
def gradient_sync(module: nn.Module, enabled: bool) -> Iterator[None]:
    """Average gradients over ranks in the passes of the body, or only add them up on this rank.

    To accumulate gradients over several batches, enable it for the last of them only. The forward pass belongs into the
    body as well as the backward pass.

    Parameters
    ----------
    module : torch.nn.Module
        What :func:`data_parallel` returned.
    enabled : bool
        The same on all ranks.
    """
    if enabled or not isinstance(module, DistributedDataParallel):
        yield
        return
    with module.no_sync():
        yield


@torch.no_grad()
def buffers_from_main(module: nn.Module) -> None:
    """Give all ranks the buffers of rank 0, where BatchNorm is not over all ranks: before they share an evaluation."""
    if world_size() > 1:
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0)
