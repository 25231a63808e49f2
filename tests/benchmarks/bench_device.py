"""What a GPU needs from cache to network input, and what share of a training step it waits for it.

    python tests/benchmarks/bench_device.py WORK --count 4000

WORK holds the native cache of `count` images that bench_transform.py or bench_reading.py made there (--source makes
it). Prints Markdown tables:

- the transform alone (random crops, mirror, normalization) of a batch that is on the device already, with the bytes
  that it must move (integers read, result written) against the card's copy bandwidth, measured in the same run;
- steps of training on batches from the loader, made ahead in a thread, against steps on one batch that stays on the
  device; with the transform on the device and, by threads, in main memory.

Not measured: cold files, several GPUs, torch.compile, validation. Threads are those that read and transform; they are
not bound to cores, and Python and the copies take another one. Without CUDA it ends. --cpu-dry-run runs everything on
the CPU with a few images, to see that the script works: its numbers mean nothing, and the compiled kernel stands in for
the operator's form for devices.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import bench_images
import torch
from feeding import batches, inputs
from stores import make_stores
from torch import Tensor, nn

from freqcache import FrequencyDataset
from freqcache.crops import RandomResizedCrop
from freqcache.models import create_model
from freqcache.transforms import TrainTransform

CROP = RandomResizedCrop(size=448)
CLASSES = 1000
Next = Callable[[], tuple[Tensor, Tensor]]


def finish(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_each(work: Callable[[], object], count: int, device: torch.device) -> float:
    """Return the mean seconds of `count` calls, the device's work included."""
    finish(device)
    start = time.perf_counter()
    for _ in range(count):
        work()
    finish(device)
    return (time.perf_counter() - start) / count


