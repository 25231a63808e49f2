"""Resampling of components and images against the same steps in pixels, by scipy, numpy and Pillow."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from freqcache.resampling.geometry import AxisGeometry
from freqcache.resampling.planes import reduce_to_fit, reduced_size, resize_plane, to_fixed_grid

SAMPLINGS = {
    "4:4:4": ((1, 1), (1, 1), (1, 1)),
    "4:2:2": ((2, 1), (1, 1), (1, 1)),
    "4:2:0": ((2, 2), (1, 1), (1, 1)),
    "4:4:0": ((1, 2), (1, 1), (1, 1)),
    "4:1:1": ((4, 1), (1, 1), (1, 1)),
    "4:1:0": ((4, 2), (1, 1), (1, 1)),
    "thirds": ((3, 3), (1, 1), (1, 2)),
    "fractional": ((3, 2), (2, 1), (1, 2)),
    "2x1 all": ((2, 1), (2, 1), (2, 1)),
    "chroma finer": ((1, 1), (2, 2), (1, 1)),
    "gray": ((2, 2),),
}


def _image(sampling, width, height, seed=0):
    """Random coefficients of every component, with the energy of photographs, and their true sizes."""
    rng = np.random.default_rng(seed)
    h_max, v_max = (max(factors[axis] for factors in sampling) for axis in (0, 1))
    sizes = [(-(-height * v // v_max), -(-width * h // h_max)) for h, v in sampling]
    spread = 200 / (1 + np.arange(64))
    planes = tuple(
        (rng.normal(size=(64, -(-rows // 8), -(-cols // 8))) * spread[:, None, None]).astype(np.float32)
        for rows, cols in sizes
    )
    return planes, sizes


def _upsampled(oracle, planes, sampling, width, height):
    h_max, v_max = (max(factors[axis] for factors in sampling) for axis in (0, 1))
    for plane, (h, v) in zip(planes, sampling, strict=True):
        yield oracle.upsample(oracle.block_idct(plane), height, width, v, v_max, h, h_max)


@pytest.mark.parametrize("name", SAMPLINGS)
@pytest.mark.parametrize(("width", "height"), [(80, 64), (75, 101), (33, 33), (129, 17)])
@pytest.mark.parametrize("size", [32, 64])
def test_fixed_grid_equals_pixels(oracle, name, width, height, size):
    sampling = SAMPLINGS[name]
    planes, _ = _image(sampling, width, height)
    padded = (*planes, *[None] * (3 - len(planes)))
    factors = (*sampling, *[(0, 0)] * (3 - len(planes)))
    dense = to_fixed_grid(padded, factors, width, height, size)
    assert dense.dtype == np.float32
    assert dense.shape == (192, size // 8, size // 8)
    short = min(width, height)
    new_width, new_height = size * width // short, size * height // short
    left, top = round((new_width - size) / 2), round((new_height - size) / 2)
    for component, plane in enumerate(_upsampled(oracle, planes, sampling, width, height)):
        resized = oracle.resize(plane, new_height, new_width)
        expected = oracle.block_dct(resized[top : top + size, left : left + size])
        np.testing.assert_allclose(dense[64 * component : 64 * component + 64], expected, atol=2e-3)
    assert not dense[64 * len(planes) :].any()


@pytest.mark.parametrize(
    ("width", "height", "new_width", "left", "new_height", "top"),
    [
        (500, 375, 597, 74, 448, 0),  # 149 / 2 = 74.5 rounds to even
        (375, 500, 448, 0, 597, 74),
        (333, 500, 448, 0, 672, 112),
        (448, 448, 448, 0, 448, 0),
        (1000, 601, 745, 148, 448, 0),  # 148.5 rounds to even as well
    ],
)
def test_sizes_and_offsets_are_torchvisions(oracle, width, height, new_width, left, new_height, top):
    """Expected figures were worked out by hand from torchvision's int() and int(round())."""
    planes, _ = _image(SAMPLINGS["gray"], width, height, seed=5)
    dense = to_fixed_grid((planes[0], None, None), [(1, 1)] * 3, width, height, 448)
    pixels = oracle.block_idct(planes[0])[:height, :width]
    resized = oracle.resize(pixels, new_height, new_width)
    expected = oracle.block_dct(resized[top : top + 448, left : left + 448])
    np.testing.assert_allclose(dense[:64], expected, atol=2e-3)


