"""Builds on a disk that becomes full at chosen points, and finishes on a larger one: the same store, byte for byte.

    python tests/building/disk_full.py WORK [--points 50]

The disk is a tmpfs of its own, with the store and its ledger on it; its size is set so that it is full at points spread
evenly over all that a build writes, down to the root metadata, and besides at the ledger. A fifth as many points run
out of inodes instead, so that files and folders cannot be made. The build must end by itself with status 1 and one
line; so must a second one on the full disk; and the same command must finish the store once there is room.

Exit status 77: this system does not let us mount a tmpfs, and nothing was tried.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from build_process import KINDS, among_own_mounts, command, everything, in_child, ledger, run, write_source  # noqa: E402
from small_build import make_shards_small  # noqa: E402

from freqcache.building import BuildOptions, build  # noqa: E402
from freqcache.building.journal import Journal  # noqa: E402

NOT_PERMITTED = 77
PAGE = 4096
LARGE = {"size": 1 << 30, "nr_inodes": 1 << 20}
"""Bytes and inodes that are enough for any build here."""


def spread(lowest: int, highest: int, count: int) -> set[int]:
    """Return integers spread evenly from `lowest` to `highest`, both included; of a single one, the middle."""
    if count == 1:
        return {(lowest + highest) // 2}
    return {lowest + i * (highest - lowest) // (count - 1) for i in range(count)}


@dataclass(frozen=True, kw_only=True)
class Disk:
    """A tmpfs at a place.

    Attributes
    ----------
    place : Path
        The mount point.
    """

    place: Path

    @contextmanager
    def mounted(self, **limits: int) -> Iterator[None]:
        """Have the disk mounted while the context lasts: empty, large but for `limits`."""
        self._mount(**limits)
        try:
            yield
        finally:
            subprocess.run(["umount", str(self.place)], check=True)

    def enlarge(self) -> None:
        """Make room."""
        self._mount("remount")

    def used(self, limit: str) -> int:
        """Return how many pages or inodes are used."""
        status = os.statvfs(self.place)
        pages = (status.f_blocks - status.f_bfree) * status.f_frsize // PAGE
        return pages if limit == "size" else status.f_files - status.f_ffree

    def _mount(self, *words: str, **limits: int) -> None:
        options = ",".join([*words, *(f"{name}={value}" for name, value in (LARGE | limits).items())])
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(self.place)], check=True)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One kind of build by some number of workers.

    Attributes
    ----------
    disk : Disk
        Where the store and its ledger are written.
    source : Path
        What is built.
    size : int or None
        Of a fixed cache.
    workers : int
        Processes.
    hits : Counter of str
        What was being written when the disk was full, and how often.
    """

    disk: Disk
    source: Path
    size: int | None
    workers: int
    hits: Counter[str] = field(default_factory=Counter)

    @property
    def out(self) -> Path:
        """The store."""
        return self.disk.place / "out.zarr"

    def try_points(self, n_points: int, limit: str) -> None:
        """Run out of one resource at `n_points` points. Exit with a message if something is wrong."""
        arguments = command(self.source, self.out, size=self.size, workers=self.workers)
        with self.disk.mounted():
            in_child(self._build_all_but_the_end)
            peak = self.disk.used(limit)
            last = sum(-(-path.stat().st_size // PAGE) for path in (ledger(self.out), self.out / "zarr.json"))
        with self.disk.mounted():
            whole = run(arguments)
            if whole.returncode:
                sys.exit(whole.stderr)
            expected, parts = everything(self.out), self._parts()
        lowest = 1 if limit == "size" else 2  # the root folder is an inode
        points = spread(lowest, peak - 1, n_points)
        if limit == "size":
            points |= {peak - last} if n_points > 1 else set()
        for number, point in enumerate(sorted(points)):
            with self.disk.mounted(**{limit: point * PAGE if limit == "size" else point}):
                self._fail(arguments, f"{limit} {point} of {peak}")
                self.hits[self._reached(parts)] += 1
                if number % 5 == 0:
                    self._fail(arguments, f"{limit} {point} of {peak}, again")
                self.disk.enlarge()
                done = run(arguments)
                if done.returncode or done.stderr:
                    sys.exit(f"{limit} {point} of {peak}: not finished afterwards: {done.stderr}")
                if everything(self.out) != expected:
                    sys.exit(f"{limit} {point} of {peak}: the finished store differs")

    def _build_all_but_the_end(self) -> None:
        """Build the store and leave the journal: the most that is ever on the disk."""
        make_shards_small()
        Journal.finish = lambda _: os._exit(0)  # type: ignore[assignment]
        build(self.source, self.out, BuildOptions(size=self.size), workers=1, quiet=True)

    def _fail(self, arguments: list[str], words: str) -> None:
        done = run(arguments)
        lines = done.stderr.splitlines()
        told = len(lines) == 1 and str(self.out) in lines[0] and "No space left on device" in lines[0]
        if done.returncode != 1 or not told or done.stdout:
            sys.exit(f"{words}: status {done.returncode}, {done.stdout}{done.stderr}")
        if list(self.disk.place.rglob("*.ledger.jsonl.partial")):
            sys.exit(f"{words}: a part of the ledger is left")

    def _parts(self) -> dict[str, list[str]]:
        """Return the files of a finished store by what they are."""
        parts: dict[str, list[str]] = {"shards": [], "small arrays and split metadata": []}
        for path in self.out.glob("*/**/*"):
            name = str(path.relative_to(self.out))
            if path.is_file():
                shard = name.split("/")[1] in {"y", "cb", "cr", "coefficients"} and path.name != "zarr.json"
                parts["shards" if shard else "small arrays and split metadata"].append(name)
        return parts

    def _reached(self, parts: dict[str, list[str]]) -> str:
        """Return what was being written, judged by what is there."""
        journal = self.out / ".build"
        if not (journal / "state.json").exists() or '"layout": null' in (journal / "state.json").read_text():
            return "journal"
        # The last file of a shard; what comes after it is its record.
        name = "cr" if self.size is None else "coefficients"
        shards = [path for path in self.out.glob(f"*/{name}/c/**/*") if path.is_file() and path.suffix != ".partial"]
        if len(list(journal.glob("*.npz"))) < len(shards):
            return "records"
        for what, names in parts.items():
            if not all((self.out / name).exists() for name in names):
                return what
        return "root metadata" if ledger(self.out).exists() else "ledger"


def main() -> None:
    """Try both kinds of cache, with one worker and with two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--points", type=int, default=50)
    parser.add_argument("--kind", choices=list(KINDS), help="Only this kind of cache.")
    parser.add_argument("--workers", type=int, choices=[1, 2], help="Only this number of workers.")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside:
        prefix = among_own_mounts()
        if prefix is None:
            sys.stderr.write("no tmpfs can be mounted here\n")
            sys.exit(NOT_PERMITTED)
        os.execvp(prefix[0], [*prefix, sys.executable, *sys.argv, "--inside"])
    disk = Disk(place=options.work / "disk")
    disk.place.mkdir(parents=True)
    source = write_source(options.work / "source", per_class=16)
    for name in [options.kind] if options.kind else KINDS:
        for workers in [options.workers] if options.workers else (1, 2):
            trial = Trial(disk=disk, source=source, size=KINDS[name], workers=workers)
            trial.try_points(options.points, "size")
            if options.points >= 5:
                trial.try_points(options.points // 5, "nr_inodes")
            hits = ", ".join(f"{count} {what}" for what, count in sorted(trial.hits.items()))
            print(f"{name}, {workers} workers: full {trial.hits.total()} times ({hits}); all stores equal", flush=True)


if __name__ == "__main__":
    main()
