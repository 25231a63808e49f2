"""Quantization tables against Pillow's, rounding, and the bounds of the int8 steps."""

from __future__ import annotations

import io

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from freqcache.errors import SourceError
from freqcache.quantization import (
    coefficient_bounds,
    dequantize,
    fixed_steps,
    ijg_table,
    quantize,
    quantize_fixed,
)
from freqcache_formats.channels import ZIGZAG_TO_NATURAL


@pytest.mark.parametrize("quality", range(1, 101))
def test_tables_are_those_pillow_writes(oracle, quality):
    data = oracle.encode(Image.new("RGB", (16, 16)), "JPEG", quality=quality)
    with Image.open(io.BytesIO(data)) as image:
        written = image.quantization  # row-major
    for number in (0, 1):
        table = ijg_table(quality, chroma=number == 1)
        assert table.dtype == np.uint16
        assert table.tolist() == np.array(written[number])[ZIGZAG_TO_NATURAL].tolist()


@pytest.mark.parametrize("quality", [-1, 0, 101])
def test_unknown_quality_is_refused(quality):
    with pytest.raises(ValueError, match=str(quality)):
        ijg_table(quality)


@settings(deadline=None, max_examples=40)
@given(
    values=hnp.arrays(np.int16, (64, 2, 3), elements=st.integers(-2048, 2047)),
    table=hnp.arrays(np.uint16, 64, elements=st.integers(1, 255)),
)
def test_quantize_undoes_dequantize(values, table):
    dequantized = dequantize(values, table)
    assert dequantized.dtype == np.float32
    assert (dequantized == values.astype(np.int64) * table[:, None, None].astype(np.int64)).all()
    again = quantize(dequantized, table)
    assert again.dtype == np.int16
    assert (again == values).all()


def test_rounding_is_to_nearest_with_ties_to_even():
    coefficients = np.array([[-25.0, -15.0, -14.9, 5.0, 5.1, 15.0, 24.0]], np.float32)
    assert quantize(coefficients, np.array([10])).tolist() == [[-2, -2, -1, 0, 1, 2, 2]]


@pytest.mark.parametrize("bad", [32768.0, -32769.0, np.nan, np.inf])
def test_what_does_not_fit_int16_is_refused(bad):
    coefficients = np.zeros((64, 2, 2), np.float32)
    coefficients[5, 1, 0] = bad
    with pytest.raises(SourceError, match=r"\(5, 1, 0\)"):
        quantize(coefficients, np.ones(64))


def test_extremes_of_int16_pass():
    assert quantize(np.array([[32767.0, -32768.0]]), np.ones(1)).tolist() == [[32767, -32768]]


def test_tables_of_the_wrong_length_are_refused():
    for call in (quantize, dequantize, quantize_fixed):
        with pytest.raises(ValueError, match="one step"):
            call(np.zeros((64, 2, 2), np.float32), np.ones(2))


def _worst_blocks():
    """For each channel the two blocks of 8-bit samples that push it furthest, and its basis image's signs."""
    for natural in ZIGZAG_TO_NATURAL:
        unit = np.zeros((8, 8))
        unit.flat[natural] = 1
        basis = scipy.fft.idctn(unit, norm="ortho")
        # cos terms of exact zero do not occur in an 8-point DCT-II; tiny values would be rounding.
        assert np.abs(basis).min() > 1e-3
        yield np.where(basis > 0, 127.0, -128.0), np.where(basis > 0, -128.0, 127.0)


def test_bounds_are_reached_and_no_block_passes_them():
    bounds = coefficient_bounds()
    worst = [
        max(abs(scipy.fft.dctn(block, norm="ortho").flat[natural]) for block in pair)
        for natural, pair in zip(ZIGZAG_TO_NATURAL, _worst_blocks(), strict=True)
    ]
    np.testing.assert_allclose(bounds, worst, rtol=1e-12)
    assert bounds[0] == pytest.approx(1024)
    # Linear on a box: the extremes lie at corners, and the corner of matching signs is the largest. Random
    # corners check the argument.
    corners = np.random.default_rng(0).choice([-128.0, 127.0], (2000, 8, 8))
    coefficients = np.abs(scipy.fft.dctn(corners, axes=(1, 2), norm="ortho")).reshape(-1, 64)
    assert (coefficients.max(axis=0)[ZIGZAG_TO_NATURAL] <= bounds + 1e-9).all()


def test_int8_holds_the_worst_blocks_without_saturation():
    steps = fixed_steps()
    assert steps.dtype == np.float32
    assert steps.shape == (192,)
    blocks = np.array([block for pair in _worst_blocks() for block in pair])
    coefficients = scipy.fft.dctn(blocks, axes=(1, 2), norm="ortho").reshape(-1, 64)[:, ZIGZAG_TO_NATURAL]
    for dtype in (np.float32, np.float64):
        planes = np.tile(coefficients.T.astype(dtype), (3, 1))[:, None, :]
        quantized, n_saturated = quantize_fixed(planes, steps)
        assert n_saturated == 0
        assert quantized.dtype == np.int8
        assert quantized.min() == -127
        assert quantized.max() <= 127
    # Unrounded, too: no step was rounded down below bound / 127.
    assert (np.tile(coefficient_bounds(), 3) / steps.astype(np.float64) <= 127).all()


def test_steps_are_never_finer_than_quality_90():
    steps = fixed_steps()
    luma, chroma = ijg_table(90), ijg_table(90, chroma=True)
    assert (steps >= np.concatenate([luma, chroma, chroma])).all()
    exceed = np.tile(coefficient_bounds() / 127, 3) > np.concatenate([luma, chroma, chroma])
    assert (steps[~exceed] == np.concatenate([luma, chroma, chroma])[~exceed]).all()
    assert exceed.sum() < 192
    assert steps[0] == pytest.approx(1024 / 127)


def test_saturation_is_counted_and_never_codes_minus_128():
    coefficients = np.zeros((192, 1, 4), np.float32)
    coefficients[3, 0] = [127.4, 127.6, -128.0, -5000.0]
    quantized, n_saturated = quantize_fixed(coefficients, np.ones(192, np.float32))
    assert quantized[3, 0].tolist() == [127, 127, -127, -127]
    assert n_saturated == 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_fixed_refuses_what_is_not_finite(bad):
    coefficients = np.zeros((192, 2, 2), np.float32)
    coefficients[191, 0, 1] = bad
    with pytest.raises(SourceError, match=r"\(191, 0, 1\)"):
        quantize_fixed(coefficients, fixed_steps())


@settings(deadline=None, max_examples=30)
@given(hnp.arrays(np.float32, (192, 1, 2), elements=st.floats(-1500, 1500, width=32)))
def test_fixed_error_is_half_a_step_where_nothing_saturates(coefficients):
    steps = fixed_steps()
    quantized, n_saturated = quantize_fixed(coefficients, steps)
    error = np.abs(dequantize(quantized, steps) - coefficients) / steps[:, None, None]
    beyond = np.abs(coefficients / steps[:, None, None]) > 127.5
    assert (error[~beyond] <= 0.5001).all()
    assert n_saturated == beyond.sum()
    assert quantized.min() >= -127
