"""Channel masks: which of the 192 channels a network reads, and their file, ``mask.json``.

A mask is a set; its channels are kept in storage order, so that equal sets give equal masks, equal files and
equal tensors. Presets are the subsets of the DCTNet repository (Xu et al., CVPR 2020). The file's JSON schema is
``schemas/mask.schema.json`` beside this module. Nothing here chooses channels: see :mod:`freqcache.selection`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache_formats.channels import ALL_CHANNELS, COMPONENTS, Channel
from freqcache_formats.errors import MaskError

MASK_FORMAT: Final = "freqcache-mask"
MASK_VERSION: Final = 1

_NAMED: Final = 4
"""Channels that a message names before it says that there are more."""


def _span(*bounds: tuple[int, int]) -> tuple[int, ...]:
    return tuple(i for first, last in bounds for i in range(first, last + 1))


# Natural (row-major) indices inside Y, and inside Cb and Cr alike, as the DCTNet repository lists them.
_PRESETS: Final[Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]] = {
    "6": ((0, 1, 8, 9), (0,)),
    "24": (_span((0, 3), (8, 11), (16, 19), (24, 27)), (0, 1, 8, 9)),
    "24-learned": (_span((0, 5), (8, 10), (16, 18), (24, 24), (32, 32)), (0, 1, 3, 8, 24)),
    "32": (_span((0, 4), (8, 12), (16, 20), (24, 27), (32, 34)), (0, 1, 2, 8, 9)),
    "48": (
        _span((0, 5), (8, 13), (16, 21), (24, 29), (32, 35), (40, 43)),
        _span((0, 2), (8, 10), (16, 17)),
    ),
    "64": (
        _span((0, 6), (8, 14), (16, 21), (24, 29), (32, 37), (40, 45), (48, 53)),
        _span((0, 2), (8, 10), (16, 17), (24, 25)),
    ),
    "192": (_span((0, 63)), _span((0, 63))),
}
_ALIASES: Final[Mapping[str, str]] = {"24-square": "24", "all": "192"}


@dataclass(frozen=True, kw_only=True)
class CacheReference:
    """The cache a mask was made from, so that ``train --channels mask.json`` needs no other word.

    Attributes
    ----------
    path : str
        Absolute path or URL of the store when the mask was made.
    id : str
        The store's ``id`` attribute: tells a moved store from another one.
    """

    path: str
    id: str


@dataclass(frozen=True, kw_only=True)
class ChannelMask:
    """A non-empty set of channels, in storage order.

    Attributes
    ----------
    channels : tuple of Channel
        Without repetition, in storage order (component, then zigzag).
    name : str
        For people: a preset's name, or how the mask was made.
    cache : CacheReference or None
        Where the mask came from.
    selection : dict
        How it was chosen (free JSON: method, run, probabilities); empty for presets.
    """

    channels: tuple[Channel, ...]
    name: str = "custom"
    cache: CacheReference | None = None
    selection: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.channels:
            msg = f"mask {self.name!r} is empty: expected at least one channel"
            raise MaskError(msg)
        ordered = tuple(sorted(set(self.channels), key=lambda channel: channel.storage_index))
        if ordered != self.channels:
            msg = f"mask {self.name!r}: channels must be unique and in storage order; use ChannelMask.of"
            raise MaskError(msg)

    def __len__(self) -> int:
        return len(self.channels)

    @property
    def indices(self) -> npt.NDArray[np.intp]:
        """(len(self),) intp; storage indices, increasing."""
        return np.array([channel.storage_index for channel in self.channels], dtype=np.intp)

    @property
    def natural_indices(self) -> npt.NDArray[np.intp]:
        """(len(self),) intp; DCTNet's channel numbers, in this mask's (storage) order."""
        return np.array([channel.natural_index for channel in self.channels], dtype=np.intp)

    @property
    def frequencies(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Zigzag positions wanted of Y, Cb and Cr, each increasing and possibly empty."""
        component, zigzag = np.divmod(self.indices, 64)
        return zigzag[component == 0], zigzag[component == 1], zigzag[component == 2]

    @property
    def is_all(self) -> bool:
        """Whether these are all 192 channels."""
        return len(self.channels) == len(ALL_CHANNELS)

    def missing_from(self, held: ChannelMask) -> tuple[Channel, ...]:
        """Return the channels that another mask does not have, in storage order."""
        there = frozenset(held.channels)
        return tuple(channel for channel in self.channels if channel not in there)

    def places_in(self, held: ChannelMask) -> npt.NDArray[np.intp]:
        """Return where these channels stand among those of another mask, (len(self),) intp.

        Raises
        ------
        MaskError
            If it lacks some; the message says what it holds and what it lacks.
        """
        missing = self.missing_from(held)
        if missing:
            named = ", ".join(map(str, missing[:_NAMED])) + (", ..." if len(missing) > _NAMED else "")
            msg = (
                f"holds {len(held)} of the {len(ALL_CHANNELS)} channels, and not {len(missing)} of the "
                f"{len(self)} wanted: {named}; repack from the full store"
            )
            raise MaskError(msg)
        return np.searchsorted(held.indices, self.indices)

    @classmethod
    def of(cls, channels: Iterable[Channel], **attributes: Any) -> ChannelMask:
        """Return the mask of `channels` given in any order, with repetitions dropped."""
        ordered = tuple(sorted(set(channels), key=lambda channel: channel.storage_index))
        return cls(channels=ordered, **attributes)

    @classmethod
    def from_indices(cls, indices: Iterable[int], **attributes: Any) -> ChannelMask:
        """Return the mask of storage indices (``64 * component + zigzag``)."""
        return cls.of((Channel.from_index(int(i)) for i in indices), **attributes)

    @classmethod
    def preset(cls, name: str) -> ChannelMask:
        """Return a published subset: one of :func:`preset_names`.

        Raises
        ------
        MaskError
            For an unknown name; the message lists the known ones.
        """
        key = _ALIASES.get(name, name)
        if key not in _PRESETS:
            msg = f"no preset mask named {name!r}; there are {', '.join(preset_names())}"
            raise MaskError(msg)
        luma, chroma = _PRESETS[key]
        natural = [*luma, *(64 + i for i in chroma), *(128 + i for i in chroma)]
        return cls.of((Channel.from_natural_index(i) for i in natural), name=key)

    @classmethod
    def load(cls, source: str | Path | ChannelMask) -> ChannelMask:
        """Return the mask that `source` stands for: itself, a preset's name, or the path of a mask.json."""
        if isinstance(source, ChannelMask):
            return source
        if isinstance(source, str) and (source in _PRESETS or source in _ALIASES):
            return cls.preset(source)
        return cls.read(source)

    @classmethod
    def read(cls, path: str | Path) -> ChannelMask:
        """Read a mask.json.

        Raises
        ------
        MaskError
            If the file is missing, is not JSON, or does not follow the schema.
        """
        try:
            document = json.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            near = get_close_matches(str(path), preset_names(), n=1)
            more = f"; did you mean {near[0]}?" if near else ""
            msg = f"{path}: no such mask file, and no preset of that name ({', '.join(preset_names())}){more}"
            raise MaskError(msg) from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            msg = f"{path}: not a readable mask file: {getattr(error, 'strerror', None) or error}"
            raise MaskError(msg) from error
        try:
            return cls.from_dict(document)
        except MaskError as error:
            msg = f"{path}: {error}"
            raise MaskError(msg) from error

    def write(self, path: str | Path) -> None:
        """Write the mask as mask.json (UTF-8, one channel a line): all of it, or what was there before stays.

        Raises
        ------
        MaskError
            If the file cannot be written.
        """
        document = self.to_dict()
        channels = ",\n    ".join(json.dumps(channel) for channel in document.pop("channels"))
        body = json.dumps(document, indent=2, ensure_ascii=False)
        text = f'{body[:-2]},\n  "channels": [\n    {channels}\n  ]\n}}\n'
        partial = Path(path).with_name(f".{Path(path).name}.{os.getpid()}.tmp")
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            msg = f"{path}: cannot be written: {error.strerror}"
            raise MaskError(msg) from error

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of this mask."""
        cache = None if self.cache is None else {"path": self.cache.path, "id": self.cache.id}
        return {
            "format": MASK_FORMAT,
            "version": MASK_VERSION,
            "name": self.name,
            "cache": cache,
            "selection": dict(self.selection),
            "channels": [list(channel) for channel in self.channels],
        }

    @classmethod
    def from_dict(cls, document: object) -> ChannelMask:
        """Return the mask of a JSON document.

        Raises
        ------
        MaskError
            Listing every problem found, not only the first.
        """
        problems = list(_problems(document))
        if problems or not isinstance(document, dict):
            raise MaskError("not a valid mask: " + "; ".join(problems))
        cache = document["cache"]
        return cls.of(
            (Channel(*entry) for entry in document["channels"]),
            name=document["name"],
            cache=None if cache is None else CacheReference(path=cache["path"], id=cache["id"]),
            selection=document["selection"],
        )


def preset_names() -> tuple[str, ...]:
    """Return the names :meth:`ChannelMask.preset` knows, aliases last."""
    return (*_PRESETS, *_ALIASES)


def _problems(document: object) -> Iterable[str]:
    if not isinstance(document, dict):
        yield f"expected a JSON object, found {type(document).__name__}"
        return
    if document.get("format") != MASK_FORMAT:
        yield f"format: expected {MASK_FORMAT!r}, found {document.get('format')!r}"
    if document.get("version") != MASK_VERSION or isinstance(document.get("version"), bool):
        yield f"version: expected {MASK_VERSION}, found {document.get('version')!r}"
    if not isinstance(document.get("name"), str):
        yield "name: expected a string"
    if not isinstance(document.get("selection"), dict):
        yield "selection: expected an object"
    cache = document.get("cache", False)
    if cache is not None and not (
        isinstance(cache, dict) and isinstance(cache.get("path"), str) and isinstance(cache.get("id"), str)
    ):
        yield "cache: expected null or an object with the strings path and id"
    channels = document.get("channels")
    if not isinstance(channels, list) or not channels:
        yield "channels: expected a non-empty list"
        return
    known = {tuple(channel) for channel in ALL_CHANNELS}
    seen: set[tuple[Any, ...]] = set()
    for position, entry in enumerate(channels):
        valid = isinstance(entry, list) and len(entry) == 3 and entry[0] in COMPONENTS
        valid = valid and all(type(value) is int for value in entry[1:]) and tuple(entry) in known
        if not valid:
            yield f'channels[{position}]: expected [component, v, u] such as ["Y", 0, 1], found {entry!r}'
        elif tuple(entry) in seen:
            yield f"channels[{position}]: {entry!r} is listed twice"
        else:
            seen.add(tuple(entry))
