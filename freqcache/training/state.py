"""The state of a training run: how it is set up, saved, restored and described.

The loop itself is :mod:`freqcache.training.loop`.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from freqcache.errors import TrainingError
from freqcache.gates import GatedNetwork
from freqcache.loading.loader import FrequencyLoader
from freqcache.models import NetworkCost, count_cost
from freqcache.models.weights import load_rgb_trunk
from freqcache.normalization import Normalization
from freqcache.training.budget import BudgetController
from freqcache.training.config import RunConfig
from freqcache.training.crossrank import use_cross_rank_batchnorm
from freqcache.training.data import ALONE, RunData, open_batches
from freqcache.training.distributed import Ranks
from freqcache.training.evaluation import choose_device, create_inputs
from freqcache.training.inputs import InputPipeline, network_input_shape
from freqcache.training.logs import RunLog
from freqcache.training.optim import Optimizers, create_average
from freqcache.training.parallel import data_parallel
from freqcache.training.report import Reporter
from freqcache.training.runs import build_network
from freqcache.transforms import Mixup
from freqcache_formats.mask import ChannelMask

N_SUMS, HITS = 4, 2
"""Sums over an epoch's parts: loss, cross-entropy, hits, expected open channels."""


@dataclass(kw_only=True)
class TrainingState:
    """Everything that changes, or is needed, from step to step.

    Attributes
    ----------
    model : GatedNetwork
        The weights that are trained.
    parallel : torch.nn.Module
        `model`, or a wrapper that averages its gradients over processes.
    average : AveragedModel or None
        Moving average of the weights.
    steps_per_epoch : int
        Of the optimizers.
    parts : int
        Parts of the epoch that are done: a step of the optimizer is `config.accumulate` of them.
    sums : (N_SUMS,) float32 tensor
        Over those parts, on this process.
    """

    config: RunConfig
    path: Path
    data: RunData
    device: torch.device
    ranks: Ranks
    model: GatedNetwork
    parallel: nn.Module
    average: AveragedModel | None
    inputs: InputPipeline
    eval_inputs: InputPipeline
    normalization: Normalization
    optimizers: Optimizers
    steps_per_epoch: int
    controller: BudgetController | None
    mixup: Mixup | None
    train_batches: FrequencyLoader
    val_batches: FrequencyLoader
    cost: NetworkCost
    reporter: Reporter
    log: RunLog
    sums: torch.Tensor
    k: int = 24
    parts: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def channels(self) -> ChannelMask:
        """Channels the run reads, in order."""
        return self.data.train.dataset.channels

    @property
    def kept(self) -> GatedNetwork:
        """The weights that are validated and kept: the moving average, where there is one."""
        if self.average is None:
            return self.model
        return cast(GatedNetwork, self.average.module)

    def leave_ranks(self) -> None:
        """Drop the wrapper that averages gradients, before the process group ends.

        It holds the group; freed after the group's end it was seen to wait for ever, in one run of ten.
        """
        self.parallel = self.model
        if self.ranks.world_size > 1:
            gc.collect()

    @property
    def part_images(self) -> int:
        """Images of a part, on all processes together."""
        return self.train_batches.batch_size * self.ranks.world_size

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.config.epochs * self.steps_per_epoch


