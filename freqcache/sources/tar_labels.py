"""Tells the class of a sample in a tar: from its ``.cls`` or ``.json``, and a list of names beside the tars.

A ``.txt`` is a caption by WebDataset's custom and is never taken for a class.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from freqcache.errors import BuildError
from freqcache.remote.paths import RemotePath
from freqcache.sources.assembly import is_integer

LABEL_EXTENSIONS: Final = ("cls", "json")
"""Endings of members that may say a class."""

_JSON_KEYS: Final = ("label", "cls", "class")
_CLASSES_FILE: Final = "classes.txt"


def label_of(extension: str, data: bytes) -> str | None:
    """Return the class that a member says, as text; numbers in their shortest form. None for a JSON without one.

    Raises
    ------
    ValueError
        If it says a class in a way that cannot be understood.
    """
    if extension == "cls":
        text = _text(data).strip()
    else:
        try:
            document = json.loads(_text(data))
        except json.JSONDecodeError as error:
            msg = f"not JSON ({error})"
            raise ValueError(msg) from error
        except RecursionError as error:
            msg = "not JSON (too deep)"
            raise ValueError(msg) from error
        if not isinstance(document, dict):
            return None
        key = next((key for key in _JSON_KEYS if key in document), None)
        if key is None:
            return None
        value = document[key]
        if type(value) not in (int, str):
            msg = f"{key!r} is neither a number nor a name: {value!r:.60}"
            raise ValueError(msg)
        text = str(value).strip()
    if not text or "\n" in text:
        msg = "no class in it" if not text else "more than one line"
        raise ValueError(msg)
    return str(int(text)) if is_integer(text) and len(text) < 20 else text


@dataclass(frozen=True, kw_only=True)
class ClassList:
    """The names of classes by number, empty where nothing says them: then what samples say are the names.

    Attributes
    ----------
    names : tuple of str
        By label.
    path : Path or RemotePath
        The file that says them.
    """

    names: tuple[str, ...]
    path: Path | RemotePath

    @classmethod
    def beside(cls, root: Path | RemotePath) -> Self:
        """Return the list in ``classes.txt`` of a folder: one name a line.

        Raises
        ------
        BuildError
            If there is one and it is empty, is not UTF-8, or has an empty line or a name twice.
        """
        path = root / _CLASSES_FILE
        try:
            content = path.read() if isinstance(path, RemotePath) else path.read_bytes()
            lines = content.decode("utf-8-sig").replace("\r\n", "\n").rstrip().split("\n")
        except FileNotFoundError:
            return cls(names=(), path=path)
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{path}: cannot be read: {error.strerror if isinstance(error, OSError) else 'not UTF-8'}"
            raise BuildError(msg) from error
        names: dict[str, int] = {}
        for number, line in enumerate(lines, 1):
            name = line.strip()
            if not name or name in names:
                problem = f"the name {name!r} of line {names[name]} again" if name else "no name"
                msg = f"{path}, line {number}: {problem}"
                raise BuildError(msg)
            names[name] = number
        return cls(names=tuple(names), path=path)

    def name_of(self, text: str, where: str) -> str:
        """Return the class of a sample: with a list, numbers are places in it and anything else is a name in it.

        Raises
        ------
        BuildError
            If there is a list and it has no such class.
        """
        if not self.names:
            return text
        if is_integer(text):
            if 0 <= int(text) < len(self.names):
                return self.names[int(text)]
        elif text in self.names:
            return text
        msg = f"{where}: its class {text!r} is not in {self.path}, which names 0 to {len(self.names) - 1}"
        raise BuildError(msg)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = "not UTF-8"
        raise ValueError(msg) from error
