"""Gates that decide which channels a network sees: for each image, or once for all.

The dynamic gate is that of Xu et al., "Learning in the Frequency Domain" (CVPR 2020, section 3.3): the
spatial mean of every channel passes a 1x1 convolution, BatchNorm and ReLU; each entry times two trainable numbers
gives the logits of "off" and "on"; a Bernoulli sample per channel, drawn by Gumbel-softmax (Jang et al., ICLR 2017),
hard forwards and straight-through backwards, multiplies the channel. At evaluation the decision is the arg max: no
noise. The static gate has a pair of logits per channel and no input, and is otherwise the same.

Ranking channels by what the gates learned is :mod:`freqcache.selection`'s; the loss is the training loop's.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from freqcache.errors import TrainingError

OFF, ON = 0, 1
"""Slots of the last axis of the logits."""

INITIAL_LOGITS: Final = (0.1, 2.0)
"""Of off and on: P(on) starts at sigmoid(1.9) = 0.87."""


def gumbel_noise(
    shape: tuple[int, ...], *, device: torch.device | str = "cpu", generator: torch.Generator | None = None
) -> Tensor:
    """Draw standard Gumbel noise, ``-log(-log(u))``, as float32 of `shape`."""
    exponential = torch.empty(shape, device=device).exponential_(generator=generator)
    # An exponential draw can be 0 in float32; its logarithm would be an infinite logit.
    return -exponential.clamp_min_(torch.finfo(torch.float32).tiny).log()


def sample_gates(logits: Tensor, noise: Tensor, *, tau: float, hard: bool = True) -> Tensor:
    """Sample a gate per channel by Gumbel-softmax.

    Parameters
    ----------
    logits : (N, C, 2) float
        Logits of off and on.
    noise : (N, C, 2) float
        Standard Gumbel noise.
    tau : float
        Temperature: toward 0 the soft sample becomes one-hot.
    hard : bool
        Round the sample to 0 or 1 forwards, and differentiate the soft one backwards (straight-through).

    Returns
    -------
    (N, C) float
        The sample's "on" slot.
    """
    soft = torch.softmax((logits + noise) / tau, dim=-1)[..., ON]
    if not hard:
        return soft
    decision = (soft > 0.5).to(soft.dtype)
    return decision + (soft - soft.detach())  # exactly 0 or 1, with the gradient of `soft`


class GateOutput(NamedTuple):
    """What a gate module returns.

    Attributes
    ----------
    x : (N, C, H, W) float
        The input, its closed channels zero.
    gates : (N, C) float
        0 or 1 for each image and channel.
    probabilities : (N, C) float
        P(on), the softmax of the logits without noise.
    """

    x: Tensor
    gates: Tensor
    probabilities: Tensor


class Gate(nn.Module):
    """What the gates have in common: logits become a sample in training, and the arg max in evaluation mode.

    Parameters
    ----------
    channels : int
        Channels C of the input.
    tau : float
        Temperature of the Gumbel-softmax in training. May be changed between steps.

    Raises
    ------
    TrainingError
        If `tau` is not positive.
    """

    def __init__(self, channels: int, *, tau: float = 1.0) -> None:
        super().__init__()
        if not tau > 0:
            msg = f"the gates' temperature must be positive, found {tau}"
            raise TrainingError(msg)
        self.channels = channels
        self.tau = tau

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits of off and on, (N, C, 2) float, of an input (N, C, H, W)."""
        raise NotImplementedError

    def forward(
        self, x: Tensor, *, noise: Tensor | None = None, generator: torch.Generator | None = None
    ) -> GateOutput:
        """Gate the channels: by a sample in training, by arg max in evaluation mode.

        Parameters
        ----------
        x : (N, C, H, W) float
            Normalized coefficients.
        noise : (N, C, 2) float, optional
            Gumbel noise to use in training instead of drawing it.
        generator : torch.Generator, optional
            Source of the noise, on the input's device.

        Returns
        -------
        GateOutput
        """
        logits = self.logits(x)
        probabilities = torch.softmax(logits, dim=-1)[..., ON]
        if self.training:
            if noise is None:
                noise = gumbel_noise(tuple(logits.shape), device=logits.device, generator=generator)
            gates = sample_gates(logits, noise, tau=self.tau)
        else:
            gates = (logits[..., ON] > logits[..., OFF]).to(logits.dtype)
        return GateOutput(x * gates.to(x.dtype)[:, :, None, None], gates, probabilities)


