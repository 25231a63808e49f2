"""The state of an unfinished build, kept inside the store until it is complete.

``OUT.zarr/.build/`` holds a lock (on a local disk), the fingerprint of what is being built, the layout of its shards,
and a record for every finished one. A second run of the same build finds the records and does only what is missing; a
build of anything else is refused. The root ``zarr.json`` is written last, so an unfinished store is no Zarr group that
anything could read.

Nothing is ever removed but what a build of this project made: a folder counts as such by its root metadata or by
its journal's state, and only the names that builds use are cleared.
"""

from __future__ import annotations

import json
from types import TracebackType
from typing import Final, Self

from freqcache.errors import BuildError, StoreError
from freqcache.sources import SPLITS
from freqcache.store.attributes import read_attributes
from freqcache.store.durable import PARTIAL
from freqcache.store.targets import Lock, Target
from freqcache_formats.canonical import ROOT_DOCUMENT
from freqcache_formats.layout import HOT

_FOLDER: Final = ".build"
_FORMAT: Final = "freqcache-build"
_LOCK: Final = "lock"
_STATE: Final = "state.json"


class Journal:
    """Holds the lock on a store under construction, and knows what of it is done.

    Parameters
    ----------
    store : Target
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

    Notes
    -----
    Object stores have no locks. Two runs of one build that write to a URL at the same time write the same bytes, and
    the one that finishes first may end the other; of two different builds, the later one ends the earlier, which looks
    at the state before each shard and before the root is written. What happens in the moment between looking and
    writing is not seen.
    """

    def __init__(self, store: Target, fingerprint: str, *, overwrite: bool, splits: tuple[str, ...] = ()) -> None:
        self.store = store
        self._folder = store / _FOLDER
        self._fingerprint = fingerprint
        self._overwrite = overwrite
        self._splits = tuple(dict.fromkeys((*SPLITS, *splits)))
        self._lock: Lock | None = None

    def __enter__(self) -> Self:
        try:
            self._check()
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

    def record(self, split: str, shard: int) -> str:
        """Return the key of a shard's record in the store: it exists once the shard is done."""
        return f"{_FOLDER}/{split}-{shard:06}.npz"

    def records(self) -> set[str]:
        """Return the keys of the records that are there."""
        return {f"{_FOLDER}/{name}" for name in self._folder.names() if name.endswith(".npz")}

    def keep_shards_of(self, layout: str) -> None:
        """Keep what earlier runs made of shards if they had the same layout, and clear it if they had another.

        Parameters
        ----------
        layout : str
            From :func:`freqcache.building.plan.layout`. No shard may be made before it is told.

        Raises
        ------
        BuildError
            If another run has finished or replaced this build meanwhile.
        """
        self._confirm_is_ours()
        if _state(self.store, "layout") != layout:
            self._write_state()  # first: a worker of an earlier run that is still busy must see that it is too late
            self._clear()
            self._write_state(layout)

    def confirm(self, layout: str) -> None:
        """See that the build with this layout still goes on here, before what no lock guards is written.

        Raises
        ------
        BuildError
            If another run has finished or replaced it meanwhile.
        """
        self._confirm_is_ours()
        if _state(self.store, "layout") != layout:
            raise self._replaced()

    def _confirm_is_ours(self) -> None:
        if _state(self.store) == self._fingerprint:
            return
        if _is_complete(self.store):
            msg = f"{self.store}: another run has completed a store there meanwhile; it is left alone"
            raise BuildError(msg)
        raise self._replaced()

    def _replaced(self) -> BuildError:
        return BuildError(f"{self.store}: another build has taken this one's place meanwhile, or removed it")

    def finish(self) -> None:
        """Remove the journal of a complete store."""
        self._folder.remove(_STATE)  # first: a worker that is late must find no build to write for
        self._folder.remove_all()

    def discard(self) -> None:
        """Remove what was built so far, as if the build had never begun."""
        self._clear()
        self._folder.remove_all()
        if not self.store.names():
            self.store.remove_all()

    def _check(self) -> None:
        """Refuse what is not ours, and a complete store that nobody asked to replace."""
        if not self._overwrite and self.store.standing() == "folder" and _is_complete(self.store):
            self._remove_leftovers()
        refuse_taken(self.store, overwrite=self._overwrite)

    def _remove_leftovers(self) -> None:
        """Remove the journal of a build that was killed between its last act, the root metadata, and this."""
        names = self._folder.names()
        if names and all(name in {_LOCK, _STATE} or _is_partial_state(name) or ".npz" in name for name in names):
            self._acquire()
            self._folder.remove_all()
            self._release()

    def _write_state(self, layout: str | None = None) -> None:
        state = {"format": _FORMAT, "fingerprint": self._fingerprint, "layout": layout}
        self._folder.write(_STATE, json.dumps(state).encode())

    def _acquire(self) -> None:
        try:
            self._lock = self._folder.lock(_LOCK)
        except BlockingIOError:
            msg = f"{self.store}: another build is writing this store"
            raise BuildError(msg) from None

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _clear_or_resume(self) -> None:
        before, complete = _state(self.store), _is_complete(self.store)  # in this order: the root comes, the state goes
        if complete and not self._overwrite:  # another build has completed it since the first look
            self._folder.remove_all()
            refuse_taken(self.store, overwrite=False)
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
        for folder in (self._folder, *(self.store / split for split in self._splits)):
            folder.remove_partials()
        self.store.remove_partials(ROOT_DOCUMENT)

    def _clear(self) -> None:
        """Remove what builds make but the state and the lock, and nothing else."""
        self.store.remove(ROOT_DOCUMENT)  # first: what is half removed must not look complete
        there = self.store.names()
        for split in self._splits:
            if split in there:
                (self.store / split).remove_all()
        if HOT in there:
            _remove_hot_copy(self.store / HOT)
        self.store.remove_partials(ROOT_DOCUMENT)
        for name in self._folder.names():
            if ".npz" in name:
                self._folder.remove(name)


