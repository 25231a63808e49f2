"""The other side of peers.Remote: says what it reads, then runs a pass for each line that it is sent."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))  # a peer's Python has no freqcache, and needs little of it

from freqcache.benchmarking.passes import timed


def serve(epoch: Callable[[], int], kib: float, version: str) -> None:
    """Answer until standard input ends.

    Parameters
    ----------
    epoch : callable
        Reads the whole data set once and returns the number of images. Called once before anything is measured.
    kib : float
        KiB that an image takes in the data set.
    version : str
        Of the peer.
    """
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answers
    epoch()
    print(json.dumps({"kib": kib, "version": version}), file=out, flush=True)
    for _ in sys.stdin:
        print(json.dumps(asdict(timed(epoch))), file=out, flush=True)
