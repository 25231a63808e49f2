"""Reruns the table of docs/results.md: every row and seed that is not there yet, then the table.

    python tests/benchmarks/results.py SOURCE WORK [--seeds 0 1 2]

SOURCE holds train/ and val/ with class folders; WORK keeps the cache and the runs. Each run is one call of the command
line, printed before it starts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from pathlib import Path

ROWS = {
    "all192": ("192 channels", ["{cache}", "--channels", "192"]),
    "gated": ("192 channels, gated (lambda 0.01)", ["{cache}"]),
    "learned24": ("24 channels, learned", ["--channels", "{work}/runs/gated-s{seed}/mask.json"]),
    "square24": ("24 channels, square", ["{cache}", "--channels", "24"]),
    "rgb": ("RGB, 112 pixels", ["{cache}", "--input", "rgb"]),
}
ORDER = ("gated", "learned24", "square24", "all192", "rgb")
COMMON = ["--width", "0.375", "--threads", "1"]


def run(command: list[str]) -> None:
    """Print a command and run it."""
    print("+", " ".join(command), flush=True)
    subprocess.run(command, check=True)


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


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    work, cache = options.work, options.work / "flowers5.zarr"
    if not (cache / "zarr.json").exists():
        run(["freqcache", "build", str(options.source), str(cache), "--size", "224"])
    for seed in options.seeds:
        for name in ORDER:
            folder = work / "runs" / f"{name}-s{seed}"
            if (folder / "checkpoint.pt").exists() and not finished(folder):
                run(["freqcache", "train", "--resume", str(folder)])
            elif not finished(folder):
                words = [word.format(cache=cache, work=work, seed=seed) for word in ROWS[name][1]]
                run(["freqcache", "train", *words, *COMMON, "--seed", str(seed), "--out", str(folder)])
    print(f"| network | {' | '.join(f'seed {seed}' for seed in options.seeds)} | mean | spread | KiB/image | GMAC |")
    print("|---|" + "---|" * (len(options.seeds) + 4))
    for name, (title, _) in ROWS.items():
        folders = [work / "runs" / f"{name}-s{seed}" for seed in options.seeds]
        scores = [last_epoch(folder)["val_top1"] for folder in folders]
        documents = [json.loads((folder / "config.json").read_text()) for folder in folders]
        kib = statistics.mean(document["bytes_per_image"] for document in documents) / 1024
        spread = f"{statistics.stdev(scores):.3f}" if len(scores) > 1 else "-"
        cells = [*(f"{score:.3f}" for score in scores), f"{statistics.mean(scores):.3f}", spread]
        print(f"| {title} | {' | '.join(cells)} | {kib:.1f} | {documents[0]['gmac']:.3f} |")


if __name__ == "__main__":
    main()
