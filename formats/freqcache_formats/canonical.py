"""JSON in one spelling, and the digest of a store's metadata that is taken over it; section 8 of the specification.

What two JSON texts of the same content may differ in (white space, order of keys, spelling of numbers and strings) is
gone here, so that the digest holds for a store that was copied by any tool that keeps its content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from freqcache_formats.layout import ATTRIBUTE, DIGEST_BYTES

METADATA_DIGEST: Final = "metadata_digest"
"""Key of the digest in the attributes of a store's root and of a hot copy's."""

ROOT_DOCUMENT: Final = "zarr.json"
"""Path of the document that holds the digest."""


def canonical_json(value: Any) -> bytes:
    r"""Return the one spelling of a JSON value, as ASCII.

    Keys are sorted by their code points; there is no white space. Strings escape what is not printable ASCII, as
    ``\uXXXX`` in lower case or by their short names. A number is an integer as it was written in digits alone, or the
    shortest decimal that reads back as the same float64, as Python spells it.

    Raises
    ------
    ValueError
        For numbers that JSON does not have (infinite, not a number).
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def metadata_digest(documents: Mapping[str, Any]) -> str:
    """Return the digest of the metadata of a store, or of a hot copy.

    Parameters
    ----------
    documents : dict of str to JSON value
        The content of each ``zarr.json``, by its path inside the store. A digest in the attributes of the root's own
        (path ``zarr.json``) does not count.

    Returns
    -------
    str
        32 hexadecimal digits: BLAKE2b-128 of the canonical JSON of the object of all documents.

    Raises
    ------
    ValueError
        As :func:`canonical_json`.
    """
    root = documents[ROOT_DOCUMENT]
    own = {key: value for key, value in root["attributes"][ATTRIBUTE].items() if key != METADATA_DIGEST}
    bare = {**root, "attributes": {**root["attributes"], ATTRIBUTE: own}}
    content = canonical_json({**documents, ROOT_DOCUMENT: bare})
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()
