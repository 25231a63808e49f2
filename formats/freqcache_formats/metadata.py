"""The attributes of a store and of a split, as dataclasses with a JSON edge.

``StoreMetadata`` is the root group's attribute, ``SplitMetadata`` that of each split's group. Validation collects
every problem before it raises. The JSON schemas are ``schemas/store.schema.json`` and ``schemas/split.schema.json``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from freqcache_formats.canonical import METADATA_DIGEST
from freqcache_formats.channels import N_CHANNELS, read_channel_table
from freqcache_formats.errors import FormatError
from freqcache_formats.layout import BLOCK_SIZE, DIGEST_BYTES, FORMAT_VERSION, HOT, KINDS, LEVEL_SHIFT
from freqcache_formats.mask import ChannelMask

_DCT: Final = "orthonormal 8x8 DCT-II, ITU-T T.81 A.3.3"
_COLOR_SPACE: Final = "YCbCr, full range, BT.601 matrix (JFIF, ITU-T T.871)"
_SPLIT_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_ALL_CHANNELS_ONLY: Final = "1.0"
"""The version whose stores hold all channels."""

_EVERY_CHANNEL: Final = ChannelMask.preset("192")
STATISTICS: Final = ("mean", "std", "std_of_means", "minimum", "maximum", "zero_fraction", "count")


def check_version(document: Mapping[str, Any]) -> None:
    """Raise FormatError for attributes of a major version that this release does not know."""
    version = document.get("version")
    if not isinstance(version, str) or version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        msg = f"format version {version!r} is not one this release reads (it reads {FORMAT_VERSION})"
        raise FormatError(msg)


def check_digest(document: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the metadata digest of some attributes: nothing, or one problem."""
    digest = document.get(METADATA_DIGEST, "0" * 2 * DIGEST_BYTES)
    if isinstance(digest, str) and re.fullmatch(f"[0-9a-f]{{{2 * DIGEST_BYTES}}}", digest):
        return []
    return [f"{METADATA_DIGEST}: expected {2 * DIGEST_BYTES} hexadecimal digits, found {digest!r}"]


