"""The page of the command line, made of what click knows of its commands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "sigma-scale"


def command_page() -> str:
    """All commands, their arguments and options, as reStructuredText."""
    from sigma_scale.cli import cli

    return "\n".join(_page(cli)) + "\n"


def _page(group: click.Group) -> Iterator[str]:
    title = "Command line"
    yield from [title, "=" * len(title), "", "``sigma-scale --help`` says the same.", ""]
    context = click.Context(group, info_name=PROGRAM, **group.context_settings)
    yield from _command(group, context, "Before a command")
    for name, command in group.commands.items():
        yield from _command(command, click.Context(command, context, name), name)


def _command(command: click.Command, context: click.Context, title: str) -> Iterator[str]:
    yield from [title, "-" * len(title), "", f".. program:: {context.command_path}", ""]
    pieces = " ".join(command.collect_usage_pieces(context))
    yield from [".. code-block:: console", "", f"   $ {context.command_path} {pieces}", ""]
    for paragraph in re.split(r"\n\s*\n", command.help or ""):
        yield from [escaped(" ".join(paragraph.replace("\b", "").split())), ""]
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None or not record[1]:
            continue  # The usage shows an argument; its command says what it is.
        shown, text = record
        yield f".. option:: {shown.replace(' / ', ', ')}"
        yield from ["", f"   {escaped(' '.join(text.split()))}", ""]


def escaped(text: str) -> str:
    """Text in which nothing is markup but what stands between backticks."""
    plain = re.sub(r"([\\*_|<>])", r"\\\1", text)
    return re.sub(r"`([^`]*)`", lambda match: f"``{match[1].replace(chr(92), '')}``", plain)
