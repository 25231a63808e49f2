"""Images a second of training: from the loader, and from one batch that is on the device already.

    python tests/benchmarks/bench_training.py FOLDER WORK [--cpu-dry-run]

FOLDER holds class folders of photographs; WORK keeps the caches. ResNet-50 on 56x56 blocks and MobileNetV2 on 112x112,
with 24, 64 and 192 channels and with RGB at the same compute (``--strides iso``); bfloat16, channels-last, compiled.
The steps are the training loop's own. The two columns should be within 5 %: the loader must not be what a GPU waits
for. Rounds of the two alternate, and the median of each is taken. Needs CUDA; a dry run on a CPU only shows that it
runs.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from freqcache.building import BuildOptions, build
from freqcache.training import RunConfig, SilentReporter
from freqcache.training.data import open_data
from freqcache.training.draws import Draws
from freqcache.training.state import TrainingState, prepare
from freqcache.training.step import take_step, train_part
from freqcache_formats.mask import ChannelMask

NETWORKS = {"resnet50": 448, "mobilenet_v2": 896}
INPUTS = ("24", "64", "192", "rgb")


def configuration(cache: Path, arch: str, entry: str, options: argparse.Namespace) -> RunConfig:
    """Return the run of one line of the table."""
    dry = options.cpu_dry_run
    return RunConfig(
        cache=str(cache),
        arch=arch,
        width=0.125 if dry else 1.0,
        input="rgb" if entry == "rgb" else "dct",
        channels=None if entry == "rgb" else ChannelMask.preset(entry),
        batch_size=4 if dry else options.batch_size,
        compile=not dry,
        device="cpu" if dry else "cuda",
        threads=options.threads,
    )


def endless(state: TrainingState) -> Iterator[tuple[Any, torch.Tensor]]:
    """Yield batches of the loader, epoch after epoch."""
    for epoch in itertools.count():
        state.train_batches.set_epoch(epoch)
        yield from state.train_batches


def rate(state: TrainingState, batches: Iterator[tuple[Any, torch.Tensor]], steps: int) -> float:
    """Return images a second over some steps."""
    wait(state)
    begun = perf_counter()
    for step, (stored, labels) in enumerate(itertools.islice(batches, steps)):
        draws = Draws(seed=0, epoch=0, step=step, images=state.part_images)
        state.optimizers.zero_grad()
        done = train_part(state, stored, labels, draws, step=step, last=True)
        take_step(state, step, done.gates)
    wait(state)
    return steps * state.part_images / (perf_counter() - begun)


def wait(state: TrainingState) -> None:
    """Wait for the device."""
    if state.device.type == "cuda":
        torch.cuda.synchronize(state.device)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--cpu-dry-run", action="store_true")
    options = parser.parse_args()
    print("| network | input | GMAC | images/s, loader | on the device | ratio |\n|---|---|---|---|---|---|")
    for arch in options.networks:
        side = 64 if options.cpu_dry_run else NETWORKS[arch]
        cache = options.work / f"training-{side}.zarr"
        if not (cache / "zarr.json").exists():
            build(options.folder, cache, BuildOptions(size=side))
        for entry in INPUTS:
            config = configuration(cache, arch, entry, options)
            with tempfile.TemporaryDirectory() as folder:
                torch.manual_seed(0)
                state = prepare(config, Path(folder), open_data(config), SilentReporter())
                state.model.train()
                state.inputs.train()
                loaded = endless(state)
                stored, labels = next(loaded)
                held = itertools.repeat((stored.to(state.device), labels.to(state.device)))
                for warm in (loaded, held):
                    rate(state, warm, 3)
                rounds = [
                    (rate(state, loaded, options.steps), rate(state, held, options.steps))
                    for _ in range(options.rounds)
                ]
            ours, synthetic = (statistics.median(column) for column in zip(*rounds, strict=True))
            cells = f"{state.cost.gmac:.2f} | {ours:.0f} | {synthetic:.0f} | {ours / synthetic:.3f}"
            print(f"| {arch} | {entry} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