@dataclass(frozen=True, kw_only=True)
class StoreMetadata:
    """Attribute ``freqcache`` of the root group.

    Attributes
    ----------
    id : str
        32 hexadecimal digits; a digest of the content, so equal stores have equal ids.
    kind : str
        ``"native"`` or ``"fixed"``.
    splits, classes : tuple of str
        Names of the split groups; names of the classes, by label.
    creator : str
        Software and version that wrote the store.
    options : dict
        The options of the build, for people and for repetition.
    channels : ChannelMask
        The channels that are stored: all 192 in an ordinary store.
    metadata_digest : str or None
        Of all metadata of the store: :func:`freqcache_formats.canonical.metadata_digest`. Stores of version 1.0 may
        have none.
    """

    id: str
    kind: str
    splits: tuple[str, ...]
    classes: tuple[str, ...]
    creator: str
    options: Mapping[str, Any]
    channels: ChannelMask = _EVERY_CHANNEL
    metadata_digest: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the attribute's JSON."""
        return {
            "version": FORMAT_VERSION,
            "complete": True,
            "id": self.id,
            "kind": self.kind,
            "splits": list(self.splits),
            "classes": list(self.classes),
            "channels": [list(channel) for channel in self.channels.channels],
            "order": "zigzag",
            "block_size": BLOCK_SIZE,
            "level_shift": LEVEL_SHIFT,
            "dct": _DCT,
            "color_space": _COLOR_SPACE,
            "creator": self.creator,
            "options": dict(self.options),
        } | ({} if self.metadata_digest is None else {METADATA_DIGEST: self.metadata_digest})

    @classmethod
    def from_dict(cls, document: object) -> StoreMetadata:
        """Return the metadata of an attribute's JSON.

        Raises
        ------
        FormatError
            If the version is unknown, or listing every other problem.
        """
        if not isinstance(document, dict):
            msg = f"expected an object of store attributes, found {type(document).__name__}"
            raise FormatError(msg)
        check_version(document)
        problems = []
        if document.get("complete") is not True:
            problems.append("complete: expected true (the build did not finish)")
        if document.get("kind") not in KINDS:
            problems.append(f"kind: expected one of {', '.join(KINDS)}, found {document.get('kind')!r}")
        problems += [f"{key}: expected a string" for key in ("id", "creator") if not isinstance(document.get(key), str)]
        problems += [
            f"{key}: expected a non-empty list of strings"
            for key in ("splits", "classes")
            if not _is_names(document.get(key))
        ]
        if _is_names(document.get("splits")) and not all(map(_SPLIT_NAME.fullmatch, document["splits"])):
            problems.append(f"splits: expected names of letters, digits, - and _, found {document['splits']}")
        if _is_names(document.get("splits")) and HOT in document["splits"]:
            problems.append(f"splits: the name {HOT!r} is the hot copy's")
        stored = read_channel_table(document.get("channels"))
        if not stored:
            problems.append("channels: expected the 192 channels in storage order, or some of them")
        elif len(stored) < N_CHANNELS and document["version"] == _ALL_CHANNELS_ONLY:
            problems.append(f"channels: a store of version {_ALL_CHANNELS_ONLY} has 192, found {len(stored)}")
        if not isinstance(document.get("options"), dict):
            problems.append("options: expected an object")
        problems += check_digest(document)
        if problems:
            raise FormatError("store attributes: " + "; ".join(problems))
        return cls(
            id=document["id"],
            kind=document["kind"],
            splits=tuple(document["splits"]),
            classes=tuple(document["classes"]),
            creator=document["creator"],
            options=document["options"],
            channels=_EVERY_CHANNEL if len(stored) == N_CHANNELS else ChannelMask.of(stored, name="stored"),
            metadata_digest=document.get(METADATA_DIGEST),
        )


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Statistics of the dequantized coefficients of a split, per stored channel in storage order.

    Attributes
    ----------
    mean, std : (channels,) float64
        Over every coefficient of every sample: the true mean and deviation.
    std_of_means : (channels,) float64
        Deviation over samples of each sample's spatial mean: what DCTNet publishes as "std".
    minimum, maximum : (channels,) float64
        Range.
    zero_fraction : (channels,) float64
        Share of coefficients that are zero.
    count : (channels,) float64
        Coefficients counted (grayscale samples of a native split have no chroma to count).
    """

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]
    std_of_means: npt.NDArray[np.float64]
    minimum: npt.NDArray[np.float64]
    maximum: npt.NDArray[np.float64]
    zero_fraction: npt.NDArray[np.float64]
    count: npt.NDArray[np.float64]

    def to_dict(self) -> dict[str, list[float]]:
        """Return the JSON: one list of numbers a statistic."""
        return {name: getattr(self, name).tolist() for name in STATISTICS}

    def of_all(self, stored: ChannelMask) -> Statistics:
        """Return these, of the channels of `stored`, as statistics of all 192: NaN for the others, and a count of 0."""
        whole = {name: np.full(N_CHANNELS, 0.0 if name == "count" else np.nan) for name in STATISTICS}
        for name, values in whole.items():
            values[stored.indices] = getattr(self, name)
        return Statistics(**whole)

    @classmethod
    def from_dict(cls, document: object, n_channels: int = N_CHANNELS) -> Statistics:
        """Return the statistics of their JSON.

        Raises
        ------
        FormatError
            If a list is missing or is not `n_channels` finite numbers.
        """
        if not isinstance(document, dict):
            msg = f"statistics: expected an object, found {type(document).__name__}"
            raise FormatError(msg)
        values: dict[str, npt.NDArray[np.float64]] = {}
        for name in STATISTICS:
            try:
                values[name] = np.array(document[name], dtype=np.float64)
            except (KeyError, TypeError, ValueError) as error:
                msg = f"statistics.{name}: expected {n_channels} numbers"
                raise FormatError(msg) from error
            if values[name].shape != (n_channels,) or not np.isfinite(values[name]).all():
                msg = f"statistics.{name}: expected {n_channels} finite numbers"
                raise FormatError(msg)
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class SplitMetadata:
    """Attribute ``freqcache`` of a split's group.

    Attributes
    ----------
    slots : int
        Length of every per-sample array.
    samples : int
        Slots that hold a sample; the others are absent (label -1).
    statistics : Statistics
        Of this split's coefficients, of the stored channels.
    """

    slots: int
    samples: int
    statistics: Statistics

    def to_dict(self) -> dict[str, Any]:
        """Return the attribute's JSON."""
        return {"slots": self.slots, "samples": self.samples, "statistics": self.statistics.to_dict()}

    @classmethod
    def from_dict(cls, document: object, n_channels: int = N_CHANNELS) -> SplitMetadata:
        """Return the metadata of an attribute's JSON, in a store of `n_channels` channels.

        Raises
        ------
        FormatError
            If something is missing or of the wrong type.
        """
        if not isinstance(document, dict):
            msg = f"expected an object of split attributes, found {type(document).__name__}"
            raise FormatError(msg)
        for key in ("slots", "samples"):
            if type(document.get(key)) is not int or document[key] < 0:
                msg = f"split attributes: {key}: expected a whole number, found {document.get(key)!r}"
                raise FormatError(msg)
        return cls(
            slots=document["slots"],
            samples=document["samples"],
            statistics=Statistics.from_dict(document.get("statistics"), n_channels),
        )


def _is_names(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)
