"""The commands that map phases: run and demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sigma_scale.cli.options import (
    LOCAL,
    PATH_OR_URL,
    pairs,
    reader_option,
    settings_of,
    settings_options,
)

if TYPE_CHECKING:
    from sigma_scale.store import Location
    from sigma_scale.workflow import PhaseMapping

__all__ = ["check_demo", "check_run", "demo", "run"]


@click.command()
@click.argument("source", type=PATH_OR_URL)
@click.option("-o", "--output", type=LOCAL, help="Folder for the results.")
@click.option("--overwrite", is_flag=True, help="Replace a folder of results that is there.")
@reader_option
@settings_options
def run(
    source: Location,
    output: Path | None,
    *,
    overwrite: bool,
    option: tuple[str, ...],
    **chosen: Any,
) -> None:
    """Map the phases of SOURCE, a microscope's file or a store, and write a report."""
    from sigma_scale.workflow.job import run_job

    output = output or _default_output(source)
    result = run_job(
        source, settings_of(chosen), output, overwrite=overwrite, options=pairs(option)
    )
    _say_phases(result, output)


def check_run(
    source: Location,
    output: Path | None,
    *,
    overwrite: bool,
    option: tuple[str, ...],
    **chosen: Any,
) -> None:
    """Refuse before anything is started or read what is known to fail."""
    from sigma_scale.workflow.outputs import OutputFolder
    from sigma_scale.workflow.pipeline import check_unread

    pairs(option)
    OutputFolder(output or _default_output(source), overwrite=overwrite).check(source)
    check_unread(settings_of(chosen))


def _default_output(source: Location) -> Path:
    return Path(f"{source.stem}-phases")


@click.command()
@click.option(
    "-o",
    "--output",
    type=LOCAL,
    default=Path("sigma-scale-demo"),
    show_default=True,
    help="Folder for the results.",
)
@click.option(
    "--side",
    type=click.IntRange(min=64),
    default=1024,
    show_default=True,
    help="Rows and columns of the map.",
)
@click.option("--overwrite", is_flag=True, help="Replace a folder of results that is there.")
@settings_options
def demo(output: Path, *, side: int, overwrite: bool, **chosen: Any) -> None:
    """Map the phases of a synthetic map and compare them with those it was made of."""
    from sigma_scale.workflow.job import run_demo

    found = run_demo(output, settings_of(chosen), side=side, overwrite=overwrite)
    _say_phases(found.result, output)
    click.echo(f"Agreement with the known phases (adjusted Rand index): {found.agreement:.3f}")


def check_demo(output: Path, *, overwrite: bool, side: int, **chosen: Any) -> None:  # noqa: ARG001
    """Refuse before anything is started what is known to fail."""
    from sigma_scale.workflow.outputs import OutputFolder
    from sigma_scale.workflow.pipeline import check_unread

    OutputFolder(output, overwrite=overwrite).check()
    check_unread(settings_of(chosen))


def _say_phases(result: PhaseMapping, output: Path) -> None:
    from sigma_scale.workflow.report import phase_table

    table = phase_table(result)
    click.echo(f"{'phase':>12}  {'area':>7}  elements")
    for label, row in table.iterrows():
        name = "not assigned" if int(str(label)) < 0 else str(label)
        elements = row["elements"] if isinstance(row["elements"], str) else ""
        click.echo(f"{name:>12}  {row['share']:>7.2%}  {elements}")
    click.echo(f"Report: {output / 'report.html'}")
