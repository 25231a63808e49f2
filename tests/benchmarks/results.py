"""Reruns what docs/results.md shows: every run that is not there yet, then the tables.

    python tests/benchmarks/results.py WORK flowers5=shared/data/flowers5 clothing10=shared/data/clothing10

Sources hold train/ and val/ with class folders; WORK keeps caches, masks and runs. Each run is one call of the command
line, printed before it starts. ``--tables`` prints the tables of what is there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

COMMON = ("--recipe", "small", "--threads", "1", "--device", "cpu")
SIZE = "160"
LAMBDAS = ("0.01", "0.02")
TARGETS = (6, 24, 48)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of a table.

    Attributes
    ----------
    name : str
        Of its runs.
    title : str
        In the table.
    words : tuple of str
        Arguments of ``freqcache train``.
    mask : tuple of str
        Arguments of ``freqcache select`` that make the mask first, but for ``-o``; empty for none.
    """

    name: str
    title: str
    words: tuple[str, ...]
    mask: tuple[str, ...] = ()


def rows() -> list[Row]:
    """Return all rows, in the order in which their runs depend on each other."""
    found = [Row(name="rgb", title="RGB", words=("{cache}", "--input", "rgb"))]
    found.append(Row(name="all192", title="192 channels", words=("{cache}", "--channels", "192")))
    found += [
        Row(name=f"gated-{lam}", title=f"192, gated, lambda {lam}", words=("{cache}", "--lam", lam)) for lam in LAMBDAS
    ]
    found += [
        Row(name=f"target-{k}", title=f"192, gated, target {k}", words=("{cache}", "--target-channels", str(k)))
        for k in TARGETS
    ]
    for k in (24, 6, 48):
        masks = {
            ("target", f"learned, target {k}"): (f"{{runs}}/target-{k}-s{{seed}}",),
            ("lambda", "learned, lambda 0.01"): ("{runs}/gated-0.01-s{seed}",),
            ("energy", "highest energy"): ("{cache}", "--by", "energy"),
        }
        if k == 24:
            masks["random", "random"] = ("{cache}", "--by", "random", "--seed", "{seed}")
        for (name, title), mask in masks.items():
            words = ("{cache}", "--channels", f"{{masks}}/{k}-{name}-s{{seed}}.json")
            found.append(Row(name=f"{k}-{name}", title=f"{k}, {title}", words=words, mask=(*mask, "-k", str(k))))
        preset = "6, the paper's" if k == 6 else f"{k}, square"
        found.append(Row(name=f"{k}-square", title=preset, words=("{cache}", "--channels", str(k))))
    return found


def run(command: list[str], *, needed: bool = True) -> bool:
    """Print a command and run it; return whether it succeeded."""
    print("+", " ".join(command), flush=True)
    return subprocess.run(command, check=needed).returncode == 0


def last_epoch(folder: Path) -> dict[str, float]:
    """Return the metrics of a run's last epoch."""
    entry: dict[str, float] = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    return entry


def finished(folder: Path) -> bool:
    """Whether a run reached its last epoch."""
    if not (folder / "metrics.jsonl").exists():
        return False
    config = json.loads((folder / "config.json").read_text())
    return last_epoch(folder)["epoch"] == config["config"]["epochs"]


class Place:
    """Where the runs of one data set are."""

    def __init__(self, work: Path, name: str) -> None:
        self.cache = work / f"{name}.zarr"
        self.runs = work / name / "runs"
        self.masks = work / name / "masks"

    def words(self, words: tuple[str, ...], seed: int) -> list[str]:
        """Return arguments with their places filled in."""
        return [word.format(cache=self.cache, runs=self.runs, masks=self.masks, seed=seed) for word in words]

    def folder(self, row: Row, seed: int) -> Path:
        """Return the run folder of a row."""
        return self.runs / f"{row.name}-s{seed}"

    def train(self, row: Row, seed: int) -> None:
        """Run what is missing of a row."""
        folder = self.folder(row, seed)
        if finished(folder):
            return
        if row.mask:
            self.masks.mkdir(parents=True, exist_ok=True)
            out = str(self.masks / f"{row.name}-s{seed}.json")
            if not run(["freqcache", "select", *self.words(row.mask, seed), "-o", out], needed=False):
                return  # the ranking does not decide: said above, and a row with fewer seeds
        if (folder / "checkpoint.pt").exists():
            run(["freqcache", "train", "--resume", str(folder)])
        else:
            words = self.words(row.words, seed)
            run(["freqcache", "train", *words, *COMMON, "--seed", str(seed), "--out", str(folder)])


