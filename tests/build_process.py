"""Builds as a user runs them, for tests that end them early: a source with bad files, processes, and what is left.

The layout is that of :data:`SMALL`, so that a small source makes many shards.
"""

from __future__ import annotations

import hashlib
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from photographs import write_tree

KINDS = {"native": None, "fixed": 48}
"""Kinds of cache, and the size that gives each."""

SMALL = {
    "freqcache.building.plan.SHARD_SAMPLES": 4,
    "freqcache.building.plan.ROW_GROUP_SAMPLES": 4,
    "freqcache.building.plan.ROW_GROUP_BLOCKS": 100,
    "freqcache.building.headers._SCAN_BATCH": 16,
}
"""The constants of a build that ``building/small_build.py`` changes."""

TIMEOUT = 120
"""Seconds after which a process counts as hanging; none takes a tenth of it."""

_SMALL_BUILD = Path(__file__).parent / "building" / "small_build.py"


def write_source(root: Path, *, per_class: int) -> Path:
    """Write a source with one file that its header refuses and one that fails inside: both are in the ledger."""
    write_tree(root, per_class=per_class)
    folder = root / "train" / "ant"
    good = (folder / "0.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(good[: len(good) * 2 // 3])
    (folder / "text.jpg").write_text("no image at all")
    return root


def ledger(out: Path) -> Path:
    """Return where the ledger of a store lies."""
    return out.with_name(f"{out.name}.ledger.jsonl")


def everything(out: Path) -> dict[str, str]:
    """Return every path that begins with the store's: folders, and files with the digest of their bytes."""
    found = [path for top in out.parent.glob(f"{out.name}*") for path in (top, *top.rglob("*"))]
    return {str(path.relative_to(out.parent)): _describe(path) for path in sorted(found)}


def command(source: Path, out: Path | str, *options: str, size: int | None, workers: int | None) -> list[str]:
    """Return the command of a build with small shards."""
    fixed = [] if size is None else ["--size", str(size)]
    local = [] if workers is None else ["--workers", str(workers)]
    build = ["build", str(source), str(out), "--quiet", *local, *fixed, *options]
    return [sys.executable, str(_SMALL_BUILD), *build]


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a build to its end, whichever it is."""
    return subprocess.run(arguments, capture_output=True, text=True, timeout=TIMEOUT)


def among_own_mounts() -> list[str] | None:
    """Return what to put before a command so that it may mount, as root or as the root of users of its own; or None."""
    if shutil.which("unshare") is None:
        return None
    for flags in (["--mount"], ["--mount", "--user", "--map-root-user"]):
        if run(["unshare", *flags, "mount", "-t", "tmpfs", "none", "/mnt"]).returncode == 0:
            return ["unshare", *flags]
    return None


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


def members(session: int) -> dict[int, str]:
    """Return the processes of a session, each with its command line; those that have ended are left out."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name, in parentheses, may hold anything; after it come state, parent, group, session.
            state, _, _, its_session, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
            line = (folder / "cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_session) == session and state not in "ZX":
            found[int(folder.name)] = line
    return found


def workers_of(session: int) -> list[int]:
    """Return the worker processes of a build that leads its session."""
    return sorted(pid for pid, line in members(session).items() if "spawn_main" in line)


def all_ended(pids: Iterable[int]) -> bool:
    """Wait for processes that are no children of ours to end; True if each does before its time is up."""
    return all(_ended(pid) for pid in pids)


def _ended(pid: int) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], TIMEOUT)[0])
    finally:
        os.close(descriptor)


def _describe(path: Path) -> str:
    return "folder" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
