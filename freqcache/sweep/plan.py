"""What a sweep is: a frozen dataclass, the configurations of its runs, and their names.

Nothing here trains or writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from math import isfinite
from pathlib import Path
from typing import Any, Final

from freqcache.errors import TrainingError
from freqcache.training.config import RunConfig
from freqcache_formats.channels import N_CHANNELS
from freqcache_formats.mask import ChannelMask, preset_names

RGB: Final = "rgb"
"""The baseline that is no mask: pixels of the same cache."""

_OF_GATES: Final = ("lam", "lam_warmup", "target_channels", "target_bytes", "tau", "tau_end", "gate_lr")
_SWEPT: Final = ("lam", "target_channels", "target_bytes", "seed")
_DEFAULTS: Final[Mapping[str, Any]] = {field.name: field.default for field in fields(RunConfig)}


def number(value: float) -> str:
    """Return the shortest usual text that reads back as the number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is swept over, apart from seeds: a lambda, a target or a baseline.

    Attributes
    ----------
    kind : str
        ``"lambda"``, ``"target"`` or ``"baseline"``.
    value : float or str
        Lambda; the target in channels; a preset's name, a mask's path or ``"rgb"``.
    """

    kind: str
    value: float | str

    @property
    def label(self) -> str:
        """For people."""
        if isinstance(self.value, float):
            return f"{self.kind} {number(self.value)}"
        if self.value == RGB:
            return "RGB"
        return f"{'preset' if self.value in preset_names() else 'mask'} {_stem(self.value)}"

    @property
    def slug(self) -> str:
        """The beginning of its runs' names."""
        if isinstance(self.value, float):
            return f"{'lam' if self.kind == 'lambda' else self.kind}{number(self.value)}"
        return f"{self.kind}-{re.sub(r'[^A-Za-z0-9._-]+', '_', _stem(self.value))}"


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How a mask is made of a ranking: the `k` first channels, or those with P(on) above `threshold`."""

    k: int | None = None
    threshold: float | None = None

    @property
    def slug(self) -> str:
        """The end of the names of the runs on such masks."""
        return f"k{self.k}" if self.threshold is None else f"p{number(self.threshold)}"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Gated runs over lambdas and targets, their masks, and baselines; each with every seed.

    Attributes
    ----------
    base : RunConfig
        All other options, with a gate; its `lam`, targets and `seed` have no meaning here and are set to the defaults.
    lams : tuple of float
        Values of `lam`; this and the following are kept sorted, without repetitions.
    targets : tuple of float
        Values of `target_channels`.
    seeds : tuple of int
    k : tuple of int
        Channels of the masks that are made of each lambda's runs; none without a lambda, as of the following. The mask
        of a target has as many channels as that.
    thresholds : tuple of float
        Least P(on) of further masks that are made of each lambda's runs.
    retrain : bool
        Train a network on each mask.
    baselines : tuple of str
        Presets' names, paths of mask.json files, or ``"rgb"``, in the order of the table.
    """

    base: RunConfig
    lams: tuple[float, ...] = ()
    targets: tuple[float, ...] = ()
    seeds: tuple[int, ...] = (0,)
    k: tuple[int, ...] = (24,)
    thresholds: tuple[float, ...] = ()
    retrain: bool = True
    baselines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("lams", "targets", "thresholds"):
            object.__setattr__(self, name, tuple(sorted({float(value) for value in getattr(self, name)})))
        for name in ("k", "thresholds") if not self.lams else ():  # they would cut nothing
            object.__setattr__(self, name, ())
        for name in ("seeds", "k"):
            object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))
        object.__setattr__(self, "baselines", tuple(dict.fromkeys(self.baselines)))
        object.__setattr__(self, "base", replace(self.base, **{name: _DEFAULTS[name] for name in _SWEPT}))
        problems = list(self._problems())
        if problems:
            msg = "no such sweep: " + "; ".join(problems)
            raise TrainingError(msg)
        # What is wrong with a single run is RunConfig's to say, before the first of them is trained.
        for seed in self.seeds:
            for setting in self.settings:
                self.config(setting, seed)

    def _problems(self) -> Iterator[str]:
        if not self.lams and not self.targets:
            yield "name at least one lambda or target"
        if not self.seeds:
            yield "name at least one seed"
        if self.lams and not self.k and not self.thresholds:
            yield "name at least one k or threshold for the masks"
        if self.base.gate == "none":
            yield "its runs need a gate, dynamic or static"
        most = N_CHANNELS if self.base.channels is None else len(self.base.channels)
        yield from (f"cannot keep {k} of {most} channels" for k in self.k if not 1 <= k <= most)
        yield from (
            f"a threshold on P(on) must be in [0, 1), found {number(threshold)}"
            for threshold in self.thresholds
            if not (isfinite(threshold) and 0 <= threshold < 1)
        )
        slugs = [setting.slug for setting in self.settings]
        for name in sorted({slug for slug in slugs if slugs.count(slug) > 1}):
            yield f"two baselines would both be named {name}"

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Lambdas, targets and baselines, in the order of the table."""
        return (
            *(Setting(kind="lambda", value=lam) for lam in self.lams),
            *(Setting(kind="target", value=target) for target in self.targets),
            *(Setting(kind="baseline", value=name) for name in self.baselines),
        )

    def cuts(self, setting: Setting) -> tuple[Cut, ...]:
        """Return the masks to make of a setting's gated runs; none of a baseline."""
        if isinstance(setting.value, str):
            return ()
        if setting.kind == "target":
            return (Cut(k=max(1, round(setting.value))),)
        return (*(Cut(k=k) for k in self.k), *(Cut(threshold=threshold) for threshold in self.thresholds))

    @property
    def order(self) -> tuple[tuple[Setting, int], ...]:
        """Settings and seeds as they are run: all settings with one seed, so that a first curve comes early."""
        return tuple((setting, seed) for seed in self.seeds for setting in self.settings)

    def run_name(self, setting: Setting, seed: int, cut: Cut | None = None) -> str:
        """Return the name of a setting's own run, or of that on one of its masks."""
        name = f"{setting.slug}-s{seed}"
        return name if cut is None else f"{name}-{cut.slug}"

    @property
    def run_names(self) -> tuple[str, ...]:
        """Names of all networks that are trained, in that order."""
        return tuple(
            self.run_name(setting, seed, cut)
            for setting, seed in self.order
            for cut in (None, *(self.cuts(setting) if self.retrain else ()))
        )

    def config(self, setting: Setting, seed: int) -> RunConfig:
        """Return the configuration of a setting's own run: the gated one, or the baseline's."""
        if setting.kind == "lambda":
            return replace(self.base, lam=float(setting.value), seed=seed)
        if setting.kind == "target":
            return replace(self.base, target_channels=float(setting.value), seed=seed)
        if setting.value == RGB:
            return replace(self.retraining(None, seed), input=RGB)
        return self.retraining(ChannelMask.load(str(setting.value)), seed)

    def retraining(self, mask: ChannelMask | None, seed: int) -> RunConfig:
        """Return the configuration of a run on a mask: the same one without a gate."""
        plain = {name: _DEFAULTS[name] for name in _OF_GATES}
        return replace(self.base, gate="none", channels=mask, seed=seed, **plain)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of this sweep."""
        lists = ("lams", "targets", "seeds", "k", "thresholds", "baselines")
        return {
            "base": self.base.to_dict(),
            **{name: list(getattr(self, name)) for name in lists},
            "retrain": self.retrain,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Sweep:
        """Return the sweep of a JSON document.

        Raises
        ------
        TrainingError
            If it is none.
        """
        known = {field.name for field in fields(cls)}
        try:
            values = {name: document[name] for name in known}
            return cls(**{**values, "base": RunConfig.from_dict(values["base"])})
        except (KeyError, TypeError, ValueError) as error:
            msg = f"not a sweep: {error!r}"
            raise TrainingError(msg) from error


def _stem(name: str) -> str:
    """Return a preset's name as it is, and of a mask's path the file's name."""
    return Path(name).name.removesuffix(".json")
