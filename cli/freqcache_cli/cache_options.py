"""``--cache-dir`` and ``--cache-size`` of every command that reads a store: where what a URL gave is kept.

They become the environment variables that the library reads, while the command runs: so processes that it starts use
the same folder, and a command that opens the store of a run or of a mask needs to know nothing of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

import click

from freqcache_cli.sizes import parse_bytes

F = TypeVar("F", bound=Callable[..., Any])


def cache_options(*stores: str) -> Callable[[F], F]:
    """Decorate a command with both options.

    Parameters
    ----------
    stores : str
        Names of the parameters that say which stores are read: where they are all given and none is a URL, the options
        would have no effect and are refused.
    """

    def decorate(function: F) -> F:
        @wraps(function)
        def run(*arguments: Any, cache_dir: str | None, cache_size: float | None, **options: Any) -> Any:
            if cache_dir is None and cache_size is None:
                return function(*arguments, **options)
            _check(cache_dir, [options[name] for name in stores])
            with _kept_in(cache_dir, cache_size):
                return function(*arguments, **options)

        both = [
            click.option(
                "--cache-dir",
                type=click.Path(file_okay=False),
                help="Keep what is read from a URL in this folder, for later reads.  [default: $FREQCACHE_CACHE_DIR]",
            ),
            click.option(
                "--cache-size",
                metavar="BYTES",
                callback=parse_bytes,
                help="What that folder may take: 200GB.  [default: $FREQCACHE_CACHE_SIZE, or 50GB]",
            ),
        ]
        decorated: Any = run
        for option in reversed(both):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


def _check(folder: str | None, stores: list[Any]) -> None:
    """Refuse options that would have no effect."""
    from freqcache.remote import is_url
    from freqcache.remote.settings import CACHE_DIR

    if folder is None and not os.environ.get(CACHE_DIR):
        msg = "--cache-size is of a cache: name its folder with --cache-dir"
        raise click.UsageError(msg)
    named = [name for store in stores for name in (store if isinstance(store, tuple) else (store,))]
    if named and all(name is not None and not is_url(str(name)) for name in named):
        what = "--cache-size" if folder is None else "--cache-dir"
        msg = f"{what} is for stores at a URL, and {', '.join(map(str, named))} is on this machine"
        raise click.UsageError(msg)


@contextmanager
def _kept_in(folder: str | None, size: float | None) -> Iterator[None]:
    """Set the environment variables that were typed, and undo it."""
    from freqcache.remote.settings import CACHE_DIR, CACHE_SIZE

    typed = {CACHE_DIR: folder, CACHE_SIZE: None if size is None else str(int(size))}
    before = {name: os.environ.get(name) for name in typed}
    os.environ.update({name: value for name, value in typed.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
