"""Build the API reference: `python .reference FOLDER`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import click
from pages import write_pages
from sphinx.application import Sphinx

from sigma_scale.errors import SigmaScaleError

HERE = Path(__file__).resolve().parent
MARK = "objects.inv"
"""Every reference that Sphinx made has this file."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def build(folder: Path) -> None:
    """
    Write the pages of the API reference to FOLDER.

    They are those of the sigma_scale that is installed, and need neither a server nor a network.
    Any warning is an error; then FOLDER stays as it was. An earlier reference there is replaced.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise click.ClickException(
            f"{folder} holds something other than an earlier reference: choose an empty folder."
        )
    with tempfile.TemporaryDirectory(prefix="reference-") as scratch:
        source, pages = Path(scratch, "source"), Path(scratch, "pages")
        source.mkdir()
        try:
            write_pages(source)
        except SigmaScaleError as error:  # An extra is missing that a public name needs.
            raise click.ClickException(str(error)) from error
        app = Sphinx(
            srcdir=source,
            confdir=HERE,
            outdir=pages,
            doctreedir=Path(scratch, "trees"),
            buildername="html",
            status=None,
            warning=sys.stderr,
            warningiserror=True,
        )
        app.build()
        if app.statuscode:
            sys.exit(app.statuscode)
        if folder.exists():
            shutil.rmtree(folder)
        shutil.copytree(pages, folder)
    click.echo(f"Open {folder / 'index.html'}")


if __name__ == "__main__":
    build(prog_name="python .reference")
