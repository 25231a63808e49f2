"""Reads the ledger beside a store: the files that did not become good samples, with their reasons."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from freqcache.building.ledger import ledger_name
from freqcache.building.ledger import read_ledger as read_entries
from freqcache.errors import StoreError
from freqcache.store.targets import Target


@dataclass(frozen=True, kw_only=True)
class LedgerReport:
    """What a ledger lists.

    Attributes
    ----------
    path : str
        The file.
    entries : int
        Files listed.
    kept : int
        Those that are in the store in spite of damage; the others are not.
    reasons : tuple of (str, int)
        Each reason and how many files have it, the most frequent first; in alphabetical order where equally many have.
    """

    path: str
    entries: int
    kept: int
    reasons: tuple[tuple[str, int], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON."""
        reasons = [{"reason": reason, "count": count} for reason, count in self.reasons]
        return {"path": self.path, "entries": self.entries, "kept": self.kept, "reasons": reasons}


def read_ledger(store: Target) -> LedgerReport | None:
    """Return what the ledger beside a store lists; None where there is none.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    path = store.parent / ledger_name(store)
    reasons: Counter[str] = Counter()
    kept = 0
    try:
        for entry in read_entries(store):
            reasons[str(entry.reason)] += 1
            kept += entry.kept is True
    except FileNotFoundError:
        return None
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise StoreError(msg) from error
    except ValueError as error:
        msg = f"{path}: {error}"
        raise StoreError(msg) from error
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return LedgerReport(path=str(path), entries=reasons.total(), kept=kept, reasons=tuple(ordered))
