"""Trains on each rank until rank 1 dies at a step: run by test_ranks_run.py, as a script under torchrun."""

from __future__ import annotations

import os
import sys

from click.testing import CliRunner

from freqcache.training import epoch
from freqcache_cli.commands.train import command


def main(killed: int, arguments: list[str]) -> None:
    real, steps = epoch.take_step, []

    def take_step(*given):
        steps.append(1)
        if len(steps) > killed and os.environ["RANK"] == "1":
            os._exit(9)
        real(*given)

    epoch.take_step = take_step
    result = CliRunner().invoke(command, arguments)
    sys.exit(result.exit_code)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
