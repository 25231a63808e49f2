"""What the checker's parts share: a problem, and reading of JSON and arrays that turns failures into problems.

A problem is (location, message, kind); the kinds are listed in README.md, and the manifest names the kinds that each
invalid example must give.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import zarr

READ_ERRORS = (ValueError, TypeError, RuntimeError, KeyError, IndexError, OSError)
"""What zarr-python raises for metadata or chunks that it cannot read."""


class Problem(NamedTuple):
    """One violation of the specification."""

    location: str
    message: str
    kind: str


class Problems:
    """Collects problems; locations are relative to the store."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.found: list[Problem] = []

    def add(self, path: Path, kind: str, message: str) -> None:
        """Note a problem at a file or folder of the store."""
        self.found.append(Problem(path.relative_to(self.store).as_posix(), message, kind))

    def json(self, path: Path, kind: str) -> dict[str, Any] | None:
        """Return a JSON object; note a problem and return None if there is none."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self.add(path, kind, "missing")
            return None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            self.add(path, kind, f"not readable JSON: {error}")
            return None
        if not isinstance(document, dict):
            self.add(path, kind, "expected a JSON object")
            return None
        return document

    def metadata(self, path: Path, dtype: str, dimensions: tuple[str, ...] | None) -> dict[str, Any] | None:
        """Return an array's ``zarr.json`` after checking its dtype and the names and number of its dimensions."""
        document = self.json(path / "zarr.json", "array-missing")
        if document is None:
            return None
        if document.get("data_type") != dtype:
            self.add(path, "dtype", f"data_type: expected {dtype}, found {document.get('data_type')!r}")
            return None
        names = document.get("dimension_names")
        if dimensions is not None and names != list(dimensions):
            self.add(path, "dimensions", f"dimension_names: expected {list(dimensions)}, found {names!r}")
        return document

    def values(
        self, path: Path, dtype: str, shape: tuple[int | None, ...], dimensions: tuple[str, ...] | None = None
    ) -> npt.NDArray[Any] | None:
        """Return a whole small array of the expected dtype and shape (None: any length), or note why not."""
        document = self.metadata(path, dtype, dimensions)
        if document is None:
            return None
        found = tuple(document.get("shape", ()))
        if len(found) != len(shape) or any(n not in (None, m) for n, m in zip(shape, found, strict=True)):
            self.add(path, "shape", f"shape: expected {shape}, found {found}")
            return None
        codecs = [codec.get("name") for codec in document.get("codecs", ())]
        if codecs != ["bytes", "zstd", "crc32c"]:
            self.add(path, "codecs", f"codecs: expected bytes, zstd and crc32c, found {codecs}")
        try:
            array = zarr.open_array(path, mode="r")
            for key in _chunk_keys(document):
                if not (path / key).is_file():
                    self.add(path / key, "chunk-missing", "missing chunk of a per-sample array")
                    return None
            return np.asarray(array[...])
        except READ_ERRORS as error:
            self.add(path, "unreadable", f"cannot be read: {error}")
            return None


def _chunk_keys(document: dict[str, Any]) -> Iterator[str]:
    """Yield the file names of an array's chunks (or shards) by the default chunk key encoding."""
    lengths = document["chunk_grid"]["configuration"]["chunk_shape"]
    separator = document["chunk_key_encoding"].get("configuration", {}).get("separator", "/")
    counts = [math.ceil(n / length) for n, length in zip(document["shape"], lengths, strict=True)]
    for index in np.ndindex(*counts):
        yield "c" + separator + separator.join(map(str, index))
