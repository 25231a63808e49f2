"""The state of an unfinished build, kept inside the store until it is complete.

``OUT.zarr/.build/`` holds a lock, the fingerprint of what is being built, and a record for every finished shard.
A second run of the same build finds the records and does only what is missing; a build of anything else is
refused. The root ``zarr.json`` is written last, so an unfinished store is no Zarr group that anything could read.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from freqcache.errors import BuildError
from freqcache.store.shards import sync_folder

_FOLDER: Final = ".build"


class Journal:
    """Holds the lock on a store under construction, and knows what of it is done.

    Parameters
    ----------
    store : Path
        Where the store will stand.
    fingerprint : str
        Of the source and the options, from :func:`freqcache.building.plan.fingerprint`.
    overwrite : bool
        Remove whatever store, finished or not, stands there now.

    Raises
    ------
    BuildError
        If something stands there that this build must not touch, or another build holds the lock.
    """

    def __init__(self, store: Path, fingerprint: str, *, overwrite: bool) -> None:
        self.store = store
        self.folder = store / _FOLDER
        self._fingerprint = fingerprint
        self._overwrite = overwrite
        self._lock = -1

    def __enter__(self) -> Self:
        existed = self.store.exists()
        if existed and not _is_store(self.store):
            msg = f"{self.store}: exists and is not a freqcache store; it is left alone"
            raise BuildError(msg)
        if (self.store / "zarr.json").exists() and not self._overwrite:
            msg = f"{self.store}: exists and is complete; --overwrite replaces it"
            raise BuildError(msg)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._acquire()
            if existed:
                self._clear_or_resume()
            self._state_file.write_text(json.dumps({"fingerprint": self._fingerprint}), encoding="utf-8")
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
        """Remove the store under construction, as if the build had never begun."""
        shutil.rmtree(self.store)

    @property
    def _state_file(self) -> Path:
        return self.folder / "state.json"

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
        try:
            before = json.loads(self._state_file.read_text(encoding="utf-8"))["fingerprint"]
        except (FileNotFoundError, KeyError, json.JSONDecodeError):
            before = None
        if before == self._fingerprint and not (self.store / "zarr.json").exists() and not self._overwrite:
            return
        if before is not None and not self._overwrite:
            msg = (
                f"{self.store}: holds an unfinished build of other files or with other options; "
                "repeat that one to finish it, or --overwrite to start again"
            )
            raise BuildError(msg)
        (self.store / "zarr.json").unlink(missing_ok=True)  # first: what is half removed must not look complete
        for entry in [*self.store.iterdir(), *self.folder.iterdir()]:
            if entry.name in {_FOLDER, "lock"}:
                continue
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _is_store(path: Path) -> bool:
    """Whether `path` is a store, finished or under construction: nothing else is ever removed."""
    if not path.is_dir():
        return False
    if (path / _FOLDER).is_dir() or not any(path.iterdir()):
        return True
    try:
        document = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return False
    return isinstance(document, dict) and "freqcache" in document.get("attributes", {})
