"""Options whose values are names that freqcache comes with, or files: masks and recipes, with their completion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem


class NameOrFile(click.ParamType):  # type: ignore[type-arg]
    """A string, completed by known names and, for want of those, by the shell's files.

    Parameters
    ----------
    name : str
        Of the kind of value.
    names : callable
        Returns the known names.
    """

    def __init__(self, name: str, names: Callable[[], tuple[str, ...]]) -> None:
        self.name = name
        self._names = names

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """Return the value as it is: the library knows what is a name and what is a file."""
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """Return the names that begin so; and let the shell add its files."""
        found = [CompletionItem(name) for name in self._names() if name.startswith(incomplete)]
        # The files first: click's script for bash forgets what came before them.
        return [CompletionItem(incomplete, type="file"), *found]


def _masks() -> tuple[str, ...]:
    from freqcache_formats.mask import preset_names

    return tuple(preset_names())


def _recipes() -> tuple[str, ...]:
    from freqcache.recipes import recipe_names

    return recipe_names()


MASK = NameOrFile("mask", _masks)
RECIPE = NameOrFile("recipe", _recipes)
