"""Images a second that training samples can be read with, on one core, ours and others' in one run.

    python tests/benchmarks/bench_reading.py SOURCE WORK --count 4000 --passes 7 \
        --ffcv-python PEERS/ffcv/bin/python --litdata-python PEERS/litdata/bin/python

SOURCE is a folder of JPEG files. WORK keeps what is made of them, if it is not there yet: `count` images
(bench_images.py), a native and a fixed cache of them, the peers' files. PEERS is made by setup_peers.sh. Prints
Markdown tables: every reader of the same store, at row groups and at single samples in random order, page cache warm
and cold; then what users would pick instead of a cache; then threads. All readers take turns, pass by pass. Each unit's
best time counts, or the best pass where peers are in other processes. Cold single samples are one of each row group, so
that nothing is read twice in a pass. --count 64 --passes 2 --seconds 0.05 --least 4 is a smoke run.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import bench_images
import numpy as np
import peers
import report
import store_readers as readers
from measuring import Local, pin, steady, take_turns, unpin, write_json
from report import Results
from store_layout import Layout
from stores import make_stores

from freqcache.benchmarking import page_cache
from freqcache.benchmarking.passes import Contender, StoppedError
from freqcache.building.hot import make_hot
from freqcache_formats import ChannelMask

LOW24 = [*range(14), *range(64, 69), *range(128, 133)]
CHANNELS = {
    "192": np.arange(192),
    "64": ChannelMask.preset("64").indices,
    "24": np.array(LOW24),
    "24 scattered": np.sort(np.random.default_rng(24).choice(192, 24, replace=False)),
    "6": ChannelMask.preset("6").indices,
}
ORDERS = {"groups": "row groups in random order", "samples": "single samples in random order"}
OURS, DECODING, COPYING = "freqcache", "C decode of the same chunks (limit)", "memcpy of the decoded bytes"
FETCHING = "pread of the same chunks, not decoded"


def units_of(layout: Layout, order: str, state: str = "warm") -> list[range]:
    """Return what a pass reads one after the other, in random order: row groups, or single slots."""
    generator = np.random.default_rng(7)
    if order == "groups":
        units = layout.row_groups
    elif state == "warm":
        units = [range(slot, slot + 1) for slot in range(layout.n_slots)]
    else:
        slots = [int(generator.integers(group.start, group.stop)) for group in layout.row_groups]
        units = [range(slot, slot + 1) for slot in slots]
    return [units[i] for i in generator.permutation(len(units))]


def same_store(
    layout: Layout, channels: np.ndarray, units: list[range], library: object, *, is_cold: bool
) -> dict[str, Callable[[], Callable[[range], object]]]:
    """Return the makers of all readers of one store, after checking that they read the same."""
    general = {
        "tensorstore": readers.tensorstore_array,
        "zarr-python, zarrs pipeline": readers.zarr_array("zarrs.ZarrsCodecPipeline"),
        "zarr-python": readers.zarr_array(None),
    }
    expected = readers.planes(layout, channels, readers.ours(layout, channels)(units[0]))
    makers: dict[str, Callable[[], Callable[[range], object]]] = {OURS: lambda: readers.ours(layout, channels)}
    for name, open_array in general.items():
        found = readers.general(layout, channels, open_array)(units[0])
        if len(found) != len(expected) or not all(map(np.array_equal, found, expected)):
            msg = f"{layout.store}: {name} reads something else than freqcache"
            raise SystemExit(msg)
        makers[name] = lambda open_array=open_array: readers.general(layout, channels, open_array)
    if is_cold:
        return makers | {FETCHING: lambda: readers.fetching(layout, channels, units)}
    return makers | {
        DECODING: lambda: readers.decoding(layout, channels, units, library),
        COPYING: lambda: readers.copying(layout, channels, units, library),
    }


def read_store(options: argparse.Namespace, layout: Layout, library: object) -> dict[str, Results]:
    """Measure every reader of one store; print a table for each order and state."""
    everything: dict[str, Results] = {}
    files = page_cache.files_below(layout.store)
    for state, order in product(options.states, options.orders):
        is_cold, units = state == "cold", units_of(layout, order, state)
        title = f"{layout.kind} cache, {ORDERS[order]}, page cache {state}"
        report.head(title, ["channels (KiB an image in their chunks)", "reader"], is_cold=is_cold)
        for words in options.channels:
            channels = CHANNELS[words]
            page_cache.warm(files)
            makers = same_store(layout, channels, units, library, is_cold=is_cold)
            before = partial(page_cache.drop, files) if is_cold else None
            contenders = [Local(name, make, units, before) for name, make in makers.items()]
            for contender in contenders:
                contender.settle(options.seconds, options.least)
            results = everything[f"{title}, {words} channels"] = take_turns(contenders, options.passes)
            needed = layout.stored_bytes(units, channels) / 1024
            report.rows([f"{words} ({needed:.1f})"], results, OURS, is_cold=is_cold)
    return everything


def read_peers(options: argparse.Namespace, stores: dict[str, Path], images: Path) -> dict[str, Results]:
    """Measure what users would pick instead; print the table."""
    layouts = {kind: Layout(path) for kind, path in stores.items()}
    contenders: list[Contender] = []
    kib: dict[str, float] = {}
    ours = "freqcache, fixed 448, 24 channels"
    for name, kind, words in (
        (ours, "fixed", "24"),
        ("freqcache, fixed 448, 192 channels", "fixed", "192"),
        ("freqcache, native, 24 channels", "native", "24"),
        ("freqcache, native, 192 channels", "native", "192"),
    ):
        layout, channels = layouts[kind], CHANNELS[words]
        units = units_of(layout, "groups")
        kib[name] = layout.stored_bytes(units, channels) / 1024
        contenders.append(Local(name, lambda la=layout, ch=channels: readers.ours(la, ch), units))
    hot = "freqcache, hot copy of the 24 channels"
    units = units_of(layouts["fixed"], "groups")
    kib[hot] = hot_kib(hot_copy(stores["fixed"]), layouts["fixed"])
    contenders.append(Local(hot, lambda: readers.ours(layouts["fixed"], CHANNELS["24"], hot=True), units))
    files = bench_images.jpeg_files(images)
    files = [files[i] for i in np.random.default_rng(7).permutation(len(files))]
    page_cache.warm([*files, *(path for store in stores.values() for path in page_cache.files_below(store))])
    for name, make in peers.pillow_readers(files).items():
        contenders.append(Local(name, make, [range(i, i + 1) for i in range(len(files))]))
        kib[name] = sum(path.stat().st_size for path in files) / len(files) / 1024
    for contender in contenders:
        contender.settle(options.seconds, options.least)
    starters: dict[str, Callable[[], peers.Remote]] = {}
    if options.ffcv_python:
        starters |= peers.ffcv(options.ffcv_python, images, options.work)
    if options.litdata_python:
        starters |= peers.litdata(options.litdata_python, stores["fixed"], options.work, LOW24)
    started: list[peers.Remote] = []
    try:
        for name, start in starters.items():
            try:
                started.append(start())
            except StoppedError as error:
                print(f"\n{name}: not measured: {error}")
                continue
            kib[name] = started[-1].kib
        versions = sorted({f"{peer.name.partition(',')[0]} {peer.version}" for peer in started})
        print(f"\nPeers in processes of their own: {', '.join(versions) or 'none'}")
        results = take_turns([*contenders, *started], options.passes)
    finally:
        for peer in started:
            peer.close()
    title = "what a training loop would read, page cache warm"
    report.head(title, ["reader"])
    report.rows([], results, ours, kib=kib)
    return {title: results}


def hot_copy(store: Path) -> Path:
    """Return the array of a fixed store's hot copy of the 24 channels, made if it is not there."""
    folder = store / "hot"
    if not (folder / "zarr.json").exists():
        make_hot(store, ChannelMask.from_indices(LOW24), quiet=True)
    (split,) = (path for path in folder.iterdir() if path.is_dir())
    return split / "coefficients"


