"""The commands that read, write and describe maps, and the one that describes the installation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sigma_scale.cli.options import (
    LOCAL,
    PATH_OR_URL,
    bins_of,
    check_store_name,
    list_of,
    pairs,
    reader_option,
    whole_numbers,
)
from sigma_scale.errors import ParameterError

if TYPE_CHECKING:
    from pathlib import Path

    from sigma_scale.store import Location

__all__ = ["calibrate", "check_ingest", "doctor", "export", "info", "ingest"]


@click.command()
@click.argument("source", type=PATH_OR_URL)
@click.argument("store_path", metavar="OUT.zarr", type=PATH_OR_URL)
@click.option("--overwrite", is_flag=True, help="Replace a store that is there.")
@click.option(
    "--compressor", type=click.Choice(["zstd", "lz4", "none"]), default="zstd", show_default=True
)
@click.option(
    "--calibrate", is_flag=True, help="Correct the energies by peaks that are found in the map."
)
@click.option("--verify", is_flag=True, help="Read store and source again and compare all counts.")
@reader_option
def ingest(
    source: Location,
    store_path: Location,
    *,
    overwrite: bool,
    compressor: Any,
    calibrate: bool,
    verify: bool,
    option: tuple[str, ...],
) -> None:
    """
    Write the map of the file SOURCE to the store OUT.zarr.

    An interrupted ingest goes on where it stopped when the same command is given again.
    """
    from sigma_scale import readers, store
    from sigma_scale.calibration import fit_calibration

    image = readers.read(source, **pairs(option))
    if calibrate:
        found = fit_calibration(image)
        click.echo(str(found), err=True)
        image = found.apply(image)
    stored = store.write_map(
        image,
        store_path,
        overwrite=overwrite,
        reuse=not overwrite,
        encoding=store.Encoding(compressor),
    )
    rows, columns, channels = stored.shape
    click.echo(f"{store_path}: {columns:,} x {rows:,} pixels, {channels:,} channels")
    if verify:
        pixels = store.verify_map(stored, image)
        click.echo(f"Verified: the counts of all {pixels:,} pixels agree with {source}.")


def check_ingest(store_path: Location, **_: Any) -> None:
    """Refuse before anything is started or read what is known to fail."""
    check_store_name(store_path)


@click.command()
@click.argument("source", type=PATH_OR_URL)
@click.argument("target", type=LOCAL)
@click.option(
    "--what",
    metavar="NAME",
    help="Result of a store: labels, regions, line_intensity, phases/mean, masks, figures, ...",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier export that is there.")
@click.option("--bin", "bin_", metavar="X,Y", help="Pixels per bin of counts.")
@click.option(
    "--dtype",
    type=click.Choice(["uint8", "uint16", "uint32", "float32"]),
    help="Type of the counts; by default that of SOURCE.",
)
@click.option(
    "--level",
    type=click.IntRange(0, 9),
    default=3,
    show_default=True,
    help="Compression of counts.",
)
@click.option("--size", metavar="X,Y", help="Columns and rows of masks, if not those of labels.")
@click.option(
    "--like",
    metavar="IMAGE",
    help="Image whose pixels masks get: one in the store, such as navigation, or a file.",
)
@click.option("--mask-format", type=click.Choice(["png", "tif"]), default="png", show_default=True)
@click.option(
    "--figure-format", type=click.Choice(["png", "svg"]), default="png", show_default=True
)
@reader_option
def export(
    source: Location,
    target: Path,
    *,
    what: str | None,
    overwrite: bool,
    bin_: str | None,
    dtype: str | None,
    level: int,
    size: str | None,
    like: str | None,
    mask_format: str,
    figure_format: str,
    option: tuple[str, ...],
) -> None:
    """
    Write the counts or the results of SOURCE to TARGET for other programs.

    Counts of any file: TARGET ends in .hspy or .zspy for HyperSpy, .zarr for a plain dense zarr.

    Results of a store, or of a folder that `run` wrote: .ome.tif, .ome.zarr (maps, labels), .msa
    (spectra), .csv, .parquet (tables), .hspy, .zspy, .png, .svg (figures); --what masks writes a
    folder of masks, --what figures one of figures. Without --what, images get the labels, spectra
    the counts per phase, and tables the proportions. In image files 0 is the background, phases
    have their label plus one, and regions their number.
    """
    from sigma_scale.cli.results import (
        Request,
        check_counts_name,
        default_result,
        export_result,
        store_in,
    )

    what = default_result(target) if what is None else what
    if what is None:
        check_counts_name(target)
    if what not in {None, "counts"}:
        if bin_ is not None or dtype is not None or option:
            raise ParameterError(f"--bin, --dtype and --option are for counts, not for {what}.")
        request = Request(
            str(what),
            target,
            overwrite=overwrite,
            size=None if size is None else whole_numbers(size, name="--size"),
            like=like,
            mask_format=mask_format,
            figure_format=figure_format,
        )
        for written in export_result(store_in(source), request):
            click.echo(f"{written}: {what}")
        return
    _export_counts(
        source, target, overwrite=overwrite, bin_=bin_, dtype=dtype, level=level, option=option
    )


def _export_counts(
    source: Location,
    target: Path,
    *,
    overwrite: bool,
    bin_: str | None,
    dtype: str | None,
    level: int,
    option: tuple[str, ...],
) -> None:
    from sigma_scale import preprocess, readers
    from sigma_scale.cli.results import map_in
    from sigma_scale.export import export_counts

    image = readers.read(map_in(source), **pairs(option))
    if bin_ is not None:
        image = preprocess.rebin(image, bins_of(bin_))
    written = export_counts(image, target, overwrite=overwrite, dtype=dtype, level=level)
    rows, columns, channels = image.shape
    click.echo(f"{written}: {columns:,} x {rows:,} pixels, {channels:,} channels")


@click.command()
@click.argument("source", type=PATH_OR_URL)
@click.option(
    "--peak",
    multiple=True,
    metavar="LINE=KEV",
    help="Where the peak of a line was measured, such as Fe_Ka=6.41; repeatable.",
)
@click.option("--elements", metavar="A,B,...", help="Elements whose lines may be matched.")
@click.option("--tolerance", metavar="KEV", type=float, default=0.2, show_default=True)
@reader_option
def calibrate(
    source: Location,
    *,
    peak: tuple[str, ...],
    elements: str | None,
    tolerance: float,
    option: tuple[str, ...],
) -> None:
    """
    Say how well the energies of SOURCE fit its peaks, and what would correct them.

    `sigma-scale ingest --calibrate` writes a store with the correction.
    """
    from sigma_scale import readers
    from sigma_scale.calibration import fit_calibration

    found = fit_calibration(
        readers.read(source, **pairs(option)),
        measured_peaks=pairs(peak) or None,
        tolerance_kev=tolerance,
        elements=list_of(elements) if elements else None,
    )
    click.echo(str(found))


@click.command()
@click.argument("source", type=PATH_OR_URL)
@click.option(
    "--counts/--no-counts", default=None, help="Sum all counts; by default only of small maps."
)
@reader_option
def info(source: Location, *, counts: bool | None, option: tuple[str, ...]) -> None:
    """Say what SOURCE, a microscope's file or a store, holds."""
    from sigma_scale.workflow.describe import describe_map

    _say_table(describe_map(source, count=counts, options=pairs(option)))


@click.command()
def doctor() -> None:
    """Say which versions, engines and how much memory there are."""
    from sigma_scale.workflow.describe import describe_installation

    _say_table(describe_installation())


def _say_table(rows: dict[str, str]) -> None:
    width = max(len(name) for name in rows)
    for name, value in rows.items():
        click.echo(f"{name:<{width}}  {value}")
