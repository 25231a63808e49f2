"""The JPEG writer against libjpeg-turbo, jpeglib and Pillow, which did not write what they read."""

from __future__ import annotations

import heapq
import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from freqcache.errors import ExportError
from freqcache.jpeg import JpegComponent, read_coefficients
from freqcache.jpeg.optimal import optimal_codes
from freqcache.jpeg.writer import write_coefficients
from tests.jpeg import encoder
from tests.jpeg.oracles import assert_same, jpeglib_read, libjpeg_oracle

SAMPLINGS = [
    [(1, 1)],
    [(2, 2)],
    [(4, 3)],
    [(1, 1), (1, 1), (1, 1)],
    [(2, 1), (1, 1), (1, 1)],
    [(2, 2), (1, 1), (1, 1)],
    [(1, 2), (1, 1), (1, 1)],
    [(4, 1), (1, 1), (1, 1)],
    [(4, 2), (1, 1), (1, 1)],
    [(1, 4), (1, 1), (1, 1)],
    [(4, 4), (1, 1), (1, 1)],  # 18 blocks in an MCU: a scan for each component
    [(4, 4), (4, 4), (4, 4)],
    [(3, 1), (2, 1), (1, 1)],  # factors that do not divide each other
    [(3, 2), (1, 1), (2, 1)],
    [(1, 1), (2, 2), (1, 2)],
    [(2, 2), (2, 2), (1, 1)],
]


def component(index: int, h: int, v: int, planes: np.ndarray, table: np.ndarray | None = None) -> JpegComponent:
    steps = np.arange(1, 65, dtype=np.uint16) + index if table is None else table
    return JpegComponent(identifier=index + 1, h=h, v=v, quantization=steps, coefficients=planes)


def made(rng: np.random.Generator, width: int, height: int, sampling: list[tuple[int, int]]) -> list[JpegComponent]:
    parts = encoder.random_components(rng, width, height, sampling)
    return [component(i, part.h, part.v, part.coefficients) for i, part in enumerate(parts)]


def assert_read_by_all(data: bytes, components: list[JpegComponent], width: int, height: int) -> None:
    """libjpeg-turbo, where it is at hand, and our reader find the very components."""
    image = read_coefficients(data)
    assert image.warnings == ()
    assert (image.width, image.height) == (width, height)
    for ours, wanted in zip(image.components, components, strict=True):
        assert (ours.h, ours.v) == (wanted.h, wanted.v)
        np.testing.assert_array_equal(ours.quantization, wanted.quantization)
        np.testing.assert_array_equal(ours.coefficients, wanted.coefficients)
    found = libjpeg_oracle()
    if not isinstance(found, str):
        reading = found.read(data)
        assert reading.warnings == 0, reading.message
        assert_same(image, reading, "written")


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (8, 8), (17, 9), (33, 70), (100, 100)])
def test_every_sampling_and_size(sampling: list[tuple[int, int]], width: int, height: int) -> None:
    components = made(np.random.default_rng([width, height]), width, height, sampling)
    data = write_coefficients(components, width=width, height=height)
    assert_read_by_all(data, components, width, height)
    with Image.open(io.BytesIO(data)) as image:
        if all(max(h for h, _ in sampling) % h == max(v for _, v in sampling) % v == 0 for h, v in sampling):
            image.load()  # libjpeg makes no pixels of other factors
        assert (image.size, image.mode) == ((width, height), "L" if len(sampling) == 1 else "RGB")


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    width=st.integers(1, 100),
    height=st.integers(1, 100),
    sampling=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=3),
    density=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    largest=st.sampled_from([1, 20, 1023]),
)
def test_any_coefficients(
    seed: int, width: int, height: int, sampling: list[tuple[int, int]], density: float, largest: int
) -> None:
    sampling = sampling if len(sampling) == 3 else sampling[:1]
    rng = np.random.default_rng(seed)
    components = []
    for index, part in enumerate(encoder.random_components(rng, width, height, sampling)):
        planes = rng.integers(-largest, largest + 1, part.coefficients.shape)
        planes *= rng.random(part.coefficients.shape) < density
        table = rng.integers(1, 65536 if seed % 5 == 0 else 256, 64).astype(np.uint16)
        components.append(component(index, part.h, part.v, planes.astype(np.int16), table))
    assert_read_by_all(write_coefficients(components, width=width, height=height), components, width, height)


