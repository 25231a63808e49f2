"""The numbers of every channel as a CSV file, for plots and tests of one's own."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from freqcache.errors import TrainingError
from freqcache_formats.channels import ALL_CHANNELS, N_FREQUENCIES
from freqcache_formats.mask import ChannelMask


def write_table(path: str | Path, columns: Mapping[str, npt.NDArray[np.float64]], selected: ChannelMask) -> None:
    """Write one line per channel, in storage order.

    Parameters
    ----------
    path : path
        CSV file to write: ``component``, ``v``, ``u``, ``zigzag``, the given columns, and ``selected`` (1 or 0).
    columns : mapping of str to (192,) float64
        In storage order; NaN becomes an empty field.
    selected : ChannelMask

    Raises
    ------
    TrainingError
        If the file cannot be written.
    """
    chosen = set(selected.channels)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["component", "v", "u", "zigzag", *columns, "selected"])
    for index, channel in enumerate(ALL_CHANNELS):
        numbers = [_shown(values[index]) for values in columns.values()]
        writer.writerow([*channel, index % N_FREQUENCIES, *numbers, int(channel in chosen)])
    try:
        Path(path).write_text(text.getvalue(), encoding="utf-8")
    except OSError as error:
        msg = f"{path}: cannot be written: {error.strerror}"
        raise TrainingError(msg) from error


def _shown(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.9g}"
