"""Where the time of the transform goes: clocks around its functions, and the kernel stopped after each of its parts.

The kernel's parts work on rows that stay in the processor's caches, a few microseconds each, so clocks inside would
measure themselves. Instead the kernel is compiled several times, with ever more of its last parts left out; a part
costs what its leaving out saves. What a part costs by making memory hot or cold for the next is not told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any
from unittest.mock import patch

import numba
from parts import clocks
from pipelines import Indices, seeded

import freqcache.resampling.cpu as cpu
from freqcache import FrequencyDataset
from freqcache.transforms import TrainTransform

KERNEL, REST = "kernel", "the rest: Python and torch"
PARTS = {
    "drawing crops": ["freqcache.crops:RandomResizedCrop.draw"],
    "geometry of the axes": ["freqcache.resampling.geometry:Crops.axes"],
    "layout of frequencies, order of steps": [
        "freqcache.resampling.operator:layout",
        "freqcache.resampling.operator:steps_by_place",
    ],
    "checks before the kernel": ["freqcache.resampling.operator:resample_arrays"],
    KERNEL: ["freqcache.resampling.cpu:resample"],
}
INSIDE = {
    "placing bands, scratch memory": (),
    "computing bands": ("fill_band", "_copy"),
    "reading and dequantizing": ("_load",),
    "vertical products": ("_vertical",),
    "horizontal products": ("_horizontal",),
    "channels last, affine map, output": ("_write",),
}
"""The kernel's parts in the order in which data passes them, with the functions that are one."""

ARGUMENTS = {"fill_band": 7, "_copy": 3, "_load": 13, "_vertical": 13, "_horizontal": 11, "_write": 8}
PASSES = ("_turn",)
"""Functions that call those, and are compiled with what is left out of them."""


def _nothing(arguments: int) -> Callable[..., Any]:
    """Return a compiled function of so many arguments that does nothing, successfully."""
    names = ", ".join(f"a{i}" for i in range(arguments))
    made: Callable[..., Any] = numba.njit(nogil=True)(eval(f"lambda {names}: True"))
    return made


def stopped_after(part: str) -> Callable[..., Any]:
    """Compile the kernel without what follows a part."""
    names = list(INSIDE)
    left_out = [name for later in names[names.index(part) + 1 :] for name in INSIDE[later]]
    whole: Any = cpu.resample.py_func
    missing = [name for name in left_out if name not in whole.__globals__]
    if missing:
        msg = f"this version's kernel has no {', '.join(missing)}: bring tests/benchmarks/transform_parts.py up to date"
        raise SystemExit(msg)
    names_seen = whole.__globals__ | {name: _nothing(ARGUMENTS[name]) for name in left_out}
    for name in PASSES:
        names_seen[name] = _compiled(whole.__globals__[name].py_func, names_seen)
    return _compiled(whole, names_seen)


def _compiled(function: Any, names_seen: dict[str, Any]) -> Callable[..., Any]:
    compiled: Callable[..., Any] = numba.njit(nogil=True)(
        FunctionType(function.__code__, names_seen, function.__name__)
    )
    return compiled


def parts_of(dataset: FrequencyDataset, units: Sequence[Indices], passes: int) -> dict[str, float]:
    """Return the seconds that an image takes in each part, each unit's best time counted."""
    transform = TrainTransform.of(dataset).train()
    kernels = {part: stopped_after(part) for part in INSIDE}
    whole = list(INSIDE)[-1]
    total: dict[str, float] = {}
    for number, unit in enumerate(units):
        batch = dataset.read_batch(unit)
        least: dict[str, float] = {}
        for turn in range(passes + 1):
            for part, kernel in kernels.items():
                with patch.object(cpu, "resample", kernel), clocks({REST: [], **PARTS}) as found:
                    found.wrap(REST, transform)(batch, seeded(number))
                if turn == 0:
                    continue  # compiles
                seconds = found.seconds if part == whole else {}
                for name, value in {**seconds, f"until {part}": found.seconds[KERNEL]}.items():
                    least[name] = min(value, least.get(name, value))
        for name, value in least.items():
            total[name] = total.get(name, 0.0) + value
    images = sum(map(len, units))
    before, found_inside = 0.0, {}
    for part in INSIDE:
        until = total.pop(f"until {part}")
        found_inside[part], before = until - before, until
    total.pop(KERNEL)
    rest = total.pop(REST)
    return {name: value / images for name, value in {**total, **found_inside, REST: rest}.items()}


def where(columns: dict[str, FrequencyDataset], units: Sequence[Indices], passes: int) -> None:
    """Print a column of parts for each dataset."""
    found = {title: parts_of(dataset, units, passes) for title, dataset in columns.items()}
    print(f"\n| part of the transform, µs an image | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
    for part in next(iter(found.values())):
        print(f"| {part} | {' | '.join(f'{column[part] * 1e6:.1f}' for column in found.values())} |")
    print(f"| all | {' | '.join(f'{sum(column.values()) * 1e6:.0f}' for column in found.values())} |", flush=True)
