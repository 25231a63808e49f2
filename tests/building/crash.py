"""Kills builds at chosen moments and finishes them: the store must be that of an undisturbed build, byte for byte.

    python tests/building/crash.py WORK [--moments 200]

A moment is a call that makes something durable or visible (fsync, rename, unlink), counted from the start of the
build; just before the chosen call the process kills itself with SIGKILL. Moments are spread evenly over the build.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from photographs import write_tree  # noqa: E402

import freqcache.building.plan as plan_module  # noqa: E402
from freqcache.building import BuildOptions, build  # noqa: E402
from freqcache.errors import BuildError  # noqa: E402

CALLS = ("fsync", "replace", "rename", "unlink", "mkdir", "rmdir")


def digest(store: Path) -> dict[str, str]:
    """Digest of every file of a store."""
    files = sorted(path for path in store.rglob("*") if path.is_file())
    return {str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def in_child(work: Callable[[], None]) -> int:
    """Run something in a forked process; return the signal that ended it, 0 for none."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001  (a forked child must never return into its parent's stack)
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit("a build failed")
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


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


def check(work: Path, moments: int, size: int | None) -> int:
    """Try `moments` moments; return how many builds were killed. Exit with a message at the first difference."""
    plan_module.SHARD_SAMPLES = 8
    plan_module.ROW_GROUP_SAMPLES = 4
    plan_module.ROW_GROUP_BLOCKS = 100
    options = BuildOptions(size=size)
    source, whole, broken, count = work / "source", work / "whole.zarr", work / "broken.zarr", work / "count"
    if not source.exists():
        write_tree(source, per_class=6)

    def run(out: Path, limit: int | None = None, report: Path | None = None) -> None:
        if limit is not None or report is not None:
            count_calls(limit, report)
        build(source, out, options, workers=1, quiet=True)

    def finish(out: Path) -> None:
        try:
            run(out)
        except BuildError as error:  # it was complete already; whatever the killed build left behind is gone now
            if "exists and is complete" not in str(error):
                raise

    in_child(lambda: run(whole, report=count))
    total, expected, killed = int(count.read_text()), digest(whole), 0
    for moment in sorted({1 + i * total // moments for i in range(moments)}):
        killed += in_child(lambda moment=moment: run(broken, limit=moment)) == signal.SIGKILL  # type: ignore[misc]
        in_child(lambda: finish(broken))
        if digest(broken) != expected:
            sys.exit(f"killed before call {moment} of {total}: the finished store differs")
        shutil.rmtree(broken)
    shutil.rmtree(whole)
    return killed


def main() -> None:
    """Run both kinds of cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--moments", type=int, default=200)
    options = parser.parse_args()
    for size in (None, 48):
        killed = check(options.work, options.moments, size)
        print(f"{'native' if size is None else 'fixed'}: {killed} builds killed and finished, all stores equal")


if __name__ == "__main__":
    main()
