"""Options that choose where work is done, and the connection that a command works by."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

import click

from sigma_scale.cli.options import pairs
from sigma_scale.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["connected", "scheduler_options"]

_TIME = re.compile(r"\w+=(\d+-)?\d+(:\d\d)+")
"""Such as ``walltime=10:00:00``."""


def scheduler_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose where work is done."""
    options = [
        click.option(
            "--scheduler",
            metavar="WHERE",
            help="Where work is done: threads (as if not given), processes:N, slurm:N, gpus:N, "
            "tcp://host:port of a Dask scheduler, or its scheduler file.",
        ),
        click.option("--workers", type=int, metavar="N", help="Threads, processes, jobs or GPUs."),
        click.option("--worker-memory", metavar="SIZE", help="Memory of each worker, such as 8GB."),
        click.option(
            "--scheduler-option",
            multiple=True,
            metavar="NAME=VALUE",
            help="Further option of the scheduler, such as queue=long or cores=4; repeatable.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def connected(command: click.Command, check: Callable[..., object] | None = None) -> click.Command:
    """
    Let a command work where the options of the group say.

    Not the group itself connects: then a mistake in a command's options, or its help, would
    come only after the workers have started.

    Parameters
    ----------
    command : click.Command
        The command.
    check : callable, optional
        Called with the command's arguments before any worker is started, to refuse what is known
        to fail.

    Returns
    -------
    click.Command
        The same.
    """
    work = command.callback
    if work is None:
        return command

    @functools.wraps(work)
    def with_workers(*arguments: Any, **options: Any) -> Any:
        from sigma_scale import compute

        where = click.get_current_context().find_root().obj or {}
        if check is not None:
            check(*arguments, **options)
        with compute.connect(**_arguments(where)):
            return work(*arguments, **options)

    command.callback = with_workers
    return command


def _arguments(where: dict[str, Any]) -> dict[str, Any]:
    """Say what the options mean to :func:`sigma_scale.compute.connect`."""
    given = where.get("scheduler_option") or ()
    # YAML takes 10:00:00 for a number to the base of 60.
    times = dict(text.split("=", 1) for text in given if _TIME.fullmatch(text))
    more = pairs(given) | times
    chosen = {
        "scheduler": where.get("scheduler"),
        "n_workers": where.get("workers"),
        "memory": where.get("worker_memory"),
    }
    twice = [name for name, value in chosen.items() if value is not None and name in more]
    if twice:
        raise ParameterError(f"--scheduler-option {twice[0]} was said twice.")
    return more | {name: value for name, value in chosen.items() if value is not None}
