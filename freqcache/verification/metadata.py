"""Attributes of this format's groups: no key that they do not have, their fixed values, and the digest of all metadata.

Source: ``formats/v1/spec.md``, sections 3, 8 and 9.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from freqcache.verification.documents import Documents
from freqcache.verification.findings import Findings
from freqcache_formats.canonical import METADATA_DIGEST, ROOT_DOCUMENT, metadata_digest
from freqcache_formats.layout import FORMAT_VERSION, HOT

_SEALED_SINCE: Final = 1
"""First minor version whose stores must have a digest of their metadata."""


def check_keys(findings: Findings, file: str, attributes: Mapping[str, Any], schema: str) -> None:
    """Check that attributes have no key that their JSON schema does not name, and the constants that it does."""
    document = json.loads((files("freqcache_formats") / "schemas" / schema).read_text(encoding="utf-8"))
    properties = document["properties"]
    for key in sorted(set(document["required"]) - attributes.keys()):
        findings.add(key, file, f"{key}: missing")
    for key in sorted(attributes.keys() - properties.keys()):
        findings.add("attributes", file, f"{key}: an attribute that format {FORMAT_VERSION} does not have")
    for key, rule in properties.items():
        if key not in attributes:
            continue
        if "const" in rule and attributes[key] != rule["const"]:
            findings.add(key, file, f"{key}: expected {rule['const']!r}, found {attributes[key]!r}")
        elif rule.get("type") == "string" and not isinstance(attributes[key], str):
            findings.add(key, file, f"{key}: expected a string, found {attributes[key]!r}")


def check_version(findings: Findings, file: str, version: str) -> None:
    """Check that a version, of a known major number, is one all of whose parts are known."""
    if _minor(version) is None:
        findings.add("version", file, f"version: expected 1.x, found {version!r}")
    elif (_minor(version) or 0) > (_minor(FORMAT_VERSION) or 0):
        reason = f"version {version} may hold what this release does not know; it checks up to {FORMAT_VERSION}"
        findings.add("version", file, reason)


def check_metadata_digest(documents: Documents, folder: str, attributes: Mapping[str, Any]) -> None:
    """Compare the digest of all metadata of a store (`folder` is empty) or of a hot copy with what was read."""
    prefix = f"{folder}/" if folder else ""
    file, findings = f"{prefix}{ROOT_DOCUMENT}", documents.findings
    recorded = attributes.get(METADATA_DIGEST)
    if recorded is None:
        if (_minor(attributes["version"]) or 0) >= _SEALED_SINCE:
            findings.add(
                "metadata", file, f"{METADATA_DIGEST}: missing, which version {attributes['version']} must have"
            )
        else:
            findings.notes.append(
                f"{file}: has no {METADATA_DIGEST} (an older store): whether texts in its zarr.json files were changed "
                "could not be checked"
            )
        return
    apart = () if folder else (f"{HOT}/",)  # the hot copy has a digest of its own
    mine = {
        path.removeprefix(prefix): document
        for path, document in documents.by_path.items()
        if path.startswith(prefix) and not path.startswith(apart)
    }
    try:
        found = metadata_digest(mine)
    except (ValueError, RecursionError) as error:
        findings.add("metadata", file, f"{METADATA_DIGEST}: cannot be computed: {error}")
        return
    if found != recorded:
        reason = f"{METADATA_DIGEST}: some zarr.json is not what was written: digest {found}, expected {recorded}"
        findings.add("metadata", file, reason)


def _minor(version: str) -> int | None:
    """Return the minor number of a version; None if it has none."""
    parts = version.split(".")
    return int(parts[1]) if len(parts) == 2 and parts[1].isascii() and parts[1].isdigit() else None
