"""Resampling of a batch's coefficients on the CPU: ``out = M_v X M_h^T`` for every image, component and frequency.

For each image: the bands of its axes; then the vertical pass, whose result is turned on its side; then, one column
of blocks after the other, the horizontal pass and the affine map of each channel. Only frequencies that are held are
multiplied, and only those wanted are computed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from freqcache.compiled import inlined, kernel
from freqcache.resampling.bands import fill_band, place_band
from freqcache.resampling.frequencies import Frequencies
from freqcache.resampling.vectors import LANES, SIDE, multiply_band, prefetch, transpose, transpose_scaled, widen

Float32Array = npt.NDArray[np.float32]
Int64Array = npt.NDArray[np.int64]

_FLOAT = 4
_COLUMNS = 8
"""Columns of output blocks that are computed before they are written."""


@inlined
def _rounded_up(n: int, step: int) -> int:
    return (n + step - 1) // step * step


@kernel
def _load(
    flat: Any,
    start: int,
    grid: Any,
    steps: Float32Array,
    place: Int64Array,
    after: int,
    n_v: int,
    top: int,
    left: int,
    n_runs: int,
    run: int,
    stride: int,
    out: Float32Array,
) -> None:
    """Dequantize runs of blocks with one horizontal frequency, a row or all rows each: [v, run, block]."""
    target = np.uintp(out.ctypes.data)
    for v in range(n_v):
        held = place[v]
        if held < 0:
            out[v * n_runs * stride : (v + 1) * n_runs * stride] = 0.0
            continue
        # Frequencies lie far from each other, and each is too short for the processor to see where reading goes.
        following = place[v + 1] if v + 1 < n_v else after
        ahead = (following - held) * grid[0] * grid[1] if following >= 0 else 0
        step = steps[v]
        for number in range(n_runs):
            position = start + (held * grid[0] + top + number) * grid[1] + left
            to = (v * n_runs + number) * stride
            for column in range(0, run, LANES):
                prefetch(flat, position + ahead + column)
                if position + column + LANES <= len(flat):
                    # Past the end of the run it takes what follows; that is overwritten or never used.
                    widen(flat, position + column, step, target + np.uintp(_FLOAT * (to + column)))
                else:
                    for i in range(column, column + LANES):
                        inside = position + i < len(flat)
                        out[to + i] = step * np.float32(flat[position + i]) if inside else np.float32(0.0)


@kernel
def _vertical(
    source: Any,
    n_v: int,
    n_rows: int,
    stride: int,
    width: int,
    bands: Float32Array,
    first: Int64Array,
    n_wide: int,
    top: int,
    outputs: int,
    block: Float32Array,
    out: Any,
    lanes: int,
) -> None:
    """Apply the vertical bands; the result is [block column, output, block row], its columns `lanes` long."""
    sums, matrices = np.uintp(block.ctypes.data), np.uintp(bands.ctypes.data)
    matrix_bytes = bands.shape[1] * SIDE * SIDE * _FLOAT
    n_blocks = len(first)
    column = 0
    while column < width:
        pair = outputs <= SIDE // 2 and column + LANES < width
        columns = 2 * LANES if pair else LANES
        for j in range(0, n_blocks, SIDE):
            for i in range(SIDE):
                multiply_band(
                    outputs,
                    pair,
                    matrices + np.uintp((j + i) * matrix_bytes),
                    source + np.uintp(_FLOAT * ((first[j + i] - top) * stride + column)),
                    np.uintp(_FLOAT * stride),
                    np.uintp(_FLOAT * stride * n_rows),
                    np.uintp(n_wide),
                    np.uintp(n_v),
                    sums + np.uintp(_FLOAT * columns * i),
                    np.uintp(_FLOAT * columns * SIDE),
                )
            for k in range(outputs):
                for part in range(0, columns, SIDE):
                    transpose(
                        sums + np.uintp(_FLOAT * (columns * SIDE * k + part)),
                        np.uintp(_FLOAT * columns),
                        out + np.uintp(_FLOAT * ((column + part) * lanes + k * n_blocks + j)),
                        np.uintp(_FLOAT * lanes),
                    )
        column += columns


@kernel
def _horizontal(
    source: Any,
    lanes: int,
    width: int,
    n_u: int,
    matrix: Any,
    first: int,
    n_wide: int,
    n_pairs: Int64Array,
    outputs: int,
    n_blocks: int,
    out: Any,
) -> None:
    """Apply the band of one column of output blocks; the result is [output, vertical output, block row]."""
    begin = 0
    while begin < outputs:
        end = begin + 1
        while end < outputs and n_pairs[end] == n_pairs[begin]:
            end += 1
        # Where a run is no multiple of 16 long, it spills into the next, which is computed after it.
        lane = begin * n_blocks
        while lane < end * n_blocks:
            pair = n_pairs[begin] <= SIDE // 2 and lane + LANES < end * n_blocks
            multiply_band(
                n_pairs[begin],
                pair,
                matrix,
                source + np.uintp(_FLOAT * (first * lanes + lane)),
                np.uintp(_FLOAT * lanes),
                np.uintp(_FLOAT * lanes * width),
                np.uintp(n_wide),
                np.uintp(n_u),
                out + np.uintp(_FLOAT * lane),
                np.uintp(_FLOAT * lanes),
            )
            lane += 2 * LANES if pair else LANES
        begin = end


@kernel
def _write(
    results: Float32Array,
    row_of: Int64Array,
    factor: Float32Array,
    addend: Float32Array,
    corner: Float32Array,
    left: int,
    right: int,
    out: Float32Array,
) -> None:
    """Write columns of output blocks with the channels last, each channel times its factor plus its addend."""
    n_down, n_across, n_channels = out.shape
    for j in range(0, n_down, SIDE):
        for i in range(left, right):
            base = np.uintp(results[i - left].ctypes.data + _FLOAT * j)
            for channel in range(0, n_channels, SIDE):
                whole = j + SIDE <= n_down and channel + SIDE <= n_channels
                to, stride = np.uintp(corner.ctypes.data), SIDE
                if whole:
                    position = (j * n_across + i) * n_channels + channel
                    to = np.uintp(out.ctypes.data) + np.uintp(_FLOAT * position)
                    stride = n_across * n_channels
                transpose_scaled(
                    base,
                    np.uintp(row_of[channel:].ctypes.data),
                    np.uintp(factor[channel:].ctypes.data),
                    np.uintp(addend[channel:].ctypes.data),
                    to,
                    np.uintp(_FLOAT * stride),
                )
                if not whole:
                    for r in range(min(SIDE, n_down - j)):
                        for k in range(min(SIDE, n_channels - channel)):
                            out[j + r, i, channel + k] = corner[r, k]


@kernel
def _turn(
    flat: Any,
    start: int,
    grid: Any,
    steps: Float32Array,
    component: int,
    plan: Frequencies,
    extents: Int64Array,
    bands: Float32Array,
    first: Int64Array,
    source: Float32Array,
    block: Float32Array,
    out: Float32Array,
) -> None:
    """Take a component through the vertical pass: [horizontal frequency, block column, vertical output, block row]."""
    outputs = plan.n_out[component, 0]
    lanes = outputs * len(first) + LANES
    width = _rounded_up(extents[1, 2], LANES)
    n_wide, top, n_rows = extents[0]
    left = extents[1, 1]
    # Rows are dequantized in one run, columns that are not needed included, unless these are many.
    together = 2 * grid[1] <= 3 * width
    stride = grid[1] if together else width
    for u in range(plan.n_horizontal[component]):
        n_v = plan.n_vertical[component, u]
        _load(
            flat,
            start,
            grid,
            steps[u],
            plan.place[component, u],
            plan.place[component, u + 1, 0] if u < SIDE - 1 else -1,
            n_v,
            top,
            0 if together else left,
            1 if together else n_rows,
            n_rows * stride if together else width,
            n_rows * stride if together else width,
            source,
        )
        _vertical(
            np.uintp(source.ctypes.data) + np.uintp(_FLOAT * left if together else 0),
            n_v,
            n_rows,
            stride,
            width,
            bands,
            first,
            n_wide,
            top,
            outputs,
            block,
            np.uintp(out.ctypes.data) + np.uintp(_FLOAT * u * width * lanes),
            lanes,
        )


@kernel
def _extremes(
    images: Int64Array,
    sampling: npt.NDArray[np.uint8],
    axes: Any,
    plan: Frequencies,
    place_first: Int64Array,
    down: int,
    across: int,
) -> tuple[int, int, int, int]:
    """Return an image without a source for some output, or -1; and the widest band, the most block rows and columns."""
    widest = tall = broad = 1
    for image in images:
        for component in range(3):
            if sampling[image, component, 0] == 0 or plan.n_out[component, 0] == 0:
                continue
            for axis in range(2):
                first = place_first[component, axis, : (across if axis else down)]
                n_wide = place_band(axes[image, component, axis], first)
                if n_wide == 0:
                    return int(image), widest, tall, broad
                widest = max(widest, n_wide)
                n_source = first.max() + n_wide - first.min()
                if axis:
                    broad = max(broad, n_source)
                else:
                    tall = max(tall, n_source)
    return -1, widest, tall, broad


@kernel
def resample(
    images: Int64Array,
    flats: Any,
    starts: Int64Array,
    blocks: npt.NDArray[np.int32],
    sampling: npt.NDArray[np.uint8],
    steps: Float32Array,
    axes: Any,
    plan: Frequencies,
    dct: npt.NDArray[np.float64],
    scale: Float32Array,
    offset: Float32Array,
    out: Float32Array,
) -> int:
    """Resample some images of a batch.

    Parameters
    ----------
    images : (n,) int64
        Their numbers.
    flats : tuple of three flat int8, int16 or float32 arrays
        Y, Cb, Cr: see :class:`freqcache.batches.FrequencyBatch`, as for starts, blocks and sampling.
    steps : (images, 3, 8, 8) float32
        [image, component, u, v].
    axes : (images, 3, 2) AXIS
    plan : Frequencies
    dct : (8, 8) float64
        [frequency, sample].
    scale, offset : (images or 1, channels) float32
        Of the affine map of each channel.
    out : (images, block rows, block columns, channels) float32
        Filled.

    Returns
    -------
    int
        -1, or the number of an image whose box reaches so far beyond it that some output has no source.
    """
    n_down, n_across, n_channels = out.shape[1:]
    down, across = _rounded_up(n_down, SIDE), n_across
    n_padded = _rounded_up(n_channels, SIDE)
    place_first = np.empty((3, 2, max(down, across)), dtype=np.int64)
    extents = np.zeros((3, 2, 3), dtype=np.int64)  # width of the band, first source block, source blocks

    failed, widest, tall, broad = _extremes(images, sampling, axes, plan, place_first, down, across)
    if failed >= 0:
        return failed
    broad = _rounded_up(broad, LANES)
    most = plan.n_out[:, 0].max()
    samples = np.empty((SIDE * widest, SIDE), dtype=np.float64)
    vertical_bands = np.empty((3, down, widest, SIDE, SIDE), dtype=np.float32)
    horizontal_bands = np.empty((3, across, widest, SIDE, SIDE), dtype=np.float32)
    source = np.empty(tall * SIDE * (broad + broad // 2) + 2 * LANES, dtype=np.float32)
    block = np.empty(SIDE * SIDE * LANES, dtype=np.float32)
    turned = np.empty((3, SIDE * broad * (most * down + LANES)), dtype=np.float32)
    results = np.zeros((_COLUMNS, 4, SIDE * (most * down + LANES)), dtype=np.float32)  # the fourth stays zero
    row_of = np.empty(n_padded, dtype=np.int64)
    factor, addend = np.zeros(n_padded, dtype=np.float32), np.zeros(n_padded, dtype=np.float32)
    corner = np.empty((SIDE, SIDE), dtype=np.float32)

    for image in images:
        for component in range(3):
            outputs = plan.n_out[component, 0]
            extents[component, 1, 0] = 0
            if sampling[image, component, 0] == 0 or outputs == 0:
                continue
            for axis in range(2):
                first = place_first[component, axis, : (across if axis else down)]
                record = axes[image, component, axis]
                n_wide = place_band(record, first)
                extents[component, axis, 0] = n_wide
                extents[component, axis, 1] = first.min()
                extents[component, axis, 2] = first.max() + n_wide - first.min()
                bands = horizontal_bands[component] if axis else vertical_bands[component]
                other = plan.shared[component, axis]
                if other != component and _alike(record, axes[image, other, axis]):
                    # The same geometry, and its outputs come first there: nothing to compute.
                    _copy(horizontal_bands[other] if axis else vertical_bands[other], n_wide, bands)
                elif not fill_band(record, first, n_wide, dct, plan.basis[component, axis], samples, bands):
                    return int(image)
            _turn(
                flats[component],
                starts[image, component],
                blocks[image, component],
                steps[image, component],
                component,
                plan,
                extents[component],
                vertical_bands[component],
                place_first[component, 0, :down],
                source,
                block,
                turned[component],
            )
        for channel in range(n_padded):
            row_of[channel] = _FLOAT * 3 * results.shape[2]
            if channel < n_channels:
                component, vertical, horizontal = plan.channels[channel]
                lanes = plan.n_out[component, 0] * down + LANES
                if extents[component, 1, 0] > 0:
                    row_of[channel] = _FLOAT * (component * results.shape[2] + horizontal * lanes + vertical * down)
                factor[channel] = scale[min(image, len(scale) - 1), channel]
                addend[channel] = offset[min(image, len(offset) - 1), channel]
        # Some columns at a time, so that what is written of a row of the output is one piece.
        for left in range(0, n_across, _COLUMNS):
            right = min(left + _COLUMNS, n_across)
            for i in range(left, right):
                for component in range(3):
                    if extents[component, 1, 0] == 0:
                        continue
                    _horizontal(
                        np.uintp(turned[component].ctypes.data),
                        plan.n_out[component, 0] * down + LANES,
                        _rounded_up(extents[component, 1, 2], LANES),
                        plan.n_horizontal[component],
                        np.uintp(horizontal_bands[component, i].ctypes.data),
                        place_first[component, 1, i] - extents[component, 1, 1],
                        extents[component, 1, 0],
                        plan.n_pairs[component],
                        plan.n_out[component, 0],
                        down,
                        np.uintp(results[i - left, component].ctypes.data),
                    )
            _write(results, row_of, factor, addend, corner, left, right, out[image])
    return -1


@kernel
def _copy(source: Float32Array, n_wide: int, out: Float32Array) -> None:
    """Copy a band."""
    for block in range(len(out)):
        for w in range(n_wide):
            for i in range(SIDE):
                for k in range(SIDE):
                    out[block, w, i, k] = source[block, w, i, k]


@inlined
def _alike(first: Any, second: Any) -> bool:
    """Whether two AXIS records of one image are of the same source grid; the rest is the image's."""
    return bool(first.n_blocks == second.n_blocks and first.n_true == second.n_true and first.ratio == second.ratio)


@kernel
def to_channels_first(source: Float32Array, out: Float32Array) -> None:
    """Transpose (places, channels) to (channels, places); both C-contiguous, the channels a multiple of 8."""
    places, channels = source.shape
    whole = places // SIDE * SIDE
    for place in range(0, whole, SIDE):
        for channel in range(0, channels, SIDE):
            transpose(
                np.uintp(source.ctypes.data) + np.uintp(_FLOAT * (place * channels + channel)),
                np.uintp(_FLOAT * channels),
                np.uintp(out.ctypes.data) + np.uintp(_FLOAT * (channel * places + place)),
                np.uintp(_FLOAT * places),
            )
    for place in range(whole, places):
        for channel in range(channels):
            out[channel, place] = source[place, channel]
