"""A trained network as a file by itself, which torch runs without freqcache.

The file holds the normalization and the network (and its gate, which decides by arg max), and beside them a JSON
document that says what goes in and what comes out: :data:`DESCRIPTION`. Reading files and resizing stay outside: see
:mod:`freqcache.inference`. Two forms, both of torch: ``torch.export`` (.pt2) and TorchScript (.ts).
"""

from __future__ import annotations

import copy
import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from freqcache.errors import TrainingError
from freqcache.inference import refuse_pixels
from freqcache.store.durable import write_durably
from freqcache.training import TrainedRun, load_run
from freqcache.transforms import Normalize

DESCRIPTION: Final = "freqcache.json"
"""Name of the extra file. Its keys: format, version; channels, ``[component, v, u]`` each, in the order of the input;
scale, what the input is multiplied by, for each channel; grid, block rows and columns; classes; normalization."""

FORMS: Final[Mapping[str, str]] = {"export": ".pt2", "torchscript": ".ts"}
"""Forms and the endings of their files."""

_EXAMPLE_IMAGES: Final = 2  # one would be taken for a constant


class StandaloneNetwork(nn.Module):
    """From coefficients to logits.

    Parameters
    ----------
    run : TrainedRun
        Its network is copied.
    scale : (C,) float32 tensor
        Quantization steps of the input's channels; ones for dequantized coefficients.
    """

    def __init__(self, run: TrainedRun, scale: Tensor) -> None:
        super().__init__()
        self.normalize = Normalize(run.normalization.mean, run.normalization.std, scale)
        self.network = copy.deepcopy(run.model).cpu()

    def forward(self, coefficients: Tensor) -> Tensor:
        """Return logits (N, classes) float32 of (N, C, H, W) float32, quantized with `scale`."""
        logits: Tensor = self.network(self.normalize(coefficients)).logits
        return logits


def export_network(
    run: str | Path | TrainedRun, path: str | Path, *, form: str = "export", scale: Tensor | None = None
) -> dict[str, Any]:
    """Write a run's network as a file that needs torch only.

    Parameters
    ----------
    run : path or TrainedRun
        Of a network that takes frequency channels, gated or not.
    path : path
        File to write, replaced where it exists; ends in ``.pt2`` or ``.ts``, by its form.
    form : str
        ``"export"`` for ``torch.export.load(path).module()``, ``"torchscript"`` for ``torch.jit.load(path)``. Both take
        (N, C, block_rows, block_cols) float32 for any N and return (N, classes) logits, on the CPU.
    scale : (C,) float32 tensor, optional
        Steps of quantized input, such as :attr:`freqcache.FrequencyDataset.scale`; by default the input is
        dequantized.

    Returns
    -------
    dict
        The description that is in the file, as the extra file :data:`DESCRIPTION`.

    Raises
    ------
    TrainingError
        If the run takes pixels or cannot be read, or the file cannot be written or has another ending.
    """
    path = Path(path)
    if form not in FORMS:
        msg = f"unknown form {form!r}: expected one of {', '.join(FORMS)}"
        raise TrainingError(msg)
    if path.suffix.lower() != FORMS[form]:
        msg = f"{path}: expected a name that ends in {FORMS[form]} for the form {form!r}"
        raise TrainingError(msg)
    trained = run if isinstance(run, TrainedRun) else load_run(run)
    refuse_pixels(trained)
    count = len(trained.channels)
    steps = torch.ones(count) if scale is None else scale.detach().cpu().float()
    if steps.shape != (count,):
        msg = f"scale: expected {count} steps, one for each channel, found shape {tuple(steps.shape)}"
        raise TrainingError(msg)
    description = {
        "format": "freqcache-network",
        "version": 1,
        "channels": [list(channel) for channel in trained.channels.channels],
        "scale": steps.tolist(),
        "grid": list(trained.grid),
        "classes": list(trained.classes),
        "normalization": trained.normalization.kind,
    }
    module = StandaloneNetwork(trained, steps).eval()
    example = torch.zeros(_EXAMPLE_IMAGES, count, *trained.grid)
    make = _exported if form == "export" else _scripted
    with torch.no_grad():
        content = make(module, example, {DESCRIPTION: json.dumps(description)})
    try:
        write_durably(path, content)
    except OSError as error:
        msg = f"{path}: cannot be written: {error.strerror}"
        raise TrainingError(msg) from error
    return description


def _exported(module: nn.Module, example: Tensor, extra: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    program = torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim("images", min=1)},))
    torch.export.save(program, buffer, extra_files=extra)
    return buffer.getvalue()


def _scripted(module: nn.Module, example: Tensor, extra: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Deprecated in favour of torch.export, and what programs in C++ and older versions of torch still read.
        warnings.filterwarnings("ignore", message=r".*torch\.jit", category=DeprecationWarning)
        traced: Any = torch.jit.trace(module, (example,))  # type: ignore[no-untyped-call]
        torch.jit.save(traced, buffer, _extra_files=extra)
    return buffer.getvalue()
