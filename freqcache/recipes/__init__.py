"""Recipes that come with the package: TOML files, named without loading anything that trains."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

_ENDING: Final = ".toml"


def recipe_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with the package."""
    names = (entry.name for entry in resources.files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(_ENDING) for name in names if name.endswith(_ENDING)))


def recipe_file(name: str) -> Traversable:
    """Return the file of one of :func:`recipe_names`."""
    return resources.files(__name__).joinpath(f"{name}{_ENDING}")
