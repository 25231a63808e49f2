"""Finds the files that hold many images each (tars, Parquet files), and the split of each.

A source of such files is one of them, a folder of them, or a pattern with braces. What is in them is not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from freqcache.errors import BuildError
from freqcache.remote.paths import RemotePath
from freqcache.sources.assembly import split_named
from freqcache.sources.folder import subfolders
from freqcache.sources.tree import SPLIT_NAMES, UNSPLIT

_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_RANGE: Final = re.compile(r"([0-9]+)\.\.([0-9]+)")
_MOST: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Container:
    """A file that holds images.

    Attributes
    ----------
    name : str
        Relative to the source folder, with forward slashes.
    split : str
        Of all its images.
    size, mtime_ns : int
        Bytes, and time of the last change.
    """

    name: str
    split: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, kw_only=True)
class Containers:
    """The containers of a source.

    Attributes
    ----------
    source : Path or RemotePath
        As it was named.
    root : Path or RemotePath
        The folder that their names are relative to.
    found : tuple of Container
        Sorted by name, or in the order of the pattern.
    """

    source: Path | RemotePath
    root: Path | RemotePath
    found: tuple[Container, ...]

    @property
    def identity(self) -> str:
        """Names, sizes and times: what tells a changed source from the same."""
        return json.dumps([[c.name, c.size, c.mtime_ns] for c in self.found])


def containers_of(source: Path, files: Sequence[Path], root: Path) -> Containers:
    """Describe the files of a source; `files` lie below `root`.

    Raises
    ------
    BuildError
        If a file is missing, or its name means two splits, or some names mean a split and others do not.
    """
    found = []
    for path in files:
        name = path.relative_to(root).as_posix()
        try:
            status = path.stat()
        except OSError as error:
            msg = f"{path}: cannot be read: {error.strerror}"
            raise BuildError(msg) from error
        if not path.is_file():
            msg = f"{path}: not a regular file"
            raise BuildError(msg)
        found.append((name, status.st_size, status.st_mtime_ns))
    return described(source, root, found)


def described(source: Path | RemotePath, root: Path | RemotePath, files: Sequence[tuple[str, int, int]]) -> Containers:
    """Give the files of a source their splits; of each file there are its name below `root`, its size and its time.

    Raises
    ------
    BuildError
        If a name means two splits, or some names mean a split and others do not.
    """
    found = [(name, _split_of(name, root), size, mtime_ns) for name, size, mtime_ns in files]
    with_split = [name for name, split, *_ in found if split]
    without = [name for name, split, *_ in found if not split]
    if with_split and without:
        msg = (
            f"{source}: the name {with_split[0]} says its split and {without[0]} does not; "
            f"expected one of {', '.join(SPLIT_NAMES)} in the name of each file or its folder, or in none"
        )
        raise BuildError(msg)
    return Containers(
        source=source,
        root=root,
        found=tuple(Container(name=n, split=s or UNSPLIT, size=size, mtime_ns=t) for n, s, size, t in found),
    )


def files_of_folder(root: Path, suffix: str, *, inside: Sequence[str] = ()) -> list[Path]:
    """Return the files with an ending that lie in a folder, in its split folders, or in those of names in `inside`."""
    places = [root, *(f for f in subfolders(root) if f.name.lower() in SPLIT_NAMES or f.name in inside)]
    found = [
        p for place in places for p in place.iterdir() if p.suffix.lower() == suffix and not p.name.startswith(".")
    ]
    return sorted(path for path in found if path.is_file())


def is_pattern(source: str) -> bool:
    """Whether a source's name has braces to expand."""
    return _BRACES.search(source) is not None


def expand(pattern: str) -> list[str]:
    """Return the names that a pattern with braces stands for, as a shell has it: ``{000..099}`` and ``{a,b}``.

    Raises
    ------
    BuildError
        If there is something else between the braces, or they stand for more than a million names.
    """
    names = [""]
    rest = 0
    for match in _BRACES.finditer(pattern):
        words = list(_words(match[1], pattern))
        if len(names) * len(words) > _MOST:
            msg = f"{pattern}: stands for more than {_MOST} files"
            raise BuildError(msg)
        names = [name + pattern[rest : match.start()] + word for name in names for word in words]
        rest = match.end()
    return [name + pattern[rest:] for name in names]


def root_of_pattern(pattern: str) -> Path:
    """Return the folder above the first brace."""
    return Path(pattern[: pattern.index("{")] + "x").parent


def _words(inside: str, pattern: str) -> Iterator[str]:
    match = _RANGE.fullmatch(inside)
    if match is None:
        if "," not in inside:
            msg = f"{pattern}: {{{inside}}} is neither a range such as {{0000..0099}} nor a list such as {{train,val}}"
            raise BuildError(msg)
        yield from inside.split(",")
        return
    first, last = int(match[1]), int(match[2])
    if not 0 <= last - first < _MOST:
        msg = f"{pattern}: {{{inside}}} is no range of 1 to {_MOST} numbers"
        raise BuildError(msg)
    for number in range(first, last + 1):
        yield str(number).zfill(len(match[1]))


def _split_of(name: str, root: Path | RemotePath) -> str | None:
    """Return the split that a container's folder means, or else a word of its name; None if none does."""
    path = PurePosixPath(name)
    for folder in path.parts[:-1]:
        if split := split_named(folder):
            return split
    words = re.split(r"[^A-Za-z0-9]+", path.stem)
    splits = {split for split in map(split_named, words) if split}
    if len(splits) > 1:
        msg = f"{root / name}: its name means the splits {' and '.join(sorted(splits))}"
        raise BuildError(msg)
    return splits.pop() if splits else None
