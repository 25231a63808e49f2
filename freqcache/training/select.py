"""The whole road of ``freqcache select``: a run or a cache in, a mask and what is known of its channels out.

A *run* ranks channels by its gates or its weights; a run's cache, or any cache, by energy, deviation or chance. Nothing
is written or drawn here: see :mod:`freqcache.selection.report`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from freqcache.errors import TrainingError
from freqcache.models.entry import entry_weights
from freqcache.remote import is_url
from freqcache.selection.agreement import agreement
from freqcache.selection.cuts import DEFAULT_K, Selection, select_by_budget, select_by_threshold, select_top_k
from freqcache.selection.profile import CacheProfile, read_profile
from freqcache.selection.rankings import Ranking, random_ranking, spread_out
from freqcache.selection.report import ChannelChoice, correlate, silent_channels
from freqcache.training.evaluation import channel_probabilities, open_run_data
from freqcache.training.report import Reporter, SilentReporter
from freqcache.training.runs import CHECKPOINT, CONFIG, MASK, TrainedRun, load_run
from freqcache_formats.mask import CacheReference, ChannelMask

OF_RUNS: Final = ("gates", "weights")
OF_CACHES: Final = ("energy", "deviation", "random")
RANKINGS: Final = (*OF_RUNS, *OF_CACHES)


@dataclass(frozen=True, kw_only=True)
class CutOptions:
    """Where a ranking is cut: at most one of the first three; the 24 best channels where none is given.

    Attributes
    ----------
    k : int or None
        Keep so many channels.
    threshold : float or None
        Keep those whose number is above.
    budget : float or None
        Keep as many as so many bytes read per image pay for.
    allow_ties : bool
        Cut even where the ranking does not decide.
    """

    k: int | None = None
    threshold: float | None = None
    budget: float | None = None
    allow_ties: bool = False

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.k, self.threshold, self.budget)) > 1:
            msg = f"expected one of k, threshold and budget, found {self}"
            raise TrainingError(msg)


def is_run(path: str) -> bool:
    """Whether a run's folder lies at `path`, as far as its files' names say."""
    return not is_url(path) and any((Path(path) / name).exists() for name in (CHECKPOINT, CONFIG))


def choose_channels(
    source: str,
    cut: CutOptions | None = None,
    *,
    by: str | None = None,
    cache: str | None = None,
    split: str | None = None,
    size: int | None = None,
    seed: int = 0,
    compare: Sequence[str] = (),
    device: str = "auto",
    reporter: Reporter | None = None,
) -> ChannelChoice:
    """Rank the channels of a run or a cache, and cut a mask.

    Parameters
    ----------
    source : str
        Run folder, or path or URL of a cache.
    cut : CutOptions, optional
        The 24 best channels by default.
    by : str, optional
        One of :data:`RANKINGS`: a run's gates or energy by default, for a run and a cache. What a run does not read is
        not ranked.
    cache : str, optional
        For a run: another cache to pool the gates over, and to take statistics and bytes from.
    split : str, optional
        Whose statistics and bytes are taken; the training split by default. Gates are pooled over validation images.
    size : int, optional
        For a native cache: side in pixels that samples are brought to. A run has its own.
    seed : int
        Of ``by="random"``.
    compare : sequence of str
        Masks to compare the new one with: files, presets, or run folders with a ``mask.json``.
    device : str
        For pooling gates: ``"auto"``, ``"cpu"`` or ``"cuda"``.
    reporter : Reporter, optional
        Silent without.

    Returns
    -------
    ChannelChoice

    Raises
    ------
    TrainingError
        If there is no such run or cache, it does not have the ranking, or the ranking does not decide.
    """
    cut, reporter = cut or CutOptions(), reporter or SilentReporter()
    others = [(name, _load_mask(name)) for name in compare]  # before minutes of work, not after
    if by is not None and by not in RANKINGS:
        msg = f"unknown ranking {by!r}: expected one of {', '.join(RANKINGS)}"
        raise TrainingError(msg)
    trained: TrainedRun | None = None
    if is_run(source):
        trained, by = load_run(source), by or "gates"
        _check_run(trained, by, size)
        profile = _profile_of(trained, cache, split)
        reference = trained.cache if cache is None else profile.cache
        if cut == CutOptions(allow_ties=cut.allow_ties):  # nothing said: as the run itself would
            cut = replace(cut, budget=trained.config.target_bytes)
            if cut.budget is None:
                cut = replace(cut, k=min(int(trained.checkpoint.get("k", DEFAULT_K)), len(trained.channels)))
    else:
        by = by or "energy"
        _check_cache(source, by, cache)
        profile = read_profile(source, split=split, size=size)
        reference = profile.cache
    channels = None if trained is None else trained.channels
    if trained is not None and by == "gates":
        ranking: Ranking = channel_probabilities(trained, cache, device=device, reporter=reporter)
    elif trained is not None and by == "weights":
        values = spread_out(trained.channels.indices, entry_weights(trained.model.network))
        ranking = Ranking(name="weights", values=values, source=str(trained.path))
    elif by == "random":
        ranking = random_ranking(seed, channels)
    else:
        ranking = profile.energy_ranking(channels) if by == "energy" else profile.deviation_ranking(channels)
    selection = _cut(ranking, cut, profile, reference)
    seen = trained is not None and trained.config.input == "dct"
    normalized = profile.normalized(trained.normalization, trained.channels) if trained is not None and seen else None
    masks = [(f"{selection.mask.name} (new)", selection.mask), *others]
    return ChannelChoice(
        source=source,
        ranking=ranking,
        selection=selection,
        profile=profile,
        normalized=normalized,
        correlations=correlate(ranking, profile, normalized),
        agreement=agreement(masks) if others else None,
        warnings=(*_unfinished(trained), *selection.warnings, *silent_channels(selection.mask, profile)),
    )


def _load_mask(name: str) -> ChannelMask:
    """Return the mask of a file, a preset or a run folder."""
    if is_run(name) and not (Path(name) / MASK).exists():
        msg = f"{name}: this run has no {MASK} to compare with; write one with freqcache select {name}"
        raise TrainingError(msg)
    return ChannelMask.load(str(Path(name) / MASK) if is_run(name) else name)


def _check_run(run: TrainedRun, by: str, size: int | None) -> None:
    gated = run.model.gate is not None
    if by == "gates" and not gated:
        msg = (
            f"{run.path}: this run has no gates, so there is nothing to select by; train one with --gate, "
            f"or rank by --by {', '.join(RANKINGS[1:])}"
        )
        raise TrainingError(msg)
    if by == "weights" and gated:
        msg = (
            f"{run.path}: this run has gates, which shrink the weights of what they close; rank by --by gates, "
            "or by the weights of a run trained with --gate none"
        )
        raise TrainingError(msg)
    if size is not None:
        msg = f"{run.path}: a run has its own size; --size is for native caches"
        raise TrainingError(msg)


def _check_cache(source: str, by: str, cache: str | None) -> None:
    if not is_url(source) and not Path(source).exists():
        msg = f"{source}: no such run folder, and no such cache"
        raise TrainingError(msg)
    if Path(source).is_dir() and not any((Path(source) / name).exists() for name in ("zarr.json", ".build")):
        msg = f"{source}: is not a run folder (no {CHECKPOINT}), nor a cache (no zarr.json)"
        raise TrainingError(msg)
    if by in OF_RUNS:
        msg = f"{source}: is a cache, and {by} are a run's; rank by {', '.join(OF_CACHES)}, or name a run"
        raise TrainingError(msg)
    if cache is not None:
        msg = f"{source}: is a cache itself; --cache is for runs"
        raise TrainingError(msg)


def _profile_of(run: TrainedRun, cache: str | None, split: str | None) -> CacheProfile:
    """Read the profile of the cache that a run's gates are pooled over, at the run's size."""
    data = open_run_data(run, cache)  # refuses another cache in the place of the run's own
    part = data.val
    size = part.dataset.size if part.crop is None else part.crop.size
    return read_profile(part.dataset.cache_path, split=split, size=size)


def _cut(ranking: Ranking, cut: CutOptions, profile: CacheProfile, cache: CacheReference) -> Selection:
    options: dict[str, Any] = {"cache": cache, "size": profile.size}
    if cut.threshold is not None:
        return select_by_threshold(ranking, cut.threshold, cost=profile.cost, **options)
    if cut.budget is not None:
        return select_by_budget(ranking, cut.budget, profile.cost, allow_ties=cut.allow_ties, **options)
    k = DEFAULT_K if cut.k is None else cut.k
    return select_top_k(ranking, k, cost=profile.cost, allow_ties=cut.allow_ties, **options)


def _unfinished(run: TrainedRun | None) -> tuple[str, ...]:
    if run is None or int(run.checkpoint["epoch"]) >= run.config.epochs:
        return ()
    return (f"{run.path} has done {run.checkpoint['epoch']} of its {run.config.epochs} epochs",)
