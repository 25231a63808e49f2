"""The state of an unfinished build, kept inside the store until it is complete.

``OUT.zarr/.build/`` holds a lock, the fingerprint of what is being built, and a record for every finished shard.
A second run of the same build finds the records and does only what is missing; a build of anything else is
refused. The root ``zarr.json`` is written last, so an unfinished store is no Zarr group that anything could read.

Nothing is ever removed but what a build of this project made: a folder counts as such by its root metadata or by
its journal's state, and only the names that builds use are cleared.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from freqcache.errors import BuildError, StoreError
from freqcache.sources import SPLITS
from freqcache.store.attributes import read_attributes
from freqcache.store.durable import sync_folder
from freqcache.store.places import LocalPlace
from freqcache_formats.hot import HOT

_FOLDER: Final = ".build"
_FORMAT: Final = "freqcache-build"
_ROOT: Final = "zarr.json"


class Journal:
    """Holds the lock on a store under construction, and knows what of it is done.

    Parameters
    ----------
    store : Path
        Where the store will stand.
    fingerprint : str
        Of the source and the options, from :func:`freqcache.building.plan.fingerprint`.
    overwrite : bool
        Replace a store that stands there, finished or not. An unfinished build with the same fingerprint is
        finished all the same.

    Raises
    ------
    BuildError
        On entering, if something stands there that this build must not touch, or another build holds the lock.
    """

    def __init__(self, store: Path, fingerprint: str, *, overwrite: bool) -> None:
        self.store = store
        self.folder = store / _FOLDER
        self._fingerprint = fingerprint
        self._overwrite = overwrite
        self._lock = -1

    def __enter__(self) -> Self:
        try:
            self._check()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._acquire()
            self._clear_or_resume()
            self._write_state()
        except BuildError:
            self._release()
            raise
        except OSError as error:
            self._release()
            msg = f"{self.store}: cannot be written: {error.strerror}"
            raise BuildError(msg) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def record(self, split: str, shard: int) -> Path:
        """Return the path of a shard's record: it exists once the shard is done."""
        return self.folder / f"{split}-{shard:06}.npz"

    def finish(self) -> None:
        """Remove the journal of a complete store."""
        shutil.rmtree(self.folder)
        sync_folder(self.store)

    def discard(self) -> None:
        """Remove what was built so far, as if the build had never begun."""
        self._clear()
        shutil.rmtree(self.folder)
        if not any(self.store.iterdir()):
            self.store.rmdir()

    def _check(self) -> None:
        """Refuse what is not ours, and a complete store that nobody asked to replace."""
        if not self.store.exists():
            return
        if not self.store.is_dir():
            msg = f"{self.store}: exists and is not a freqcache store; it is left alone"
            raise BuildError(msg)
        if self._is_complete():
            if not self._overwrite:
                self._remove_leftovers()
                msg = f"{self.store}: exists and is complete; --overwrite replaces it"
                raise BuildError(msg)
            return
        names = {path.name for path in self.store.iterdir()}
        begun = names <= {_FOLDER} and {path.name for path in self.folder.glob("*")} <= {"lock", "state.json.partial"}
        if not begun and self._state() is None:
            msg = f"{self.store}: exists and is not a freqcache store; it is left alone"
            raise BuildError(msg)

    def _remove_leftovers(self) -> None:
        """Remove the journal of a build that was killed between its last act, the root metadata, and this."""
        ours = ("lock", "state.json", "state.json.partial")
        if self.folder.is_dir() and all(p.name in ours or ".npz" in p.name for p in self.folder.iterdir()):
            self._acquire()
            shutil.rmtree(self.folder)
            self._release()

    def _is_complete(self) -> bool:
        return _is_complete(self.store)

    def _state(self) -> str | None:
        """Return the fingerprint of the build that stands there, None if there is none."""
        return _state(self.folder)

    def _write_state(self) -> None:
        partial = self.folder / "state.json.partial"
        with partial.open("w", encoding="utf-8") as file:
            json.dump({"format": _FORMAT, "fingerprint": self._fingerprint}, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.folder / "state.json")

    def _acquire(self) -> None:
        self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            # The kernel drops the lock with the process, however it dies: no stale lock can stay behind.
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"{self.store}: another build is writing this store"
            raise BuildError(msg) from None

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _clear_or_resume(self) -> None:
        before, complete = self._state(), self._is_complete()
        if before == self._fingerprint and not complete:
            return
        if before is not None and not complete and not self._overwrite:
            msg = (
                f"{self.store}: holds an unfinished build of other files or with other options; "
                "repeat that one to finish it, or --overwrite to start again"
            )
            raise BuildError(msg)
        self._clear()

    def _clear(self) -> None:
        """Remove what builds make, and nothing else."""
        (self.store / _ROOT).unlink(missing_ok=True)  # first: what is half removed must not look complete
        hot = self.store / HOT
        folders = [self.store / split for split in SPLITS]
        if _is_complete(hot) or _state(hot / _FOLDER) is not None:
            folders.append(hot)
        for folder in folders:
            if folder.is_dir():
                shutil.rmtree(folder)
        for leftover in (*self.store.glob("*.partial"), *self.folder.glob("*.npz*"), *self.folder.glob("state.json")):
            leftover.unlink()


def _is_complete(store: Path) -> bool:
    """Whether a complete store, or a complete hot copy, stands there."""
    try:
        read_attributes(LocalPlace(store))
    except StoreError:
        return False
    return True


def _state(journal: Path) -> str | None:
    """Return the fingerprint in a journal's folder, None if there is none."""
    try:
        state = json.loads((journal / "state.json").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return None
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        return None
    fingerprint = state.get("fingerprint")
    return fingerprint if isinstance(fingerprint, str) else None
