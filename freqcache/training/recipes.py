"""Recipes: options of a run in small TOML files, a few of which come with the package.

A recipe sets what it names; options given beside it come first, and :class:`RunConfig`'s defaults last.
"""

from __future__ import annotations

import tomllib
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from freqcache.errors import TrainingError
from freqcache.recipes import recipe_file, recipe_names
from freqcache.training.config import RunConfig

_NOT_IN_RECIPES: Final = frozenset({"cache", "channels"})
"""What a run is of, and not how it is trained."""


def load_recipe(name: str) -> dict[str, Any]:
    """Return the options of a recipe.

    Parameters
    ----------
    name : str
        One of :func:`recipe_names`, or the path of a TOML file.

    Returns
    -------
    dict
        Attributes of :class:`RunConfig`.

    Raises
    ------
    TrainingError
        If there is no such recipe, or it is not one.
    """
    try:
        if name in recipe_names():
            text = recipe_file(name).read_text(encoding="utf-8")
        else:
            text = Path(name).read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except FileNotFoundError:
        near = get_close_matches(name, recipe_names(), n=1)
        more = f"; did you mean {near[0]}?" if near else ""
        msg = f"{name}: no such recipe: expected a TOML file, or one of {', '.join(recipe_names())}{more}"
        raise TrainingError(msg) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{name}: not a readable recipe: {getattr(error, 'strerror', None) or error}"
        raise TrainingError(msg) from error
    content.pop("description", None)
    known = {field.name for field in fields(RunConfig)} - _NOT_IN_RECIPES
    unknown = sorted(set(content) - known)
    if unknown:
        msg = f"{name}: a recipe cannot set {', '.join(unknown)}"
        raise TrainingError(msg)
    return content
