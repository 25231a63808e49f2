"""``freqcache completion``: the script that teaches a shell to complete freqcache's commands."""

from __future__ import annotations

from typing import Final

import click

SHELLS: Final = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script with which SHELL completes commands, options, masks, recipes and paths.

    \b
    bash   freqcache completion bash > ~/.local/share/bash-completion/completions/freqcache
    zsh    freqcache completion zsh > "${fpath[1]}/_freqcache", then: compinit
    fish   freqcache completion fish > ~/.config/fish/completions/freqcache.fish

    \b
    For this session alone (bash; zsh alike):
           eval "$(freqcache completion bash)"
    """  # noqa: D301 - click wants the backspace itself
    from click.shell_completion import get_completion_class

    from freqcache_cli.main import COMPLETE, cli

    chosen = get_completion_class(shell)
    if chosen is None:  # never: click has had these three since 8.0
        msg = f"click knows no completion for {shell}"
        raise click.ClickException(msg)
    click.echo(chosen(cli, {}, "freqcache", COMPLETE).source())
