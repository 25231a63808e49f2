"""Reads a store's ``zarr.json`` files strictly, and says what is wrong with their form.

The functions return problems as (kind, message). Sources: Zarr v3 core specification; ``formats/v1/spec.md``, sections
2, 6, 7, 8 and 11.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from freqcache.errors import StoreError
from freqcache.store.places import Place
from freqcache.verification.findings import Findings
from freqcache_formats.layout import ATTRIBUTE, FIXED_DTYPES, NATIVE_DTYPE, NATIVE_FILL, ROW_GROUP_SAMPLES

Problem = tuple[str, str]

_GROUP_KEYS: Final = {"attributes", "zarr_format", "node_type"}
_ARRAY_KEYS: Final = {"shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs"} | {
    "attributes",
    "dimension_names",
    "zarr_format",
    "node_type",
    "storage_transformers",
}
_OPTIONAL: Final = {"attributes", "storage_transformers"}
_LITTLE: Final = {"name": "bytes", "configuration": {"endian": "little"}}
_CRC: Final = {"name": "crc32c"}


@dataclass(kw_only=True, eq=False)
class Documents:
    """The metadata of a store as they are read, and the files that it has by them.

    Attributes
    ----------
    place : Place
        The store.
    findings : Findings
        Gets what is wrong.
    by_path : dict of str to dict
        Every ``zarr.json`` that could be read, by its path.
    expected : set of str
        Paths of the files that belong to the store.
    """

    place: Place
    findings: Findings
    by_path: dict[str, dict[str, Any]] = field(default_factory=dict)
    expected: set[str] = field(default_factory=set)

    def read(self, folder: str, missing: str) -> dict[str, Any] | None:
        """Return the ``zarr.json`` of a folder; if there is none, a finding of the kind `missing` says why."""
        path = f"{folder}/zarr.json" if folder else "zarr.json"
        place = self.place / folder if folder else self.place
        self.expected.add(path)
        try:
            document = read_document(place)
        except StoreError as error:
            self.findings.add(missing, path, str(error).removeprefix(f"{place}/zarr.json: "))
            return None
        self.by_path[path] = document
        self.findings.counts.files += 1
        return document

    def report(self, folder: str, problems: Iterable[Problem]) -> None:
        """Note what is wrong with the ``zarr.json`` of a folder."""
        for kind, message in problems:
            self.findings.add(kind, f"{folder}/zarr.json" if folder else "zarr.json", message)


def read_document(place: Place) -> dict[str, Any]:
    """Return the ``zarr.json`` of a folder, refusing what JSON parsers read differently.

    Raises
    ------
    StoreError
        If it is missing, or not JSON, or not an object, or has a key twice or a number that JSON does not have.
    """
    data = place.read("zarr.json")
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        msg = f"not readable JSON: {error}"
        raise StoreError(msg) from error
    if not isinstance(document, dict):
        msg = "expected a JSON object"
        raise StoreError(msg)
    return document


def group_problems(document: Mapping[str, Any], *, has_attribute: bool = True) -> list[Problem]:
    """Return what is wrong with a group's document."""
    problems = _form_problems(document, "group", _GROUP_KEYS)
    attributes = document.get("attributes", {})
    if not isinstance(attributes, dict) or (has_attribute and not isinstance(attributes.get(ATTRIBUTE), dict)):
        problems.append(("attributes", f"attributes: expected an object {ATTRIBUTE!r} in an object"))
    return problems


def array_problems(
    document: Mapping[str, Any], dtype: str, dimensions: Sequence[str], compressors: Sequence[str]
) -> list[Problem]:
    """Return what is wrong with the document of an array without shards.

    Parameters
    ----------
    document : dict
        The array's.
    dtype : str
        That it must have.
    dimensions : sequence of str
        Names of the axes.
    compressors : sequence of str
        Names of the codecs after ``bytes``.
    """
    problems = _array_form_problems(document, dimensions)
    if document.get("data_type") != dtype:
        problems.append(("dtype", f"data_type: expected {dtype}, found {document.get('data_type')!r}"))
    return problems + _codec_problems(document.get("codecs"), dtype, compressors)


