"""The command `sigma-scale`: parse, call, report."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

import sigma_scale
from sigma_scale import compute, config
from sigma_scale.cli import maps, mosaic, phases, view
from sigma_scale.cli.cluster import connected, scheduler_options
from sigma_scale.cli.mistakes import told
from sigma_scale.errors import SigmaScaleError, SigmaScaleWarning

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["cli", "main"]

_BAD_INPUT = 2
_INTERRUPTED = 130


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.version_option(sigma_scale.__version__, prog_name="sigma-scale")
@click.option("--quiet", is_flag=True, help="No progress bars and no remarks.")
@click.option("--memory-limit", metavar="SIZE", help="Memory that a step may take, such as 8GB.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "cpu", "gpu"]),
    help="Where models are fitted; auto takes a GPU if there is a usable one.",
)
@scheduler_options
@click.pass_context
def cli(
    context: click.Context,
    /,
    *,
    quiet: bool,
    memory_limit: str | None,
    engine: str | None,
    **where: Any,
) -> None:
    """Phase maps from X-ray spectrum images of any size."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        return
    chosen: dict[str, Any] = {"progress": not quiet and sys.stderr.isatty()}
    if memory_limit:
        chosen["memory_limit"] = memory_limit
    if engine:
        chosen["engine"] = engine
    config.options(**chosen)
    if memory_limit:
        compute.memory_limit()  # Whether it can be understood.
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("sigma_scale").setLevel(logging.WARNING if quiet else logging.INFO)
    context.obj = where


for command, check in (
    (phases.run, phases.check_run),
    (phases.demo, phases.check_demo),
    (view.view, None),
    (maps.ingest, maps.check_ingest),
    (mosaic.mosaic, mosaic.check_mosaic),
    (maps.export, None),
    (maps.calibrate, None),
    (maps.info, None),
    (maps.doctor, None),
):
    cli.add_command(connected(command, check))


def _note(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    if issubclass(category, SigmaScaleWarning):
        click.echo(f"Note: {message}", err=True)


def main(arguments: list[str] | None = None) -> None:
    """
    Run the command; errors of input end with one line and exit code 2.

    Warnings of libraries are kept from the terminal; ours are shown as notes. A request to end,
    as batch systems send it when the time is up, ends the command like Ctrl-C.

    Parameters
    ----------
    arguments : list of str, optional
        What follows the command's name. None: the arguments of this process.
    """
    with _orderly_end(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", SigmaScaleWarning)
        warnings.showwarning = _note
        try:
            cli.main(args=arguments, prog_name="sigma-scale", standalone_mode=False)
        except click.ClickException as error:
            _fail(told(error, cli, sys.argv[1:] if arguments is None else arguments))
        except (click.Abort, KeyboardInterrupt):
            click.echo("Interrupted. Run the same command again to go on.", err=True)
            sys.exit(_INTERRUPTED)
        except (SigmaScaleError, OSError, MemoryError) as error:
            _fail(str(error) or type(error).__name__)


@contextmanager
def _orderly_end() -> Iterator[None]:
    """
    Turn a request to end into an interruption.

    Else the process would be gone at once, with drafts left on the disk, and with semaphores of
    its workers, which Python would report as leaked.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Only the main thread may say what a signal does.
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _fail(message: str) -> NoReturn:
    click.echo(f"Error: {' '.join(message.split())}", err=True)
    sys.exit(_BAD_INPUT)
