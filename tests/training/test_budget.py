"""Lambda under dual ascent: on a plant that is simple enough to be known, and in whole runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from freqcache.training import RunConfig, train
from freqcache.training.budget import LEARN, REACH, BudgetController

from .standin import INFORMATIVE, install, toy_cache

GATED = RunConfig(
    cache="/nowhere/memory.zarr",
    width=0.125,
    epochs=25,
    batch_size=16,
    lr=0.1,
    threads=1,
    flip=False,
    shift=0,
    device="cpu",
    gate="dynamic",
)


def _drive(target: float, costs: torch.Tensor, steps: int = 600) -> tuple[BudgetController, torch.Tensor]:
    """Let logits follow lambda, each with a benefit of its own, as Adam moves them; return what they end as."""
    controller = BudgetController(costs, target, steps)
    benefit = torch.linspace(-0.01, 0.03, len(costs))
    gap = torch.full((len(costs),), 1.9).requires_grad_()
    adam = torch.optim.Adam([gap], lr=0.04, betas=(0.9, 0.99))
    for step in range(steps):
        p = torch.sigmoid(gap)[None]
        loss = controller.penalty(p, step) - (benefit * p).sum()
        adam.zero_grad()
        loss.backward()
        if controller.trains_gates(step):
            adam.step()
        controller.update(step, torch.cat([p.detach(), (p.detach() > 0.5).float()]))
    return controller, torch.sigmoid(gap.detach())


@pytest.mark.parametrize("target", [6, 24, 96, 150])
def test_the_most_useful_channels_are_left_and_as_many_as_told(target):
    _, p = _drive(target, torch.ones(192))
    assert p.sum().item() == pytest.approx(target, rel=0.1, abs=1.5)
    opened = p > 0.5
    assert int(opened.sum()) == pytest.approx(target, rel=0.1, abs=1)
    assert opened.nonzero().min() > 192 - 1.2 * target - 3  # their benefit grows with their number


def test_a_budget_of_bytes_is_kept_in_any_unit():
    costs = torch.linspace(300.0, 20.0, 192)
    controller, p = _drive(4000.0, costs)
    assert (p * costs).sum().item() == pytest.approx(4000, rel=0.1)
    assert controller.unit == pytest.approx(160.0)
    _, same = _drive(4.0, costs / 1000)
    torch.testing.assert_close(p, same, atol=1e-3, rtol=0)


def test_the_budget_descends_exponentially_from_what_is_open_to_the_target():
    controller = BudgetController(torch.ones(192), 24, 1000)

    def update(step, opened):
        controller.update(step, torch.full((2, 192), opened / 192))

    for step in range(101):
        update(step, 160.0)
        assert controller.lam == 0
    assert controller.budget(int(1000 * LEARN)).item() == pytest.approx(160)
    middle = int(1000 * (LEARN + REACH) / 2)
    assert controller.budget(middle).item() == pytest.approx((160 * 24) ** 0.5)
    assert controller.budget(int(1000 * REACH)).item() == controller.budget(999).item() == pytest.approx(24)
    update(500, 48.0)
    assert controller.lam > 0
    for step in range(501, 900):
        update(step, 12.0)
    assert controller.lam < 0  # it also opens


@pytest.mark.parametrize(("target", "cut"), [(2.0, 0.55), (2.9, 0.55), (3.0, 0.25), (0.5, 0.75), (9.0, 0.25)])
def test_the_cut_parts_what_the_budget_pays_for(target, cut):
    controller = BudgetController(torch.ones(4), target, 100)
    probabilities = torch.tensor([0.4, 0.8, 0.1, 0.7])
    controller.update(0, torch.stack([probabilities, probabilities.round()]))
    assert controller.cut.item() == pytest.approx(cut)


@pytest.mark.parametrize("gate", ["dynamic", "static"])
@pytest.mark.parametrize("target", [12, 40])
def test_runs_reach_their_target_decided(monkeypatch, tmp_path, gate, target):
    install(monkeypatch, toy_cache(train=192))
    result = train(replace(GATED, gate=gate, target_channels=target), out=tmp_path / "run")
    end = result.history[-1]
    assert end["val_gates_open"] == pytest.approx(target, rel=0.1)
    assert end["val_gates_expected"] == pytest.approx(target, rel=0.15)
    assert len(set(INFORMATIVE) & set(result.selected.mask.indices.tolist())) >= 3  # any three tell the classes apart
    assert result.history[1]["lam"] == 0  # it learns first
    assert max(entry["lam"] for entry in result.history) > 0.01
    assert result.warnings == ()


def test_runs_reach_a_target_of_bytes(monkeypatch, tmp_path):
    install(monkeypatch, toy_cache(train=192))
    result = train(replace(GATED, target_bytes=200), out=tmp_path / "run")  # of 10 bytes a channel
    end = result.history[-1]
    assert end["val_bytes_open"] == pytest.approx(200, rel=0.1)
    assert end["val_bytes_expected"] == pytest.approx(200, rel=0.15)
    assert len(result.selected.mask) == 20
    assert np.isfinite(result.history[-1]["lam"])