def coefficient_problems(document: Mapping[str, Any], kind: str, rows: int, slots: int) -> list[Problem]:
    """Return what is wrong with the document of a coefficient array; its lengths must be known to be numbers.

    Parameters
    ----------
    document : dict
        The array's, of which :func:`freqcache.store.columns.read_geometry` could make a geometry.
    kind : str
        Of the store.
    rows : int
        Channels that the array must hold.
    slots : int
        Of the split.
    """
    native = kind == "native"
    problems = _array_form_problems(
        document, ("frequency", "block") if native else ("sample", "channel", "row", "column")
    )
    dtype = document["data_type"]
    if dtype not in ((NATIVE_DTYPE,) if native else FIXED_DTYPES):
        return [*problems, ("dtype", f"data_type: found {dtype!r}")]
    fill = NATIVE_FILL if native else FIXED_DTYPES[dtype]
    if document.get("fill_value") != fill:
        problems.append(("fill", f"fill_value: expected {fill}, found {document.get('fill_value')!r}"))
    configuration = document["codecs"][0]["configuration"]
    if len(document["codecs"]) != 1 or configuration.get("index_codecs") != [_LITTLE, _CRC]:
        problems.append(("index", "expected sharding_indexed alone, with index codecs bytes (little) and crc32c"))
    problems += _codec_problems(configuration["codecs"], dtype, ["blosc" if native else "zstd", "crc32c"])
    if not native and configuration["codecs"][1].get("configuration", {}).get("checksum") is not True:
        problems.append(("codecs", "zstd: expected the frame checksum"))
    shape, chunk = document["shape"], configuration["chunk_shape"]
    shard = document["chunk_grid"]["configuration"]["chunk_shape"]
    if native:
        fits = len(shape) == 2 and shape[0] == rows and shape[1] % chunk[1] == 0
    else:
        fits = len(shape) == 4 and shape[:2] == [slots, rows] and chunk[0] == ROW_GROUP_SAMPLES
    if not fits:
        problems.append(("shape", f"shape {shape}, chunk {chunk}, shard {shard}: not those of {rows} channels"))
    return problems


def _array_form_problems(document: Mapping[str, Any], dimensions: Sequence[str]) -> list[Problem]:
    problems = _form_problems(document, "array", _ARRAY_KEYS)
    if document.get("dimension_names") != list(dimensions):
        found = document.get("dimension_names")
        problems.append(("dimensions", f"dimension_names: expected {list(dimensions)}, found {found!r}"))
    encoding, grid = document.get("chunk_key_encoding"), document.get("chunk_grid")
    if encoding not in ({"name": "default", "configuration": {"separator": "/"}}, {"name": "default"}):
        problems.append(("shape", f"chunk_key_encoding: expected default with '/', found {encoding!r}"))
    if not isinstance(grid, dict) or grid.get("name") != "regular":
        problems.append(("shape", f"chunk_grid: expected a regular one, found {grid!r}"))
    if document.get("storage_transformers", []) != []:
        problems.append(("codecs", f"storage_transformers: expected none, found {document['storage_transformers']!r}"))
    return problems


def _form_problems(document: Mapping[str, Any], node: str, keys: set[str]) -> list[Problem]:
    problems: list[Problem] = []
    if document.get("zarr_format") != 3 or document.get("node_type") != node:
        found = f"format {document.get('zarr_format')!r}, {document.get('node_type')!r}"
        problems.append(("node", f"expected a Zarr {node} of format 3, found {found}"))
    for key in sorted(document.keys() - keys):
        value = document[key]
        if not isinstance(value, dict) or value.get("must_understand") is not False:  # as Zarr v3 has extensions
            problems.append(("node", f"{key}: a key that a Zarr {node} does not have"))
    problems += [("node", f"{key}: missing") for key in sorted(keys - document.keys() - _OPTIONAL)]
    return problems


def _codec_problems(codecs: object, dtype: str, compressors: Sequence[str]) -> list[Problem]:
    """Return what is wrong with a chain of codecs of which little is known yet."""
    wanted = ["bytes", *compressors]
    if not isinstance(codecs, list) or not all(isinstance(codec, dict) for codec in codecs):
        return [("codecs", f"codecs: expected {wanted}, found {codecs!r}")]
    if [codec.get("name") for codec in codecs] != wanted:
        return [("codecs", f"codecs: expected {wanted}, found {[codec.get('name') for codec in codecs]}")]
    problems: list[Problem] = []
    options = {codec["name"]: codec.get("configuration", {}) for codec in codecs}
    if dtype[-1:] != "8" and options["bytes"] != {"endian": "little"}:
        problems.append(("codecs", f"bytes: expected little endian, found {options['bytes']}"))
    if "zstd" in options and not isinstance(options["zstd"].get("level"), int):
        problems.append(("codecs", f"zstd: expected a level, found {options['zstd']}"))
    blosc = options.get("blosc", {})
    if "blosc" in options and [blosc.get(key) for key in ("cname", "shuffle", "typesize")] != ["zstd", "bitshuffle", 2]:
        problems.append(("codecs", f"blosc: expected zstd with bitshuffle of 2 bytes, found {blosc}"))
    return problems


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        msg = "a key stands twice in an object"
        raise ValueError(msg)
    return document


def _refuse(word: str) -> None:
    msg = f"{word} is no number of JSON"
    raise ValueError(msg)
