"""Runs an implementation of the format over the example stores: ``run.py [--reader COMMAND] [--strict]``.

COMMAND gets a store's path as its last argument. For a valid store it prints the canonical dump (README.md) and exits
0; a store that it refuses, it ends with another exit code. The default is ``dump.py``.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from examples import HERE, assemble, manifest, valid_store


def read(command: list[str], store: Path) -> dict[str, Any] | str:
    """Return the reader's dump of a store, or the words with which it refused."""
    done = subprocess.run([*command, str(store)], capture_output=True, text=True, check=False)  # noqa: S603 (the caller's own command)
    if done.returncode:
        return done.stderr.strip() or f"exit code {done.returncode}"
    try:
        document: dict[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        return f"exit code 0, but no JSON: {error}"
    return document


def differences(expected: Any, found: Any, where: str = "") -> list[str]:
    """Return where two dumps differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = sorted(expected.keys() | found.keys())
        return [line for key in keys for line in differences(expected.get(key), found.get(key), f"{where}/{key}")]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [line for i, (one, other) in pairs for line in differences(one, other, f"{where}[{i}]")]
    return [] if expected == found else [f"{where}: expected {expected!r}, found {found!r}"]


def main(arguments: list[str]) -> int:
    """Run the reader over every example; print a line each; exit 1 if it fails one."""
    parser = argparse.ArgumentParser(description="Run a reader of the format over the example stores.")
    parser.add_argument("--reader", default=shlex.join([sys.executable, str(HERE / "dump.py")]), metavar="COMMAND")
    parser.add_argument("--strict", action="store_true", help="also fail for faults that a reader may overlook")
    options = parser.parse_args(arguments)
    command, failed = shlex.split(options.reader), 0
    for name, entry in manifest()["valid"].items():
        found = read(command, valid_store(name))
        wrong = [found] if isinstance(found, str) else differences(entry["dump"], found)
        failed += bool(wrong)
        sys.stdout.write(
            f"{'FAILED' if wrong else 'ok':8} valid/{name}{': ' + wrong[0].splitlines()[0] if wrong else ''}\n"
        )
    for name, entry in manifest()["invalid"].items():
        with tempfile.TemporaryDirectory() as folder:
            found = read(command, assemble(name, Path(folder) / name))
        word, line = "ok", f"refused: {found}"
        if not isinstance(found, str):
            fatal = options.strict or entry["reader"] != "may"
            failed += fatal
            word, line = "FAILED" if fatal else "unseen", f"read although {entry['fault']}"
        sys.stdout.write(f"{word:8} invalid/{name} ({entry['reader']}): {line.splitlines()[0]}\n")
    sys.stdout.write(f"{failed} failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
