"""Options of a run: what is shown is RunConfig's, what is typed comes before the recipe."""

from __future__ import annotations

from dataclasses import fields

import click
import pytest
from click.testing import CliRunner

from freqcache.models import registry
from freqcache.training import RunConfig
from freqcache_cli import run_options as run_options_module
from freqcache_cli.run_options import OPTIONS, SWITCHES, create_config, run_options


@click.command()
@click.argument("cache")
@run_options()
@click.pass_context
def command(context, **options):
    context.obj.append(create_config(options.pop("cache"), options))


def _config(*arguments):
    found = []
    result = CliRunner().invoke(command, ["a.zarr", *arguments], obj=found)
    if result.exception is not None:
        raise result.exception
    return found[0]


def test_shown_defaults_are_the_configurations():
    defaults = {field.name: field.default for field in fields(RunConfig)}
    for _, name, _, shown, _ in OPTIONS:
        assert shown == ("" if defaults[name] is None else str(defaults[name])), name
    for flag, name, shown, _ in SWITCHES:
        assert f"--{shown}" == flag.split("/")[0 if defaults[name] else 1], name


def test_every_option_of_a_run_can_be_typed():
    parameters = {parameter.name for parameter in command.params}
    # Those left are for recipes.
    assert {field.name for field in fields(RunConfig)} - parameters == {"milestones", "nesterov"}


def test_nothing_typed_is_the_default_with_a_gate():
    assert _config() == RunConfig(cache="a.zarr", gate="dynamic")
    assert _config("--channels", "24").gate == "none"
    assert _config("--input", "rgb").gate == "none"
    assert _config("--channels", "24", "--gate", "static").gate == "static"


def test_what_is_typed_comes_before_the_recipe():
    config = _config("--recipe", "small", "--epochs", "3", "--no-flip", "--target-bytes", "6KiB")
    assert (config.width, config.epochs, config.flip, config.target_bytes) == (0.25, 3, False, 6144)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--channels", "24", "--lam", "0.1", "--tau", "2"], "--lam, --tau would have no effect: the run has no gate"),
        (["--target-channels", "24", "--lam", "0.1"], "--lam would have no effect: the run has a target"),
    ],
)
def test_what_would_have_no_effect_is_refused(arguments, words):
    with pytest.raises(SystemExit):
        _config(*arguments)
    assert words in CliRunner().invoke(command, ["a.zarr", *arguments], obj=[]).output


def test_errors_are_one_line():
    for arguments, words in (
        (["--recipe", "none-such"], "no such recipe"),
        (["--target-channels", "200"], "target_channels must be below the 192"),
        (["--target-channels", "24", "--channels", "64"], "a target of channels or bytes needs a gate"),
    ):
        result = CliRunner().invoke(command, ["a.zarr", *arguments], obj=[])
        assert result.exit_code == 2
        assert words in result.output


def test_networks_are_the_librarys():
    assert set(run_options_module.ARCHITECTURES) == set(registry.ARCHITECTURES)
