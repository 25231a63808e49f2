"""The ``freqcache`` command: finds a subcommand's module when it is asked for, and turns errors into one line.

How a command ends is :mod:`freqcache_cli.ending`'s; how much it says, :mod:`freqcache_cli.verbosity`'s.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import click
from click.shell_completion import CompletionItem, shell_complete

from freqcache_cli import ending, verbosity
from freqcache_formats.errors import FreqcacheError

_COMMANDS: Final = {
    "bench": "bench",
    "build": "build",
    "completion": "completion",
    "decode": "decode",
    "demo": "demo",
    "eval": "evaluate",
    "export": "export",
    "export-model": "export_model",
    "hot": "hot",
    "info": "info",
    "merge": "merge",
    "plan": "plan",
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

COMPLETE: Final = "_FREQCACHE_COMPLETE"
"""Environment variable by which a shell asks for completions."""

_STATUSES: Final = """\b
Exit status:
  0    done
  1    the work could not be done: one line on standard error says why
  2    wrong usage
  130  interrupted (Ctrl-C), 143 terminated, 141 whoever read the output has gone
"""


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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, _COMMANDS)
            more = f" Did you mean {' or '.join(near)}?" if near else " 'freqcache --help' lists them."
            msg = f"No such command '{name}'.{more}"
            raise click.UsageError(msg, ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the subcommands and options that begin so; no subcommand is imported to show its help."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(name) for name in sorted(_COMMANDS) if name.startswith(incomplete)]


@click.group(
    cls=_LazyGroup,
    invoke_without_command=True,
    no_args_is_help=False,
    subcommand_metavar="COMMAND [ARGS]...",
    epilog=_STATUSES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--version", is_flag=True, help="Show the version; with -v also those of what freqcache stands on.")
@click.option("-v", "--verbose", count=True, help="As of every command: say more; -vv: more still.")
@click.pass_context
def cli(context: click.Context, *, version: bool, verbose: int) -> None:
    """Learning in the frequency domain: cache JPEG coefficients, learn which channels matter, train on those."""
    if version:
        from freqcache_cli.versions import describe

        click.echo(describe(verbose=verbose > 0))
        context.exit()
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)
    verbosity.start(verbose)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    # OpenMP threads that wait by spinning take the cores from each other wherever something else runs too: on two
    # busy cores training was measured at 45 images/s with spinning and 354 without. Set before torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if instruction := os.environ.get(COMPLETE):
        return shell_complete(cli, {}, "freqcache", COMPLETE, instruction)
    try:
        with ending.terminations():
            status = _run(sys.argv[1:] if arguments is None else list(arguments))
            sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        return ending.after_usage_error(error)
    except (click.Abort, EOFError, KeyboardInterrupt) as interruption:
        return ending.after_interruption(interruption)
    except FreqcacheError as error:
        return ending.after_error(error)
    except OSError as error:
        if not ending.is_closed_pipe(error):
            raise
        return ending.after_closed_pipe()
    finally:
        verbosity.stop()
    return status if isinstance(status, int) else 0


def _run(arguments: list[str]) -> Any:
    with cli.make_context("freqcache", arguments) as context:
        return cli.invoke(context)


if __name__ == "__main__":
    sys.exit(main())
