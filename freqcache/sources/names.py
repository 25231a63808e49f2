"""What classes and images may be called: checked when a source is listed, not when its store is written at the end.

A store writes the names of classes as UTF-8 text, and paths as the bytes that the file system has (specification,
section 2). Nothing here looks at files.
"""

from __future__ import annotations

from collections.abc import Iterable

from freqcache.errors import BuildError


def check_class_names(names: Iterable[str], where: str) -> None:
    """Refuse names of classes that a store cannot hold.

    Parameters
    ----------
    names : iterable of str
        The classes; those of folders may have surrogate escapes, for bytes that are not UTF-8.
    where : str
        The source, or the folder that the class folders lie in, for the message.

    Raises
    ------
    BuildError
        If one is not UTF-8 or holds a zero byte.
    """
    for name in names:
        if fault := _fault_of(name, "strict"):
            msg = f"{where}: the class {name!r:.120} cannot be stored: its name {fault}; rename it"
            raise BuildError(msg)


def fault_of_path(path: str) -> str:
    """Return what is wrong with the name of an image; empty for one that a store can hold.

    Bytes that are not UTF-8 are no fault where they stand as Python has them in file names (surrogate escapes).
    """
    return _fault_of(path, "surrogateescape")


def _fault_of(name: str, escapes: str) -> str:
    try:
        name.encode("utf-8", escapes)
    except UnicodeEncodeError:
        return "is not UTF-8"
    return "holds a zero byte" if "\0" in name else ""
