"""What happens to the axes of components: boxes of images, resized, cropped and mirrored. Numbers only.

:class:`Crops` says it for the images of a batch, :class:`AxisGeometry` for one axis of one component; both end as
records of :data:`AXIS`, which :mod:`freqcache.resampling.bands` turns into matrices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

AXIS: Final = np.dtype(
    [
        ("n_blocks", "<i8"),  # blocks of the source plane
        ("n_true", "<i8"),  # samples of the component that belong to the image (T.81, A.1.1)
        ("ratio", "<f8"),  # samples of the component a pixel of the image
        ("box", "<f8"),  # where the part that is resized begins, in pixels
        ("scale", "<f8"),  # source pixels a resized pixel
        ("low", "<i8"),  # filters see the pixels from here
        ("high", "<i8"),  # to here, exclusive
        ("start", "<i8"),  # where the crop begins, in resized pixels
        ("n_out", "<i8"),  # pixels of the crop; the last is repeated up to whole blocks
        ("flip", "<i8"),  # 1 to mirror the crop
        ("whole", "<i8"),  # first source block where the output is source blocks as they stand, else -1
    ]
)
"""One axis of one component; made by :func:`axis_records`."""


def axis_records(
    *,
    n_blocks: Any,
    n_full: Any,
    factor: Any,
    max_factor: Any,
    box: Any,
    scale: Any,
    limits: Any,
    start: Any,
    n_out: Any,
    flip: Any,
) -> npt.NDArray[Any]:
    """Return AXIS records; every argument is a number or an array, broadcast against the others.

    Parameters
    ----------
    n_blocks, n_full : int
        Blocks of the component along the axis; pixels of the image.
    factor, max_factor : int
        The component's sampling factor (h or v of T.81) and the largest of the image.
    box, scale : float
        Where the part that is resized begins, and source pixels a resized pixel.
    limits : pair of int
        First and last but one pixel that filters see: the image, or the part alone where it is cut out first.
    start, n_out, flip : int
        As in AXIS.

    Returns
    -------
    ndarray of AXIS
    """
    shape = np.broadcast_shapes(
        *(np.shape(x) for x in (n_blocks, n_full, factor, max_factor, box, scale, *limits, start, n_out, flip))
    )
    axes = np.empty(shape, dtype=AXIS)
    largest = np.maximum(max_factor, 1)
    axes["n_blocks"] = n_blocks
    axes["n_true"] = -(-np.asarray(n_full, dtype=np.int64) * factor // largest)
    axes["ratio"] = np.asarray(factor) / largest
    axes["box"], axes["scale"] = box, scale
    axes["low"], axes["high"] = limits
    axes["start"], axes["n_out"], axes["flip"] = start, n_out, flip
    first = axes["box"] + axes["start"]
    aligned = (axes["ratio"] == 1) & (axes["scale"] == 1) & (first % 8 == 0)
    # A last, partly filled block counts when the crop reaches the edge of the image: its padding stays the encoder's.
    filled = (axes["n_out"] % 8 == 0) | ((first + n_out == n_full) & (axes["flip"] == 0))
    axes["whole"] = np.where(aligned & filled & (first + n_out <= n_full), first // 8, -1)
    return axes


@dataclass(frozen=True, kw_only=True)
class AxisGeometry:
    """What happens to one axis of one component.

    Attributes
    ----------
    n_blocks : int
        Blocks of the source plane.
    n_full : int
        Size of the image along the axis, in pixels.
    factor, max_factor : int
        The component's sampling factor (h or v of T.81) and the largest of the image: the component has
        ceil(n_full * factor / max_factor) true samples.
    n_resized : int
        Pixels after the resize.
    start, n_out : int
        The crop, in resized pixels. The output has ceil(n_out / 8) blocks, padded by repeating the last
        sample.
    box : tuple of float or None
        Start and length, in pixels, of the part that is resized to `n_resized`; None for all `n_full`. It may
        pass the end, as long as every output sample has a source sample under its filter.

    Raises
    ------
    ValueError
        When the numbers contradict each other, such as a crop larger than the resized image.
    """

    n_blocks: int
    n_full: int
    factor: int = 1
    max_factor: int = 1
    n_resized: int
    start: int = 0
    n_out: int
    box: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.factor <= self.max_factor:
            msg = f"expected sampling factors 1 <= factor <= maximum, found {self.factor}, {self.max_factor}"
            raise ValueError(msg)
        if self.n_full < 1 or 8 * self.n_blocks < self.n_true:
            msg = f"expected blocks for {self.n_true} samples, found {self.n_blocks} blocks"
            raise ValueError(msg)
        if self.start < 0 or self.n_out < 1 or self.start + self.n_out > self.n_resized:
            msg = f"crop of {self.n_out} at {self.start} is not inside the {self.n_resized} resized pixels"
            raise ValueError(msg)
        if self.box is not None and not (0 <= self.box[0] < self.n_full and self.box[1] > 0):
            msg = f"box (start, length) {self.box} is not inside the {self.n_full} pixels"
            raise ValueError(msg)

    @property
    def n_true(self) -> int:
        """Samples of the component that belong to the image (T.81, A.1.1)."""
        return -(-self.n_full * self.factor // self.max_factor)

    def record(self) -> npt.NDArray[Any]:
        """Return the AXIS record, of shape ()."""
        start, length = (0.0, float(self.n_full)) if self.box is None else self.box
        return axis_records(
            n_blocks=self.n_blocks,
            n_full=self.n_full,
            factor=self.factor,
            max_factor=self.max_factor,
            box=start,
            scale=length / self.n_resized,
            limits=(0, self.n_full),
            start=self.start,
            n_out=self.n_out,
            flip=0,
        )


@dataclass(frozen=True, kw_only=True)
class Crops:
    """A part of each image of a batch, resized, cropped to a common size, and mirrored.

    Attributes
    ----------
    top, left, height, width : (images,) float64
        The box that is resized, in pixels of the source.
    n_rows, n_columns : (images,) int64
        Pixels that the box becomes.
    first_row, first_column : (images,) int64
        Where the output begins in those.
    size : (int, int)
        Rows and columns of the output in pixels.
    flip : (images,) bool
        Mirror left to right.
    cut : bool
        Cut the box out before resizing, as torchvision's ``resized_crop`` does: filters do not see beyond it. Then
        boxes are whole pixels.

    Raises
    ------
    ValueError
        If an output is not inside its resized box, the size is not positive, the arrays differ in length, or boxes to
        be cut have fractions.
    """

    top: npt.NDArray[np.float64]
    left: npt.NDArray[np.float64]
    height: npt.NDArray[np.float64]
    width: npt.NDArray[np.float64]
    n_rows: npt.NDArray[np.int64]
    n_columns: npt.NDArray[np.int64]
    first_row: npt.NDArray[np.int64]
    first_column: npt.NDArray[np.int64]
    size: tuple[int, int]
    flip: npt.NDArray[np.bool_]
    cut: bool = False

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            msg = f"expected a positive size, found {self.size}"
            raise ValueError(msg)
        boxes = (self.top, self.left, self.height, self.width)
        arrays = [*boxes, self.n_rows, self.n_columns, self.first_row, self.first_column, self.flip]
        if any(array.shape != (len(self),) for array in arrays):
            msg = f"expected numbers of {len(self)} images, found shapes {', '.join(str(a.shape) for a in arrays)}"
            raise ValueError(msg)
        if self.cut and any((box != np.rint(box)).any() for box in boxes):
            msg = "expected boxes of whole pixels, which are cut out first, found fractions"
            raise ValueError(msg)
        for first, n, size, axis in (
            (self.first_row, self.n_rows, self.size[0], "rows"),
            (self.first_column, self.n_columns, self.size[1], "columns"),
        ):
            outside = np.flatnonzero((first < 0) | (first + size > n))
            if len(outside):
                i = outside[0]
                msg = f"crop of {size} {axis} at {first[i]} is not inside the {n[i]} resized {axis} of image {i}"
                raise ValueError(msg)

    def __len__(self) -> int:
        return len(self.top)

    def take(self, rows: slice) -> Crops:
        """Return those of some of the images."""
        names = ("top", "left", "height", "width", "n_rows", "n_columns", "first_row", "first_column", "flip")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    @property
    def grid(self) -> tuple[int, int]:
        """Block rows and columns of the output."""
        return -(-self.size[0] // 8), -(-self.size[1] // 8)

    def axes(
        self,
        *,
        blocks: npt.NDArray[np.int32],
        sampling: npt.NDArray[np.uint8],
        width: npt.NDArray[np.int32],
        height: npt.NDArray[np.int32],
    ) -> npt.NDArray[Any]:
        """Return what happens to both axes of every component.

        Parameters
        ----------
        blocks : (images, 3, 2) int32
            Block rows and columns of the components.
        sampling : (images, 3, 2) uint8
            Factors (h, v); zero where a component is absent.
        width, height : (images,) int32
            Pixels.

        Returns
        -------
        (images, 3, 2) AXIS
            [image, component, vertical or horizontal]; nonsense where the component is absent.

        Raises
        ------
        ValueError
            If a box is not inside its image, an image has fewer blocks than pixels, or one sampling factor is 0.
        """
        present = sampling[:, :, 0] > 0
        odd = np.argwhere(present != (sampling[:, :, 1] > 0))
        if len(odd):
            i, component = odd[0].tolist()
            factors = sampling[i, component].tolist()
            msg = f"expected two sampling factors or none of component {component} of image {i}, found {factors}"
            raise ValueError(msg)
        axes = np.empty((len(self), 3, 2), dtype=AXIS)
        for axis, (n_full, box, length, n, first, flip) in enumerate(
            (
                (height, self.top, self.height, self.n_rows, self.first_row, np.zeros(len(self), dtype=np.int64)),
                (width, self.left, self.width, self.n_columns, self.first_column, self.flip.astype(np.int64)),
            )
        ):
            inside = (box >= 0) & (length > 0) & (box + length <= n_full)  # not so for NaN
            outside = np.flatnonzero(~inside)
            if len(outside):
                i = outside[0]
                msg = (
                    f"box of {length[i]:g} pixels at {box[i]:g} is not inside the {n_full[i]} pixels of image {i} "
                    f"({'height' if axis == 0 else 'width'})"
                )
                raise ValueError(msg)
            factor = sampling[:, :, 1 - axis].astype(np.int64)
            limits = (box, box + length) if self.cut else (np.zeros_like(box), n_full)
            axes[:, :, axis] = axis_records(
                n_blocks=blocks[:, :, axis],
                n_full=n_full[:, None].astype(np.int64),
                factor=factor,
                max_factor=factor.max(axis=1, keepdims=True),
                box=box[:, None],
                scale=(length / n)[:, None],
                limits=tuple(limit[:, None] for limit in limits),
                start=first[:, None],
                n_out=self.size[axis],
                flip=flip[:, None],
            )
        short = present & (axes["n_true"] > 8 * axes["n_blocks"]).any(axis=2)
        if short.any():
            i, component = (int(x) for x in np.argwhere(short)[0])
            msg = (
                f"expected blocks for the {width[i]}x{height[i]} pixels of image {i}, "
                f"found {blocks[i, component, 0]}x{blocks[i, component, 1]} in component {component}"
            )
            raise ValueError(msg)
        return axes