def present_fingerprint(store: Target) -> str | None:
    """Return the fingerprint of the build that is going on in a store, None if none is; whoever builds."""
    return _state(store)


def present_layout(store: Target) -> str | None:
    """Return the layout of the build that is going on in a store, None if there is none (yet); whoever builds."""
    return _state(store, "layout")


def refuse_taken(store: Target, *, overwrite: bool) -> None:
    """Refuse to build where something stands that no build made, or a complete store that nobody asked to replace.

    Raises
    ------
    BuildError
        If that is so.
    """
    try:
        standing = store.standing()
        if standing == "nothing":
            return
        complete = standing == "folder" and _is_complete(store)
        ours = complete or (standing == "folder" and (_is_begun(store) or _state(store) is not None))
    except OSError as error:
        msg = f"{store}: cannot be written: {error.strerror}"
        raise BuildError(msg) from error
    if not ours:
        msg = f"{store}: exists and is not a freqcache store; it is left alone"
        raise BuildError(msg)
    if complete and not overwrite:
        msg = f"{store}: exists and is complete; --overwrite replaces it"
        raise BuildError(msg)


def _remove_hot_copy(hot: Target) -> None:
    """Remove a hot copy, finished or not; what it is known by goes last, so that a rest of it is known as well."""
    if hot.standing() != "folder" or not (_is_complete(hot) or _state(hot) is not None or _is_begun(hot)):
        return
    for key in hot.sizes():
        if key != ROOT_DOCUMENT and not (key.startswith(f"{_FOLDER}/") and ".npz" not in key):
            hot.remove(key)
    hot.remove(ROOT_DOCUMENT)
    hot.remove_all()


def _is_begun(store: Target) -> bool:
    """Whether nothing stands in a folder but what a build makes before its state, or removes after it."""
    names = (store / _FOLDER).names()
    return store.names() <= {_FOLDER} and all(name == _LOCK or _is_partial_state(name) for name in names)


def _is_partial_state(name: str) -> bool:
    return name.startswith(f"{_STATE}.") and name.endswith(PARTIAL)


def _is_complete(store: Target) -> bool:
    """Whether a complete store, or a complete hot copy, stands there."""
    try:
        store.read(ROOT_DOCUMENT)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False  # another error is raised: what may not be read is not therefore something else
    try:
        read_attributes(store.place)
    except StoreError:
        return False
    return True


def _state(store: Target, key: str = "fingerprint") -> str | None:
    """Return a word of the state in a store's journal, None if there is none."""
    try:
        state = json.loads((store / _FOLDER).read(_STATE))
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError, json.JSONDecodeError):
        return None
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        return None
    value = state.get(key)
    return value if isinstance(value, str) else None
