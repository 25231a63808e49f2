"""What a training run is: one frozen dataclass, saved with the run as JSON.

Everything that changes a run's numbers is here; where it is written and how it is shown is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from math import isfinite
from typing import Any, Final

from freqcache.errors import FormatError, TrainingError
from freqcache_formats.mask import ChannelMask

SCHEDULES: Final = ("one-cycle", "cosine")
DEVICES: Final = ("auto", "cpu", "cuda")

# What is certainly a slip of the fingers; beyond these, allocators and thread libraries end the process themselves.
MAX_WIDTH: Final = 16
MAX_SIZE: Final = 4096
MAX_THREADS: Final = 1024


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Configuration of one training run.

    Attributes
    ----------
    cache : str
        Path or URL of the cache.
    channels : ChannelMask or None
        Channels to read; None reads all 192.
    size : int or None
        Side in pixels that samples of a native cache are brought to; None for a fixed cache, and for a native
        one the size that the mask was selected at, or 224.
    input : str
        ``"dct"``: channels; ``"rgb"``: pixels reconstructed from all channels of the same cache.
    arch, width, strides : str, float, str
        See :func:`freqcache.models.create_model`.
    gate : bool
        Put the paper's dynamic gate before the network.
    lam : float
        Weight lambda of the gate term: ``loss = cross-entropy + lam * (open channels per image)``, where the
        sum over channels of the gates is averaged over the batch and not divided by the number of channels. What
        it closes grows with `lr` and with the number of steps.
    tau : float
        Temperature of the Gumbel-softmax.
    epochs, batch_size : int
        Passes over the training split and images a step.
    lr, schedule, warmup : float, str, float
        Peak learning rate; ``"one-cycle"`` rises from lr / 25 over the first `warmup` of the steps and falls
        to nearly 0 by a half cosine; ``"cosine"`` rises linearly from 0, then the same.
    momentum, weight_decay, label_smoothing : float
        Of SGD (Nesterov); decay spares BatchNorm and biases; smoothing of the cross-entropy.
    flip : bool
        Mirror half of the training images.
    shift : int
        Translate training images by up to so many blocks. Coefficients cannot be cropped finely, and on small
        data sets a network without this learns them by heart.
    seed : int
        Of weights, order, augmentation and gates.
    val_fraction : float
        Share of the images held out for validation where the cache has one split only; which ones does not
        depend on `seed`, so that runs stay comparable.
    device : str
        ``"auto"`` (CUDA when there is one), ``"cpu"`` or ``"cuda"``.
    amp : bool
        bfloat16 where the device is CUDA; nothing on a CPU.
    threads : int or None
        Threads of torch on the CPU; None leaves torch's setting. Another number may change the last bits.
    """

    cache: str
    channels: ChannelMask | None = None
    size: int | None = None
    input: str = "dct"
    arch: str = "resnet18"
    width: float = 1.0
    strides: str = "iso"
    gate: bool = False
    lam: float = 0.01
    tau: float = 1.0
    epochs: int = 12
    batch_size: int = 64
    lr: float = 0.2
    schedule: str = "one-cycle"
    warmup: float = 0.3
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    flip: bool = True
    shift: int = 4
    seed: int = 0
    val_fraction: float = 0.2
    device: str = "auto"
    amp: bool = True
    threads: int | None = None

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            msg = "cannot train with these options: " + "; ".join(problems)
            raise TrainingError(msg)

    def _problems(self) -> Iterator[str]:
        if self.input == "rgb" and self.gate:
            yield "a gate chooses frequency channels, and --input rgb has none"
        if self.input == "rgb" and self.channels is not None and len(self.channels) < 192:
            yield f"--input rgb reconstructs pixels from all 192 channels, the mask has {len(self.channels)}"
        if self.epochs < 1:
            yield f"epochs must be at least 1, found {self.epochs}"
        if self.batch_size < 2:
            yield f"batch_size must be at least 2 (BatchNorm needs more than one image), found {self.batch_size}"
        if self.seed >= 2**63:
            yield f"seed must be below 2**63, found {self.seed}"
        if self.width > MAX_WIDTH:
            yield f"width must be at most {MAX_WIDTH}, found {self.width}"
        if self.size is not None and self.size > MAX_SIZE:
            yield f"size must be at most {MAX_SIZE} pixels, found {self.size}"
        for name in ("lr", "tau", "width"):
            if not (isfinite(getattr(self, name)) and getattr(self, name) > 0):
                yield f"{name} must be positive, found {getattr(self, name)}"
        for name in ("lam", "weight_decay", "shift", "seed"):
            if not (isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                yield f"{name} must not be negative, found {getattr(self, name)}"
        for name in ("warmup", "momentum", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                yield f"{name} must be in [0, 1), found {getattr(self, name)}"
        if not 0 < self.val_fraction < 1:
            yield f"val_fraction must be in (0, 1), found {self.val_fraction}"
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            yield f"threads must be in 1..{MAX_THREADS}, found {self.threads}"
        for name, known in (("schedule", SCHEDULES), ("device", DEVICES), ("input", ("dct", "rgb"))):
            if getattr(self, name) not in known:
                yield f"{name} must be one of {', '.join(known)}, found {getattr(self, name)!r}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of this configuration; the mask is written out."""
        document = asdict(replace(self, channels=None))
        document["channels"] = None if self.channels is None else self.channels.to_dict()
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> RunConfig:
        """Return the configuration of a JSON document.

        Raises
        ------
        TrainingError
            If a value is unknown, missing or impossible.
        """
        known = {entry.name for entry in fields(cls)}
        unknown = sorted(set(document) - known)
        if unknown or "cache" not in document:
            msg = f"not a run's configuration: unknown keys {unknown}" if unknown else "configuration without a cache"
            raise TrainingError(msg)
        values = dict(document)
        try:
            if values.get("channels") is not None:
                values["channels"] = ChannelMask.from_dict(values["channels"])
            return cls(**values)
        except (FormatError, TypeError) as error:
            msg = f"not a run's configuration: {error}"
            raise TrainingError(msg) from error
