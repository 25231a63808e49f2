"""A directive ``commands`` for Sphinx: every command of a click group, as its own ``--help`` describes it.

Commands are found by asking the group, at any depth, so that groups which load their commands when asked are covered,
and a command added to the table is on the page. Words, defaults and order are click's. It runs no command.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def walk(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[click.Context]:
    """Yield a context of each visible command below `command`, itself first, parents before children, by name."""
    context = click.Context(command, info_name=name, parent=parent, **command.context_settings)
    yield context
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            if child is not None and not child.hidden:
                yield from walk(child, child_name, context)


class Commands(SphinxDirective):
    """``{commands} MODULE:GROUP NAME``: a section for each command."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Return the sections, in the order of :func:`walk`."""
        module, _, attribute = self.arguments[0].partition(":")
        group: click.Command = getattr(import_module(module), attribute)
        return [self._section(context) for context in walk(group, self.arguments[1])]

    def _section(self, context: click.Context) -> nodes.section:
        command, path = context.command, context.command_path
        section = nodes.section(ids=[nodes.make_id(path)], names=[nodes.fully_normalize_name(path)])
        section += nodes.title(text=path)
        self.state.document.note_explicit_target(section)
        usage = " ".join([path, *command.collect_usage_pieces(context)])
        section += nodes.literal_block(usage, usage, language="text")
        section += list(_paragraphs(command.help or ""))
        records = [(parameter, parameter.get_help_record(context)) for parameter in command.get_params(context)]
        options = nodes.definition_list(classes=["options"])
        for parameter, record in records:
            if record is not None and not getattr(parameter, "hidden", False):
                options += _definition(*record)
        section += options
        if isinstance(command, click.Group):
            section += self._children(command, context)
        section += list(_paragraphs(command.epilog or ""))
        return section

    def _children(self, group: click.Group, context: click.Context) -> nodes.definition_list:
        children = nodes.definition_list()
        for name in group.list_commands(context):
            child = group.get_command(context, name)
            if child is not None and not child.hidden:
                link = nodes.reference("", "", refid=nodes.make_id(f"{context.command_path} {name}"), internal=True)
                link += nodes.literal(text=name)
                children += _item(link, child.get_short_help_str(limit=200))
        return children


def _definition(flags: str, text: str) -> nodes.definition_list_item:
    return _item(nodes.literal(text=flags), text)


def _item(term: nodes.Node, text: str) -> nodes.definition_list_item:
    definition = nodes.definition()
    definition += nodes.paragraph(text=text)
    return nodes.definition_list_item("", nodes.term("", "", term), definition)


def _paragraphs(text: str) -> Iterator[nodes.Node]:
    """Yield the paragraphs of a help text; those after a backspace keep their lines, as click shows them."""
    for paragraph in inspect.cleandoc(text).split("\f")[0].split("\n\n"):
        if paragraph.startswith("\b\n"):
            lines = paragraph[2:]
            yield nodes.literal_block(lines, lines, language="text")
        elif paragraph.strip():
            yield nodes.paragraph(text=" ".join(paragraph.split()))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