def hot_kib(array: Path, layout: Layout) -> float:
    """Return the KiB of an image in a hot copy."""
    return sum(path.stat().st_size for path in page_cache.files_below(array)) / layout.n_slots / 1024


def read_hot(options: argparse.Namespace, store: Path) -> dict[str, Results]:
    """Measure the hot copy at batches of samples in random order; print the table."""
    layout, channels = Layout(store), CHANNELS["24"]
    folder = hot_copy(store)
    page_cache.warm(page_cache.files_below(folder))
    order = np.random.default_rng(7).permutation(layout.n_slots)
    batches = [order[i : i + 256] for i in range(0, len(order), 256)]
    copied, checked = "memcpy out of the mapped files", "freqcache, checked by CRC-32C"
    contenders = [
        Local(checked, lambda: readers.ours(layout, channels, hot=True), batches),
        Local(copied, lambda: readers.copied(layout, folder, channels), batches),
    ]
    title = "hot copy of 24 channels, batches of 256 samples in random order, page cache warm"
    report.head(title, ["reader"])
    results = take_turns(contenders, options.passes)
    report.rows([], results, checked, kib=dict.fromkeys(results, hot_kib(folder, layout)))
    return {title: results}


def read_threads(options: argparse.Namespace, stores: dict[str, Path], cores: set[int]) -> dict[str, Results]:
    """Measure two threads against one, on all cores."""
    layouts = [Layout(stores[kind]) for kind in options.stores]
    unpin(cores)
    everything: dict[str, Results] = {}
    print(f"\n**batches of {options.batch_groups} row groups in random order, warm, {len(cores)} cores**\n")
    print("| freqcache | one thread, images/s | two, images/s | two / one | CPU, two / one |\n|---|---|---|---|---|")
    for layout in layouts:
        page_cache.warm(page_cache.files_below(layout.store))
        groups = [np.array(unit) for unit in units_of(layout, "groups")]
        step = min(options.batch_groups, len(groups))
        batches = [np.concatenate(groups[i : i + step]) for i in range(0, len(groups) - step + 1, step)]
        for words in options.channels:
            contenders = [
                Local(str(n), lambda la=layout, ch=CHANNELS[words], n=n: readers.ours(la, ch, threads=n), batches)
                for n in (1, 2)
            ]
            for contender in contenders:
                contender.settle(options.seconds, options.least)
            results = everything[f"threads, {layout.kind}, {words}"] = take_turns(contenders, options.passes)
            shared = min(len(passes[0].units) for passes in results.values())
            one, two = (steady(results[n], shared) for n in ("1", "2"))
            cells = [f"{one.rate:.0f}", f"{two.rate:.0f}", f"{two.rate / one.rate:.2f}", f"{two.cpu / one.cpu:.2f}"]
            print(f"| {layout.kind}, {words} channels | {' | '.join(cells)} |", flush=True)
    return everything


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, default=4000, help="images to make of SOURCE")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="about how long a reader's pass takes")
    parser.add_argument("--least", type=int, default=48, help="images that it reads all the same")
    parser.add_argument("--core", type=int, help="by default the last one")
    parser.add_argument("--workers", type=int, default=1, help="for building the caches, on that core or not")
    parser.add_argument("--stores", nargs="*", choices=("native", "fixed"), default=["fixed", "native"])
    parser.add_argument("--channels", nargs="*", choices=CHANNELS, default=list(CHANNELS))
    parser.add_argument("--orders", nargs="*", choices=ORDERS, default=list(ORDERS))
    parser.add_argument("--states", nargs="*", choices=("warm", "cold"), default=["warm", "cold"])
    parser.add_argument("--batch-groups", type=int, default=16, help="row groups in a batch of the table of threads")
    parser.add_argument("--ffcv-python", type=Path)
    parser.add_argument("--litdata-python", type=Path)
    parser.add_argument("--no-peers", action="store_true", help="readers of the same store only")
    parser.add_argument("--json", type=Path, help="write every pass there")
    options = parser.parse_args()
    cores = os.sched_getaffinity(0)
    core = pin(options.core)
    images = options.work / f"images-{options.count}"
    bench_images.make(options.source, images, options.count)
    stores = make_stores(images, options.work, options.workers)
    library = readers.limit_library(options.work)
    report.describe(bench_images.jpeg_files(images), options.passes, core, library)
    if "cold" in options.states:
        report.check_dropping(stores[options.stores[0]])
    everything: dict[str, Results] = {}
    for kind in options.stores:
        everything |= read_store(options, Layout(stores[kind]), library)
    if not options.no_peers:
        everything |= read_peers(options, stores, images)
        everything |= read_hot(options, stores["fixed"])
    everything |= read_threads(options, stores, cores)
    if options.json:
        write_json(options.json, everything)


if __name__ == "__main__":
    main()
