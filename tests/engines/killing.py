"""Builds by a Dask cluster of three workers, killed in the middle: the bytes of a build in one process.

    python tests/engines/killing.py SOURCE WORK [--s3] [--shard 256] [--size PIXELS]

One worker gets SIGKILL while it makes a shard, and the build must complete. In another run the client gets SIGKILL
while shards are made, and the same command, given again at once, must finish without touching what was finished, and
without placing a shard file twice. All processes are real ones on loopback. `--shard` is how many samples a shard has,
so that small sources have many; 0 leaves the layout as it is. `--size` makes fixed stores.

`--s3` does the same with the store in a real S3 server (moto), and again with the source there too; a proxy counts what
is sent. Object stores have no locks: a shard that a killed client's worker and one of its successor finish at the
same moment may be put twice. With `--size`, a network of 24 channels is trained from the last store for one epoch
in the end, and what that transferred is compared with the masked bytes of the store.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import fsspec

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from engines.dask_cluster import Cluster  # noqa: E402
from remote.proxy import Proxy  # noqa: E402
from remote.server import BUCKET, puts_of_shards, s3_server  # noqa: E402

import freqcache  # noqa: E402
from freqcache_formats import ChannelMask  # noqa: E402

SCRIPT = """
import sys
from freqcache.building import plan
if int(sys.argv[1]):
    plan.SHARD_SAMPLES = int(sys.argv[1])
from freqcache_cli.main import main
sys.exit(main(sys.argv[2:]))
"""
TRAINING = ["--channels", "24", "--epochs", "1", "--width", "0.25", "--device", "cpu", "--threads", "2"]
MOST = 1.10
"""What training may transfer, in masked bytes."""


class Store:
    """Where a store is built, here or at a URL: what stands there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.system, self.path = fsspec.core.url_to_fs(url, use_listings_cache=False)
        self.parent = self.path.rpartition("/")[0]

    def clear(self) -> None:
        if self.system.exists(self.parent):
            self.system.rm(self.parent, recursive=True)
        self.system.makedirs(self.parent, exist_ok=True)

    def everything(self) -> dict[str, str]:
        """Return all files whose names begin with the store's, each with the digest of its bytes."""
        found = self.system.cat(self.system.find(self.parent))
        return {path.removeprefix(self.parent): hashlib.sha256(data).hexdigest() for path, data in found.items()}

    def finished(self) -> dict[str, object]:
        """Return the files of finished shards, with what tells whether they were touched."""
        files = self.files()
        done = {Path(key).stem for key in files if key.endswith(".npz")}
        return {key: about for key, about in files.items() if shard_of(key) in done}

    def files(self) -> dict[str, object]:
        """Return all files, with what tells whether they were touched."""
        found = self.system.find(self.path, detail=True).items()
        names = ("ino", "mtime", "ETag", "LastModified")
        return {path.removeprefix(f"{self.path}/"): [about.get(name) for name in names] for path, about in found}

    def placed(self, cluster: Cluster, proxy: Proxy | None) -> Counter[str]:
        """Return how often each file of a shard was put in its place: as workers tell, or as the proxy has seen."""
        cluster.events.drain()
        told = Counter(path for path, _ in cluster.events.of("placed"))
        if proxy is not None and "://" in self.url:
            seen = puts_of_shards(proxy)
            told = Counter({path: seen[path] for path in told})
        return Counter({path.removeprefix(f"{self.url}/"): times for path, times in told.items()})


def shard_of(key: str) -> str:
    """Return the name of the record of a shard file, which has one coordinate that is not zero; else nothing."""
    found = re.fullmatch(r"(\w+)/\w+/c/([0-9/]+)", key)  # not one that is still being written
    return f"{found[1]}-{sum(map(int, found[2].split('/'))):06}" if found else ""


