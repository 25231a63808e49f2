"""Gates of runs: the probabilities drawn are those that the gates give."""

from __future__ import annotations

import pytest
from made_runs import make_run
from pictures import words_of

from freqcache.errors import PlotError, TrainingError
from freqcache.plotting.heatmaps import in_a_cell
from freqcache.plotting.runs import draw_runs
from freqcache.training import channel_probabilities
from freqcache_formats.mask import ChannelMask

pytest.importorskip("matplotlib")


def test_each_run_is_a_row_with_its_own_mask(caches, tmp_path):
    runs = [
        make_run(tmp_path / f"s{seed}", caches / "fixed.zarr", ChannelMask.preset("64"), gate=True, seed=seed)
        for seed in range(2)
    ]
    ChannelMask.preset("6").write(runs[0] / "mask.json")
    draw_runs(runs, tmp_path / "a.svg")
    words = words_of(tmp_path / "a.svg")
    assert {"s0, 12 validation images", "s1, 12 validation images", "Y: 4 selected"} <= set(words)
    assert [word for word in words if word in ("Y", "Y: 4 selected")] == ["Y: 4 selected", "Y"]  # s1 has no mask
    for run in runs:
        found = channel_probabilities(run)
        assert {in_a_cell(value) for value in found.values[found.gated]} <= set(words)
    draw_runs(runs[:1], tmp_path / "b.svg", mask="24")
    words = words_of(tmp_path / "b.svg")
    assert "P(on), the mean probability of an open gate, 24 channels outlined" in words


def test_what_has_no_gates_is_said(caches, tmp_path):
    run = make_run(tmp_path / "plain", caches / "fixed.zarr", ChannelMask.preset("6"))
    with pytest.raises(PlotError, match="plain: this run has no gates"):
        draw_runs([run], tmp_path / "x.png")
    with pytest.raises(TrainingError, match="no such run folder"):
        draw_runs([tmp_path / "gone"], tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()
