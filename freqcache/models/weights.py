"""Weights of others: state dicts read from files, and an RGB network's trunk put into a frequency network.

Our networks bear torchvision's module names (see :mod:`freqcache.models`), so that a tensor of an RGB checkpoint
belongs where a tensor of the same name is. What a frequency network takes in differently cannot be loaded: the stem is
not there, the convolutions that take the input have other shapes, and the classifier may have other classes. All the
rest must fit, or the checkpoint is of another network. Nothing here fetches a file, and none is executed.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor, nn

from freqcache.errors import TrainingError
from freqcache.models.mobilenet import MobileNetV2
from freqcache.models.resnet import ResNet

Source: TypeAlias = str | Path | Mapping[str, Any]

_WRAPPERS: Final = ("state_dict", "model")
_PARALLEL: Final = "module."
_UNREADABLE: Final = (
    OSError,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    NotImplementedError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What torch raises for files that are damaged, of another kind, or hold more than tensors."""

COUNTER: Final = "num_batches_tracked"
"""Of BatchNorm; older checkpoints lack it, and nothing depends on it where the momentum is fixed."""


@dataclass(frozen=True, kw_only=True)
class _Names:
    """Prefixes of tensors by their part in the network."""

    trunk: tuple[str, ...]
    stem: tuple[str, ...]
    entry: tuple[str, ...]
    classifier: tuple[str, ...]


_RESNET: Final = _Names(
    trunk=("layer",),
    stem=("conv1.", "bn1."),
    entry=("layer1.0.conv1.", "layer1.0.downsample."),
    classifier=("fc.",),
)
# The first block is depthwise: its BatchNorm, too, is over the input's channels.
_MOBILENET: Final = _Names(
    trunk=("features.",),
    stem=("features.0.",),
    entry=("features.1.conv.0.", "features.1.conv.1."),
    classifier=("classifier.",),
)


@dataclass(frozen=True, kw_only=True)
class TrunkReport:
    """What became of the tensors.

    Attributes
    ----------
    loaded : tuple of str
        Tensors of the network that the checkpoint filled.
    fresh : tuple of str
        Tensors of the network left as they were.
    unused : tuple of str
        Tensors of the checkpoint that have no place in the network.
    """

    loaded: tuple[str, ...]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} tensors loaded"]
        if self.fresh:
            parts.append(f"{len(self.fresh)} left fresh ({_some(self.fresh)})")
        if self.unused:
            parts.append(f"{len(self.unused)} not used ({_some(self.unused)})")
        return ", ".join(parts)


def load_rgb_trunk(model: nn.Module, source: Source) -> TrunkReport:
    """Initialise a network's trunk with an RGB network's weights.

    Every tensor whose name and shape agree is loaded. Left fresh are, where they do not agree, the convolutions that
    take the input (``layer1.0.conv1`` and ``layer1.0.downsample``; of MobileNetV2 the depthwise convolution of
    ``features.1``, its BatchNorm and its projection) and the classifier. Every other tensor must be there with its
    shape, BatchNorm's counters excepted, and the checkpoint's trunk must have no further block. A network with an RGB
    stem takes all but a classifier of other classes.

    Parameters
    ----------
    model : torch.nn.Module
        A ResNet or MobileNetV2 of :func:`freqcache.models.create_model`; unchanged where this raises.
    source : path or mapping of str to Tensor
        A state dict with torchvision's names, or its file as ``torch.save`` wrote it; also inside
        ``{"state_dict": ...}`` or ``{"model": ...}``, and with ``module.`` before its names.

    Returns
    -------
    TrunkReport

    Raises
    ------
    TrainingError
        If the file cannot be read, or is of another architecture or width.
    """
    where, state = read_state_dict(source)
    names = _names(model)
    own: dict[str, Tensor] = model.state_dict()
    free = names.classifier
    if not any(name.startswith(names.stem) for name in own):
        free += names.entry
    fitting = {name: state[name] for name in own if name in state and state[name].shape == own[name].shape}
    fresh = tuple(name for name in own if name not in fitting)
    unused = tuple(name for name in state if name not in own)
    wrong = [_misfit(name, own, state) for name in fresh if not name.startswith(free) and not name.endswith(COUNTER)]
    wrong += [
        f"{name} is in no layer of the network"
        for name in unused
        if name.startswith(names.trunk) and not name.startswith((*names.stem, *free))
    ]
    if wrong:
        msg = f"{where}: not the trunk of this network, {len(wrong)} tensors do not fit: {_some(wrong)}"
        raise TrainingError(msg)
    model.load_state_dict(fitting, strict=False)
    return TrunkReport(loaded=tuple(fitting), fresh=fresh, unused=unused)


def read_state_dict(source: Source) -> tuple[str, dict[str, Tensor]]:
    """Return a state dict's tensors by their names without ``module.``, and what to call it in a message.

    Parameters
    ----------
    source : path or mapping
        A file of ``torch.save``, or what it holds: a state dict, alone, in ``{"state_dict": ...}`` or in
        ``{"model": ...}``.

    Returns
    -------
    name : str
    tensors : dict of str to Tensor
        On the CPU where they come from a file.

    Raises
    ------
    TrainingError
        If the file is missing or damaged, holds more than tensors and plain values, or no state dict.
    """
    where, document = ("state dict", source) if isinstance(source, Mapping) else (str(source), _load(Path(source)))
    if isinstance(document, Mapping):
        document = next((document[key] for key in _WRAPPERS if isinstance(document.get(key), Mapping)), document)
    if not isinstance(document, Mapping) or not document:
        msg = f"{where}: expected a state dict, found {type(document).__name__}"
        raise TrainingError(msg)
    odd = [str(name) for name, value in document.items() if not (isinstance(name, str) and isinstance(value, Tensor))]
    if odd:
        msg = f"{where}: expected a state dict of tensors by name, found other things under {_some(odd)}"
        raise TrainingError(msg)
    return where, {name.removeprefix(_PARALLEL): value for name, value in document.items()}


def _load(path: Path) -> object:
    try:
        if zipfile.is_zipfile(path):  # the form of torch 1.6 and later; torch leaves its checksums alone
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
            if damaged is not None:
                msg = f"{path}: not a readable checkpoint: {damaged} fails its checksum"
                raise TrainingError(msg)
        document: object = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        msg = f"{path}: no such checkpoint"
        raise TrainingError(msg) from None
    except _UNREADABLE as error:
        msg = f"{path}: not a readable checkpoint: its content cannot be loaded as plain tensors and numbers"
        raise TrainingError(msg) from error
    return document


def _names(model: nn.Module) -> _Names:
    if isinstance(model, ResNet):
        return _RESNET
    if isinstance(model, MobileNetV2):
        return _MOBILENET
    msg = f"expected a ResNet or a MobileNetV2 of freqcache.models, found {type(model).__name__}"
    raise TrainingError(msg)


def _misfit(name: str, own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    if name not in state:
        return f"{name} is missing"
    return f"{name} has shape {tuple(state[name].shape)}, expected {tuple(own[name].shape)}"


def _some(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(words[:3]) + (", ..." if len(words) > 3 else "")
