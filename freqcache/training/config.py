"""What a training run is: one frozen dataclass, saved with the run as JSON.

Everything that changes a run's numbers is here; where it is written and how it is shown is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import isfinite
from types import NoneType
from typing import Any, Final

from freqcache.errors import FormatError, TrainingError
from freqcache.gates import GATES
from freqcache.models import INPUTS
from freqcache_formats.channels import N_CHANNELS
from freqcache_formats.mask import ChannelMask

SCHEDULES: Final = ("one-cycle", "cosine", "step")
DEVICES: Final = ("auto", "cpu", "cuda")
PRECISIONS: Final = ("auto", "bf16", "float32")
CROPS: Final = ("none", "random-resized")
NORMALIZATIONS: Final = ("cache", "dctnet")
GATE_KINDS: Final = ("none", *GATES)

# What is certainly a slip of the fingers; beyond these, allocators and thread libraries end the process themselves.
MAX_WIDTH: Final = 16
MAX_SIZE: Final = 4096
MAX_THREADS: Final = 1024

# A recipe may hold anything. Annotations are strings here.
_TYPES: Final[Mapping[Any, tuple[type, ...]]] = {
    "int": (int,),
    "int | None": (int, NoneType),
    "float": (int, float),
    "float | None": (int, float, NoneType),
    "str": (str,),
    "str | None": (str, NoneType),
    "bool": (bool,),
    "tuple[float, ...]": (tuple, list),
}

_CHOICES: Final[Mapping[str, Sequence[str]]] = {
    "schedule": SCHEDULES,
    "device": DEVICES,
    "precision": PRECISIONS,
    "crop": CROPS,
    "normalization": NORMALIZATIONS,
    "gate": GATE_KINDS,
    "input": INPUTS,
}


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
        Side in pixels that samples of a native cache are brought to, or that crops have; None for a fixed cache, and
        for a native one the size that the mask was selected at, or 224.
    resize : int or None
        What the short side is resized to before the centre crop of validation, where there are crops of a native
        cache; None is 8/7 of `size`, the usual 256 for 224.
    crop : str
        ``"none"``: the whole image, its centre square; ``"random-resized"``: a random part of each training image, 8
        to 100 % of its area, on the coefficients.
    input : str
        ``"dct"``: channels; ``"rgb"``: pixels reconstructed from all channels of the same cache.
    normalization : str
        ``"cache"``: true means and deviations of the training split; ``"dctnet"``: the published numbers, whose
        "std" is not a deviation of coefficients (see :mod:`freqcache.normalization`).
    arch, width, strides : str, float, str
        See :func:`freqcache.models.create_model`.
    init : str or None
        Checkpoint file of an RGB network whose trunk initialises this one's; None starts from random weights.
    gate : str
        ``"none"``; ``"dynamic"``: the paper's gate before the network; ``"static"``: one pair of logits per channel.
    lam : float
        Weight lambda of the gate term: ``loss = cross-entropy + lam * (open channels per image)``, where the
        sum over channels of the gates is averaged over the batch and not divided by the number of channels. What
        it closes grows with `lr` and with the number of steps. The DCTNet release divides by the number of channels:
        its lambda is 192 times this one. Without meaning where there is a target.
    lam_warmup : float
        Share of the steps over which lambda rises from 0 to `lam`, linearly.
    target_channels, target_bytes : float or None
        Adapt lambda until so many channels are open per image, or until the open ones cost so many stored bytes per
        image: see :mod:`freqcache.training.budget`. At most one of them.
    tau, tau_end : float, float or None
        Temperature of the Gumbel-softmax; with `tau_end` it falls (or rises) from `tau` exponentially.
    gate_lr : float or None
        Step of Adam for the gate's parameters, constant over the run; None trains them with the network's optimizer,
        as the paper does, or where there is a target by a step that suits the length of the run.
    epochs, batch_size : int
        Passes over the training split, and images of one step of the optimizer: over all processes together.
    accumulate : int
        Parts that a process computes its share of a batch in, one after the other, to save memory. BatchNorm sees the
        parts.
    lr, schedule, warmup : float, str, float
        Peak learning rate; ``"one-cycle"`` rises from lr / 25 over the first `warmup` of the steps and falls
        to nearly 0 by a half cosine; ``"cosine"`` rises linearly from 0, then the same; ``"step"`` rises linearly,
        then stays, but for a tenth of the rate from each of `milestones` on.
    milestones : tuple of float
        Shares of the run at which ``"step"`` divides the rate by ten.
    momentum, nesterov : float, bool
        Of SGD.
    weight_decay, label_smoothing : float
        Decay spares BatchNorm, biases and gates; smoothing of the cross-entropy.
    ema : float
        Decay per step of an exponential moving average of the weights, which is then what is validated and kept;
        0 for none.
    mixup : float
        Alpha of mixup; 0 for none. With several processes an image's partner is of the same process.
    flip : bool
        Mirror half of the training images.
    shift : int
        Translate training images by up to so many blocks; not with crops. Coefficients cannot be cropped finely, and
        on small data sets a network without this learns them by heart.
    seed : int
        Of weights, order, augmentation and gates.
    val_fraction : float
        Share of the images held out for validation where the cache has one split only; which ones does not
        depend on `seed`, so that runs stay comparable.
    device : str
        ``"auto"`` (CUDA when there is one), ``"cpu"`` or ``"cuda"``.
    precision : str
        ``"auto"``: bfloat16 on CUDA and float32 on a CPU; ``"bf16"``; ``"float32"``.
    compile : bool
        Compile the network (:func:`torch.compile`); on a CPU that needs a C++ compiler.
    sync_batchnorm : bool
        BatchNorm over the batches of all processes together: a run on several is then a run on one, but for rounding.
    threads : int or None
        Threads of torch on the CPU; None leaves torch's setting. Another number may change the last bits.
    """

    cache: str
    channels: ChannelMask | None = None
    size: int | None = None
    resize: int | None = None
    crop: str = "none"
    input: str = "dct"
    normalization: str = "cache"
    arch: str = "resnet18"
    width: float = 1.0
    strides: str = "iso"
    init: str | None = None
    gate: str = "none"
    lam: float = 0.01
    lam_warmup: float = 0.0
    target_channels: float | None = None
    target_bytes: float | None = None
    tau: float = 1.0
    tau_end: float | None = None
    gate_lr: float | None = None
    epochs: int = 12
    batch_size: int = 64
    accumulate: int = 1
    lr: float = 0.2
    schedule: str = "one-cycle"
    warmup: float = 0.3
    milestones: tuple[float, ...] = (0.3, 0.6, 0.9)
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    ema: float = 0.0
    mixup: float = 0.0
    flip: bool = True
    shift: int = 4
    seed: int = 0
    val_fraction: float = 0.2
    device: str = "auto"
    precision: str = "auto"
    compile: bool = False
    sync_batchnorm: bool = True
    threads: int | None = None

    def __post_init__(self) -> None:
        problems = [
            f"{field.name} must be {field.type}, found {getattr(self, field.name)!r}"
            for field in fields(self)
            if field.type in _TYPES and not _is_of(getattr(self, field.name), _TYPES[field.type])
        ]
        if not problems:
            object.__setattr__(self, "milestones", tuple(self.milestones))
            problems = [*self._options_apart(), *self._options_together()]
        if problems:
            msg = "cannot train with these options: " + "; ".join(problems)
            raise TrainingError(msg)

    @property
    def has_target(self) -> bool:
        """Whether lambda is adapted to a target."""
        return self.target_channels is not None or self.target_bytes is not None

    def _options_apart(self) -> Iterator[str]:
        """Yield what is wrong with single options."""
        if self.epochs < 1:
            yield f"epochs must be at least 1, found {self.epochs}"
        if self.batch_size < 2:
            yield f"batch_size must be at least 2 (BatchNorm needs more than one image), found {self.batch_size}"
        if self.accumulate < 1:
            yield f"accumulate must be at least 1, found {self.accumulate}"
        if self.seed >= 2**63:
            yield f"seed must be below 2**63, found {self.seed}"
        if self.width > MAX_WIDTH:
            yield f"width must be at most {MAX_WIDTH}, found {self.width}"
        for name in ("size", "resize"):
            pixels = getattr(self, name)
            if pixels is not None and (not 8 <= pixels <= MAX_SIZE or pixels % 8):
                yield f"{name} must be a multiple of 8 pixels, 8..{MAX_SIZE}, found {pixels}"
        for name in ("lr", "tau", "tau_end", "gate_lr", "width", "target_channels", "target_bytes"):
            value = getattr(self, name)
            if value is not None and not (isfinite(value) and value > 0):
                yield f"{name} must be positive, found {value}"
        for name in ("lam", "weight_decay", "shift", "seed", "mixup"):
            if not (isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                yield f"{name} must not be negative, found {getattr(self, name)}"
        for name in ("warmup", "lam_warmup", "momentum", "label_smoothing", "ema"):
            if not 0 <= getattr(self, name) < 1:
                yield f"{name} must be in [0, 1), found {getattr(self, name)}"
        if not 0 < self.val_fraction < 1:
            yield f"val_fraction must be in (0, 1), found {self.val_fraction}"
        if self.threads is not None and not 1 <= self.threads <= MAX_THREADS:
            yield f"threads must be in 1..{MAX_THREADS}, found {self.threads}"
        if not all(isinstance(share, int | float) and 0 < share < 1 for share in self.milestones):
            yield f"milestones must be shares of the run in (0, 1), found {list(self.milestones)}"
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                yield f"{name} must be one of {', '.join(known)}, found {getattr(self, name)!r}"

    def _options_together(self) -> Iterator[str]:
        """Yield which options contradict each other."""
        gated = self.gate != "none"
        if self.input == "rgb" and gated:
            yield "a gate chooses frequency channels, and --input rgb has none"
        if self.input == "rgb" and self.channels is not None and len(self.channels) < N_CHANNELS:
            yield f"--input rgb reconstructs pixels from all 192 channels, the mask has {len(self.channels)}"
        if self.target_channels is not None and self.target_bytes is not None:
            yield "target_channels and target_bytes are two targets; give one"
        if self.has_target and not gated:
            yield "a target of channels or bytes needs a gate"
        if self.target_channels is not None:
            most = N_CHANNELS if self.channels is None else len(self.channels)
            if self.target_channels >= most:
                yield f"target_channels must be below the {most} channels there are, found {self.target_channels:g}"
        if self.resize is not None and self.crop == "none":
            yield "resize is for crops; give --crop random-resized"
        if self.resize is not None and self.size is not None and self.resize < self.size:
            yield f"resize must be at least the size of {self.size} pixels, found {self.resize}"
        if self.nesterov and self.momentum == 0:
            yield "nesterov needs a momentum"

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


def _is_of(value: Any, types: tuple[type, ...]) -> bool:
    """Whether a value is of these types; True and False are no numbers."""
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))
