"""One sample as its 192 channels: for Y, Cb and Cr 8x8 tiles, each the block grid of one frequency.

A tile has one cell for each block, and stands where its frequency stands in the heat maps: u to the right, v down. The
DC tile is a small picture, drawn about its mean; the others are edges and texture at their frequency. One logarithmic
scale for all tiles shows how they fade; a scale for each shows what is in the faint ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from freqcache.plotting.stored import StoredSample, read_sample
from freqcache.plotting.style import SIGNED, check_picture, picture, text
from freqcache_formats.channels import COMPONENTS, N_FREQUENCIES, ZIGZAG_TO_NATURAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.image import AxesImage

Float = npt.NDArray[np.float64]

SCALES: Final = ("common", "tile")
"""Colours that mean the same everywhere, logarithmic on either side of zero; or linear ones of each tile."""

QUANTILE: Final = 0.99
"""Of a tile's magnitudes: where its own colours end."""

MOST_CELLS: Final = 160
"""Blocks along a side of a tile, above which the largest of several is shown."""

_LINEAR: Final = 1 / 250
"""Of the largest magnitude: where the common scale turns from linear to logarithmic."""

_GAP: Final = 0.06
"""Between tiles, in sides of a tile."""

_LEAST_CELLS: Final = 12
"""Of a tile's longer side: smaller ones are drawn with several cells a block, so that a gap is thinner than a block."""


def tile_scale(tile: Float) -> float:
    """Return the magnitude at which a tile's colours end: a quantile of its non-zero magnitudes, or 0 without any.

    A few strong edges would leave the rest of a tile pale if its colours ended at the largest.
    """
    magnitudes = np.abs(tile[tile != 0])
    return float(np.quantile(magnitudes, QUANTILE)) if magnitudes.size else 0.0


