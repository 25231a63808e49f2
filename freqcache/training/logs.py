"""What a run writes down while it trains: metrics.jsonl, and events for TensorBoard where that is installed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from freqcache.errors import TrainingError
from freqcache.training.runs import METRICS, TENSORBOARD


class RunLog:
    """Metrics of each epoch.

    Parameters
    ----------
    path : Path
        Run folder.
    writes : bool
        Whether this process is the one that writes.
    warn : callable
        Says what the user should not miss.
    """

    def __init__(self, path: Path, *, warn: Callable[[str], None], writes: bool = True) -> None:
        self.path = path
        self.writes = writes
        self._warn = warn
        self._events: Any = None
        self._wants_events = find_spec("tensorboard") is not None

    def rewrite(self, history: Iterable[Mapping[str, Any]]) -> None:
        """Write metrics.jsonl anew: one JSON object per epoch, one a line."""
        if not self.writes:
            return
        text = "".join(json.dumps(entry) + "\n" for entry in history)
        partial = self.path / f"{METRICS}.partial"
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(self.path / METRICS)
        except OSError as error:
            msg = f"{self.path / METRICS}: cannot be written: {error.strerror}"
            raise TrainingError(msg) from error

    def add(self, history: list[dict[str, Any]]) -> None:
        """Write the last epoch of a history."""
        if not self.writes:
            return
        self.rewrite(history)
        if self._events is None and self._wants_events:
            self._events = self._open_events(len(history) - 1)
        if self._events is not None:
            entry = history[-1]
            for name, value in entry.items():
                if name != "epoch":
                    self._events.add_scalar(name, value, entry["epoch"])
            self._events.flush()

    def _open_events(self, done: int) -> Any:
        """Return TensorBoard's writer, which hides what a run wrote after the `done` epochs that it goes on from."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            self._wants_events = False
            self._warn(f"TensorBoard is installed and cannot be loaded, so there are no events for it: {error}")
            return None
        return SummaryWriter(str(self.path / TENSORBOARD), purge_step=done + 1)

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._events is not None:
            self._events.close()