def test_jpeglib_reads_what_was_written(tmp_path: Path) -> None:
    wanted = {}
    for number, sampling in enumerate(SAMPLINGS[3:9]):
        components = made(np.random.default_rng(number), 75, 50, sampling)
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(write_coefficients(components, width=75, height=50))
        wanted[path] = components
    readings = jpeglib_read(list(wanted))
    assert len(readings) == len(wanted)
    for path, planes in readings.items():
        for ours, theirs in zip(wanted[path], planes, strict=True):
            np.testing.assert_array_equal(ours.coefficients, theirs)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2}, {"progressive": True}])
def test_a_file_written_again_decodes_to_the_same_pixels(jpeg, mode: str, options: dict[str, object]) -> None:
    original = jpeg(71, 53, mode=mode, quality=88, **options)
    image = read_coefficients(original)
    data = write_coefficients(image.components, width=71, height=53)
    with Image.open(io.BytesIO(original)) as theirs, Image.open(io.BytesIO(data)) as ours:
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def test_codes_are_as_short_as_pillows_optimal_ones(jpeg) -> None:
    """libjpeg's optimizer follows T.81 K.2 too: the scans have the same length, to the byte that a marker costs."""
    for seed in range(5):
        original = jpeg(150, 90, seed=seed, quality=90, optimize=True, subsampling=0)
        image = read_coefficients(original)
        data = write_coefficients(image.components, width=150, height=90)
        assert len(data) <= len(original)
        assert len(data[data.index(b"\xff\xda") :]) == len(original[original.index(b"\xff\xda") :])


def test_orientation_is_what_pillow_finds() -> None:
    components = made(np.random.default_rng(1), 20, 10, SAMPLINGS[5])
    for orientation in range(1, 9):
        data = write_coefficients(components, width=20, height=10, orientation=orientation)
        with Image.open(io.BytesIO(data)) as image:
            assert image.getexif().get(274, 1) == orientation
        assert read_coefficients(data).orientation == orientation


def test_wide_tables_make_the_file_extended() -> None:
    planes = np.zeros((64, 1, 1), dtype=np.int16)
    narrow = write_coefficients([component(0, 1, 1, planes, np.full(64, 255, np.uint16))], width=8, height=8)
    wide = write_coefficients([component(0, 1, 1, planes, np.full(64, 256, np.uint16))], width=8, height=8)
    assert b"\xff\xc0" in narrow
    assert b"\xff\xc1" in wide
    assert len(wide) == len(narrow) + 64


def test_equal_tables_are_written_once() -> None:
    table = np.full(64, 7, np.uint16)
    planes = np.zeros((64, 1, 1), dtype=np.int16)
    data = write_coefficients([component(i, 1, 1, planes, table) for i in range(3)], width=8, height=8)
    assert data.count(b"\xff\xdb") == 1


def test_blocks_that_complete_an_mcu_are_cheap() -> None:
    """One pixel of 4:2:0 has an MCU of four luma blocks, three of which say nothing."""
    rng = np.random.default_rng(0)
    one = made(rng, 1, 1, SAMPLINGS[5])
    alone = write_coefficients(made(np.random.default_rng(0), 1, 1, SAMPLINGS[3]), width=1, height=1)
    assert len(write_coefficients(one, width=1, height=1)) <= len(alone) + 4


@pytest.mark.parametrize("sampling", SAMPLINGS[4:9], ids=str)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (9, 9), (17, 40), (33, 70)])
def test_pixels_do_not_depend_on_blocks_that_complete_an_mcu(
    sampling: list[tuple[int, int]], width: int, height: int
) -> None:
    """Beside the tests' own encoder, told to fill the MCUs with noise: libjpeg's upsampling does not look there."""
    rng = np.random.default_rng([width, height, 7])
    components = made(rng, width, height, sampling)
    h_max, v_max = max(h for h, _ in sampling), max(v for _, v in sampling)
    noisy = []
    for index, part in enumerate(components):
        grid = (-(-height // (8 * v_max)) * part.v, -(-width // (8 * h_max)) * part.h)
        planes = rng.integers(-200, 200, (64, *grid)).astype(np.int16)
        planes[:, : part.block_rows, : part.block_cols] = part.coefficients
        noisy.append(encoder.Component(identifier=index + 1, h=part.h, v=part.v, coefficients=planes, table=index))
    tables = b"".join(encoder.quantization_table(i, part.quantization) for i, part in enumerate(components))
    other = encoder.encode(noisy, width, height, [encoder.ScanSpec(components=(0, 1, 2))], tables=tables)
    ours = write_coefficients(components, width=width, height=height)
    with Image.open(io.BytesIO(ours)) as a, Image.open(io.BytesIO(other)) as b:
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((0, 0, 1), 2048, r"Y, block \(0, 1\), zigzag position 0: the DC coefficient differs .* by 2048"),
        ((0, 0, 1), -2048, r"by -2048; .* -2047 to 2047"),
        ((5, 0, 1), 1024, r"Y, block \(0, 1\), zigzag position 5: a coefficient is 1024; .* -1023 to 1023"),
        ((63, 0, 0), -32768, r"zigzag position 63: a coefficient is -32768"),
    ],
)
def test_what_no_file_can_code_is_said(place: tuple[int, int, int], value: int, message: str) -> None:
    planes = np.zeros((64, 1, 2), dtype=np.int16)
    planes[place] = value
    with pytest.raises(ExportError, match=message):
        write_coefficients([component(0, 1, 1, planes)], width=16, height=8)


