"""Builds by a Dask cluster of three workers, killed in the middle: the bytes of a build in one process.

    python tests/engines/killing.py SOURCE WORK [--shard 256]

One worker gets SIGKILL while it makes a shard, and the build must complete. In another run the client gets SIGKILL
while shards are made, and the same command, given again at once, must finish without touching what was finished, and
without placing a shard file twice. All processes are real ones on loopback. `--shard` is how many samples a shard has,
so that small sources have many; 0 leaves the layout as it is.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from build_process import everything  # noqa: E402
from engines.dask_cluster import Cluster  # noqa: E402

SCRIPT = """
import sys
from freqcache.building import plan
if int(sys.argv[1]):
    plan.SHARD_SAMPLES = int(sys.argv[1])
from freqcache_cli.main import main
sys.exit(main(sys.argv[2:]))
"""


def begin(arguments: argparse.Namespace, out: Path, *options: str, again: bool = False) -> subprocess.Popen[str]:
    """Start a build as a command, with nothing at its place or with what an earlier one has left."""
    if not again:
        shutil.rmtree(out.parent, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", SCRIPT, str(arguments.shard), "build", str(arguments.source), str(out), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def end(process: subprocess.Popen[str], what: str) -> None:
    """Wait for the end of a build, and show what it said."""
    out, err = process.communicate()
    print(f"--- {what}: exit {process.returncode}\n{out}{err}", end="", flush=True)
    if process.returncode:
        sys.exit(1)


def in_progress(cluster: Cluster, finished: int) -> list[list[str]]:
    """Wait until some shards are finished and as many as there are workers are being made; return the latter."""

    def busy(_: object) -> list[list[str]]:
        ended = {(split, number, pid) for split, number, _, pid in cluster.events.of("ended")}
        return [words for words in cluster.events.of("begun") if tuple(words) not in ended]

    cluster.events.wait(lambda seen: len(cluster.events.of("ended")) >= finished and len(busy(seen)) >= 2)
    return busy(None)


def files(out: Path) -> dict[Path, tuple[int, int]]:
    """Return the files of finished shards, with what tells whether they were touched."""
    found = {}
    for record in (out / ".build").glob("*.npz"):
        split, number = record.stem.split("-")
        for path in (out / split).glob(f"*/c/*/{int(number)}"):
            found[path] = (path.stat().st_ino, path.stat().st_mtime_ns)
    return found


def check(out: Path, expected: dict[str, str], cluster: Cluster) -> None:
    """Compare a store with that of one process, and count how often each shard file was placed."""
    cluster.events.drain()
    if everything(out) != expected:
        sys.exit("the store differs from that of one process")
    times = Counter(path for path, _ in cluster.events.of("placed"))
    twice = [path for path, count in times.items() if count != 1]
    print(f"same bytes as one process: {len(expected)} files and folders; shard files placed: {len(times)}, ", end="")
    print(f"more than once: {len(twice)}", flush=True)
    if twice:
        print(*(" ".join(words) for words in cluster.events.seen), sep="\n")
        sys.exit(f"placed twice: {twice}")


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--shard", type=int, default=256)
    arguments = parser.parse_args()
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    alone, out = work / "alone" / "out.zarr", work / "out" / "out.zarr"
    end(begin(arguments, alone, "--workers", "1"), "one process")
    expected = everything(alone)
    folder = work / f"cluster-{time.time_ns()}"
    folder.mkdir()
    with Cluster(folder, passing=1_000_000) as cluster:
        print("workers:", *cluster.start_workers(3), flush=True)
        dask = ("--engine", "dask", "--scheduler", str(cluster.file))

        process = begin(arguments, out, *dask)
        split, number, pid = in_progress(cluster, 2)[0]
        cluster.kill(int(pid))
        print(f"worker {pid} killed while it made shard {number} of {split}")
        end(process, "build with a killed worker")
        check(out, expected, cluster)
        made = [(*words[:2], words[3]) for words in cluster.events.of("ended") if words[:2] == [split, number]]
        print(f"that shard was finished by: {', '.join(by for *_, by in made)}", flush=True)

        cluster.start_workers(1)
        cluster.events.forget()
        process = begin(arguments, out, *dask)
        busy = in_progress(cluster, 2)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        before = files(out)
        print(f"client killed (exit {process.returncode}): {len(before)} shard files finished, {len(busy)} being made")
        end(begin(arguments, out, *dask, again=True), "the same command again")
        check(out, expected, cluster)
        touched = [path for path, known in before.items() if (path.stat().st_ino, path.stat().st_mtime_ns) != known]
        print(f"finished files that were touched: {len(touched)} of {len(before)}", flush=True)
        if touched:
            sys.exit(1)


if __name__ == "__main__":
    main()
