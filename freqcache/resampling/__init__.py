"""Crop, resize, chroma upsampling and mirroring of coefficients: one linear operator.

On a component's plane X all of these are linear and separable: ``out = M_v X M_h^T``, with banded matrices that
:mod:`freqcache.resampling.bands` defines. Nothing is rounded or clipped on the way; in that alone the result differs
from the same steps in pixels. The contract and the measured errors are in ``docs/operators.md``.

- :mod:`~freqcache.resampling.operator`: a batch, on any device;
- :mod:`~freqcache.resampling.planes`: one image, for builds.
"""
