"""Checkpoints: everything a run needs to be used, or to go on.

A checkpoint is one ``torch.save`` file of tensors, numbers, strings, lists and dicts (``weights_only`` loads
it)::

    format, version     "freqcache-checkpoint", 2
    model               state dict of the network, plain torchvision-like names; the moving average where there is one
    gate                state dict of the gate, or None
    config              RunConfig.to_dict()
    mask                the channels the network takes, in order (ChannelMask.to_dict())
    normalization       {"kind", "mean", "std"} of dequantized coefficients, in that order
    classes, cache      class names; {"path", "id"} of the cache
    build               the options that the cache was built with, as it records them
    grid                block rows and columns of an image
    epoch, history      epochs done; one dict of metrics per epoch
    k                   channels of the mask that a gated run ends with
    progress            to go on bit for bit: optimizers, sums over the epoch that has begun, the place in it
"""

from __future__ import annotations

import os
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import torch

from freqcache.errors import TrainingError

CHECKPOINT_FORMAT: Final = "freqcache-checkpoint"
CHECKPOINT_VERSION: Final = 2


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint so that a crash leaves the old one or the new one, never a part.

    Parameters
    ----------
    path : Path
        Replaced when it exists.
    content : dict
        As in this module's docstring, without format and version.
    """
    document = {"format": CHECKPOINT_FORMAT, "version": CHECKPOINT_VERSION, **content}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            torch.save(document, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch's own writer reports a full disk as RuntimeError
        temporary.unlink(missing_ok=True)
        reason = str(error).partition("\n")[0]
        msg = f"{path}: cannot write the checkpoint: {reason}"
        raise TrainingError(msg) from error
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself must survive a power cut
    finally:
        os.close(folder)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, on the CPU, executing nothing that it contains.

    Raises
    ------
    TrainingError
        If the file is missing, damaged, or not a checkpoint of a known version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch.load leaves the archive's checksums alone
        if damaged is not None:
            msg = f"{path}: not a readable checkpoint: {damaged} fails its checksum"
            raise TrainingError(msg)
        document = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        msg = f"{path}: no such checkpoint"
        raise TrainingError(msg) from None
    except (zipfile.BadZipFile, NotImplementedError, zlib.error) as error:
        msg = f"{path}: not a readable checkpoint: {error}"
        raise TrainingError(msg) from error
    except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        msg = f"{path}: not a readable checkpoint: its content cannot be loaded as plain tensors and numbers"
        raise TrainingError(msg) from error
    if not isinstance(document, dict) or document.get("format") != CHECKPOINT_FORMAT:
        msg = f"{path}: not a freqcache checkpoint"
        raise TrainingError(msg)
    if document.get("version") != CHECKPOINT_VERSION:
        msg = f"{path}: checkpoint version {document.get('version')}, expected {CHECKPOINT_VERSION}"
        raise TrainingError(msg)
    return document
