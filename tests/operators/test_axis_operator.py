"""Weights and banded operators of one axis against numpy.interp and Pillow's float resize."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from freqcache.axis_operator import AxisGeometry, axis_operator, linear_taps, triangle_taps


def _dense(operator, n_blocks):
    """Return the whole matrix of a banded operator, (8 * blocks out, 8 * blocks in)."""
    dense = np.zeros((8 * len(operator.first), 8 * n_blocks))
    for block, (first, matrix) in enumerate(zip(operator.first, operator.matrices, strict=True)):
        dense[8 * block : 8 * block + 8, 8 * first : 8 * first + matrix.shape[1]] = matrix
    return dense


def test_factor_two_has_libjpegs_triangle_weights():
    indices, weights = linear_taps(8, 1, 2, 4)
    source = np.array([10.0, 20.0, 40.0, 80.0])
    expected = [10, 12.5, 17.5, 25, 35, 50, 70, 80]
    assert ((source[indices] * weights).sum(axis=1) == expected).all()


@settings(deadline=None, max_examples=60)
@given(
    n_out=st.integers(1, 60),
    factors=st.tuples(st.integers(1, 4), st.integers(1, 4)).map(sorted),
    seed=st.integers(0, 1000),
)
def test_upsampling_is_interpolation_at_centred_positions(n_out, factors, seed):
    factor, largest = factors
    n_true = -(-n_out * factor // largest)
    source = np.random.default_rng(seed).normal(size=n_true)
    indices, weights = linear_taps(n_out, factor, largest, n_true)
    assert indices.min() >= 0
    assert indices.max() < n_true
    positions = (np.arange(n_out) + 0.5) * factor / largest - 0.5
    expected = np.interp(positions, np.arange(n_true), source)
    np.testing.assert_allclose((source[indices] * weights).sum(axis=1), expected, atol=1e-12)


@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_resize_weights_are_pillows(data):
    n_in, n_out = data.draw(st.integers(1, 90)), data.draw(st.integers(1, 90))
    start = data.draw(st.floats(0, n_in - 0.5))
    length = data.draw(st.floats(0.25, 1)) * (n_in - start)
    identity = Image.fromarray(np.eye(n_in, dtype=np.float32))
    box = (start, 0, min(start + length, n_in), n_in)
    by_pillow = np.asarray(identity.resize((n_out, n_in), Image.Resampling.BILINEAR, box=box)).T
    indices, weights = triangle_taps(n_in, n_out, (start, box[2] - start), np.arange(n_out))
    dense = np.zeros((n_out, n_in))
    np.add.at(dense, (np.arange(n_out)[:, None], indices), weights)
    # Pillow computes the scale from the ends of the box in another order: rounding can move a filter's edge.
    np.testing.assert_allclose(dense, by_pillow, atol=1e-5)
    np.testing.assert_allclose(dense.sum(axis=1), 1, atol=1e-12)


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


def _cosine(frequency, sample):
    scale = np.sqrt((1 if frequency == 0 else 2) / 8)
    return scale * np.cos((2 * sample + 1) * frequency * np.pi / 16)


DCT = np.array([[_cosine(frequency, sample) for sample in range(8)] for frequency in range(8)])


@settings(deadline=None, max_examples=80)
@given(geometry=geometries, seed=st.integers(0, 1000))
def test_operator_equals_the_steps_in_samples(oracle, geometry, seed):
    samples = np.random.default_rng(seed).uniform(0, 255, (8 * geometry.n_blocks, 3))
    up = oracle.upsample(samples, geometry.n_full, 3, geometry.factor, geometry.max_factor, 1, 1)
    resized = oracle.resize(up, geometry.n_resized, 3)
    expected = resized[geometry.start : geometry.start + geometry.n_out]
    expected = np.pad(expected, ((0, -geometry.n_out % 8), (0, 0)), mode="edge")

    dense = _dense(axis_operator(geometry), geometry.n_blocks)
    in_samples = np.kron(np.eye(len(dense) // 8), DCT).T @ dense @ np.kron(np.eye(geometry.n_blocks), DCT)
    np.testing.assert_allclose(in_samples @ samples, expected, atol=1e-3)


@settings(deadline=None, max_examples=60)
@given(geometry=geometries)
def test_constant_planes_stay_constant(geometry):
    dense = _dense(axis_operator(geometry), geometry.n_blocks)
    source = np.zeros(8 * geometry.n_blocks)
    source[::8] = 1
    expected = np.zeros(len(dense))
    expected[::8] = 1
    np.testing.assert_allclose(dense @ source, expected, atol=1e-6)


def test_padding_of_the_source_has_no_influence():
    geometry = AxisGeometry(n_blocks=4, n_full=21, n_resized=30, start=3, n_out=27)
    dense = _dense(axis_operator(geometry), 4)
    padding = np.zeros((32, 11))
    padding[np.arange(21, 32), np.arange(11)] = 1
    assert np.abs(dense @ np.kron(np.eye(4), DCT) @ padding).max() < 1e-6


def test_operators_are_shared_and_read_only():
    geometry = AxisGeometry(n_blocks=4, n_full=32, n_resized=40, n_out=40)
    same = AxisGeometry(n_blocks=4, n_full=32, n_resized=40, n_out=40)
    assert axis_operator(geometry) is axis_operator(same)
    with pytest.raises(ValueError, match="read-only"):
        axis_operator(geometry).matrices[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, slice(0, 5)),
        ({"start": 16, "n_out": 16}, slice(2, 4)),
        ({"start": 16, "n_out": 21}, slice(2, 5)),  # reaches the edge: the padding stays
        ({"box": (0, 37)}, slice(0, 5)),
        ({"start": 16, "n_out": 20}, None),
        ({"start": 4, "n_out": 33}, None),
        ({"n_resized": 38}, None),
        ({"box": (0, 36.5)}, None),
        ({"factor": 1, "max_factor": 2}, None),
    ],
)
def test_whole_blocks_pass_only_where_nothing_is_computed(changes, expected):
    geometry = AxisGeometry(**{"n_blocks": 6, "n_full": 37, "n_resized": 37, "n_out": 37} | changes)
    assert geometry.whole_blocks() == expected


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
        axis_operator(geometry)
