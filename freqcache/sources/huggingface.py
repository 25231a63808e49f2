"""Finds the images and labels in tables as Hugging Face ``datasets`` writes them, in Parquet or Arrow files.

An image is a struct of ``bytes`` and ``path``, or plain binary; a label is a number with names in the schema's
metadata (``ClassLabel``), a number without, or text. pyarrow is an optional dependency and is imported when asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from freqcache.errors import BuildError

if TYPE_CHECKING:
    import pyarrow as pa

UNREADABLE: Final = (ValueError, OSError, NotImplementedError)
"""What pyarrow raises for a file that is damaged, cannot be read, or has what it does not know."""

_METADATA: Final = b"huggingface"
_LABEL_NAMES: Final = ("label", "labels", "class", "cls")
_IMAGE_NAMES: Final = ("image", "img", "jpg")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What columns of a table to read.

    Attributes
    ----------
    image, label : str
        Their names.
    data : str
        The image's bytes: the image's column itself, or ``bytes`` in it.
    path : str or None
        The image's file name, where there is one.
    classes : tuple of str or None
        Names by label, where the table says them.
    """

    image: str
    label: str
    data: str
    path: str | None
    classes: tuple[str, ...] | None


def load_pyarrow(module: str, what: str) -> Any:
    """Return a module of pyarrow.

    Raises
    ------
    BuildError
        If pyarrow is not installed; `what` is the file that needs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        msg = f"{what}: reading it needs pyarrow, which is not installed: pip install 'freqcache[parquet]'"
        raise BuildError(msg) from error


def find_columns(schema: pa.Schema, where: str) -> Columns:
    """Return the columns of a table that hold the images and their labels.

    Raises
    ------
    BuildError
        If there are none, or more than one and no way to tell which; `where` is the file.
    """
    features = _features(schema, where)
    types = {field.name: field.type for field in schema}
    marked = {name: str(feature.get("_type")) for name, feature in features.items() if isinstance(feature, Mapping)}
    images = [name for name in types if _is_image(types[name])]
    image = _only([n for n in images if marked.get(n) == "Image"] or images, _IMAGE_NAMES, "images", where, types)
    labels = [name for name in types if _is_label(types[name])]
    with_names = [name for name in labels if marked.get(name) == "ClassLabel" and _is_integer(types[name])]
    usual = [name for name in labels if name in _LABEL_NAMES]
    label = _only(with_names or usual, _LABEL_NAMES, "labels", where, types)
    nested = {field.name for field in types[image]} if _is_struct(types[image]) else set()
    return Columns(
        image=image,
        label=label,
        data=f"{image}.bytes" if nested else image,
        path=f"{image}.path" if "path" in nested else None,
        classes=_class_names(features[label], where) if label in with_names else None,
    )


def classes_of(labels: Sequence[Any], classes: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    """Yield of each label the name of its class and an empty text, or an empty text and why there is no class."""
    for label in labels:
        if label is None or label in (-1, ""):  # -1: what the Hub has for the labels of a secret test set
            yield "", "no label" if label != -1 else "no label (-1)"
        elif classes is None:
            yield str(label), ""
        elif 0 <= label < len(classes):
            yield classes[label], ""
        else:
            yield "", f"its label {label} is none of 0 to {len(classes) - 1}"


def row_name(container: str, row: int, path: str | None) -> str:
    """Return the name of an image: file and row, and the last part of the path that came with it."""
    base = (path or "").replace("\\", "/").rpartition("/")[2]
    return f"{container}/{row}/{base}" if base else f"{container}/{row}"


def same_classes(
    known: tuple[str, ...] | None, found: tuple[str, ...] | None, where: str, *, first: bool
) -> tuple[str, ...] | None:
    """Return the class names that all files of a source agree on.

    Raises
    ------
    BuildError
        If they do not agree.
    """
    if not first and known != found:
        msg = f"{where}: names other classes than the file before it: {found} and not {known}"
        raise BuildError(msg[:400])
    return found


def _features(schema: pa.Schema, where: str) -> dict[str, Any]:
    """Return the features that the schema's metadata have, by column."""
    text = (schema.metadata or {}).get(_METADATA)
    if text is None:
        return {}
    try:
        features = json.loads(text)["info"]["features"]
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{where}: its metadata {_METADATA.decode()!r} cannot be understood"
        raise BuildError(msg) from error
    return features if isinstance(features, dict) else {}


def _class_names(feature: Mapping[str, Any], where: str) -> tuple[str, ...]:
    names = feature.get("names") or [str(number) for number in range(feature.get("num_classes") or 0)]
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        msg = f"{where}: the names of its classes are none, or not different texts"
        raise BuildError(msg)
    return tuple(names)


def _only(found: Sequence[str], usual: Sequence[str], what: str, where: str, types: Mapping[str, Any]) -> str:
    """Return the one column found, or of several the first that has a usual name."""
    if len(found) == 1:
        return found[0]
    named = [name for name in usual if name in found]
    if named:
        return named[0]
    columns = ", ".join(f"{name}: {kind}" for name, kind in types.items())
    which = f"more than one column of {what} ({', '.join(found)})" if found else f"no column of {what}"
    msg = f"{where}: {which}; name it {usual[0]!r}. Its columns: {columns}"
    raise BuildError(msg[:400])


def _is_struct(kind: Any) -> bool:
    return str(kind).startswith("struct<")


def _is_binary(kind: Any) -> bool:
    return str(kind) in ("binary", "large_binary")


def _is_image(kind: Any) -> bool:
    if _is_struct(kind):
        return any(field.name == "bytes" and _is_binary(field.type) for field in kind)
    return _is_binary(kind)


def _is_label(kind: Any) -> bool:
    text = str(kind)
    return text in ("string", "large_string") or text.startswith("dictionary<values=string") or _is_integer(kind)


def _is_integer(kind: Any) -> bool:
    return str(kind).removeprefix("u") in ("int8", "int16", "int32", "int64")
