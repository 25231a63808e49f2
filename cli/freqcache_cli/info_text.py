"""The report of a store in words: about a screenful, at most 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from freqcache.tables import aligned, count
from freqcache_cli.sizes import in_words

if TYPE_CHECKING:
    from freqcache.inspection import SampleReport, SplitReport, StorageReport, StoreReport

_WIDTH: Final = 100
_INDENT: Final = 12
_REASONS: Final = 4
_QUALITIES: Final = 5
_BANDS: Final = {"low": "v + u 0..3", "mid": "v + u 4..7", "high": "v + u 8..14"}
_CODECS: Final = {"blosc": "blosc (zstd, bit shuffle)", "zstd": "zstd"}


def words(report: StoreReport, name: str, *, all_classes: bool = False) -> str:
    """Return the report as text.

    Parameters
    ----------
    report : StoreReport
        What is told.
    name : str
        What the store is called.
    all_classes : bool
        List every class with its number of images.
    """
    return "\n".join([_title(report, name), "", *_lines(report, all_classes=all_classes)])


def _title(report: StoreReport, name: str) -> str:
    absent = f" and {count(report.absent, 'absent slot')}" if report.absent else ""
    images = count(report.samples.samples, "image")
    return f"{name}: a {report.kind} cache of {images}{absent} in {count(len(report.classes), 'class', 'classes')}"


def _lines(report: StoreReport, *, all_classes: bool) -> Iterator[str]:
    yield from _entry("format", f"{report.format_version}, written by {report.creator}, id {report.id}")
    yield from _entry("options", _options(report.options))
    if len(report.channels) < 192:
        yield from _entry("channels", f"{len(report.channels)} of 192 are held")
    yield from _block("splits", _splits(report.splits))
    grids = sorted({split.grid for split in report.splits if split.grid is not None})
    if grids:
        shapes = ", ".join(f"{rows} x {cols} blocks ({8 * cols} x {8 * rows} pixels)" for rows, cols in grids)
        yield from _entry("grid", shapes)
    yield from _block("classes", _classes(report, all_classes=all_classes))
    yield from _block("arrays", _arrays(report.splits))
    yield ""
    samples = report.samples
    yield from _entry("origin", _shares(samples.origins, samples.samples))
    yield from _entry("chroma", _shares(samples.chroma, samples.samples))
    yield from _entry("quality", _quality(samples))
    yield from _entry("turned", _turned(report))
    yield from _block("sizes", _sizes(samples, "pixels" if report.kind == "native" else "cropped from"))
    yield ""
    yield from _block("bytes", [*_total(report), "", *_bands(report.storage), "", *_presets(report.storage)])
    yield ""
    yield from _entry("hot copy", _hot(report))
    yield from _block("ledger", _ledger(report))


def _entry(title: str, text: str) -> list[str]:
    return _block(title, textwrap.wrap(text, _WIDTH - _INDENT) or [""])


def _block(title: str, lines: Iterable[str]) -> list[str]:
    titles = [f"  {title}"]
    return [f"{(titles.pop() if titles else ''):<{_INDENT}}{line}".rstrip() for line in lines]


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_value(value)}" for key, value in options.items())


def _value(value: Any) -> str:
    """Return a value of JSON in words: objects in parentheses, the entries of a list with "and" between them."""
    if value is None or isinstance(value, bool):
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, Mapping):
        return f"({_options(value)})"
    if isinstance(value, list | tuple):
        return " and ".join(map(_value, value)) or "nothing"
    return _shown(str(value))


def _splits(splits: Sequence[SplitReport]) -> list[str]:
    rows = []
    for split in splits:
        size = split.storage.coefficients if split.bytes is None else split.bytes
        low, _, high = split.row_group_slots
        rows.append(
            [
                split.name,
                count(split.samples.samples, "image"),
                *([f"{split.absent} absent"] if any(s.absent for s in splits) else []),
                in_words(size),
                f"{count(split.row_groups, 'row group')} of {low if low == high else f'{low}..{high}'} slots",
                count(max(array.shards for array in split.arrays.values()), "shard"),
            ]
        )
    return aligned(rows)


def _classes(report: StoreReport, *, all_classes: bool) -> list[str]:
    counts = dict(zip(map(_shown, report.classes), report.samples.classes, strict=True))
    if all_classes:
        return aligned([[name, str(n)] for name, n in counts.items()])
    smallest, largest = min(counts, key=lambda name: counts[name]), max(counts, key=lambda name: counts[name])
    if len(counts) == 1:
        return [f"{smallest}, with all images"]
    return [f"from {counts[smallest]} images ({smallest}) to {counts[largest]} ({largest})"]


def _arrays(splits: Sequence[SplitReport]) -> list[str]:
    rows = [["", "dtype", "shape", "chunk", "shard"]]
    for split in splits:
        for name, array in split.arrays.items():
            rows.append([f"{split.name}/{name}", array.dtype, *map(_shape, (array.shape, array.chunk, array.shard))])
    codecs = {(array.codec, array.level) for split in splits for array in split.arrays.values()}
    ways = "; ".join(f"{_CODECS.get(name, name)}, level {level}" for name, level in sorted(codecs))
    return [*aligned(rows), f"compressed by {ways}"]


def _shares(counts: Mapping[Any, int], total: int) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {n} ({_percent(n, total)})" for name, n in ordered if n) or "no samples"


def _quality(samples: SampleReport) -> str:
    if samples.quality is None:
        return "not recorded: a fixed cache does not keep the files' quantization tables"
    exact, nearest = samples.quality.exact, samples.quality.nearest
    known, other = sum(exact.values()), sum(nearest.values())
    if not known + other:
        return "no sample has a JPEG file's own tables"
    parts = []
    frequent = sorted(exact, key=lambda quality: (-exact[quality], quality))
    parts += [
        f"{quality}: {exact[quality]} ({_percent(exact[quality], samples.samples)})"
        for quality in frequent[:_QUALITIES]
    ]
    if len(frequent) > _QUALITIES:
        rest = sum(exact[quality] for quality in frequent[_QUALITIES:])
        low, high = min(frequent[_QUALITIES:]), max(frequent[_QUALITIES:])
        parts.append(
            f"{len(frequent) - _QUALITIES} others of {low}..{high}: {rest} ({_percent(rest, samples.samples)})"
        )
    text = "IJG " + ", ".join(parts) if parts else ""
    if other:
        middle = _median(nearest)
        about = (
            f"other tables: {other} ({_percent(other, samples.samples)}), nearest to IJG {min(nearest)}..{max(nearest)}"
        )
        text = "; ".join(filter(None, [text, f"{about}, median {middle}"]))
    return text


def _median(counts: Mapping[int, int]) -> int:
    """Return the lower median of numbers that are given with how often each occurs."""
    middle, seen = (sum(counts.values()) + 1) // 2, 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= middle:
            return value
    msg = "no numbers"
    raise ValueError(msg)


def _turned(report: StoreReport) -> str:
    turned = {key: n for key, n in report.samples.orientations.items() if key != 1}
    if not turned:
        return "none: every file has EXIF orientation 1, or none"
    what = "left as stored" if report.options.get("keep_orientation") is True else "applied"
    kinds = ", ".join(f"{key}: {n}" for key, n in turned.items())
    return f"{count(sum(turned.values()), 'file')} with an EXIF orientation, {what} ({kinds})"


def _sizes(samples: SampleReport, what: str) -> list[str]:
    if samples.width is None or samples.height is None:
        return ["no samples"]
    names = [what, "min", "5 %", "25 %", "median", "75 %", "95 %", "max"]
    sides = {"width": samples.width, "height": samples.height}
    return aligned([names, *([name, *map(str, side.quantiles)] for name, side in sides.items())])


def _total(report: StoreReport) -> list[str]:
    samples = report.samples
    size, what = report.bytes, "in all"
    if size is None:
        size, what = report.storage.coefficients, "of coefficients (other files cannot be listed here)"
    if not samples.samples:
        return [f"{in_words(size)} {what}"]
    ratio = f", {size / samples.source_bytes:.2f} times the source files" if samples.source_bytes else ""
    return [
        f"{in_words(size)} {what}, {in_words(round(size / samples.samples))} an image{ratio} "
        f"({in_words(samples.source_bytes)})"
    ]


def _bands(storage: StorageReport) -> list[str]:
    components = ("Y", "Cb", "Cr")
    rows = [["an image", *components, "all"]]
    for band, span in _BANDS.items():
        rows.append([f"{band:<5}{span}", *(_each(storage, storage.band(c, band)) for c in (*components, None))])
    rows.append(["all", *(_each(storage, storage.band(c, None)) for c in (*components, None))])
    return aligned(rows)


def _presets(storage: StorageReport) -> list[str]:
    found = storage.presets
    all_held = storage.band(None, None)
    return aligned(
        [
            ["channels", *found],
            ["an image", *("-" if size is None else _each(storage, size) for size in found.values())],
            ["of all", *("-" if size is None else _percent(size, all_held) for size in found.values())],
        ]
    )


def _hot(report: StoreReport) -> str:
    if report.hot is None:
        return "none"
    if report.hot.problem is not None:
        return f"unusable, {in_words(report.hot.bytes)}: {report.hot.problem}"
    return f"{count(len(report.hot.channels), 'channel')}, {in_words(report.hot.bytes)}"


def _ledger(report: StoreReport) -> list[str]:
    ledger = report.ledger
    if ledger is None:
        return ["none"]
    kept = f", {ledger.kept} kept in spite of damage" if ledger.kept else ""
    lines = [f"{count(ledger.entries, 'file')}: {ledger.entries - ledger.kept} left out{kept}"]
    shown = ledger.reasons[:_REASONS]
    for reason, times in shown:
        lines.append(f"{times:>5}  {textwrap.shorten(_shown(reason), _WIDTH - _INDENT - 7, placeholder=' ...')}")
    if len(ledger.reasons) > len(shown):
        rest = sum(times for _, times in ledger.reasons[_REASONS:])
        lines.append(f"{rest:>5}  for {count(len(ledger.reasons) - _REASONS, 'other reason')}")
    return lines


def _each(storage: StorageReport, size: int) -> str:
    return in_words(round(size / max(1, storage.samples)))


def _percent(part: int, whole: int) -> str:
    share = 100 * part / max(1, whole)
    return "< 1 %" if 0 < share < 0.5 else "> 99 %" if 99.5 <= share < 100 else f"{share:.0f} %"


def _shape(lengths: Sequence[int]) -> str:
    return "(" + ", ".join(map(str, lengths)) + ")"


def _shown(name: str) -> str:
    return name if name.isprintable() else ascii(name)
