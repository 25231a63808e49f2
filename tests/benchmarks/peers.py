"""What users would pick instead of a cache of coefficients: contenders over the same images.

Pillow runs in this process. FFCV and LitData need other packages: each of their configurations is a process of its own
(peer_ffcv.py, peer_litdata.py, run by the Python of setup_peers.sh), kept alive and asked for one pass at a time, so
that it takes its turn like any other. It is pinned like this process.
"""

from __future__ import annotations

import json
import math
import os
import selectors
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from freqcache.benchmarking.passes import Pass, StoppedError

HERE = Path(__file__).parent
CROP, SHORT_SIDE = 224, 256
PATIENCE = 300.0
"""Seconds to wait for another process: FFCV compiles for half a minute, and now and then never answers."""

Pixels = npt.NDArray[np.uint8]


def pillow_center(path: Path) -> Pixels:
    """Decode, resize the short side to 256, take the middle 224x224: (224, 224, 3) uint8."""
    image = Image.open(path).convert("RGB")
    scale = SHORT_SIDE / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - CROP) // 2, (height - CROP) // 2
    return np.asarray(image.crop((left, top, left + CROP, top + CROP)))


def pillow_random(path: Path, generator: np.random.Generator) -> Pixels:
    """Decode, RandomResizedCrop as in torchvision (area 0.08..1, ratio 3/4..4/3), flip at random."""
    image = Image.open(path).convert("RGB")
    width, height = image.size
    for _ in range(10):
        area = width * height * generator.uniform(0.08, 1.0)
        ratio = math.exp(generator.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if w <= width and h <= height:
            break
    else:
        w = h = min(width, height)
    left, top = int(generator.integers(width - w + 1)), int(generator.integers(height - h + 1))
    image = image.crop((left, top, left + w, top + h)).resize((CROP, CROP), Image.Resampling.BILINEAR)
    if generator.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(image)


def pillow_readers(files: Sequence[Path]) -> dict[str, Callable[[], Callable[[Any], object]]]:
    """Return makers of readers whose unit is a range of positions in `files`."""
    generator = np.random.default_rng(0)

    def center(unit: range) -> None:
        for i in unit:
            pillow_center(files[i])

    def random(unit: range) -> None:
        for i in unit:
            pillow_random(files[i], generator)

    return {
        "Pillow: decode, resize to 256, crop 224": lambda: center,
        "Pillow: decode, RandomResizedCrop and flip": lambda: random,
    }


class Remote:
    """A peer in another process, which reads its whole data set once a pass.

    Attributes
    ----------
    name : str
        As the tables call it.
    kib : float
        KiB that it reads an image, by its own files.
    version : str
        Of the peer.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name, self._log = name, log
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=_environment()
            )
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe("stdout"), selectors.EVENT_READ)
        told = self._answer()
        self.kib, self.version = float(told["kib"]), str(told["version"])

    def run(self) -> Pass:
        """Ask for one pass."""
        try:
            pipe = self._pipe("stdin")
            pipe.write(b"pass\n")
            pipe.flush()
        except BrokenPipeError as error:
            raise self._stopped("it ended") from error
        return Pass(**self._answer())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _pipe(self, name: str) -> Any:
        return getattr(self._process, name)

    def _answer(self) -> dict[str, Any]:
        """Return the next line that it says. It says one for each that it is asked, so none waits unread."""
        if not self._selector.select(PATIENCE):
            self.close()
            raise self._stopped(f"no answer for {PATIENCE:.0f} s")
        line = self._pipe("stdout").readline()
        if not line:
            raise self._stopped(f"it ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _stopped(self, reason: str) -> StoppedError:
        last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
        return StoppedError(f"{reason} ({self._log}: {last[0] if last else 'empty'})")


def prepare(command: Sequence[str], made: Path, log: Path) -> None:
    """Let another process write a peer's data set, unless it is there."""
    if made.exists():
        return
    with log.open("w") as errors:
        try:
            subprocess.run(command, stdout=errors, stderr=errors, env=_environment(), check=True, timeout=1800)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            msg = f"{made} could not be made: {error} ({log})"
            raise StoppedError(msg) from error


def ffcv(python: Path, images: Path, work: Path) -> dict[str, Callable[[], Remote]]:
    """Return the starters of FFCV's four configurations."""
    script = [str(python), str(HERE / "peer_ffcv.py")]
    starters: dict[str, Callable[[], Remote]] = {}
    for mode, crop in (("jpg", "random"), ("jpg", "center"), ("raw", "random"), ("raw", "center")):
        what = "RandomResizedCrop" if crop == "random" else "centre crop"
        name = f"FFCV, {'JPEG' if mode == 'jpg' else 'raw pixels'} at 256 px, {what}"
        made = work / f"{images.name}-{mode}.beton"
        log = work / f"ffcv-{mode}-{crop}.log"

        def start(name: str = name, made: Path = made, mode: str = mode, crop: str = crop, log: Path = log) -> Remote:
            prepare([*script, "write", str(images), str(made), mode], made, log)
            return Remote(name, [*script, "read", str(made), crop], log)

        starters[name] = start
    return starters


def litdata(python: Path, store: Path, work: Path, channels: Sequence[int]) -> dict[str, Callable[[], Remote]]:
    """Return the starters of LitData's configurations: the same channels, chosen before writing."""
    script = [str(python), str(HERE / "peer_litdata.py")]
    starters: dict[str, Callable[[], Remote]] = {}
    for compression, order in (("zstd", "shuffled"), ("none", "in-order"), ("none", "shuffled")):
        what = "zstd" if compression == "zstd" else "raw"
        name = f"LitData, the same {len(channels)} channels, {what}, {order.replace('-', ' ')}"
        made = work / f"{store.name}-{len(channels)}-{compression}.litdata"
        log = work / f"litdata-{compression}-{order}.log"

        def start(
            name: str = name, made: Path = made, compression: str = compression, order: str = order, log: Path = log
        ) -> Remote:
            wanted = ",".join(map(str, channels))
            prepare([*script, "write", str(store), str(made), compression, wanted], made, log)
            return Remote(name, [*script, "read", str(made), order], log)

        starters[name] = start
    return starters


def _environment() -> dict[str, str]:
    """Return the environment of the other processes: theirs must not find this project's packages by accident."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