def prepare(
    config: RunConfig,
    path: Path,
    data: RunData,
    reporter: Reporter,
    *,
    ranks: Ranks = ALONE,
    device: str | None = None,
) -> TrainingState:
    """Build the network, its inputs, the optimizers and the batches of a run.

    Weights come from torch's global generator, which the caller has seeded; `device` overrides the
    configuration's.
    """
    dataset = data.train.dataset
    where = choose_device(device or config.device)
    model = build_network(config, channels=len(dataset.channels), classes=len(dataset.classes))
    cost = count_cost(model, network_input_shape(config, len(dataset.channels), data.train.grid))
    if config.init is not None:
        report = load_rgb_trunk(model.network, config.init)
        reporter.line(f"weights    {config.init}: {report}")
    normalization = choose_normalization(config, data)
    # Convolutions are 1.2 to 1.4 times faster so on a CPU, and bfloat16 ones more than that on CUDA.
    model.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = create_average(model, config.ema)
    if config.sync_batchnorm:
        use_cross_rank_batchnorm(model, where)  # in place
    parallel = data_parallel(model)
    if config.compile:
        model.network.compile()
    batch = batch_size(config, len(data.train), ranks)
    batches = open_batches(data.train, batch, shuffle=True, seed=config.seed, ranks=ranks, device=where)
    per_epoch = max(1, len(data.train) // (batch * ranks.world_size * config.accumulate))
    optimizers = Optimizers(model, config, config.epochs * per_epoch)
    state = TrainingState(
        config=config,
        path=path,
        data=data,
        device=where,
        ranks=ranks,
        model=model,
        parallel=parallel,
        average=average,
        inputs=create_inputs(config, data.train, normalization, where),
        eval_inputs=create_inputs(config, data.val, normalization, where),
        normalization=normalization,
        optimizers=optimizers,
        steps_per_epoch=per_epoch,
        controller=None,
        mixup=_create_mixup(config, len(dataset.classes)),
        train_batches=batches,
        val_batches=open_batches(data.val, batch, ranks=ranks, device=where),
        cost=cost,
        reporter=reporter,
        log=RunLog(path, writes=ranks.is_main, warn=reporter.warn),
        sums=torch.zeros(N_SUMS, device=where),
    )
    if config.has_target:
        state.controller = _create_controller(state)
    return state


def choose_normalization(config: RunConfig, data: RunData) -> Normalization:
    """Return the normalization of a configuration, for the channels of its data."""
    dataset = data.train.dataset
    if config.normalization == "dctnet":
        return Normalization.dctnet(dataset.channels)
    mean, std = dataset.normalization()
    return Normalization(mean=mean, std=std)


def batch_size(config: RunConfig, images: int, ranks: Ranks) -> int:
    """Return the images of one part on one process.

    Raises
    ------
    TrainingError
        If the batch cannot be divided evenly, or is left with a single image.
    """
    shares = ranks.world_size * config.accumulate
    if config.batch_size % shares:
        msg = (
            f"a batch of {config.batch_size} images cannot be divided into {ranks.world_size} processes x "
            f"{config.accumulate} parts"
        )
        raise TrainingError(msg)
    size = min(config.batch_size, images - images % shares) // shares
    if size < 2 and not (config.sync_batchnorm and ranks.world_size * size > 1):
        msg = (
            f"BatchNorm needs more than one image: {min(config.batch_size, images)} images in {ranks.world_size} "
            f"processes x {config.accumulate} parts leave {size}"
        )
        raise TrainingError(msg)
    return size


def _create_mixup(config: RunConfig, classes: int) -> Mixup | None:
    if config.mixup and classes < 2:
        msg = "mixup needs at least 2 classes, the cache has 1"
        raise TrainingError(msg)
    return Mixup(config.mixup, classes) if config.mixup else None


def _create_controller(state: TrainingState) -> BudgetController:
    """Return what adapts lambda to the target, in channels or in bytes."""
    config, dataset = state.config, state.data.train.dataset
    costs, target = torch.ones(len(state.channels)), config.target_channels
    if len(state.channels) < 2:
        msg = "a target needs gates to choose between: the network takes one channel"
        raise TrainingError(msg)
    if config.target_bytes is not None:
        if dataset.size is not None or dataset.crop is not None:
            msg = (
                f"{dataset.cache_path}: images that are resized need more channels read than are wanted; a target of "
                "bytes is for a fixed cache (freqcache build --size) and --crop none, or give --target-channels"
            )
            raise TrainingError(msg)
        per_channel = dataset.channel_bytes
        costs, target = torch.from_numpy(per_channel).float(), config.target_bytes
        if not 0 < target < per_channel.sum():
            msg = (
                f"a target of {target:g} bytes per image is not below the {per_channel.sum():.0f} that "
                f"{len(state.channels)} channels take"
            )
            raise TrainingError(msg)
    return BudgetController(costs.to(state.device), float(target or 0), state.steps)
