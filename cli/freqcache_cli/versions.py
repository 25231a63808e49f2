"""What ``freqcache --version`` says."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from freqcache import __version__

_PACKAGES: Final = ("numpy", "torch", "zarr", "numba", "numcodecs", "pillow", "scipy", "click")


def describe(*, verbose: bool) -> str:
    """Return the versions of freqcache and Python; with `verbose` those of what they stand on too."""
    lines = [f"freqcache {__version__} (Python {platform.python_version()})"]
    if verbose:
        width = max(map(len, _PACKAGES))
        lines += [f"{name:{width}}  {_installed(name)}" for name in _PACKAGES]
        lines.append(f"{'platform':{width}}  {platform.platform()}")
    return "\n".join(lines)


def _installed(name: str) -> str:
    """Return a package's version from its metadata: nothing is imported."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
