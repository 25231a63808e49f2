"""Recipes: those of the package make runs, options come first, and what is no recipe is said."""

from __future__ import annotations

import pytest

from freqcache.errors import TrainingError
from freqcache.training import RunConfig, load_recipe, recipe_names
from freqcache.training.schedules import learning_rate


def test_the_recipes_of_the_package_make_runs():
    assert set(recipe_names()) >= {"demo", "small", "imagenet-paper", "imagenet-16"}
    for name in recipe_names():
        config = RunConfig(cache="a.zarr", **load_recipe(name))
        assert RunConfig.from_dict(config.to_dict()) == config


def test_the_papers_recipe_is_the_papers():
    config = RunConfig(cache="a.zarr", **load_recipe("imagenet-paper"))
    assert (config.arch, config.strides, config.size, config.resize) == ("resnet50", "paper", 448, 512)
    assert (config.lr, config.momentum, config.weight_decay, config.epochs) == (0.1, 0.9, 1e-4, 210)
    assert (config.nesterov, config.label_smoothing, config.normalization) == (False, 0.0, "cache")
    rates = [learning_rate(step, 2100, config) for step in (0, 629, 630, 1260, 1890, 2099)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.001, 0.0001, 0.0001])


def test_a_file_is_a_recipe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('description = "mine"\nepochs = 3\nlr = 0.5\nmilestones = [0.5]\n')
    assert load_recipe(str(path)) == {"epochs": 3, "lr": 0.5, "milestones": [0.5]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, r"no such recipe: expected a TOML file, or one of demo, imagenet-16"),
        ("epochs = ", "not a readable recipe"),
        ("epoch = 3", "a recipe cannot set epoch"),
        ('cache = "a"\nchannels = "24"', "a recipe cannot set cache, channels"),
    ],
)
def test_what_is_no_recipe_is_said(tmp_path, text, words):
    path = tmp_path / "mine.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(TrainingError, match=words) as caught:
        load_recipe(str(path))
    assert str(path) in str(caught.value)


def test_a_recipe_with_an_impossible_value_is_one_line(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('epochs = "many"\n')
    with pytest.raises(TrainingError, match="epochs"):
        RunConfig(cache="a", **load_recipe(str(path)))