def thin_tile(tile: Float, most: int = MOST_CELLS) -> tuple[Float, int]:
    """Return a tile with at most `most` cells a side, and how many blocks along a side a cell stands for.

    A cell shows the coefficient of the largest magnitude among its blocks: a mean would cancel their signs.
    """
    step = -(-max(tile.shape) // most)
    if step == 1:
        return tile, 1
    rows, columns = (-(-length // step) for length in tile.shape)
    padded = np.zeros((rows * step, columns * step))
    padded[: tile.shape[0], : tile.shape[1]] = tile
    cells = padded.reshape(rows, step, columns, step).transpose(0, 2, 1, 3).reshape(rows, columns, step * step)
    largest = np.abs(cells).argmax(axis=2)
    return np.take_along_axis(cells, largest[:, :, None], axis=2)[:, :, 0], step


def mosaic(tiles: Float, held: npt.NDArray[np.bool_], scale: str = SCALES[0]) -> Float:
    """Arrange the 64 tiles of a component.

    Parameters
    ----------
    tiles : (64, block_rows, block_cols) float64
        Dequantized coefficients, zigzag order.
    held : (64,) bool
        Tiles that there are; the others are NaN.
    scale : str
        ``"common"``: coefficients as they are. ``"tile"``: each tile divided by its :func:`tile_scale`.

    Returns
    -------
    (8 * block_rows + gaps, 8 * block_cols + gaps) float64
        NaN between tiles. The DC tile is about its mean.
    """
    rows, columns = tiles.shape[1:]
    gap = gap_of(rows, columns)
    whole = np.full((8 * rows + 7 * gap, 8 * columns + 7 * gap), np.nan)
    for zigzag, tile in enumerate(tiles):
        if not held[zigzag]:
            continue
        centred = tile - tile.mean() if zigzag == 0 else tile
        divisor = 1.0 if scale == "common" else tile_scale(centred) or 1.0
        v, u = divmod(int(ZIGZAG_TO_NATURAL[zigzag]), 8)
        place = np.s_[v * (rows + gap) : v * (rows + gap) + rows, u * (columns + gap) : u * (columns + gap) + columns]
        whole[place] = centred / divisor
    return whole


def gap_of(rows: int, columns: int) -> int:
    """Return the cells between two tiles."""
    return max(1, round(_GAP * sqrt(rows * columns)))


def save_tiles(path: str | Path, sample: StoredSample, *, scale: str = SCALES[0], dpi: int | None = None) -> None:
    """Draw a sample's picture and its channels.

    Parameters
    ----------
    path : path
        PNG, SVG or PDF file to write.
    sample : StoredSample
    scale : str
        One of :data:`SCALES`.
    dpi : int, optional
        As for :func:`freqcache.plotting.style.picture`.

    Raises
    ------
    MissingPlotExtra, PlotError
        As for :func:`freqcache.plotting.style.picture`.
    """
    components = [component for component in range(3) if sample.coefficients[component].size]
    rows, columns, width, height = _layout(sample.width / sample.height, 1 + len(components))
    with picture(path, width=width, height=height, dpi=dpi) as figure:
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        panels[0].imshow(sample.rgb())
        gray = "" if len(components) > 1 else ", grayscale"
        panels[0].set_title(f"{text(sample.label, 30)}\n{sample.width} x {sample.height} pixels{gray}")
        panels[0].set_axis_off()
        mosaics = [_mosaic(sample, component, scale) for component in components]
        norm, most, label = _norm([values for values, _ in mosaics], scale)
        image: Any = None
        for component, panel, (values, size) in zip(components, panels[1:], mosaics, strict=True):
            image = _draw(panel, values, size, norm)
            panel.set_title(_title(sample, component))
        bar = figure.colorbar(image, ax=list(panels), location="bottom", aspect=60, shrink=0.6, pad=0.02)
        if scale == "tile":
            bar.set_ticks([-1, 0, 1], labels=["negative", "0", "positive"])
        else:
            powers = [10**n for n in range(-3, 6) if most * _LINEAR < 10**n <= most]
            ticks = [-power for power in reversed(powers)] + [0] + powers
            bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        bar.set_label(label)
        figure.suptitle(f"{sample.title} ({sample.origin.name.lower()})")


def draw_tiles(
    store: str,
    index: str | int,
    path: str | Path,
    *,
    split: str | None = None,
    scale: str = SCALES[0],
    dpi: int | None = None,
) -> StoredSample:
    """Read a sample and draw its channels: :func:`read_sample`, then :func:`save_tiles`. Returns the sample."""
    check_picture(path)
    sample = read_sample(store, index, split)
    save_tiles(path, sample, scale=scale, dpi=dpi)
    return sample


def _layout(aspect: float, count: int) -> tuple[int, int, float, float]:
    """Return rows and columns of the panels, and the inches of the figure, for images of an aspect (w / h)."""
    aspect = min(max(aspect, 1 / 16), 16)
    if aspect > 2.2:
        return count, 1, 13.0, count * (12.4 / aspect + 1.0) + 1.2
    if aspect < 1 / 2.2:
        return 1, count, max(count * (max(10 * aspect, 2.4) + 0.5), 7.5), 12.6
    side = 6.2 if aspect >= 1 else 6.2 * aspect
    rows, columns = (1, 2) if count == 2 else (2, 2)
    return rows, columns, max(2 * side + 0.8, 7.5), rows * (side / aspect + 0.8) + 1.4


def _mosaic(sample: StoredSample, component: int, scale: str) -> tuple[Float, tuple[int, int]]:
    """Return the mosaic of a component, with tiles of a size to be drawn, and that size in cells."""
    held = np.isin(np.arange(N_FREQUENCIES), sample.held.frequencies[component])
    tiles = np.stack([thin_tile(tile)[0] for tile in sample.dequantized(component)])
    times = -(-_LEAST_CELLS // max(tiles.shape[1:]))
    tiles = tiles.repeat(times, axis=1).repeat(times, axis=2)
    return mosaic(tiles, held, scale), (tiles.shape[1], tiles.shape[2])


def _norm(mosaics: Sequence[Float], scale: str) -> tuple[Normalize, float, str]:
    """Return what gives numbers their colours, the magnitude where these end, and what is said of them."""
    from matplotlib.colors import AsinhNorm, Normalize

    if scale == "tile":
        said = f"dequantized coefficient: the colours of a tile end at the {QUANTILE:.0%} quantile of its magnitudes"
        return Normalize(-1, 1, clip=True), 1.0, said
    magnitudes = np.abs(np.concatenate([values.ravel() for values in mosaics]))
    magnitudes = magnitudes[magnitudes > 0]  # NaN is not
    most = float(magnitudes.max(initial=0)) or 1.0
    said = "dequantized coefficient; the scale is linear near 0 and logarithmic beyond (inverse hyperbolic sine)"
    return AsinhNorm(most * _LINEAR, vmin=-most, vmax=most, clip=True), most, said


def _title(sample: StoredSample, component: int) -> str:
    rows, columns = sample.coefficients[component].shape[1:]
    _, step = thin_tile(np.zeros((rows, columns)))
    notes = [] if step == 1 else [f"the largest of each {step} x {step} is shown"]
    missing = N_FREQUENCIES - len(sample.held.frequencies[component])
    notes += [f"{missing} channels are not in the store"] if missing else []
    blocks = "1 block" if rows * columns == 1 else f"{columns} x {rows} blocks"
    return "\n".join([f"{COMPONENTS[component]}: tiles of {blocks}", *([", ".join(notes)] if notes else [])])


def _draw(panel: Axes, values: Float, size: tuple[int, int], norm: Normalize) -> AxesImage:
    """Draw the tiles of one component."""
    image = panel.imshow(values, cmap=SIGNED, norm=norm, interpolation="nearest", aspect="equal")
    height, width = size
    gap = gap_of(height, width)
    panel.set_xticks([u * (width + gap) + (width - 1) / 2 for u in range(8)], [str(u) for u in range(8)])
    panel.set_yticks([v * (height + gap) + (height - 1) / 2 for v in range(8)], [str(v) for v in range(8)])
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    panel.set_xlabel("u (horizontal frequency)")
    panel.set_ylabel("v (vertical frequency)")
    return image
