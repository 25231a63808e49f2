"""The folder of a sweep: what is in it, and what may go on in it.

::

    sweeps/flowers5/
        sweep.json                    what the sweep is
        runs/lam0.01-s0/              the gated run of lambda 0.01 and seed 0: see freqcache.training.runs
        runs/lam0.01-s0-k24/          the run on its mask of 24 channels
        runs/baseline-24-s0/
        gates/lam0.01-s0.json         P(on) of the gated run's channels, exactly
        masks/lam0.01-s0-k24.json
        results.csv, results.json     one row per mask or baseline and seed
        sweep.png                     where matplotlib is installed
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

import freqcache
from freqcache.errors import TrainingError
from freqcache.selection import ChannelProbabilities
from freqcache.sweep.plan import Sweep
from freqcache.sweep.rows import replace_text

SWEEP, RUNS, GATES, MASKS, RESULTS_CSV, RESULTS, PICTURE = (
    "sweep.json",
    "runs",
    "gates",
    "masks",
    "results.csv",
    "results.json",
    "sweep.png",
)
FORMAT: Final = "freqcache-sweep"
VERSION: Final = 1
_LOCK: Final = ".lock"
_MAY_GROW: Final = {
    "lams": "lambda",
    "targets": "target",
    "seeds": "seed",
    "k": "k",
    "thresholds": "threshold",
    "baselines": "baseline",
}


@dataclass(frozen=True)
class SweepFolder:
    """Where the files of a sweep are."""

    path: Path

    def run(self, name: str) -> Path:
        """Return a run's folder."""
        return self.path / RUNS / name

    def gates(self, name: str) -> Path:
        """Return the file of a gated run's probabilities."""
        return self.path / GATES / f"{name}.json"

    def write_gates(self, name: str, probabilities: ChannelProbabilities) -> None:
        """Keep a gated run's probabilities; JSON's numbers are exact."""
        indices = probabilities.gated
        document = {
            "indices": indices.tolist(),
            "values": probabilities.values[indices].tolist(),
            "open_share": probabilities.open_share[indices].tolist(),
            "images": probabilities.images,
        }
        replace_text(self.gates(name), json.dumps(document) + "\n")

    def read_gates(self, name: str) -> ChannelProbabilities:
        """Return a gated run's probabilities; their source is the run's folder below that of the sweep."""
        path = self.gates(name)
        document = read_json(path)
        try:
            return ChannelProbabilities.of(
                np.array(document["indices"], dtype=np.intp),
                np.array(document["values"], dtype=np.float64),
                np.array(document["open_share"], dtype=np.float64),
                images=int(document["images"]),
                source=f"{RUNS}/{name}",
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            msg = f"{path}: not the gates of a run: {error!r}; remove it to have it written anew"
            raise TrainingError(msg) from error


@contextmanager
def open_folder(path: Path, sweep: Sweep, cache_id: str) -> Iterator[SweepFolder]:
    """Make the folder of a sweep, or go on in it; nobody else can meanwhile.

    Parameters
    ----------
    path : Path
    sweep : Sweep
        May have more lambdas, targets, seeds, masks and baselines than the one that is there.
    cache_id : str
        Of the cache that it trains on.

    Raises
    ------
    TrainingError
        If something else or another sweep is there, or another process is at work in it.
    """
    try:
        present = {entry.name for entry in path.iterdir()} if path.exists() else set()
        if SWEEP not in present and present - {_LOCK, f"{SWEEP}.partial"}:
            msg = f"{path}: exists already and holds no sweep: expected {SWEEP} in it; name another folder"
            raise TrainingError(msg)
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        msg = f"{path}: cannot make the folder of the sweep: {error.strerror or error}"
        raise TrainingError(msg) from error
    try:
        _lock(lock, path)
        if (path / SWEEP).exists():
            _refuse_another(path / SWEEP, sweep, cache_id)
        document = {
            "format": FORMAT,
            "version": VERSION,
            "freqcache": freqcache.__version__,
            "cache_id": cache_id,
            **sweep.to_dict(),
        }
        replace_text(path / SWEEP, json.dumps(document, indent=2) + "\n")
        for folder in (RUNS, GATES, MASKS):
            (path / folder).mkdir(exist_ok=True)
        yield SweepFolder(path)
    finally:
        os.close(lock)


def _lock(lock: int, path: Path) -> None:
    try:
        # The kernel drops the lock with the process, however it dies: no stale lock can stay behind.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        msg = f"{path}: another process is at work on this sweep"
        raise TrainingError(msg) from None
    except OSError as error:
        msg = f"{path}: cannot be locked: {error.strerror}"
        raise TrainingError(msg) from error


def _refuse_another(path: Path, sweep: Sweep, cache_id: str) -> None:
    """Raise TrainingError, with all that differs, where the sweep of a file is not this one or a part of it."""
    document = read_json(path)
    if document.get("format") != FORMAT or document.get("version") != VERSION:
        msg = f"{path}: expected {FORMAT} {VERSION}, found {document.get('format')} {document.get('version')}"
        raise TrainingError(msg)
    try:
        found = Sweep.from_dict(document)
    except TrainingError as error:
        msg = f"{path}: {error}"
        raise TrainingError(msg) from error
    differences = list(_differences(found, sweep))
    if document.get("cache_id") != cache_id:
        differences.append(f"the cache's id is {document.get('cache_id')} there and {cache_id} here")
    if differences:
        msg = (
            f"{path}: holds another sweep: {'; '.join(differences)}; lambdas, targets, seeds, masks and baselines may "
            "be added to it, and nothing else changed: name another folder"
        )
        raise TrainingError(msg)


def _differences(found: Sweep, sweep: Sweep) -> Iterator[str]:
    there, here = found.base.to_dict(), sweep.base.to_dict()
    for name in there:
        if there[name] != here[name]:
            yield f"{name} is another" if name == "channels" else f"{name} is {there[name]} there and {here[name]} here"
    for name, word in _MAY_GROW.items():
        missing = [str(value) for value in getattr(found, name) if value not in getattr(sweep, name)]
        if missing:
            yield f"{word} {', '.join(missing)} is there and not here"
    if found.retrain and not sweep.retrain:
        yield "its masks are trained on, and here they are not"


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; TrainingError where there is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path}: cannot be read: {error}"
        raise TrainingError(msg) from error
    if not isinstance(document, dict):
        msg = f"{path}: expected a JSON object, found {type(document).__name__}"
        raise TrainingError(msg)
    return document
