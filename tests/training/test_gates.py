"""The gate of the paper: initial state, sampling, gradients, and evaluation without chance."""

from __future__ import annotations

from math import exp

import pytest
import torch

from freqcache.errors import TrainingError
from freqcache.gates import ChannelGate, GatedNetwork, StaticGate, gumbel_noise, sample_gates


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_gates_start_at_the_papers_probability():
    gate = ChannelGate(192)
    output = gate(torch.randn(8, 192, 4, 4, generator=_generator()))
    torch.testing.assert_close(output.probabilities, torch.full((8, 192), 1 / (1 + exp(-1.9))), atol=2e-3, rtol=0)
    assert output.probabilities.mean().item() == pytest.approx(0.87, abs=0.005)


def test_layers_are_the_papers():
    gate = ChannelGate(192)
    shapes = {name: tuple(value.shape) for name, value in gate.named_parameters()}
    assert shapes == {
        "conv.weight": (192, 192, 1, 1),
        "conv.bias": (192,),
        "bn.weight": (192,),
        "bn.bias": (192,),
        "fc.weight": (384, 1, 1, 1),
        "fc.bias": (384,),
    }
    # Kaiming normal with fan-out: variance 2 / 192.
    assert gate.conv.weight.std().item() == pytest.approx((2 / 192) ** 0.5, rel=0.03)
    assert gate.fc.weight.std().item() == pytest.approx(0.001, rel=0.15)


def test_each_logit_pair_belongs_to_its_own_channel():
    gate = ChannelGate(5)
    with torch.no_grad():
        gate.conv.weight.copy_(torch.eye(5)[:, :, None, None])
        gate.conv.bias.zero_()
        gate.fc.weight.copy_(torch.tensor([0.0, 1.0]).repeat(5)[:, None, None, None])
        gate.fc.bias.zero_()
    gate.eval()  # BatchNorm's running statistics are 0 and 1, so it divides by sqrt(1 + eps) only
    x = torch.zeros(1, 5, 2, 2)
    x[0, 3] = 4.0
    expected = torch.zeros(1, 5, 2)
    expected[0, 3, 1] = 4.0 / (1 + gate.bn.eps) ** 0.5
    torch.testing.assert_close(gate.logits(x), expected)


@pytest.mark.parametrize("tau", [1.0, 0.3])
def test_sample_mean_is_the_softmax_probability(tau):
    # Gumbel-max: the arg max of logits plus noise is distributed as their softmax, at any temperature.
    logits = torch.tensor([[0.1, 2.0], [0.0, 0.0], [1.5, -0.5], [-3.0, 0.5]])
    draws = 40_000
    noise = gumbel_noise((draws, 4, 2), generator=_generator())
    gates = sample_gates(logits.expand(draws, 4, 2), noise, tau=tau)
    probability = torch.softmax(logits, -1)[:, 1]
    deviation = (probability * (1 - probability) / draws).sqrt()
    assert ((gates.mean(0) - probability).abs() < 4 * deviation).all()
    assert set(gates.unique().tolist()) == {0.0, 1.0}


def test_gumbel_noise_has_the_distributions_moments():
    noise = gumbel_noise((200_000,), generator=_generator())
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.01)  # Euler's constant
    assert noise.var().item() == pytest.approx(1.6449, abs=0.03)  # pi squared / 6
    assert torch.isfinite(noise).all()


def test_soft_gradient_is_the_numerical_one():
    torch.manual_seed(0)
    gate = ChannelGate(3).double()
    with torch.no_grad():
        gate.fc.weight.mul_(300)  # as after training: gates that depend on the image
    noise = gumbel_noise((4, 3, 2), generator=_generator()).double()
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64, generator=_generator(), requires_grad=True)

    def relaxed(x, conv, fc, bias):
        state = {"conv.weight": conv, "fc.weight": fc, "fc.bias": bias}
        logits = torch.func.functional_call(_LogitsOf(gate), {f"gate.{k}": v for k, v in state.items()}, (x,))
        return x * sample_gates(logits, noise, tau=0.7, hard=False)[:, :, None, None]

    parameters = [p.detach().clone().requires_grad_() for p in (gate.conv.weight, gate.fc.weight, gate.fc.bias)]
    assert torch.autograd.gradcheck(relaxed, (x, *parameters))


class _LogitsOf(torch.nn.Module):
    def __init__(self, gate):
        super().__init__()
        self.gate = gate

    def forward(self, x):
        return self.gate.logits(x)


