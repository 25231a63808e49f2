"""Channel names and orders, against the zigzag that Pillow's JPEG code uses and against T.81's table."""

from __future__ import annotations

import numpy as np
import pytest

from freqcache_formats import ALL_CHANNELS, Channel, FormatError
from freqcache_formats.channels import NATURAL_TO_ZIGZAG, ZIGZAG_TO_NATURAL

# ITU-T T.81 figure A.6: the zigzag position of each coefficient, row by row.
T81_FIGURE_A6 = np.array(
    [
        [0, 1, 5, 6, 14, 15, 27, 28],
        [2, 4, 7, 13, 16, 26, 29, 42],
        [3, 8, 12, 17, 25, 30, 41, 43],
        [9, 11, 18, 24, 31, 40, 44, 53],
        [10, 19, 23, 32, 39, 45, 52, 54],
        [20, 22, 33, 38, 46, 51, 55, 60],
        [21, 34, 37, 47, 50, 56, 59, 61],
        [35, 36, 48, 49, 57, 58, 62, 63],
    ]
)


def test_zigzag_is_that_of_the_standard() -> None:
    np.testing.assert_array_equal(NATURAL_TO_ZIGZAG, T81_FIGURE_A6.ravel())


def test_orders_are_inverse() -> None:
    np.testing.assert_array_equal(NATURAL_TO_ZIGZAG[ZIGZAG_TO_NATURAL], np.arange(64))


def test_every_channel_has_one_index_in_either_order() -> None:
    assert [channel.storage_index for channel in ALL_CHANNELS] == list(range(192))
    assert sorted(channel.natural_index for channel in ALL_CHANNELS) == list(range(192))


@pytest.mark.parametrize(
    ("channel", "index", "natural"),
    [
        (Channel("Y", 0, 1), 1, 1),
        (Channel("Y", 1, 0), 2, 8),
        (Channel("Cb", 2, 0), 67, 80),
        (Channel("Cr", 7, 7), 191, 191),
    ],
)
def test_indices_of_known_channels(channel: Channel, index: int, natural: int) -> None:
    assert (channel.storage_index, channel.natural_index) == (index, natural)
    assert Channel.from_index(index) == Channel.from_natural_index(natural) == channel


@pytest.mark.parametrize("index", [-1, 192])
def test_index_outside_is_refused(index: int) -> None:
    with pytest.raises(FormatError, match=str(index)):
        Channel.from_index(index)
    with pytest.raises(FormatError, match=str(index)):
        Channel.from_natural_index(index)