def test_the_largest_values_can_be_coded() -> None:
    planes = np.full((64, 2, 2), 1023, dtype=np.int16)
    planes[:, 0, 1] = planes[:, 1, 0] = -1023
    planes[0] = [[1023, -1024], [1023, -1024]]
    data = write_coefficients([component(0, 1, 1, planes)], width=16, height=16)
    assert_read_by_all(data, [component(0, 1, 1, planes)], 16, 16)


@pytest.mark.parametrize(
    ("width", "height", "parts", "error", "message"),
    [
        (65536, 8, [component(0, 1, 1, np.zeros((64, 1, 8192), np.int16))], ExportError, "65536 x 8 pixels"),
        (8, 8, [component(0, 1, 1, np.zeros((64, 1, 2), np.int16))], ExportError, "Y: expected int16"),
        (8, 8, [component(0, 5, 1, np.zeros((64, 1, 1), np.int16))], ExportError, "sampling factors 1..4"),
        (8, 8, [component(0, 1, 1, np.zeros((64, 1, 1), np.int32))], ExportError, "found int32"),
        (8, 8, [], ValueError, "1 or 3 components"),
        (
            8,
            8,
            [component(0, 1, 1, np.zeros((64, 1, 1), np.int16), np.zeros(64, np.uint16))],
            ExportError,
            "64 quantization steps",
        ),
    ],
)
def test_what_is_no_image_is_refused(width, height, parts, error, message) -> None:
    with pytest.raises(error, match=message):
        write_coefficients(parts, width=width, height=height)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.integers(0, 255), st.integers(1, 10_000), min_size=1))
def test_codes_have_the_cost_of_an_optimal_tree(weights: dict[int, int]) -> None:
    """Beside heapq's Huffman tree with one more symbol of weight 1, wherever that needs no more than 16 bits."""
    coded, lengths = codes_of(weights)
    heap = [(weight, i, 0) for i, weight in enumerate([1, *weights.values()])]
    heapq.heapify(heap)
    cost, depth, number = 0, 0, len(heap)
    while len(heap) > 1:
        a, b = heapq.heappop(heap), heapq.heappop(heap)
        cost += a[0] + b[0]
        depth = max(a[2], b[2]) + 1
        heapq.heappush(heap, (a[0] + b[0], number, depth))
        number += 1
    ours = sum(weight * lengths[symbol] for symbol, weight in weights.items())
    assert sum(coded[:16]) == len(weights)
    if depth <= 16:
        assert ours + max(lengths.values()) == cost  # the reserved symbol has the longest code


def test_codes_are_limited_to_16_bits_and_prefix_free() -> None:
    """Weights like Fibonacci's numbers make the deepest of trees."""
    weights, pair = {}, (1, 1)
    for symbol in range(40):
        weights[symbol] = pair[0]
        pair = (pair[1], sum(pair))
    _, lengths = codes_of(weights)
    assert max(lengths.values()) == 16
    assert sum(2.0**-n for n in lengths.values()) <= 1 - 2.0**-16  # room for the code of all ones


def codes_of(weights: dict[int, int]) -> tuple[np.ndarray, dict[int, int]]:
    counts, codes = np.zeros(256, np.int64), np.zeros(256, np.int64)
    counts[list(weights)] = list(weights.values())
    coded = np.zeros(16 + 256, np.uint8)
    assert optimal_codes(counts, codes, coded) == len(weights)
    words = {symbol: format(int(codes[symbol]) >> 5, f"0{int(codes[symbol]) & 31}b") for symbol in weights}
    ordered = sorted(words.values())
    assert not any(b.startswith(a) for a, b in pairwise(ordered))
    assert not any(set(word) == {"1"} for word in ordered)
    return coded, {symbol: len(word) for symbol, word in words.items()}