def test_hard_gates_pass_the_soft_gradient_straight_through():
    logits = torch.randn(6, 5, 2, generator=_generator())
    noise = gumbel_noise((6, 5, 2), generator=_generator(1))
    weights = torch.randn(6, 5, generator=_generator(2))
    gradients = []
    for hard in (False, True):
        leaf = logits.clone().requires_grad_()
        (sample_gates(leaf, noise, tau=1.0, hard=hard) * weights).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=0)
    assert gradients[0].abs().max() > 0


def test_training_noise_can_be_given_or_seeded():
    gate = ChannelGate(16)
    x = torch.randn(4, 16, 3, 3, generator=_generator())
    noise = gumbel_noise((4, 16, 2), generator=_generator(5))
    seeded = gate(x, generator=_generator(5))
    given = gate(x, noise=noise)
    other = gate(x, generator=_generator(6))
    assert torch.equal(seeded.gates, given.gates)
    assert not torch.equal(seeded.gates, other.gates)


def test_closed_channels_are_zero_and_open_ones_untouched():
    gate = ChannelGate(16)
    x = torch.randn(4, 16, 3, 3, generator=_generator())
    output = gate(x, generator=_generator())
    opened = output.gates.bool()
    assert opened.any()
    assert (~opened).any()
    assert torch.equal(output.x[opened], x[opened])
    assert not output.x[~opened].any()


def test_evaluation_is_bit_identical_and_takes_the_arg_max():
    torch.manual_seed(0)
    gate = ChannelGate(8)
    with torch.no_grad():
        gate.fc.bias.copy_(torch.tensor([0.1, 2.0, 2.0, 0.1]).repeat(4))
    gate.eval()
    x = torch.randn(5, 8, 3, 3, generator=_generator())
    first = gate(x)
    torch.manual_seed(99)
    second = gate(x, generator=_generator(99))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(first.gates, (first.probabilities > 0.5).float())
    assert torch.equal(first.gates[0], torch.tensor([1.0, 0.0]).repeat(4))


def test_logits_are_not_rounded_to_bfloat16():
    torch.manual_seed(0)
    gate = ChannelGate(16)
    x = torch.randn(8, 16, 3, 3, generator=_generator())
    plain = gate.logits(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(gate.logits(x), plain)
        assert gate(x.bfloat16(), generator=_generator()).probabilities.dtype == torch.float32


def test_a_static_gate_has_one_pair_of_logits_per_channel_and_does_not_look():
    gate = StaticGate(5)
    x = torch.randn(4, 5, 3, 3, generator=_generator())
    assert {name: tuple(p.shape) for name, p in gate.named_parameters()} == {"pairs": (5, 2)}
    torch.testing.assert_close(gate(x).probabilities, torch.full((4, 5), 1 / (1 + exp(-1.9))))
    assert torch.equal(gate.logits(x), gate.logits(2 * x))
    sampled = gate(x.repeat(20, 1, 1, 1), generator=_generator()).gates
    assert sampled.std(dim=0).min() > 0  # in training each image has a sample of its own
    with torch.no_grad():
        gate.pairs[3] = torch.tensor([1.0, -1.0])
    assert torch.equal(gate.eval()(x).gates, torch.tensor([1.0, 1, 1, 0, 1]).expand(4, 5))
    (gate.train()(x, noise=torch.zeros(4, 5, 2)).gates.sum()).backward()
    p = torch.softmax(gate.pairs.detach(), -1)[:, 1]
    torch.testing.assert_close(gate.pairs.grad[:, 1], 4 * p * (1 - p))


def test_gated_network_reports_its_gates_and_an_ungated_one_none():
    trunk = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 3))
    x = torch.randn(2, 8, 3, 3, generator=_generator())
    plain = GatedNetwork(trunk).eval()(x)
    gated = GatedNetwork(trunk, ChannelGate(8)).eval()(x)
    assert plain.gates is None
    assert plain.probabilities is None
    assert gated.gates.shape == gated.probabilities.shape == (2, 8)
    # All gates of a fresh module are open by arg max, so the trunk sees the same input.
    assert torch.equal(plain.logits, gated.logits)


@pytest.mark.parametrize("tau", [0.0, -1.0, float("nan")])
def test_temperature_must_be_positive(tau):
    with pytest.raises(TrainingError, match="temperature"):
        ChannelGate(4, tau=tau)
