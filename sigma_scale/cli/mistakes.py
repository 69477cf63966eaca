"""What is said of a command line that can't be understood."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["told"]

_LEAST_ALIKE = 0.7
"""How much like an option what was written must be for the option to be suggested; 1: the same."""
_ALIKE = 0.15
"""How much less like what was written a further suggestion may be than the best one."""


def told(error: click.ClickException, group: click.Group, arguments: Sequence[str]) -> str:
    """
    Say what is wrong with a command line, and what would be right.

    Parameters
    ----------
    error : click.ClickException
        What click found.
    group : click.Group
        The main command, whose options stand before the command.
    arguments : sequence of str
        What followed the main command's name.

    Returns
    -------
    str
    """
    context = error.ctx if isinstance(error, click.UsageError) else None
    message = error.format_message()
    if isinstance(error, click.NoSuchOption):
        message = f"No such option: {error.option_name}."
        if context is not None and context.command is not group:
            misplaced = _misplaced(error.option_name, group, context, arguments)
            if misplaced:
                return misplaced
        alike = _most_alike(error.option_name, error.possibilities or ())
        if alike:
            message += f" Did you mean {' or '.join(alike)}?"
    hint = f" Try '{context.command_path} --help'." if context else ""
    return message + hint


def _misplaced(
    name: str, group: click.Group, context: click.Context, arguments: Sequence[str]
) -> str:
    """What to say of an option of the main command after the command; else an empty text."""
    for option in group.params:
        if not isinstance(option, click.Option) or name not in option.opts or option.is_eager:
            continue
        example = name if option.is_flag else f"{name} {_value(name, option, arguments)}"
        program = context.find_root().info_name
        return (
            f"{name} is an option of {program} itself: give it before the command, as in: "
            f"{program} {example} {context.info_name} ..."
        )
    return ""


def _value(name: str, option: click.Option, arguments: Sequence[str]) -> str:
    """Value that an option was given, or else what its help calls it."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument == name and following:
            return following
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
    return option.metavar or "VALUE"


def _most_alike(name: str, possible: Sequence[str]) -> list[str]:
    """Options most like a name, the best first; click has them by the alphabet."""
    likeness = {known: SequenceMatcher(None, name, known).ratio() for known in possible}
    least = max(_LEAST_ALIKE, max(likeness.values(), default=0.0) - _ALIKE)
    good = [known for known, ratio in likeness.items() if ratio >= least]
    return sorted(good, key=lambda known: -likeness[known])