def copy_bandwidth(device: torch.device, n_bytes: int, passes: int) -> float:
    """Return the bytes a second that copying inside the device's memory moves, read and written."""
    source = torch.zeros(n_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = partial(target.copy_, source)
    copy()
    return 2 * n_bytes / min(seconds_each(copy, 10, device) for _ in range(passes))


def open_store(store: Path, channels: str, threads: int = 1) -> FrequencyDataset:
    """Open the cache for random crops."""
    return FrequencyDataset(store, split="all", channels=channels, crop=CROP, threads=threads)


def transform_alone(options: argparse.Namespace, store: Path, device: torch.device) -> None:
    """Print the table of the transform of a batch that is on the device."""
    bandwidth = copy_bandwidth(device, options.copy_mib << 20, options.passes)
    print(f"\nCopying moves {bandwidth / 1e9:,.0f} GB/s. Batches of {options.batch_size} images.")
    cells = ["channels", "result", "ms a batch", "until all is launched", "images/s", "MB moved", "GB/s", "of copying"]
    print(f"\n| {' | '.join(cells)} |\n|{'---|' * len(cells)}")
    for channels in ("24", "64", "192"):
        dataset = open_store(store, channels)
        coefficients, _ = next(batches(dataset, options.batch_size))
        batch = coefficients.compact().to(device)
        for dtype in (torch.float32, torch.bfloat16):
            transform = TrainTransform.of(dataset, dtype=dtype).train().to(device)
            x = transform(batch)
            work = partial(transform, batch)
            launched = min(_launching(work, device) for _ in range(options.passes))
            seconds = min(seconds_each(work, options.calls, device) for _ in range(options.passes))
            moved = batch.n_bytes + x.numel() * x.element_size()
            values = [
                f"{seconds * 1e3:.2f}",
                f"{launched * 1e3:.2f}",
                f"{len(batch) / seconds:,.0f}",
                f"{moved / 1e6:.0f}",
                f"{moved / seconds / 1e9:.0f}",
                f"{moved / seconds / bandwidth:.1%}",
            ]
            print(f"| {channels} | {str(dtype).removeprefix('torch.')} | {' | '.join(values)} |", flush=True)


def _launching(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds until a call comes back: close to the whole where the CPU is what it waits for."""
    finish(device)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Trainer:
    """A network and its step: bfloat16 autocast, channels-last, SGD."""

    def __init__(self, arch: str, channels: int, device: torch.device) -> None:
        torch.manual_seed(0)
        model = create_model(arch, in_channels=channels, num_classes=CLASSES)
        self.model = model.to(device, memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9)
        self.device = device

    def step(self, x: Tensor, labels: Tensor) -> None:
        """Train on one batch."""
        with torch.autocast(self.device.type, torch.bfloat16):
            loss = nn.functional.cross_entropy(self.model(x).float(), labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


def step_seconds(trainer: Trainer | None, following: Next, options: argparse.Namespace, device: torch.device) -> float:
    """Return the seconds of a step on the batches of `following`; without a trainer, of making batches alone."""

    def step() -> None:
        x, labels = following()
        if trainer is not None:
            trainer.step(x, labels)

    for _ in range(options.warm):
        step()
    return seconds_each(step, options.steps, device)


def fed(
    trainer: Trainer | None,
    store: Path,
    threads: int,
    where: torch.device,
    options: argparse.Namespace,
    device: torch.device,
) -> float:
    """Return the seconds of a step on batches from the loader, transformed on the device `where`."""
    torch.set_num_threads(threads)
    dataset = open_store(store, "24", threads)
    transform = TrainTransform.of(dataset).train().to(where)
    made = inputs(dataset, transform, options.batch_size, device)
    return step_seconds(trainer, lambda: next(made), options, device)


def training(options: argparse.Namespace, store: Path, device: torch.device) -> None:
    """Print the table of training steps."""
    print(f"\nSteps on batches of {options.batch_size}, 24 channels, bfloat16 autocast, channels last.")
    last = ["ms on one batch that stays", "the loader's share", "images/s"]
    cells = ["network", "transform", "threads", "ms a step", *last]
    print(f"\n| {' | '.join(cells)} |\n|{'---|' * len(cells)}")
    dataset = open_store(store, "24")
    coefficients, labels = next(batches(dataset, options.batch_size))
    still = TrainTransform.of(dataset).train()(coefficients).to(device), labels.to(device)
    places = {"on the device": device} | ({"in main memory": torch.device("cpu")} if device.type != "cpu" else {})
    for arch in ("none", *options.archs):
        trainer = None if arch == "none" else Trainer(arch, len(dataset.channels), device)
        ways = {(place, threads): [] for place in places for threads in options.threads}
        floors: list[float] = []
        for _ in range(options.passes):
            floors.append(0.0 if trainer is None else step_seconds(trainer, lambda: still, options, device))
            for (place, threads), found in ways.items():
                found.append(fed(trainer, store, threads, places[place], options, device))
        for (place, threads), found in ways.items():
            _row(arch, place, threads, min(found), min(floors), options.batch_size)


def _row(arch: str, place: str, threads: int, seconds: float, floor: float, images: int) -> None:
    share = "" if not floor else f"{max(0.0, 1 - floor / seconds):.1%}"
    values = [f"{seconds * 1e3:.1f}", f"{floor * 1e3:.1f}" if floor else "", share, f"{images / seconds:,.0f}"]
    name = "none: batches alone" if arch == "none" else arch
    print(f"| {name} | {place} | {threads} | {' | '.join(values)} |", flush=True)


def find_store(options: argparse.Namespace) -> Path:
    """Return the native cache in WORK, made of --source where it is not there."""
    images = options.work / f"images-{options.count}"
    store = options.work / f"{images.name}-native.zarr"
    if not (store / "zarr.json").exists():
        if options.source is None:
            msg = f"{store}: no such cache; bench_transform.py makes it, or --source FOLDER does here"
            raise SystemExit(msg)
        bench_images.make(options.source, images, options.count)
        store = make_stores(images, options.work, 1)["native"]
    return store


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--source", type=Path, help="folder of JPEG files to make the images of")
    parser.add_argument("--count", type=int, default=4000, help="images of the cache")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--calls", type=int, default=20, help="transforms in a pass")
    parser.add_argument("--steps", type=int, default=50, help="training steps in a pass")
    parser.add_argument("--warm", type=int, default=5, help="steps before each pass")
    parser.add_argument("--copy-mib", type=int, default=1024)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--archs", nargs="*", default=["resnet50", "mobilenet_v2"])
    parser.add_argument("--cpu-dry-run", action="store_true", help="everything on the CPU, with a few images")
    options = parser.parse_args(argv)
    if options.cpu_dry_run:
        few = {"batch_size": 4, "passes": 1, "calls": 1, "steps": 1, "warm": 1, "copy_mib": 16, "threads": [1, 2]}
        vars(options).update(few)
    return options


def main() -> None:
    """Run everything."""
    options = arguments()
    if not options.cpu_dry_run and not torch.cuda.is_available():
        msg = "bench_device.py: torch finds no CUDA device here; --cpu-dry-run runs everything small on the CPU"
        raise SystemExit(msg)
    device = torch.device("cpu" if options.cpu_dry_run else "cuda")
    name = "CPU, a dry run: the numbers mean nothing" if options.cpu_dry_run else torch.cuda.get_device_name(device)
    store = find_store(options)
    print(f"{name}; torch {torch.__version__}; {store.name}")
    transform_alone(options, store, device)
    training(options, store, device)


if __name__ == "__main__":
    main()