def begin(arguments: argparse.Namespace, source: str, store: Store, *options: str) -> subprocess.Popen[str]:
    """Start a build as a command."""
    words = ["build", source, store.url, *options, *(["--size", arguments.size] if arguments.size else [])]
    command = [sys.executable, "-c", SCRIPT, str(arguments.shard), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def end(process: subprocess.Popen[str], what: str) -> None:
    """Wait for the end of a command, and show what it said."""
    began = time.monotonic()
    out, err = process.communicate()
    print(f"--- {what}: exit {process.returncode}, {time.monotonic() - began:.0f} s\n{out}", end="", flush=True)
    if process.returncode:
        sys.exit(err)


def in_progress(cluster: Cluster, finished: int) -> list[list[str]]:
    """Wait until some shards are finished and at least two are being made; return the latter."""

    def busy() -> list[list[str]]:
        ended = {(split, number, pid) for split, number, _, pid in cluster.events.of("ended")}
        return [words for words in cluster.events.of("begun") if tuple(words) not in ended]

    cluster.events.wait(lambda _: len(cluster.events.of("ended")) >= finished and len(busy()) >= 2)
    return busy()


def check(store: Store, expected: dict[str, str], placed: Counter[str]) -> None:
    """Compare a store with that of one process, and say how often each shard file was put in its place."""
    found = store.everything()
    if found != expected:
        sys.exit(f"not as one process: {sorted(k for k in {*found, *expected} if found.get(k) != expected.get(k))}")
    twice = {key: times for key, times in placed.items() if times != 1}
    print(f"same bytes as one process: {len(expected)} files; shard files placed: {len(placed)}, ", end="")
    print(f"more than once: {twice or 0}", flush=True)
    if twice and "://" not in store.url:
        sys.exit("placed twice, in spite of locks")


def kill_both(
    arguments: argparse.Namespace,
    source: str,
    store: Store,
    expected: dict[str, str],
    cluster: Cluster,
    proxy: Proxy | None,
) -> None:
    """Kill a worker in one build, the client in another."""

    def forget() -> None:
        store.clear()
        cluster.events.forget()
        if proxy is not None:
            proxy.traffic.clear()

    dask = ("--engine", "dask", "--scheduler", str(cluster.file))
    forget()
    process = begin(arguments, source, store, *dask)
    split, number, pid = in_progress(cluster, 2)[0]
    cluster.kill(int(pid))
    print(f"worker {pid} killed while it made shard {number} of {split}", flush=True)
    end(process, "build with a killed worker")
    check(store, expected, store.placed(cluster, proxy))
    made = [by for *shard, _, by in cluster.events.of("ended") if shard == [split, number]]
    print(f"that shard was finished by: {', '.join(made)}", flush=True)

    cluster.start_workers(1)
    forget()
    process = begin(arguments, source, store, *dask)
    busy = in_progress(cluster, 2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before, placed_before = store.finished(), store.placed(cluster, proxy)
    print(f"client killed (exit {process.returncode}): {len(before)} shard files finished, {len(busy)} being made")
    end(begin(arguments, source, store, *dask), "the same command again")
    placed = store.placed(cluster, proxy)
    check(store, expected, placed)
    after = store.files()
    touched = [key for key in before if after[key] != before[key] or placed[key] != placed_before[key]]
    both = Counter((split, number) for split, number, *_ in cluster.events.of("begun"))
    print(f"finished files that were touched: {len(touched)} of {len(before)}; ", end="")
    print(f"shards that were begun twice: {sum(times > 1 for times in both.values())}", flush=True)
    if touched:
        sys.exit(f"touched: {touched}")


def train(store: Store, work: Path, proxy: Proxy) -> None:
    """Train from a store for one epoch, and compare what passes with what the store says of its mask."""
    mask = ChannelMask.preset("24")
    opened = freqcache.open(store.url)
    masked = {split: opened[split].stored_bytes(mask) for split in ("train", "val")}
    proxy.traffic.clear()
    words = [sys.executable, "-m", "freqcache_cli.main", "train", store.url, *TRAINING, "--out", str(work / "run")]
    shutil.rmtree(work / "run", ignore_errors=True)
    end(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True), " ".join(words[2:]))
    sent, wanted = proxy.traffic.bytes_sent, sum(masked.values())
    chunks = sum("/coefficients/c/" in path for _, path, _ in proxy.traffic.requests)
    print(
        f"masked bytes: {masked}, together {wanted:,}; transferred: {sent:,} in {len(proxy.traffic.requests)} requests"
    )
    print(f"({chunks} for coefficients): {sent / wanted:.3f} times the masked bytes", flush=True)
    if sent > MOST * wanted:
        sys.exit("too much")


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--shard", type=int, default=256)
    parser.add_argument("--s3", action="store_true")
    parser.add_argument("--size")
    arguments = parser.parse_args()
    source, work = str(arguments.source.resolve()), arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    alone, here = (Store(str(work / name / "out.zarr")) for name in ("alone", "out"))
    alone.clear()
    end(begin(arguments, source, alone, "--workers", "1"), "one process")
    expected = alone.everything()
    folder = work / f"cluster-{time.time_ns()}"
    folder.mkdir()
    with ExitStack() as stack:
        proxy = None
        if arguments.s3:
            proxy, environment = stack.enter_context(s3_server())
            os.environ |= environment
            fsspec.filesystem("s3").mkdir(BUCKET)
            fsspec.filesystem("s3").put(f"{source}/", f"{BUCKET}/source", recursive=True)
        cluster = stack.enter_context(Cluster(folder, passing=1_000_000))
        print("workers:", *cluster.start_workers(3), flush=True)
        print("=== a local folder", flush=True)
        kill_both(arguments, source, here, expected, cluster, proxy)
        if proxy is not None:
            there = Store(f"s3://{BUCKET}/out/out.zarr")
            for place in (source, f"s3://{BUCKET}/source"):
                cluster.start_workers(3 - len(cluster.workers))
                print(f"=== {place} to {there.url}", flush=True)
                kill_both(arguments, place, there, expected, cluster, proxy)
            if arguments.size is None:
                print("training is measured of a fixed cache: --size", flush=True)
            else:
                train(there, work, proxy)


if __name__ == "__main__":
    main()
