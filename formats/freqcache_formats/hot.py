"""The attribute of a hot copy's group, as a dataclass with a JSON edge; section 11 of the specification.

The JSON schema is ``schemas/hot.schema.json``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from freqcache_formats.canonical import METADATA_DIGEST
from freqcache_formats.channels import read_channel_table
from freqcache_formats.errors import FormatError
from freqcache_formats.layout import FORMAT_VERSION, HOT, coefficient_arrays
from freqcache_formats.mask import ChannelMask
from freqcache_formats.metadata import check_digest, check_version

CHECKSUM: Final = "checksum"
"""Array of a hot split: CRC-32C of each channel of each sample, (slots, channels) uint32."""

START: Final = "start"
"""Array of a native store's hot split: first element of each sample in each component's array, (slots, 3) int64."""


def hot_arrays(kind: str) -> tuple[str, ...]:
    """Return the names of the arrays that a hot split of a kind of store can have."""
    return (CHECKSUM, *coefficient_arrays(kind), *((START,) if kind == "native" else ()))


@dataclass(frozen=True, kw_only=True)
class HotMetadata:
    """Attribute ``freqcache`` of a hot copy's group.

    Attributes
    ----------
    of : str
        Id of the store that it is a copy of.
    channels : ChannelMask
        The channels it holds.
    creator : str
        Software and version that wrote it.
    metadata_digest : str or None
        Of all metadata of the copy: :func:`freqcache_formats.canonical.metadata_digest`.
    """

    of: str
    channels: ChannelMask
    creator: str
    metadata_digest: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the attribute's JSON."""
        return {
            "version": FORMAT_VERSION,
            "complete": True,
            "kind": HOT,
            "of": self.of,
            "channels": [list(channel) for channel in self.channels.channels],
            "creator": self.creator,
        } | ({} if self.metadata_digest is None else {METADATA_DIGEST: self.metadata_digest})

    @classmethod
    def from_dict(cls, document: object) -> HotMetadata:
        """Return the metadata of an attribute's JSON.

        Raises
        ------
        FormatError
            If it is not that of a complete hot copy of a known version.
        """
        if not isinstance(document, dict):
            msg = f"expected an object of attributes, found {type(document).__name__}"
            raise FormatError(msg)
        check_version(document)
        held = read_channel_table(document.get("channels"))
        problems = []
        if document.get("kind") != HOT or document.get("complete") is not True:
            problems.append("expected a complete group of kind hot")
        if not held:
            problems.append("channels: expected some of the 192 in storage order")
        problems += [f"{key}: expected a string" for key in ("of", "creator") if not isinstance(document.get(key), str)]
        problems += check_digest(document)
        if problems:
            raise FormatError("hot copy: " + "; ".join(problems))
        return cls(
            of=document["of"],
            channels=ChannelMask.of(held, name=HOT),
            creator=document["creator"],
            metadata_digest=document.get(METADATA_DIGEST),
        )
