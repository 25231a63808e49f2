"""Transforms of batches of coefficients, as modules that run wherever the batch is.

Channels are in storage order (component, then zigzag). Resizing is not here: it mixes frequencies, and is
:mod:`freqcache.resampling`'s, which the pipelines use. Random numbers are drawn on the CPU, from the generator that is
given or else from torch's own: one seed gives the same numbers wherever the batch is.
"""

from __future__ import annotations

from freqcache.transforms.colour import ColourFactors, ColourJitter, RandomColour
from freqcache.transforms.erasing import RandomErasing
from freqcache.transforms.flips import RandomBlockShift, RandomHorizontalFlip, RandomQuarterTurn
from freqcache.transforms.mixing import CutMix, Mixup
from freqcache.transforms.normalize import Normalize
from freqcache.transforms.pipelines import EvalTransform, TrainTransform
from freqcache.transforms.pixels import RGB_MEAN, RGB_STD, ToPixels, inverse_basis

__all__ = [
    "RGB_MEAN",
    "RGB_STD",
    "ColourFactors",
    "ColourJitter",
    "CutMix",
    "EvalTransform",
    "Mixup",
    "Normalize",
    "RandomBlockShift",
    "RandomColour",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomQuarterTurn",
    "ToPixels",
    "TrainTransform",
    "inverse_basis",
]
