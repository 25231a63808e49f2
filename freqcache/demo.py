"""The whole road on the photographs that ship with the package: build, gates, mask, small network, table.

Two to three minutes on two cores. The network and the training are far too small to say anything about accuracy;
``docs/results.md`` has numbers that mean something.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Final

from freqcache.building import BuildOptions, BuildReport, build
from freqcache.errors import TrainingError
from freqcache.interruption import going_on
from freqcache.tables import aligned
from freqcache.training import Reporter, RunConfig, RunResult, SilentReporter, load_recipe, train
from freqcache_formats.mask import ChannelMask

SIZE: Final = 224


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo made.

    Attributes
    ----------
    report : BuildReport
        Of the cache.
    dense, gated, masked : RunResult
        The run on all 192 channels; the same with gates; the run on the channels that these chose.
    mask, heatmap : Path
        Files written.
    """

    report: BuildReport
    dense: RunResult
    gated: RunResult
    masked: RunResult
    mask: Path
    heatmap: Path | None

    def table(self) -> str:
        """Return channels, bytes read per image, GMAC and accuracy of each run, as text."""
        rows = [("network", "channels", "bytes/image", "GMAC", "top-1")]
        runs = {"all channels": self.dense, "all, with gates": self.gated, "learned mask": self.masked}
        for name, run in runs.items():
            rows.append(
                (
                    name,
                    str(run.channels),
                    f"{run.bytes_per_image:,.0f}",
                    f"{run.cost.gmac:.3f}",
                    f"{run.top1:.3f}",
                )
            )
        lines = aligned(rows)
        rule = "  ".join("-" * max(map(len, column)) for column in zip(*rows, strict=True))
        return "\n".join([lines[0], rule, *lines[1:]])


def photographs() -> Path:
    """Return the folder of sample photographs inside the package: train/ and val/, five classes of flowers."""
    return Path(str(files("freqcache") / "samples" / "flowers"))


def run_demo(
    out: str | Path, *, k: int = 24, epochs: int = 30, seed: int = 0, reporter: Reporter | None = None
) -> DemoResult:
    """Build a cache, train with gates, select `k` channels, train on those.

    Parameters
    ----------
    out : path
        Folder for the cache, the runs, ``mask.json`` and ``heatmap.png``; made anew.
    k : int
        Channels to keep.
    epochs : int
        Of each run.
    seed : int
        Of both runs.
    reporter : Reporter, optional
        Silent without.

    Raises
    ------
    TrainingError
        If something stands in the way at `out`, or the gates decided nothing.
    """
    reporter = reporter or SilentReporter()
    out = Path(out)
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            msg = f"{out}: exists and is not an empty folder; name another with --out"
            raise TrainingError(msg)
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{out}: cannot be made: {error.strerror}"
        raise TrainingError(msg) from error
    with going_on(f"the demo is made anew: remove {out} first, or name another folder with --out"):
        return _make(out, k, epochs, seed, reporter)


def _make(out: Path, k: int, epochs: int, seed: int, reporter: Reporter) -> DemoResult:
    cache = out / "flowers.zarr"
    report = build(photographs(), cache, BuildOptions(size=SIZE), quiet=isinstance(reporter, SilentReporter))
    reporter.line(
        f"cache      {report.n_samples} photographs, {report.bytes_out:,} bytes of cache ({report.bytes_in:,} of JPEG)"
    )
    config = RunConfig(cache=str(cache), **(load_recipe("demo") | {"epochs": epochs, "seed": seed}))
    dense = train(config, out=out / "dense", reporter=reporter)
    gated = train(replace(config, gate="dynamic"), out=out / "gated", k=k, reporter=reporter)
    if gated.selected is None or gated.selected.mask_path is None:
        msg = f"{gated.path}: the gates decided nothing: {'; '.join(gated.warnings)}"
        raise TrainingError(msg)
    mask = ChannelMask.read(gated.selected.mask_path)
    mask.write(out / "mask.json")
    heatmap = None
    if gated.selected.heatmap_path is not None:
        heatmap = gated.selected.heatmap_path.rename(out / "heatmap.png")
    masked = train(replace(config, channels=mask), out=out / "masked", reporter=reporter)
    return DemoResult(report=report, dense=dense, gated=gated, masked=masked, mask=out / "mask.json", heatmap=heatmap)
