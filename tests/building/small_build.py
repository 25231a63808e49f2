"""The ``freqcache`` command with small row groups and shards, so that a small source makes many.

The plan is made by the main process and travels to the workers, so it is enough to change it here.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from build_process import SMALL  # noqa: E402

from freqcache_cli.main import main  # noqa: E402


def make_shards_small() -> None:
    """Change the layout of every build that this process plans."""
    for name, value in SMALL.items():
        module, _, constant = name.rpartition(".")
        setattr(importlib.import_module(module), constant, value)


if __name__ == "__main__":
    make_shards_small()
    sys.exit(main())
