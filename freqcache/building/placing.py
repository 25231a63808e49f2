"""Where a store will stand: resolved, and apart from what it is made of."""

from __future__ import annotations

from pathlib import Path

from freqcache.errors import BuildError
from freqcache.remote import RemotePath


def place_of(out: str | Path) -> Path:
    """Return where the store will stand.

    Raises
    ------
    BuildError
        If the name is empty, or goes round in links.
    """
    if not str(out):
        msg = "the store is an empty name; expected a path"
        raise BuildError(msg)
    out = Path(out)
    resolved = _resolve(out)
    return resolved if out.is_symlink() or not out.name else out


def keep_apart(out: Path, source: Path | RemotePath, why_not_inside: str) -> None:
    """Check that a store does not touch its source.

    Raises
    ------
    BuildError
        If it would replace it, or lie inside it.
    """
    if isinstance(source, RemotePath):
        return
    resolved, root = _resolve(out), _resolve(source)
    if root.is_relative_to(resolved):
        msg = f"{out}: the store would replace its own source {source}"
        raise BuildError(msg)
    if resolved.is_relative_to(root):
        msg = f"{out}: lies inside its own source {source}; {why_not_inside}"
        raise BuildError(msg)


def _resolve(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # a loop of links
        msg = f"{path}: cannot be resolved: {error}"
        raise BuildError(msg) from error
