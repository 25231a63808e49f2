"""The ledger beside a store: a line of JSON for each file that did not become a good sample.

It is written by a build, and read by whoever tells, checks or plans. What an unreadable one means, they decide.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from freqcache.building.options import LedgerEntry
from freqcache.building.placing import target_of
from freqcache.remote import is_url
from freqcache.store.targets import Target


def ledger_name(store: Target) -> str:
    """Return the name of a store's ledger, which lies beside it."""
    return f"{store.name}.ledger.jsonl"


def ledger_owner(path: str | Path) -> Target | None:
    """Return the store whose ledger is that of the store at a path or URL; None where nothing can lie beside it.

    Users zip a store when it is built, and its ledger stays where it was: ``OUT.zarr.zip`` and ``OUT.zip`` have that of
    ``OUT.zarr``, unless there is one of their own name.
    """
    if "::" in str(path):  # a chain of file systems
        return None
    target = target_of(str(path) if is_url(path) else Path(path).absolute())
    if not target.name.endswith(".zip"):
        return target
    stem = target.name.removesuffix(".zip")
    owners = [target, *(target.parent / name for name in dict.fromkeys((stem, f"{stem.removesuffix('.zarr')}.zarr")))]
    return next((owner for owner in owners if owner.parent.exists(ledger_name(owner))), target)


def write_ledger(store: Target, entries: Sequence[LedgerEntry]) -> Path | str | None:
    """Write the ledger of a store and return its location; without entries remove an older one and return None."""
    folder, name = store.parent, ledger_name(store)
    folder.remove_partials(name)
    if not entries:
        folder.remove(name)
        return None
    lines = [json.dumps(entry.to_dict(), ensure_ascii=True) for entry in entries]
    folder.write(name, ("\n".join(lines) + "\n").encode())
    return (folder / name).location


def read_ledger(store: Target) -> Iterator[LedgerEntry]:
    """Yield the entries of the ledger of a store.

    Raises
    ------
    FileNotFoundError
        If there is none.
    OSError
        If it cannot be read.
    ValueError
        If a line is no entry, with its number.
    """
    lines = store.parent.read(ledger_name(store)).splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            yield LedgerEntry(**{name: entry[name] for name in ("path", "split", "reason", "kept")})
        except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
            msg = f"line {number} is no entry of a ledger: {error}"
            raise ValueError(msg) from error