def test_an_image_of_the_wanted_size_keeps_its_numbers():
    planes, _ = _image(SAMPLINGS["4:4:4"], 64, 64)
    dense = to_fixed_grid(planes, SAMPLINGS["4:4:4"], 64, 64, 64)
    assert (dense.reshape(3, 64, 8, 8) == np.stack(planes)).all()


def test_an_aligned_centre_crop_only_selects_blocks():
    planes, _ = _image(SAMPLINGS["4:4:4"], 96, 64)
    dense = to_fixed_grid(planes, SAMPLINGS["4:4:4"], 96, 64, 64)
    assert (dense.reshape(3, 64, 8, 8) == np.stack(planes)[..., 2:10]).all()


def test_chroma_of_420_is_exactly_the_triangle_filter(oracle):
    """The identity in luma leaves chroma with libjpeg's 3/4 and 1/4 weights alone."""
    planes, _ = _image(SAMPLINGS["4:2:0"], 64, 64)
    dense = to_fixed_grid(planes, SAMPLINGS["4:2:0"], 64, 64, 64)
    assert (dense[:64] == planes[0]).all()
    padded = np.pad(oracle.block_idct(planes[1]), 1, mode="edge")
    expected = np.zeros((64, 64))
    near, far = 0.75, 0.25
    for dy, dx in itertools.product((0, 1), (0, 1)):
        rows = padded[1:-1] * near + (padded[2:] if dy else padded[:-2]) * far
        expected[dy::2, dx::2] = rows[:, 1:-1] * near + (rows[:, 2:] if dx else rows[:, :-2]) * far
    np.testing.assert_allclose(dense[64:128], oracle.block_dct(expected), atol=1e-3)


