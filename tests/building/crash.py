"""Kills builds at chosen moments and finishes them: the store must be that of an undisturbed build, byte for byte.

    python tests/building/crash.py WORK [--moments 200]

A moment is a call that makes something durable or visible (fsync, rename, unlink), counted from the start of the
build; just before the chosen call the process kills itself with SIGKILL. Moments are spread evenly over the build: of
a native cache, of a fixed one, and of a native one that replaces another store. Builds by several processes, killed at
any moment: ``random_kills.py``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from build_process import everything, in_child, ledger, write_source  # noqa: E402
from small_build import make_shards_small  # noqa: E402

from freqcache.building import BuildOptions, build  # noqa: E402
from freqcache.building.hot import make_hot  # noqa: E402
from freqcache.errors import BuildError  # noqa: E402
from freqcache.extraction import ExtractionOptions, extract  # noqa: E402

CALLS = ("fsync", "replace", "rename", "unlink", "mkdir", "rmdir")


def count_calls(limit: int | None, report: Path | None) -> None:
    """Count the calls of `CALLS`; die before number `limit`, or write the count at the end of each call."""
    seen = 0

    def wrapped(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == limit:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*arguments, **keywords)
            if report is not None:
                report.write_text(str(seen))
            return result

        return call

    for name in CALLS:
        setattr(os, name, wrapped(getattr(os, name)))


def check(work: Path, moments: int, options: BuildOptions, *, overwrite: bool) -> int:
    """Try `moments` moments; return how many builds were killed. Exit with a message at the first difference."""
    source, count, other = work / "source", work / "count", work / "other.zarr"
    # One name, for the ledger's name is the store's.
    out = work / "out" / "out.zarr"

    def run(limit: int | None = None, report: Path | None = None) -> None:
        if limit is not None or report is not None:
            count_calls(limit, report)
        build(source, out, options, workers=1, quiet=True, overwrite=overwrite)

    def finish() -> None:
        try:
            run()
        except BuildError as error:  # it was complete already; whatever the killed build left behind is gone now
            if "exists and is complete" not in str(error):
                raise

    def begin() -> None:
        shutil.rmtree(out.parent, ignore_errors=True)
        out.parent.mkdir()
        if overwrite:
            shutil.copytree(other, out)

    begin()
    in_child(lambda: run(report=count))
    total, expected, killed = int(count.read_text()), everything(out), 0
    for moment in sorted({1 + i * total // moments for i in range(moments)}):
        begin()
        killed += in_child(lambda moment=moment: run(limit=moment)) == signal.SIGKILL  # type: ignore[misc]
        in_child(finish)
        if everything(out) != expected:
            sys.exit(f"killed before call {moment} of {total}: the finished store differs")
    return killed


def main() -> None:
    """Run both kinds of cache, and a replacement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--moments", type=int, default=200)
    arguments = parser.parse_args()
    work = arguments.work
    make_shards_small()
    write_source(work / "source", per_class=6)
    _load(work / "source")
    in_child(lambda: _build_other(work))
    for name, options, overwrite in (
        ("native", BuildOptions(), False),
        ("fixed", BuildOptions(size=48), False),
        ("replacing", BuildOptions(), True),
    ):
        killed = check(work, arguments.moments, options, overwrite=overwrite)
        print(f"{name}: {killed} builds killed and finished, all stores equal")


def _load(source: Path) -> None:
    """Load compiled code, so that the forked processes need not."""
    for path in sorted(source.rglob("[0-6].*")):
        extract(path.read_bytes(), ExtractionOptions(max_size=32))


def _build_other(work: Path) -> None:
    """Build what is replaced: another store, with a hot copy, and a file in it that is not the build's to remove."""
    other = work / "other.zarr"
    build(work / "source", other, BuildOptions(size=48, seed=1), workers=1, quiet=True)
    make_hot(other, "6", quiet=True)
    ledger(other).unlink()
    (other / "notes.txt").write_text("precious")


if __name__ == "__main__":
    main()
