"""The ledger beside a store: a line of JSON for each file that did not become a good sample.

It is written by a build, and read by whoever tells, checks or plans. What an unreadable one means, they decide.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from freqcache.building.options import LedgerEntry
from freqcache.store.durable import write_durably


def ledger_path(store: Path) -> Path:
    """Return where the ledger of a store lies."""
    return store.with_name(store.name + ".ledger.jsonl")


def write_ledger(store: Path, entries: Sequence[LedgerEntry]) -> Path | None:
    """Write the ledger of a store and return its path; without entries remove an older one and return None."""
    path = ledger_path(store)
    for leftover in path.parent.glob(f"{glob.escape(path.name)}.*.partial"):  # of a run killed just here
        leftover.unlink()
    if not entries:
        path.unlink(missing_ok=True)
        return None
    lines = [json.dumps(entry.to_dict(), ensure_ascii=True) for entry in entries]
    write_durably(path, ("\n".join(lines) + "\n").encode())
    return path


def read_ledger(store: Path) -> Iterator[LedgerEntry]:
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
    number = 0
    try:
        with ledger_path(store).open(encoding="utf-8") as file:
            for line in file:
                number += 1
                entry = json.loads(line)
                yield LedgerEntry(**{name: entry[name] for name in ("path", "split", "reason", "kept")})
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        msg = f"line {number} is no entry of a ledger: {error}"
        raise ValueError(msg) from error