@settings(deadline=None, max_examples=40)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    name=st.sampled_from(sorted(SAMPLINGS)),
    max_size=st.integers(1, 90),
)
def test_reduction_equals_pixels(oracle, width, height, name, max_size):
    sampling = SAMPLINGS[name]
    planes, sizes = _image(sampling, width, height)
    reduced, new_width, new_height = reduce_to_fit(planes, sampling, width, height, max_size)
    assert (new_width, new_height) == reduced_size(width, height, max_size)
    assert max(new_width, new_height) <= max(max_size, 1)
    if max(width, height) <= max_size:
        assert all(new is old for new, old in zip(reduced, planes, strict=True))
        return
    assert max(new_width, new_height) == max_size
    h_max, v_max = (max(factors[axis] for factors in sampling) for axis in (0, 1))
    for plane, source, (rows, cols), (h, v) in zip(reduced, planes, sizes, sampling, strict=True):
        new_rows, new_cols = -(-new_height * v // v_max), -(-new_width * h // h_max)
        assert plane.shape == (64, -(-new_rows // 8), -(-new_cols // 8))
        right, bottom = new_cols * width / new_width, new_rows * height / new_height
        if right > cols or bottom > rows:
            continue  # Pillow takes no box past the end; the next test covers these
        pixels = oracle.block_idct(source)[:rows, :cols]
        expected = oracle.resize(pixels, new_rows, new_cols, box=(0, 0, right, bottom))
        got = oracle.block_idct(plane)[:new_rows, :new_cols]
        np.testing.assert_allclose(got, expected, atol=2e-3)


@pytest.mark.parametrize("name", ["4:2:0", "4:1:1", "fractional"])
@pytest.mark.parametrize(("width", "height", "max_size"), [(100, 64, 51), (101, 99, 49), (64, 65, 37)])
def test_reduced_chroma_stays_where_it_was(oracle, name, width, height, max_size):
    """A ramp in image coordinates is the same ramp after reduction, in every component."""
    sampling = SAMPLINGS[name]
    h_max, v_max = (max(factors[axis] for factors in sampling) for axis in (0, 1))
    _, sizes = _image(sampling, width, height)
    planes = []
    for (rows, cols), (h, v) in zip(sizes, sampling, strict=True):
        y = (np.arange(rows) + 0.5) * v_max / v
        x = (np.arange(cols) + 0.5) * h_max / h
        planes.append(oracle.block_dct(y[:, None] + 0.5 * x[None, :]).astype(np.float32))
    reduced, new_width, new_height = reduce_to_fit(planes, sampling, width, height, max_size)
    for plane, (h, v) in zip(reduced, sampling, strict=True):
        rows, cols = -(-new_height * v // v_max), -(-new_width * h // h_max)
        y = (np.arange(rows) + 0.5) * v_max / v * height / new_height
        x = (np.arange(cols) + 0.5) * h_max / h * width / new_width
        expected = y[:, None] + 0.5 * x[None, :]
        got = oracle.block_idct(plane)[:rows, :cols]
        # Filters are cut off at the edges, and sampled triangles keep a ramp only on average. Ignoring the
        # siting would shift it by half a unit and more.
        error = (got - expected)[3:-3, 3:-3]
        assert np.abs(error).max() < 0.3
        assert np.abs(error.mean()) < 0.05


def test_reduced_sizes():
    assert reduced_size(1000, 500, 512) == (512, 256)
    assert reduced_size(500, 1000, 512) == (256, 512)
    assert reduced_size(512, 512, 512) == (512, 512)
    assert reduced_size(3000, 1, 512) == (512, 1)
    assert reduced_size(5000, 4000, None) == (5000, 4000)
    with pytest.raises(ValueError, match="positive"):
        reduced_size(8, 8, 0)


def test_no_limit_returns_the_same_planes():
    planes, _ = _image(SAMPLINGS["4:2:0"], 70, 50)
    reduced, width, height = reduce_to_fit(planes, SAMPLINGS["4:2:0"], 70, 50, None)
    assert (width, height) == (70, 50)
    assert all(new is old for new, old in zip(reduced, planes, strict=True))


def test_resize_plane_moves_aligned_blocks_as_they_stand():
    plane = _image(SAMPLINGS["gray"], 100, 60)[0][0]
    vertical = AxisGeometry(n_blocks=8, n_full=60, n_resized=60, start=8, n_out=32)
    horizontal = AxisGeometry(n_blocks=13, n_full=100, n_resized=100, start=48, n_out=52)
    cropped = resize_plane(plane, vertical, horizontal)
    assert (cropped == plane[:, 1:5, 6:13]).all()


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_any_box_and_crop_equal_pixels(oracle, data):
    height, width = data.draw(st.integers(8, 60)), data.draw(st.integers(8, 60))
    plane = _image(((1, 1),), width, height, seed=data.draw(st.integers(0, 99)))[0][0]
    axes, crops, box = [], [], []
    for n_full, n_blocks in zip((height, width), plane.shape[1:], strict=True):
        n_resized = data.draw(st.one_of(st.just(n_full), st.integers(1, 70)))
        start = data.draw(st.integers(0, n_resized - 1))
        n_out = data.draw(st.integers(1, n_resized - start))
        ends = sorted(data.draw(st.tuples(st.integers(0, 4 * n_full - 8), st.integers(8, 4 * n_full))))
        low, high = (0.0, float(n_full)) if data.draw(st.booleans()) else (ends[0] / 4, ends[1] / 4)
        if high - low < 1:
            high = low + 1
        geometry = AxisGeometry(
            n_blocks=n_blocks,
            n_full=n_full,
            n_resized=n_resized,
            start=start,
            n_out=n_out,
            box=(low, high - low),
        )
        axes.append(geometry)
        crops.append(slice(start, start + n_out))
        box.append((low, high))
    resized = oracle.resize(
        oracle.block_idct(plane)[:height, :width],
        axes[0].n_resized,
        axes[1].n_resized,
        (box[1][0], box[0][0], box[1][1], box[0][1]),
    )[crops[0], crops[1]]
    got = resize_plane(plane, *axes)
    if any(axis.record()["whole"] >= 0 and axis.n_out % 8 for axis in axes):
        # There the encoder's padding stays; the image inside agrees.
        pixels = oracle.block_idct(got)[: resized.shape[0], : resized.shape[1]]
        np.testing.assert_allclose(pixels, resized, atol=2e-3)
    else:
        np.testing.assert_allclose(got, oracle.block_dct(resized), atol=3e-3)


def test_bad_arguments_are_refused():
    planes, _ = _image(SAMPLINGS["4:2:0"], 64, 64)
    sampling = SAMPLINGS["4:2:0"]
    for size in (0, -8, 12):
        with pytest.raises(ValueError, match="multiple of 8"):
            to_fixed_grid(planes, sampling, 64, 64, size)
    with pytest.raises(ValueError, match="3 planes"):
        to_fixed_grid(planes[:1], sampling[:1], 64, 64, 32)
    with pytest.raises(ValueError, match="factors of 3 planes"):
        to_fixed_grid(planes, sampling[:2], 64, 64, 32)
    with pytest.raises(ValueError, match="at least one"):
        to_fixed_grid((None, None, None), sampling, 64, 64, 32)
    with pytest.raises(ValueError, match="blocks for the 80x64 pixels"):
        to_fixed_grid(planes, sampling, 80, 64, 32)
    with pytest.raises(ValueError, match="positive"):
        reduce_to_fit(planes, sampling, 64, 64, 0)
    axis = AxisGeometry(n_blocks=8, n_full=64, n_resized=64, n_out=64)
    with pytest.raises(ValueError, match=r"\(64, 8, 8\)"):
        resize_plane(planes[1], axis, axis)


def _rgb(luma, cb, cr):
    return np.stack(
        [
            luma + 1.402 * (cr - 128),
            luma - 0.344136 * (cb - 128) - 0.714136 * (cr - 128),
            luma + 1.772 * (cb - 128),
        ],
        axis=-1,
    )


@pytest.mark.parametrize("folder", ["imagenet_sample", "flowers5/val"])
def test_real_files_against_the_route_through_pillows_pixels(oracle, shared_data, folder):
    """Pillow rounds and clips after decoding and after resizing: that, and only that, is the difference."""
    paths = sorted((shared_data / folder).rglob("*.*[gG]"))[:12]
    assert len(paths) == 12
    errors = []
    for path in paths:
        with Image.open(path) as image:
            if image.mode != "RGB":
                continue
            width, height = image.size
            short = min(width, height)
            new = (224 * width // short, 224 * height // short)
            left, top = (round((side - 224) / 2) for side in new)
            resized = image.resize(new, Image.Resampling.BILINEAR).crop((left, top, left + 224, top + 224))
        decoded = oracle.read(path)
        dense = to_fixed_grid(decoded.dequantized, decoded.sampling, width, height, 224)
        planes = [oracle.block_idct(dense[64 * i : 64 * i + 64]) for i in range(3)]
        rgb = np.clip(_rgb(*planes), 0, 255)
        errors.append(rgb - np.asarray(resized))
    assert len(errors) >= 10
    assert np.mean(np.abs(errors)) < 0.5
    # Beyond rounding there is only Pillow's clipping, at few pixels.
    assert np.mean(np.abs(errors) > 3) < 0.01
    assert all(np.sqrt(np.mean(error**2)) < 2.5 for error in errors)
