"""The results of a sweep: one row per mask or baseline and seed, as CSV and as JSON.

They hold no times and no absolute paths: the same sweep gives the same bytes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from freqcache.errors import TrainingError
from freqcache.sweep.plan import Cut, Setting

FORMAT: Final = "freqcache-sweep-results"
VERSION: Final = 1
_NOT_IN_CSV: Final = ("channels",)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What came of one mask or baseline with one seed; None where there is nothing to say.

    Attributes
    ----------
    kind : str
        ``"lambda"``, ``"target"`` or ``"baseline"``.
    lam, target_channels, baseline : float, float or str
        The setting: one of them.
    seed : int
    k, threshold : int or float
        How the mask was cut.
    gated_run, run : str
        Folders, below that of the sweep: of the gated run, and of the one on the mask or the baseline.
    channels_expected, channels_open : float
        Sum of P(on), and gates open by arg max, per validation image after the gated run's last epoch.
    lam_end : float
        Lambda at the last step.
    gated_top1 : float
        Of the gated network, on the validation images after the last epoch.
    mask : str
        File, below the folder of the sweep.
    mask_channels : int
        Channels that the network reads; 192 for RGB.
    channels : tuple of int
        Their storage indices; not in the CSV.
    bytes_per_image : float
        Mean stored bytes that reading those channels of one image costs.
    gmac : float
        10^9 multiply-accumulate operations for one image by the network that is trained on the mask.
    top1 : float
        Of that network, on the validation images after the last epoch.
    warnings : tuple of str
        What makes the ranking or the cut doubtful.
    failed : str
        Why there is no result.
    """

    kind: str
    lam: float | None = None
    target_channels: float | None = None
    baseline: str | None = None
    seed: int
    k: int | None = None
    threshold: float | None = None
    gated_run: str | None = None
    channels_expected: float | None = None
    channels_open: float | None = None
    lam_end: float | None = None
    gated_top1: float | None = None
    mask: str | None = None
    mask_channels: int | None = None
    channels: tuple[int, ...] = ()
    bytes_per_image: float | None = None
    gmac: float | None = None
    run: str | None = None
    top1: float | None = None
    warnings: tuple[str, ...] = ()
    failed: str | None = None

    @classmethod
    def of(cls, setting: Setting, seed: int, cut: Cut | None = None) -> Row:
        """Return the row of a setting with nothing in it yet."""
        name = {"lambda": "lam", "target": "target_channels"}.get(setting.kind, "baseline")
        named: dict[str, Any] = {name: setting.value}
        if cut is not None:
            named |= {"k": cut.k, "threshold": cut.threshold}
        return cls(kind=setting.kind, seed=seed, **named)

    @property
    def setting(self) -> Setting:
        """What the row is of, apart from its seed."""
        value = next(value for value in (self.lam, self.target_channels, self.baseline) if value is not None)
        return Setting(kind=self.kind, value=value)

    @property
    def cut(self) -> Cut | None:
        """How its mask was cut; None for a baseline."""
        return None if self.kind == "baseline" else Cut(k=self.k, threshold=self.threshold)

    @property
    def title(self) -> str:
        """For people."""
        cut = ""
        if self.cut is not None:
            cut = f", {self.k} channels" if self.k is not None else f", P(on) > {self.threshold:g}"
        return f"{self.setting.label}{cut}, seed {self.seed}"


def replace_text(path: Path, text: str) -> None:
    """Write a file so that a crash leaves the old one or the new one, never a part.

    Raises
    ------
    TrainingError
        If it cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        msg = f"{path}: cannot be written: {error.strerror}"
        raise TrainingError(msg) from error


def write_rows(csv_path: Path, json_path: Path, rows: Sequence[Row]) -> None:
    """Write the rows as CSV, warnings joined by ``"; "``, and as JSON."""
    names = [field.name for field in fields(Row) if field.name not in _NOT_IN_CSV]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({**asdict(row), "warnings": "; ".join(row.warnings)})
    replace_text(csv_path, text.getvalue())
    lines = ",\n    ".join(json.dumps(asdict(row)) for row in rows)
    head = f'{{\n  "format": "{FORMAT}",\n  "version": {VERSION},\n  "rows": ['
    replace_text(json_path, f"{head}\n    {lines}\n  ]\n}}\n")


def read_rows(path: str | Path) -> tuple[Row, ...]:
    """Read a results.json.

    Raises
    ------
    TrainingError
        If it is missing or not one.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        if document["format"] != FORMAT or document["version"] != VERSION:
            msg = f"{path}: expected {FORMAT} {VERSION}, found {document['format']} {document['version']}"
            raise TrainingError(msg)
        return tuple(_rows(document["rows"]))
    except (OSError, KeyError, TypeError, ValueError, StopIteration) as error:
        msg = f"{path}: not the results of a sweep: {error!r}; remove it to have it written anew"
        raise TrainingError(msg) from error


def _rows(documents: Iterable[dict[str, Any]]) -> Iterable[Row]:
    for document in documents:
        tuples = {name: tuple(document[name]) for name in ("channels", "warnings")}
        row = Row(**{**document, **tuples})
        row.setting.slug  # noqa: B018 - raises where the row is of nothing
        yield row
