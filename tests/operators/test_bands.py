"""Weights and banded operators of one axis against numpy.interp and Pillow's float resize."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from freqcache.resampling.bands import axis_band
from freqcache.resampling.geometry import AxisGeometry, axis_records


def _cosine(frequency, sample):
    scale = np.sqrt((1 if frequency == 0 else 2) / 8)
    return scale * np.cos((2 * sample + 1) * frequency * np.pi / 16)


DCT = np.array([[_cosine(frequency, sample) for sample in range(8)] for frequency in range(8)])


def _dense(axis):
    """Return the whole matrix of a band, (8 * blocks out, 8 * blocks in)."""
    first, matrices = axis_band(axis)
    n_wide = matrices.shape[2]
    dense = np.zeros((8 * len(first), 8 * int(axis["n_blocks"])))
    for block, (begin, matrix) in enumerate(zip(first, matrices, strict=True)):
        dense[8 * block : 8 * block + 8, 8 * begin : 8 * (begin + n_wide)] = matrix.reshape(8, -1)
    return dense


def _in_samples(axis):
    """Return the same between samples."""
    dense = _dense(axis)
    n_out, n_in = (n // 8 for n in dense.shape)
    return np.kron(np.eye(n_out), DCT).T @ dense @ np.kron(np.eye(n_in), DCT)


def test_factor_two_has_libjpegs_triangle_weights():
    geometry = AxisGeometry(n_blocks=1, n_full=8, factor=1, max_factor=2, n_resized=8, n_out=8)
    source = np.array([10.0, 20.0, 40.0, 80.0, 0, 0, 0, 0])
    expected = [10, 12.5, 17.5, 25, 35, 50, 70, 80]
    np.testing.assert_allclose(_in_samples(geometry.record()) @ source, expected, atol=1e-4)


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_resize_weights_are_pillows(data):
    n_in, n_out = data.draw(st.integers(1, 90)), data.draw(st.integers(1, 90))
    start = data.draw(st.floats(0, n_in - 0.5))
    length = data.draw(st.floats(0.25, 1)) * (n_in - start)
    identity = Image.fromarray(np.eye(n_in, dtype=np.float32))
    box = (start, 0, min(start + length, n_in), n_in)
    by_pillow = np.asarray(identity.resize((n_out, n_in), Image.Resampling.BILINEAR, box=box)).T
    geometry = AxisGeometry(
        n_blocks=-(-n_in // 8), n_full=n_in, n_resized=n_out, n_out=n_out, box=(start, box[2] - start)
    )
    dense = _in_samples(geometry.record())[:n_out]
    # Pillow computes the scale from the ends of the box in another order: rounding can move a filter's edge.
    np.testing.assert_allclose(dense[:, :n_in], by_pillow, atol=1e-5)
    np.testing.assert_allclose(dense[:, n_in:], 0, atol=1e-6)


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_a_cut_box_is_pillows_resize_of_the_cut_image(data):
    """Filters do not see beyond a box that is cut out first; mirrored or not."""
    n_in, n_out = data.draw(st.integers(1, 90)), data.draw(st.integers(1, 90))
    start = data.draw(st.integers(0, n_in - 1))
    length = data.draw(st.integers(1, n_in - start))
    flip = data.draw(st.booleans())
    identity = Image.fromarray(np.eye(n_in, dtype=np.float32)).crop((start, 0, start + length, n_in))
    by_pillow = np.asarray(identity.resize((n_out, n_in), Image.Resampling.BILINEAR)).T
    axis = axis_records(
        n_blocks=-(-n_in // 8),
        n_full=n_in,
        factor=1,
        max_factor=1,
        box=start,
        scale=length / n_out,
        limits=(start, start + length),
        start=0,
        n_out=n_out,
        flip=int(flip),
    )
    np.testing.assert_allclose(_in_samples(axis)[:n_out, :n_in], by_pillow[::-1] if flip else by_pillow, atol=1e-5)


def _geometry(n_full, factors, n_resized, crop, extra):
    n_true = -(-n_full * factors[0] // factors[1])
    start = int(crop[0] * (n_resized - 1))
    return AxisGeometry(
        n_blocks=-(-n_true // 8) + extra,
        n_full=n_full,
        factor=factors[0],
        max_factor=factors[1],
        n_resized=n_resized,
        start=start,
        n_out=1 + int(crop[1] * (n_resized - 1 - start)),
    )


geometries = st.builds(
    _geometry,
    n_full=st.integers(1, 100),
    factors=st.tuples(st.integers(1, 4), st.integers(1, 4)).map(sorted),
    n_resized=st.integers(1, 100),
    crop=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    extra=st.integers(0, 2),
)


@settings(deadline=None, max_examples=80)
@given(geometry=geometries, seed=st.integers(0, 1000))
def test_operator_equals_the_steps_in_samples(oracle, geometry, seed):
    samples = np.random.default_rng(seed).uniform(0, 255, (8 * geometry.n_blocks, 3))
    up = oracle.upsample(samples, geometry.n_full, 3, geometry.factor, geometry.max_factor, 1, 1)
    resized = oracle.resize(up, geometry.n_resized, 3)
    expected = resized[geometry.start : geometry.start + geometry.n_out]
    expected = np.pad(expected, ((0, -geometry.n_out % 8), (0, 0)), mode="edge")

    axis = geometry.record()
    inside = geometry.n_out if axis["whole"] >= 0 else None  # whole blocks keep the padding of their encoder
    np.testing.assert_allclose((_in_samples(axis) @ samples)[:inside], expected[:inside], atol=1e-3)


@settings(deadline=None, max_examples=60)
@given(geometry=geometries)
def test_constant_planes_stay_constant(geometry):
    dense = _dense(geometry.record())
    source = np.zeros(8 * geometry.n_blocks)
    source[::8] = 1
    expected = np.zeros(len(dense))
    expected[::8] = 1
    np.testing.assert_allclose(dense @ source, expected, atol=1e-6)


def test_padding_of_the_source_has_no_influence():
    geometry = AxisGeometry(n_blocks=4, n_full=21, n_resized=30, start=3, n_out=27)
    dense = _dense(geometry.record())
    padding = np.zeros((32, 11))
    padding[np.arange(21, 32), np.arange(11)] = 1
    assert np.abs(dense @ np.kron(np.eye(4), DCT) @ padding).max() < 1e-6


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0),
        ({"start": 16, "n_out": 16}, 2),
        ({"start": 16, "n_out": 21}, 2),  # reaches the edge: the padding stays
        ({"box": (0, 37)}, 0),
        ({"start": 16, "n_out": 20}, -1),
        ({"start": 4, "n_out": 33}, -1),
        ({"n_resized": 38}, -1),
        ({"box": (0, 36.5)}, -1),
        ({"factor": 1, "max_factor": 2}, -1),
    ],
)
def test_whole_blocks_pass_only_where_nothing_is_computed(changes, expected):
    geometry = AxisGeometry(**{"n_blocks": 6, "n_full": 37, "n_resized": 37, "n_out": 37} | changes)
    assert geometry.record()["whole"] == expected
    first, matrices = axis_band(geometry.record())
    identity = len(matrices[0, 0]) == 1 and (matrices[:, :, 0] == np.eye(8)).all()
    assert identity == (expected >= 0)
    assert expected < 0 or first.tolist() == list(range(expected, expected + len(first)))


def test_whole_blocks_are_mirrored_without_arithmetic():
    axis = axis_records(
        n_blocks=6, n_full=41, factor=1, max_factor=1, box=8, scale=1, limits=(0, 41), start=8, n_out=24, flip=1
    )
    first, matrices = axis_band(axis)
    assert first.tolist() == [4, 3, 2]
    assert (matrices[:, :, 0] == np.diag([1, -1] * 4)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factor": 2}, "sampling factors"),
        ({"factor": 0}, "sampling factors"),
        ({"n_blocks": 3}, "3 blocks"),
        ({"n_full": 0}, "blocks"),
        ({"start": -8}, "crop"),
        ({"n_out": 0}, "crop"),
        ({"n_out": 33}, "crop of 33"),
        ({"start": 1}, "crop"),
        ({"box": (-1.0, 8.0)}, "box"),
        ({"box": (32.0, 8.0)}, "box"),
        ({"box": (3.0, 0.0)}, "box"),
    ],
)
def test_contradictions_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        AxisGeometry(**{"n_blocks": 4, "n_full": 32, "n_resized": 32, "n_out": 32} | changes)


def test_a_box_far_past_the_end_is_refused():
    geometry = AxisGeometry(n_blocks=1, n_full=8, n_resized=40, n_out=40, box=(0.0, 40.0))
    with pytest.raises(ValueError, match="beyond the 8 samples"):
        axis_band(geometry.record())
