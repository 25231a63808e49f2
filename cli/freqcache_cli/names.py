"""Options whose values are names that freqcache comes with, or files: masks and recipes, with their completion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from freqcache_formats.errors import FreqcacheError


class NameOrFile(click.ParamType):  # type: ignore[type-arg]
    """A string, completed by known names and, for want of those, by the shell's files.

    Parameters
    ----------
    name : str
        Of the kind of value.
    names : callable
        Returns the known names.
    load : callable, optional
        The library's, which knows what is a name and what is a file: it raises for what is neither. Without it, the
        command looks.
    """

    def __init__(
        self, name: str, names: Callable[[], tuple[str, ...]], load: Callable[[str], object] | None = None
    ) -> None:
        self.name = name
        self._names, self._load = names, load

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value as it is, after a look whether it stands for something."""
        if self._load is None or (ctx is not None and ctx.resilient_parsing):  # a shell that completes
            return str(value)
        try:
            self._load(str(value))
        except FreqcacheError as error:
            self.fail(str(error), param, ctx)
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


sample_split = click.option(
    "--split", metavar="NAME", help="Where to look; needed for a slot where there are several splits."
)
"""Option of a command that takes one sample."""


def _load_mask(name: str) -> object:
    from freqcache_formats.mask import ChannelMask

    return ChannelMask.load(name)


MASK = NameOrFile("mask", _masks, _load_mask)
RECIPE = NameOrFile("recipe", _recipes)
