"""Images that a program hands over, instead of files that lie somewhere: any iterable of :class:`Item`.

They are consumed once, in order, and copied into a spool; from there on they are a source as any other.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import xxhash

from freqcache.errors import BuildError
from freqcache.progress import progress
from freqcache.sources.assembly import Entry, Listing, assemble, split_named
from freqcache.sources.names import check_class_names, fault_of_path
from freqcache.sources.repeats import Names
from freqcache.sources.spool import Spool
from freqcache.sources.tree import SPLIT_NAMES, UNSPLIT, SourceTree


@dataclass(frozen=True, kw_only=True)
class Item:
    """One image for :func:`freqcache.build`.

    Attributes
    ----------
    data : bytes
        The bytes of an image file, JPEG for preference: never pixels.
    label : str or int
        The name of its class; a number is a name too.
    split : str, optional
        ``"train"``, ``"val"`` or ``"test"``: for all items or for none.
    name : str, optional
        Its name in the store and the ledger, different for each item. The number of the item by default, nine digits.
        With shuffling, the name also decides the item's place in the store.
    """

    data: bytes | bytearray | memoryview
    label: str | int
    split: str | None = None
    name: str | None = None


def spool_items(items: Iterable[Item], spool: Spool, *, quiet: bool) -> SourceTree:
    """Consume an iterable into a spool; return the tree of its items.

    What the iterable itself raises is passed on.

    Raises
    ------
    BuildError
        If it is no iterable, is empty, or holds anything but sound items with different names; or if the spool cannot
        be written.
    """
    try:
        iterator = iter(items)
    except TypeError:
        msg = f"source: expected a path or an iterable of freqcache.Item, found {type(items).__name__}"
        raise BuildError(msg) from None
    scratch = spool.path.parent
    listing, names = Listing(scratch), Names(scratch)
    content = xxhash.xxh3_128()
    with progress(operator.length_hint(items), "spooling", quiet=quiet) as bar:
        for number, item in enumerate(iterator):
            name, label, split = _checked(item, number)
            if names.add(name, number) is not None:
                raise _twice(number, name)
            if split not in listing.splits and listing.splits and UNSPLIT in (split, *listing.splits):
                msg = f"item {number}: some items have a split and others have none"
                raise BuildError(msg)
            data = bytes(item.data)
            content.update(len(data).to_bytes(8, "little"))
            content.update(data)
            entry = Entry(name, label, len(data), 0, spool.path.name, spool.append(data))
            listing.add(split, entry)
            bar.update(1)
    if not listing.splits:
        msg = "source: the iterable is empty; expected items"
        raise BuildError(msg)
    repeat = names.repeat()
    if repeat is not None:
        raise _twice(repeat.second, repeat.name)
    spool.flush()
    return assemble(Path("items"), spool.reader, listing, identity=content.hexdigest())


def _twice(number: int, name: str) -> BuildError:
    return BuildError(f"item {number}: the name {name!r} is that of an item before")


def _checked(item: Any, number: int) -> tuple[str, str, str]:
    """Return the name, the class and the split of an item."""
    where = f"item {number}"
    if not isinstance(item, Item):
        msg = f"{where}: expected a freqcache.Item, found {type(item).__name__}"
        raise BuildError(msg)
    data: Any = item.data
    if not isinstance(data, (bytes, bytearray, memoryview)):
        msg = f"{where}: data: expected the bytes of an image file, found {type(data).__name__}"
        raise BuildError(msg)
    if isinstance(item.label, bool) or not isinstance(item.label, (str, Integral)):
        msg = f"{where}: label: expected the name of a class or a number, found {item.label!r:.60}"
        raise BuildError(msg)
    label = str(item.label).strip()
    if not label:
        msg = f"{where}: label: expected the name of a class, found an empty one"
        raise BuildError(msg)
    check_class_names([label], where)  # now: the iterable may be long
    name = f"{number:09}" if item.name is None else item.name
    if type(name) is not str or not name:
        msg = f"{where}: name: expected some text, found {name!r:.60}"
        raise BuildError(msg)
    if fault := fault_of_path(name):
        msg = f"{where}: name: {name!r:.60} {fault}"
        raise BuildError(msg)
    split = UNSPLIT if item.split is None else split_named(str(item.split))
    if split is None:
        msg = f"{where}: unknown split {item.split!r:.60}; expected one of {', '.join(SPLIT_NAMES)}"
        raise BuildError(msg)
    return name, label, split
