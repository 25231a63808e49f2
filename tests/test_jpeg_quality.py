"""The estimate of a JPEG's quality, against files that Pillow saved at every quality."""

from __future__ import annotations

import io

import numpy as np
import pytest
from photographs import encoded
from PIL import Image

from freqcache.jpeg_quality import QualityEstimate, estimate_quality
from freqcache.quantization import ijg_table


def tables(data: bytes) -> list[np.ndarray]:
    """Return the tables of a file's quantization segments, in zigzag order, straight from its bytes."""
    found, position = {}, 2
    while data[position + 1] != 0xDA:
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        if data[position + 1] == 0xDB:
            body = data[position + 4 : position + 2 + length]
            while body:
                assert body[0] < 16, "Pillow writes 8-bit steps"
                found[body[0]] = np.frombuffer(body[1:65], dtype=np.uint8)
                body = body[65:]
        position += 2 + length
    return [found[number] for number in sorted(found)]


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_quality_that_pillow_saves_is_known_exactly(mode: str) -> None:
    for quality in range(1, 101):
        luma, *chroma = tables(encoded(1, 16, 16, mode=mode, quality=quality))
        assert len(chroma) == (mode == "RGB")
        assert estimate_quality(luma, chroma * 2) == QualityEstimate(quality=quality, exact=True)


def test_tables_of_two_qualities_are_no_quality() -> None:
    found = estimate_quality(ijg_table(90), [ijg_table(80, chroma=True)] * 2)
    assert not found.exact
    assert 80 <= found.quality <= 90


def test_a_step_off_is_near_and_not_exact() -> None:
    luma = ijg_table(60)
    luma[5] += 1
    assert estimate_quality(luma) == QualityEstimate(quality=60, exact=False)


def test_photoshops_tables_are_not_ijgs_but_rank_with_them() -> None:
    """Pillow knows Photoshop's, which are flat: the highest frequencies of "low" have the steps of IJG 93."""
    found = []
    for preset in ("low", "medium", "high", "maximum"):
        luma, *chroma = tables(encoded(1, 16, 16, quality=preset))
        estimate = estimate_quality(luma, chroma * 2)
        assert not estimate.exact
        found.append(estimate.quality)
    assert found == sorted(set(found))
    assert found[0] < 65
    assert found[-1] > 90


def test_the_luma_table_does_not_pass_for_chroma() -> None:
    """All three components with one table, as some encoders write them, is not what libjpeg does."""
    assert not estimate_quality(ijg_table(75), [ijg_table(75)] * 2).exact


@pytest.mark.parametrize("bad", [np.zeros(64), np.ones(63), np.full(64, -1)])
def test_what_is_no_table_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="64 positive steps"):
        estimate_quality(bad)


def test_the_bytes_tables_are_those_pillow_reads() -> None:
    """The reader above, against Pillow's own reading (which is sorted by value there: the order is its own)."""
    data = encoded(2, 16, 16, quality=37)
    with Image.open(io.BytesIO(data)) as image:
        theirs = image.quantization
    assert [sorted(table.tolist()) for table in tables(data)] == [sorted(theirs[number]) for number in sorted(theirs)]