def summary(values: list[float], digits: int = 3) -> str:
    """Return mean and sample standard deviation."""
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def accuracy_table(place: Place, seeds: list[int]) -> None:
    """Print accuracies, bytes and compute of every row."""
    print(f"| network | {' | '.join(f'seed {seed}' for seed in seeds)} | mean ± spread | KiB/image | GMAC |")
    print("|---|" + "---|" * (len(seeds) + 3))
    for row in rows():
        folders = [place.folder(row, seed) for seed in seeds if finished(place.folder(row, seed))]
        if not folders:
            continue
        scores = [last_epoch(folder)["val_top1"] for folder in folders]
        documents = [json.loads((folder / "config.json").read_text()) for folder in folders]
        kib = statistics.mean(document["bytes_per_image"] for document in documents) / 1024
        there = [finished(place.folder(row, seed)) for seed in seeds]
        shown = iter(scores)
        cells = [f"{next(shown):.3f}" if is_there else "-" for is_there in there]
        print(f"| {row.title} | {' | '.join(cells)} | {summary(scores)} | {kib:.1f} | {documents[0]['gmac']:.4f} |")


def target_table(place: Place, seeds: list[int]) -> None:
    """Print how near the gated runs came to their targets."""
    print("| run | open by arg max | expected | lambda at the end | top-1 |")
    print("|---|---|---|---|---|")
    for row in rows():
        folders = [place.folder(row, seed) for seed in seeds if finished(place.folder(row, seed))]
        if not row.name.startswith(("gated", "target")) or not folders:
            continue
        ends = [last_epoch(folder) for folder in folders]
        cells = [
            ", ".join(f"{end[name]:.{digits}f}" for end in ends)
            for name, digits in (("val_gates_open", 1), ("val_gates_expected", 1), ("lam", 4), ("val_top1", 3))
        ]
        print(f"| {row.title} | {' | '.join(cells)} |")


def agreement_table(place: Place, seeds: list[int]) -> None:
    """Print how alike masks of different seeds are."""
    print("| mask | Jaccard index between seeds | Y, Cb, Cr |")
    print("|---|---|---|")
    for row in rows():
        paths = [place.masks / f"{row.name}-s{seed}.json" for seed in seeds]
        documents: list[Any] = [json.loads(path.read_text()) for path in paths if path.exists()]
        masks = [{tuple(channel) for channel in entry["channels"]} for entry in documents]
        if len(masks) < 2:
            continue
        shares = [len(a & b) / len(a | b) for a, b in combinations(masks, 2)]
        parts = ["/".join(str(sum(c[0] == part for c in mask)) for part in ("Y", "Cb", "Cr")) for mask in masks]
        print(f"| {row.title} | {', '.join(f'{share:.2f}' for share in shares)} | {', '.join(parts)} |")


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("sources", nargs="+", metavar="NAME=SOURCE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tables", action="store_true", help="run nothing")
    options = parser.parse_args()
    places = {}
    for entry in options.sources:
        name, _, source = entry.partition("=")
        places[name] = Place(options.work, name)
        if not options.tables and not (places[name].cache / "zarr.json").exists():
            run(["freqcache", "build", source, str(places[name].cache), "--size", SIZE])
    if not options.tables:
        for seed in options.seeds:
            for place in places.values():
                for row in rows():
                    place.train(row, seed)
    for name, place in places.items():
        print(f"\n{name}\n")
        for table in (accuracy_table, target_table, agreement_table):
            table(place, options.seeds)
            print()


if __name__ == "__main__":
    main()
