"""What the machines of a build must share: the store and the source by the same paths, and the releases.

Every worker of the engine looks once before the build begins. One that joins later is checked by its tasks: for
releases (:mod:`freqcache.engines.releases`), and for the store whenever it makes a shard.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from freqcache.building.journal import present_fingerprint
from freqcache.engines import Engine
from freqcache.engines.releases import difference, releases
from freqcache.errors import BuildError, SourceError
from freqcache.remote import is_url
from freqcache.sources import SourceFile, SourceReader, SourceTree
from freqcache.store.targets import Target
from freqcache.workers import Pool

_TRIED: Final = 64
"""Files of which the first that can be read here is looked for by the workers too."""


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a worker must see.

    Attributes
    ----------
    releases : dict of str to str
        Versions of the client.
    store : Target
        Under construction.
    fingerprint : str
        Of the build that goes on there.
    reader : SourceReader
        Of the source.
    file : SourceFile or None
        One that can be read.
    """

    releases: Mapping[str, str]
    store: Target
    fingerprint: str
    reader: SourceReader
    file: SourceFile | None


def from_anywhere(path: str | os.PathLike[str]) -> str:
    """Return a name that means the same in whatever folder a worker runs."""
    name = os.fspath(path)
    return name if not name or is_url(name) else os.path.join(os.getcwd(), name)  # noqa: PTH109, PTH118  (no name of a folder is tidied)


def check_sharing(engine: Engine, store: Target, fingerprint: str, tree: SourceTree) -> None:
    """Let every worker look at the store and the source.

    Raises
    ------
    BuildError
        If one does not see them, or has other releases: it is named.
    """
    if isinstance(engine, Pool):  # processes of this one
        return
    problems = []
    sight = Sight(
        releases=releases(),
        store=store,
        fingerprint=fingerprint,
        reader=tree.reader,
        file=_first_readable(tree),
    )
    for name, found in engine.visit(problem_of, sight):
        if found is not None:
            problems.append(f"worker {name} {found if isinstance(found, str) else f'fails: {found}'}")
    if problems:
        more = f" (and {len(problems) - 1} more workers)" if len(problems) > 1 else ""
        msg = f"{sorted(problems)[0]}{more}"
        raise BuildError(msg)


def problem_of(sight: Sight) -> str | None:
    """Return what is wrong with what this machine sees, None if nothing is; a worker's task."""
    if words := difference(sight.releases):
        return words
    try:
        present = present_fingerprint(sight.store)
    except OSError as error:  # no credentials, say
        return f"cannot read the store that is being built in {sight.store}: {error.strerror or error}"
    if present != sight.fingerprint:
        return f"does not see the store that is being built in {sight.store}: its machine must share that place"
    if not sight.store.writable():
        return f"may not write in {sight.store}"
    if sight.file is not None:
        try:
            sight.reader.read(sight.file, 1)
        except (SourceError, BuildError, OSError) as error:
            return f"does not see {sight.file.path} of the source in {sight.reader.root}: {error}"
    return None


def _first_readable(tree: SourceTree) -> SourceFile | None:
    for file in islice(_files(tree), _TRIED):
        try:
            tree.reader.read(file, 1)
        except SourceError:
            continue
        return file
    return None


def _files(tree: SourceTree) -> Iterator[SourceFile]:
    return (file for files in tree.splits.values() for file in files if not file.problem)
