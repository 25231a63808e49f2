"""Functions compiled by Numba: one decorator, and a place for the machine code that can always be written.

The machine code is compiled at the first call, kept on disk and shared by all processes of a user. Numba keeps it
in ``__pycache__`` beside the source, or else in the user's cache folder; where neither can be written, it goes to
a folder of this user in the temporary folder. ``NUMBA_CACHE_DIR`` overrides all of these. With
``NUMBA_BOUNDSCHECK=1`` nothing is kept unless ``NUMBA_CACHE_DIR`` is set, since Numba would hand such code to later
runs without the check.

Numba notices a changed source file only by the file of the function that is called: after a change in a module whose
kernels other modules' kernels call, those modules must be touched.
"""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
from numba import extending
from numba.core import event

__all__ = ["inlined", "intrinsic", "kernel"]

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("freqcache")
_config: Any = numba.config
_register: Any = event.register


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` at its first call: without the GIL, with the machine code kept on disk.

    Parameters
    ----------
    function : callable
        A function in Numba's nopython subset, over scalars and arrays.

    Returns
    -------
    callable
        The compiled function, with the same parameters.
    """
    if _config.BOUNDSCHECK and not os.environ.get("NUMBA_CACHE_DIR"):
        return _compile(function, cache=False)
    try:
        return _compile(function, cache=True)
    except RuntimeError:
        # Numba found no folder that it can write to.
        return _compile_with_temporary_cache(function)


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a small `function` into the kernels that call it; it keeps no machine code of its own.

    Parameters
    ----------
    function : callable
        A function in Numba's nopython subset, over scalars and arrays.

    Returns
    -------
    callable
        The compiled function, with the same parameters.
    """
    compiled: Callable[P, R] = numba.njit(nogil=True, forceinline=True)(function)
    return compiled


def intrinsic(generator: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function for kernels out of one that generates its LLVM code.

    Parameters
    ----------
    generator : callable
        Takes the typing context and the types of the arguments; returns a signature and a code generator: see
        ``numba.extending.intrinsic``.

    Returns
    -------
    callable
        What kernels call, without the typing context.
    """
    made: Callable[..., Any] = extending.intrinsic(generator)
    return made


def _compile(function: Callable[P, R], *, cache: bool) -> Callable[P, R]:
    compiled: Callable[P, R] = numba.njit(nogil=True, cache=cache)(function)
    return compiled


def _compile_with_temporary_cache(function: Callable[P, R]) -> Callable[P, R]:
    folder = _temporary_cache()
    if folder is None:
        return _compile(function, cache=False)
    before = _config.CACHE_DIR
    # Numba settles a function's cache folder while it decorates it, so that other libraries are not concerned.
    _config.CACHE_DIR = str(folder)
    try:
        return _compile(function, cache=True)
    except RuntimeError:
        return _compile(function, cache=False)
    finally:
        _config.CACHE_DIR = before


def _temporary_cache() -> Path | None:
    """Folder in the temporary folder that only this user can write to, or None.

    Cached machine code is executed: a folder that someone else made or may write to is refused.
    """
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    folder = Path(tempfile.gettempdir()) / f"freqcache-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    if not stat.S_ISDIR(status.st_mode):
        return None
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
        return None
    return folder


class _CompilationNotice(event.Listener):
    """Says once in a process that machine code is being compiled, and where it will be kept."""

    def __init__(self) -> None:
        self.said = False

    def on_start(self, event: Any) -> None:
        dispatcher = event.data["dispatcher"]
        if self.said or not dispatcher.py_func.__module__.startswith("freqcache"):
            return
        self.said = True
        folder = dispatcher.stats.cache_path
        kept = f"kept in {folder} for later runs" if folder else "not kept: there is no folder for it"
        _log.warning("freqcache compiles its inner loops, which takes some seconds (machine code %s)", kept)

    def on_end(self, event: Any) -> None:
        """Nothing to say when a compilation ends."""


_register("numba:compile", _CompilationNotice())
