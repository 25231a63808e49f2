"""What decides bytes and comes with a machine: the releases that a worker must have in common with its client."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from functools import cache
from typing import TypeVar

from freqcache.errors import BuildError

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


@cache
def _libraries() -> dict[str, str]:
    import numcodecs
    import PIL

    return {"numcodecs": numcodecs.__version__, "Pillow": PIL.__version__}


def releases() -> dict[str, str]:
    """Return the versions here of freqcache, of what compresses (numcodecs) and of what decodes pixels (Pillow)."""
    import freqcache

    return {"freqcache": freqcache.__version__, **_libraries()}


def difference(expected: Mapping[str, str]) -> str | None:
    """Return how the releases here differ from a client's, None if they do not."""
    here = releases()
    words = [
        f"{name} {here.get(name)} instead of {version}" for name, version in expected.items() if here[name] != version
    ]
    return f"has {', '.join(words)}" if words else None


def run_checked(expected: Mapping[str, str], function: Callable[[_Task], _Result], task: _Task) -> _Result:
    """Run a task, if the releases here are the client's: workers may join while a build runs.

    Raises
    ------
    BuildError
        If they are not.
    """
    if words := difference(expected):
        msg = f"worker {os.getpid()} on {socket.gethostname()} {words}: the store's bytes would depend on it"
        raise BuildError(msg)
    return function(task)
