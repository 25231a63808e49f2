"""What a bench measured, as tables of at most 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from freqcache.tables import aligned, count
from freqcache_cli.sizes import in_words

if TYPE_CHECKING:
    from freqcache.benchmarking.report import BenchReport, Measurement

_WIDTH: Final = 100
_ORDERS: Final = {"stored": "front to back", "groups": "row groups", "samples": "single samples"}
_STATES: Final = {
    "warm": "page cache warm: bytes come from memory",
    "cold": "page cache cold: bytes come from the disk",
}
_FAR: Final = "from a URL: bytes come over the network, or from the folder of --cache-dir"


def words(report: BenchReport, name: str) -> str:
    """Return the report as text; `name` is what the store is called."""
    return "\n".join(_lines(report, name))


def _lines(report: BenchReport, name: str) -> Iterator[str]:
    yield f"{name}: a {report.kind} cache, split {report.split} of {count(report.samples, 'image')}"
    yield (
        f"batches of {report.batch_size}, {count(report.threads, 'thread')} on {count(report.cores, 'core')}; "
        "medians of the passes, ± half of their range"
    )
    compared = any(report.ratio(m) is not None for m in report.measurements)
    for state, title in _STATES.items():
        found = [m for m in report.measurements if m.state == state]
        if found:
            yield ""
            yield _FAR if "://" in str(report.path) else title
            yield from (f"  {line}" for line in _table(report, found, compared=compared))
    yield ""
    yield f"One thread copies {report.memory_bandwidth / 1e9:.1f} GB/s from memory to memory."
    for note in report.notes:
        yield from textwrap.wrap(note, _WIDTH, subsequent_indent="  ")


def _table(report: BenchReport, found: list[Measurement], *, compared: bool) -> list[str]:
    head = ["channels", "order", "an image", "images/s", "±", "MB/s", "ms/batch"]
    rows = [head + (["× Pillow"] if compared else [])]
    for m in found:
        ratio = report.ratio(m)
        channels = m.channels + (" (hot copy)" if m.hot else "")
        if m.channels and m.channels != str(m.n_channels):
            channels += f" ({m.n_channels})"
        cells = [
            channels or "Pillow, to RGB",
            _ORDERS[m.order] if m.channels else "files at random",
            in_words(round(m.bytes_per_image)),
            f"{m.rate:.0f}" if m.rate >= 100 else f"{m.rate:.1f}",
            f"{100 * m.spread:.0f} %" if len(m.rates) > 1 else "-",
            f"{m.bytes_per_second / 1e6:.1f}",
            f"{m.seconds_per_batch * 1e3:.1f}",
        ]
        if compared:
            cells.append("" if ratio is None else f"{ratio:.2f}")
        rows.append(cells)
    return aligned(rows, left=2)
