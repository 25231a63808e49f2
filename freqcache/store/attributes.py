"""Reads this format's attribute of a Zarr v3 group, without zarr: opening a store must cost one small file."""

from __future__ import annotations

import json

from freqcache.errors import StoreError
from freqcache.store.places import Place
from freqcache_formats.layout import ATTRIBUTE


def read_attributes(group: Place) -> object:
    """Return this format's attribute of a Zarr v3 group, as JSON.

    Raises
    ------
    StoreError
        If there is no such group, or it is not of this format.
    """
    try:
        document = json.loads(group.read("zarr.json"))
        node, attributes = document["node_type"], document["attributes"]
    except (StoreError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        msg = f"{group}: not a freqcache store (no readable Zarr v3 group: {error})"
        raise StoreError(msg) from error
    if node != "group" or not isinstance(attributes, dict) or ATTRIBUTE not in attributes:
        msg = f"{group}: a Zarr {node}, but not a freqcache store (no attribute {ATTRIBUTE!r})"
        raise StoreError(msg)
    return attributes[ATTRIBUTE]
