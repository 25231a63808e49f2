"""Where crops are drawn: as torchvision draws them, with a fixed number of random numbers an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from freqcache.crops import CentreCrop, RandomResizedCrop

WIDTH = np.array([500, 375, 64, 3000, 8, 500], np.int32)
HEIGHT = np.array([375, 500, 64, 20, 900, 333], np.int32)


def test_boxes_are_inside_and_of_the_allowed_area_and_shape() -> None:
    n = 4000
    width, height = np.resize(WIDTH[[0, 1, 2, 5]], n), np.resize(HEIGHT[[0, 1, 2, 5]], n)
    crops = RandomResizedCrop(size=64, scale=(0.2, 0.8), ratio=(0.5, 2.0)).draw(
        width, height, torch.Generator().manual_seed(0)
    )
    assert ((crops.top >= 0) & (crops.top + crops.height <= height)).all()
    assert ((crops.left >= 0) & (crops.left + crops.width <= width)).all()
    for numbers in (crops.top, crops.left, crops.height, crops.width):
        assert (numbers == np.rint(numbers)).all()
    area = crops.height * crops.width / (width * height)
    assert 0.18 < area.min() < 0.22
    assert 0.78 < area.max() < 0.82
    assert abs(area.mean() - 0.45) < 0.03  # below a half: large boxes of extreme shapes do not fit and are drawn again
    shape = np.log(crops.width / crops.height)
    assert abs(shape.mean()) < 0.05
    assert 0.6 < shape.max() < 0.72
    assert 0.45 < crops.flip.mean() < 0.55
    # Every place is possible, with the same chance.
    place = crops.left / np.maximum(width - crops.width, 1)
    assert abs(place.mean() - 0.5) < 0.02
    assert place.min() == 0
    assert crops.cut


def test_where_no_box_fits_the_largest_centred_one_is_taken() -> None:
    crops = RandomResizedCrop(size=64, scale=(0.9, 1.0)).draw(WIDTH[3:5], HEIGHT[3:5], torch.Generator())
    assert crops.height.tolist() == [20, 11]  # 8 pixels wide: 8 / (3/4) = 10.7 high
    assert crops.width.tolist() == [27, 8]  # 20 pixels high: 20 * 4/3 = 26.7 wide
    assert crops.top.tolist() == [0, 444]
    assert crops.left.tolist() == [1486, 0]


def test_a_batch_is_drawn_as_its_images_one_by_one() -> None:
    crop = RandomResizedCrop(size=64)
    whole = crop.draw(WIDTH, HEIGHT, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    for image in range(len(WIDTH)):
        one = crop.draw(WIDTH[image : image + 1], HEIGHT[image : image + 1], generator)
        for name in ("top", "left", "height", "width", "flip"):
            assert getattr(one, name)[0] == getattr(whole, name)[image]
    again = crop.draw(WIDTH, HEIGHT, torch.Generator().manual_seed(3))
    assert (again.top == whole.top).all()


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_mirroring_can_be_certain_or_impossible(flip: float) -> None:
    crops = RandomResizedCrop(size=8, flip=flip).draw(WIDTH, HEIGHT)
    assert crops.flip.tolist() == [bool(flip)] * len(WIDTH)


def test_the_centre_is_torchvisions() -> None:
    crops = CentreCrop(size=224, resize=256).draw(WIDTH[:3], HEIGHT[:3])
    assert crops.n_rows.tolist() == [256, 341, 256]  # int(256 * 500 / 375)
    assert crops.n_columns.tolist() == [341, 256, 256]
    assert crops.first_row.tolist() == [16, 58, 16]  # 58.5 rounds to even
    assert crops.first_column.tolist() == [58, 16, 16]
    assert not crops.cut


def test_a_crop_larger_than_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="crop of 72 pixels is larger than image 2 of 64x64 pixels"):
        CentreCrop(size=72, resize=0).draw(WIDTH, HEIGHT)
    CentreCrop(size=72).draw(WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CentreCrop(size=20), "multiple of 8 pixels, found 20"),
        (lambda: CentreCrop(size=64, resize=56), "at least the 64 pixels"),
        (lambda: RandomResizedCrop(size=0), "multiple of 8 pixels, found 0"),
        (lambda: RandomResizedCrop(size=8, scale=(0.0, 1.0)), "scale: expected"),
        (lambda: RandomResizedCrop(size=8, scale=(0.5, 1.5)), "scale: expected"),
        (lambda: RandomResizedCrop(size=8, ratio=(2.0, 1.0)), "ratio: expected"),
        (lambda: RandomResizedCrop(size=8, flip=1.5), "flip: expected a probability"),
    ],
)
def test_what_is_no_crop_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
