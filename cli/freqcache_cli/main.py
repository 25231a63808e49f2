"""The ``freqcache`` command: finds a subcommand's module when it is asked for, and turns errors into one line.

Exit status: 0 done; 1 the work could not be done, with one line on stderr that says why; 2 wrong usage;
130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

import click

from freqcache import __version__
from freqcache_formats.errors import FreqcacheError

_COMMANDS: Final = {
    "bench": "bench",
    "build": "build",
    "decode": "decode",
    "demo": "demo",
    "eval": "evaluate",
    "export": "export",
    "export-model": "export_model",
    "hot": "hot",
    "info": "info",
    "merge": "merge",
    "plot": "plot",
    "predict": "predict",
    "repack": "repack",
    "select": "select",
    "subset": "subset",
    "sweep": "sweep",
    "train": "train",
    "verify": "verify",
}
"""Subcommand and the module of :mod:`freqcache_cli.commands` that holds it."""


class _LazyGroup(click.Group):
    """Imports a subcommand's module only when that subcommand, or the list of all, is shown or run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"freqcache_cli.commands.{_COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="freqcache")
def cli() -> None:
    """Learning in the frequency domain: cache JPEG coefficients, learn which channels matter, train on those."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    # OpenMP threads that wait by spinning take the cores from each other wherever something else runs too: on two
    # busy cores training was measured at 45 images/s with spinning and 354 without. Set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        status = cli.main(arguments, prog_name="freqcache", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("freqcache: interrupted", err=True)
        return 130
    except FreqcacheError as error:
        click.echo(f"freqcache: error: {error}", err=True)
        return 1
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
