"""Kills builds by several processes at random moments and finishes them: the same store, nothing left, nobody alive.

    python tests/building/random_kills.py WORK [--moments 200] [--seed 0]

A build runs as a command, in a session of its own. At a moment drawn from the duration of an undisturbed build (drawn
again where the build ended before) SIGKILL goes to every process of it, in half of the builds, or to the main process
alone, whose workers must end by themselves, or to one worker, whereupon the command must end by itself, with one line.
Then the same command must finish the store.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from build_process import (  # noqa: E402
    KINDS,
    TIMEOUT,
    all_ended,
    command,
    everything,
    members,
    run,
    workers_of,
    write_source,
)

WAYS = ("worker", "all", "main", "all")
WORKERS = 2
EARLY = "ended before its moment"


@dataclass(kw_only=True)
class Trial:
    """One command, what it must make, and what became of its builds.

    Attributes
    ----------
    arguments : list of str
        The command.
    out : Path
        The store.
    expected : dict of str to str
        Of the finished store, from :func:`build_process.everything`.
    seconds : float
        Duration of the quickest undisturbed build so far.
    fates : Counter of str
        How many builds ended in which way.
    """

    arguments: list[str]
    out: Path
    expected: dict[str, str]
    seconds: float
    fates: Counter[str] = field(default_factory=Counter)

    def kill_and_finish(self, moment: float, way: str, draw: random.Random) -> bool:
        """Start a build, kill it, finish it, compare. Exit with a message if something is wrong.

        Returns
        -------
        bool
            Whether the build was killed: it may have ended before.
        """
        shutil.rmtree(self.out.parent)
        self.out.parent.mkdir()
        words = f"{' '.join(self.arguments)}, killed after {moment:.3f} s ({way}): "
        process = subprocess.Popen(
            self.arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            fate = self._kill(process, moment, way, draw)
            alive = members(process.pid)
            out, err = process.communicate(timeout=TIMEOUT)
            problem = self._problem(fate, process.returncode, out, err)
            if not all_ended(alive):
                problem = f"{len(alive)} processes live on"
            if problem:
                sys.exit(words + problem)
        finally:
            for pid in members(process.pid):  # whatever went wrong, nothing is left running
                os.kill(pid, signal.SIGKILL)
        self.fates[fate] += 1
        done = run(self.arguments)
        complete = done.returncode == 1 and "exists and is complete" in done.stderr
        if (done.returncode and not complete) or len(done.stderr.splitlines()) != done.returncode:
            sys.exit(f"{words}not finished afterwards: {done.stderr}")
        self.fates["complete before it was finished"] += complete
        found = everything(self.out)
        if found != self.expected:
            differing = sorted(dict(found.items() ^ self.expected.items()))
            sys.exit(f"{words}the finished store differs: {differing}")
        return fate != EARLY

    def _kill(self, process: subprocess.Popen[str], moment: float, way: str, draw: random.Random) -> str:
        began = time.monotonic()
        try:
            process.wait(timeout=moment)
            self.seconds = min(self.seconds, time.monotonic() - began)
        except subprocess.TimeoutExpired:
            workers = workers_of(process.pid)
            if way == "worker" and not workers:  # not started yet, or done
                way = "main"
            if way == "all":
                os.killpg(process.pid, signal.SIGKILL)
            else:
                os.kill(draw.choice(workers) if way == "worker" else process.pid, signal.SIGKILL)
            return f"killed: {way}"
        return EARLY

    def _problem(self, fate: str, status: int, out: str, err: str) -> str:
        """Return what is wrong with the end of a build, nothing if it is as it must be."""
        lines = err.splitlines()
        if "Traceback" in err or out:
            return f"wrote {out}{err}"
        if fate == EARLY or (fate == "killed: worker" and status == 0):
            # A worker that dies after its last task is no loss.
            return "" if status == 0 and not lines and everything(self.out) == self.expected else f"{status}: {err}"
        if fate == "killed: worker":
            told = len(lines) == 1 and str(self.out) in err and "worker process died" in err
            return "" if status == 1 and told else f"a worker died: {status}: {err}"
        return "" if status == -signal.SIGKILL else f"ended with {status}: {err}"


def prepare(work: Path, size: int | None) -> Trial:
    """Build without disturbance, twice: the first may compile and fill caches, the second is timed."""
    out = work / "out" / "out.zarr"
    arguments = command(work / "source", out, size=size, workers=WORKERS)
    expected: list[dict[str, str]] = []
    seconds = 0.0
    for _ in range(2):
        shutil.rmtree(out.parent, ignore_errors=True)
        out.parent.mkdir()
        began = time.monotonic()
        done = run(arguments)
        seconds = time.monotonic() - began
        if done.returncode:
            sys.exit(done.stderr)
        expected.append(everything(out))
    if expected[0] != expected[1]:
        sys.exit("two undisturbed builds differ")
    return Trial(arguments=arguments, out=out, expected=expected[0], seconds=seconds)


def main() -> None:
    """Try native and fixed builds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument(
        "--kind", choices=list(KINDS), help="Only this kind of cache; half of the moments each by default."
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write_source(options.work / "source", per_class=40)
    draw = random.Random(options.seed)
    kinds = [options.kind] if options.kind else list(KINDS)
    for number, name in enumerate(kinds):
        trial = prepare(options.work, KINDS[name])
        for i in range(len(range(number, options.moments, len(kinds)))):
            while not trial.kill_and_finish(draw.uniform(0, trial.seconds), WAYS[i % len(WAYS)], draw):
                pass
        fates = ", ".join(f"{count} {fate}" for fate, count in sorted(trial.fates.items()))
        print(f"{name}: {fates}; all stores equal, {trial.seconds:.1f} s undisturbed", flush=True)


if __name__ == "__main__":
    main()
