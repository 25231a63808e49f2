"""The state of an unfinished build, kept inside the store until it is complete.

``OUT.zarr/.build/`` holds a lock, the fingerprint of what is being built, the layout of its shards, and a record for
every finished one. A second run of the same build finds the records and does only what is missing; a build of
anything else is refused. The root ``zarr.json`` is written last, so an unfinished store is no Zarr group that anything
could read.

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
from freqcache_formats.layout import HOT

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
    splits : tuple of str
        Splits that will be made, where they may have other names than a build's.

    Raises
    ------
    BuildError
        On entering, if something stands there that this build must not touch, or another build holds the lock.
    """

    def __init__(self, store: Path, fingerprint: str, *, overwrite: bool, splits: tuple[str, ...] = ()) -> None:
        self.store = store
        self.folder = store / _FOLDER
        self._fingerprint = fingerprint
        self._overwrite = overwrite
        self._splits = tuple(dict.fromkeys((*SPLITS, *splits)))
        self._lock = -1

    def __enter__(self) -> Self:
        try:
            self._check()
            self.folder.mkdir(parents=True, exist_ok=True)
            sync_folder(self.store.parent)
            self._acquire()
            self._clear_or_resume()
        except OSError as error:
            self._release()
            msg = f"{self.store}: cannot be written: {error.strerror}"
            raise BuildError(msg) from error
        except BaseException:  # Ctrl-C too: this process may want to build here again
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def record(self, split: str, shard: int) -> Path:
        """Return the path of a shard's record: it exists once the shard is done."""
        return self.folder / f"{split}-{shard:06}.npz"

    def keep_shards_of(self, layout: str) -> None:
        """Keep what earlier runs made of shards if they had the same layout, and clear it if they had another.

        Parameters
        ----------
        layout : str
            From :func:`freqcache.building.plan.layout`. No shard may be made before it is told.
        """
        if _state(self.folder, "layout") != layout:
            self._write_state()  # first: a worker of an earlier run that is still busy must see that it is too late
            self._clear()
            self._write_state(layout)

    def finish(self) -> None:
        """Remove the journal of a complete store."""
        (self.folder / "state.json").unlink()  # first: a worker that is late must find no build to write for
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
        if not self._overwrite and self.store.is_dir() and _is_complete(self.store):
            self._remove_leftovers()
        refuse_taken(self.store, overwrite=self._overwrite)

    def _remove_leftovers(self) -> None:
        """Remove the journal of a build that was killed between its last act, the root metadata, and this."""
        ours = ("lock", "state.json", "state.json.partial")
        if self.folder.is_dir() and all(p.name in ours or ".npz" in p.name for p in self.folder.iterdir()):
            self._acquire()
            shutil.rmtree(self.folder)
            self._release()

    def _write_state(self, layout: str | None = None) -> None:
        partial = self.folder / "state.json.partial"
        with partial.open("w", encoding="utf-8") as file:
            json.dump({"format": _FORMAT, "fingerprint": self._fingerprint, "layout": layout}, file)
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
        before, complete = _state(self.folder), _is_complete(self.store)
        if before == self._fingerprint and not complete:
            self._remove_partials()
            return
        if before is not None and not complete and not self._overwrite:
            msg = (
                f"{self.store}: holds an unfinished build of other files or with other options; "
                "repeat that one to finish it, or --overwrite to start again"
            )
            raise BuildError(msg)
        self._write_state()  # first: a store that is being removed must still be known as a build's
        self._clear()

    def _remove_partials(self) -> None:
        """Remove the temporary files of runs that were killed: on a full disk, this run needs their place."""
        folders = [self.store / split for split in self._splits if (self.store / split).is_dir()]
        leftovers = [path for folder in folders for path in folder.rglob("*.partial")]
        for path in (*leftovers, *self.store.glob("*.partial"), *self.folder.glob("*.npz.*.partial")):
            path.unlink(missing_ok=True)  # a worker that has not yet noticed its parent's end may move it away

    def _clear(self) -> None:
        """Remove what builds make but the state and the lock, and nothing else."""
        (self.store / _ROOT).unlink(missing_ok=True)  # first: what is half removed must not look complete
        for split in self._splits:
            if (self.store / split).is_dir():
                shutil.rmtree(self.store / split)
        _remove_hot_copy(self.store / HOT)
        for leftover in (*self.store.glob("*.partial"), *self.folder.glob("*.npz*")):
            leftover.unlink(missing_ok=True)


def present_fingerprint(store: Path) -> str | None:
    """Return the fingerprint of the build that is going on in a store, None if none is; whoever builds."""
    return _state(store / _FOLDER)


def present_layout(store: Path) -> str | None:
    """Return the layout of the build that is going on in a store, None if there is none (yet); whoever builds."""
    return _state(store / _FOLDER, "layout")


def refuse_taken(store: Path, *, overwrite: bool) -> None:
    """Refuse to build where something stands that no build made, or a complete store that nobody asked to replace.

    Raises
    ------
    BuildError
        If that is so.
    """
    try:
        if not store.exists():
            return
        complete = store.is_dir() and _is_complete(store)
        ours = complete or (store.is_dir() and (_is_begun(store) or _state(store / _FOLDER) is not None))
    except OSError as error:
        msg = f"{store}: cannot be written: {error.strerror}"
        raise BuildError(msg) from error
    if not ours:
        msg = f"{store}: exists and is not a freqcache store; it is left alone"
        raise BuildError(msg)
    if complete and not overwrite:
        msg = f"{store}: exists and is complete; --overwrite replaces it"
        raise BuildError(msg)


def _remove_hot_copy(hot: Path) -> None:
    """Remove a hot copy, finished or not; what it is known by goes last, so that a rest of it is known as well."""
    if not hot.is_dir() or not (_is_complete(hot) or _state(hot / _FOLDER) is not None or _is_begun(hot)):
        return
    for path in [*hot.iterdir(), *(hot / _FOLDER).glob("*.npz*")]:
        if path.name in {_ROOT, _FOLDER}:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    (hot / _ROOT).unlink(missing_ok=True)
    shutil.rmtree(hot)


def _is_begun(store: Path) -> bool:
    """Whether nothing stands in a folder but what a build makes before its state, or removes after it."""
    names = {path.name for path in store.iterdir()}
    return names <= {_FOLDER} and {path.name for path in (store / _FOLDER).glob("*")} <= {"lock", "state.json.partial"}


def _is_complete(store: Path) -> bool:
    """Whether a complete store, or a complete hot copy, stands there."""
    try:
        read_attributes(LocalPlace(store))
    except StoreError:
        return False
    return True


def _state(journal: Path, key: str = "fingerprint") -> str | None:
    """Return a word of the state in a journal's folder, None if there is none."""
    try:
        state = json.loads((journal / "state.json").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        return None
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        return None
    value = state.get(key)
    return value if isinstance(value, str) else None