class ChannelGate(Gate):
    """Dynamic gate of the paper: one decision per image and channel. Parameters are those of :class:`Gate`."""

    def __init__(self, channels: int, *, tau: float = 1.0) -> None:
        super().__init__(channels, tau=tau)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv = nn.Conv2d(channels, channels, 1)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.fc = nn.Conv2d(channels, 2 * channels, 1, groups=channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew, so that P(on) starts at sigmoid(2 - 0.1) = 0.87 for every channel."""
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)
        self.bn.reset_parameters()
        nn.init.normal_(self.fc.weight, 0.0, 0.001)
        with torch.no_grad():
            if self.fc.bias is not None:
                # A grouped convolution lists group after group: (off, on) of channel 0, of channel 1, ...
                self.fc.bias.copy_(torch.tensor(INITIAL_LOGITS).repeat(self.channels))

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits of off and on, (N, C, 2) float, of an input (N, C, H, W)."""
        # 8 bits of mantissa would round the small differences that rank channels, and on 1x1 there is nothing to gain.
        with _without_autocast(x.device):
            pooled = self.pool(x.to(self.conv.weight.dtype))  # (N, C, 1, 1)
            excited = self.relu(self.bn(self.conv(pooled)))  # (N, C, 1, 1)
            pairs: Tensor = self.fc(excited)  # (N, 2C, 1, 1)
        return pairs.reshape(-1, self.channels, 2)


def _without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context of full precision; none where there is nothing to leave, so that exported programs have none."""
    if device.type == "meta" or not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


class StaticGate(Gate):
    """One pair of logits per channel, whatever the image; starts like the dynamic gate.

    Parameters are those of :class:`Gate`.
    """

    def __init__(self, channels: int, *, tau: float = 1.0) -> None:
        super().__init__(channels, tau=tau)
        self.pairs = nn.Parameter(torch.empty(channels, 2))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set P(on) to sigmoid(2 - 0.1) = 0.87 for every channel."""
        with torch.no_grad():
            self.pairs.copy_(torch.tensor(INITIAL_LOGITS))

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits of off and on, (N, C, 2) float, the same for each of the N images of `x`."""
        return self.pairs.expand(x.shape[0], -1, -1)


GATES: Final[Mapping[str, type[Gate]]] = {"dynamic": ChannelGate, "static": StaticGate}
"""Gates by name."""


class NetworkOutput(NamedTuple):
    """Logits of a network and, where it has gates, what they did.

    Attributes
    ----------
    logits : (N, classes) float
    gates : (N, C) float or None
    probabilities : (N, C) float or None
    """

    logits: Tensor
    gates: Tensor | None
    probabilities: Tensor | None


class GatedNetwork(nn.Module):
    """A network behind a gate, or alone: one module for the training loop.

    Parameters
    ----------
    network : torch.nn.Module
        Maps (N, C, H, W) to logits; its state dict keeps its plain names.
    gate : Gate, optional
        Put before it.
    """

    def __init__(self, network: nn.Module, gate: Gate | None = None) -> None:
        super().__init__()
        self.network = network
        self.gate = gate

    def forward(
        self, x: Tensor, *, noise: Tensor | None = None, generator: torch.Generator | None = None
    ) -> NetworkOutput:
        """Return the logits of (N, C, H, W) normalized coefficients (or pixels), and the gates.

        `noise` and `generator` are the gate's: see :meth:`Gate.forward`.
        """
        if self.gate is None:
            return NetworkOutput(self.network(x), None, None)
        gated = self.gate(x, noise=noise, generator=generator)
        return NetworkOutput(self.network(gated.x), gated.gates, gated.probabilities)
