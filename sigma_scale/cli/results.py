"""Results in a store, and the files that they can become."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from sigma_scale.cli.result_arrays import array_named, field_of, image_named, table_named
from sigma_scale.cli.result_figures import write_figure, write_figures
from sigma_scale.errors import ParameterError, SourceNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import xarray as xr

    from sigma_scale.store import Location

__all__ = ["Request", "check_counts_name", "default_result", "export_result", "map_in", "store_in"]

_BY_ENDING = {
    ".ome.tif": "labels",
    ".ome.tiff": "labels",
    ".ome.zarr": "labels",
    ".png": "labels",
    ".svg": "labels",
    ".msa": "phases/counts",
    ".emsa": "phases/counts",
    ".csv": "proportions",
    ".parquet": "proportions",
}
"""What is written where only the target's name says what is wanted."""
_COUNTS = (".hspy", ".zspy", ".zarr")
_FOLDERS = ("masks", "figures")
_OF_FILES = re.compile(
    r"\.(csv|emsa|h5|hdf5|hspy|html|jpe?g|json|msa|npy|parquet|pdf|png|svg|tiff?|txt|xlsx|ya?ml"
    r"|zarr|zip|zspy)$",
    re.IGNORECASE,
)
"""Endings that no folder should have: whoever gave one takes the target for a file."""


@dataclass(frozen=True)
class Request:
    """
    What the command is asked for.

    Parameters
    ----------
    what : str
        Name of a result, such as ``labels`` or ``phases/mean``; ``proportions``, ``regions`` and
        ``masks`` are made of the labels, and ``figures`` of all.
    target : pathlib.Path
        File or folder to write.
    overwrite : bool
        Replace an earlier export.
    size : tuple of int, optional
        Columns and rows of masks over the whole map.
    like : str, optional
        Image whose pixels masks have: the name of one in the store, or a file.
    mask_format : {"png", "tif"}
        Format of masks.
    figure_format : {"png", "svg"}
        Format of figures in a folder.
    """

    what: str
    target: Path
    overwrite: bool = False
    size: tuple[int, int] | None = None
    like: str | None = None
    mask_format: str = "png"
    figure_format: str = "png"


def default_result(target: Path) -> str | None:
    """Result that a target's name asks for; None where it asks for counts."""
    name = target.name.lower()
    return next((what for ending, what in _BY_ENDING.items() if name.endswith(ending)), None)


def check_counts_name(target: Path) -> None:
    """
    Refuse a target whose name asks neither for counts nor for a result.

    Raises
    ------
    ParameterError
        If that is so.
    """
    if not target.name.lower().endswith(_COUNTS):
        raise ParameterError(
            f"{target.name} can't be exported: its name must end in {', '.join(_COUNTS)} for "
            f"counts, or in {', '.join(_BY_ENDING)} for results."
        )


def map_in(source: Location) -> Location:
    """Map at a path: the store in a folder of results, or whatever is there."""
    from sigma_scale import store

    inside = source / "map.zarr"
    return inside if store.is_store(inside) and not store.is_store(source) else source


def store_in(source: Location) -> Location:
    """
    Store at a path: itself, or the one in a folder of results.

    Raises
    ------
    SourceNotFoundError, ParameterError
        If there is none.
    """
    from sigma_scale import store

    path = map_in(source)
    if store.is_store(path):
        return path
    if not source.exists():
        raise SourceNotFoundError(f"There is no file or folder {source}.")
    raise ParameterError(
        f"{source} is no store and no folder of results, so it holds no results to export. Find "
        "phases with `sigma-scale run` first."
    )


def export_result(path: Location, request: Request) -> list[Path]:
    """
    Write a result of a store.

    Parameters
    ----------
    path : pathlib.Path or UrlPath
        The store.
    request : Request
        What to write and where to.

    Returns
    -------
    list of pathlib.Path
        What was written.

    Raises
    ------
    ParameterError
        If there is no such result, or it can't become such a file.
    SigmaScaleError
        If it can't be read or written.
    """
    if request.what in _FOLDERS:
        _check_folder(request)
    if request.what == "masks":
        return _write_masks(path, request)
    for option, given in (("--size", request.size), ("--like", request.like)):
        if given is not None:
            raise ParameterError(f"{option} is for masks, not for {request.what}.")
    if request.what == "figures":
        ending, overwrite = request.figure_format, request.overwrite
        return [write_figures(path, request.target, ending=ending, overwrite=overwrite)]
    name = request.target.name.lower()
    for endings, write in _WRITERS.items():
        if name.endswith(endings):
            return write(path, request)
    known = ", ".join(_endings_for(path, request.what))
    raise ParameterError(
        f"{request.what} can't be written to {request.target.name}: its name must end in {known}."
    )


def _check_folder(request: Request) -> None:
    target = request.target
    if _OF_FILES.search(target.name):
        option = "--mask-format" if request.what == "masks" else "--figure-format"
        raise ParameterError(
            f"{request.what} are written to a folder, and {target.name} is the name of a file. "
            f"Name a folder, such as {target.stem}; {option} says what the files in it are."
        )


def _endings_for(path: Location, what: str) -> list[str]:
    """Endings of the files that a result can become."""
    writers: set[Callable[[Location, Request], list[Path]]] = {_write_table}
    if what != "proportions":
        dims = array_named(path, what).dims
        if {"y", "x"} <= set(dims):
            writers = {_write_tiff, _write_zarr, _write_signal, _write_figure}
            if what == "regions":
                writers.add(_write_table)
        else:
            writers = {_write_table}
            if "energy" in dims:
                writers |= {_write_spectra, _write_signal, _write_figure}
    return [ending for endings, write in _WRITERS.items() if write in writers for ending in endings]


def _write_masks(path: Location, request: Request) -> list[Path]:
    from sigma_scale.export import export_masks

    if request.size is not None and request.like is not None:
        raise ParameterError("--size and --like both say how large masks are. Give one of them.")
    like = None
    if request.like is not None:
        like = image_named(path, request.like)
    elif request.size is not None:
        like = field_of(path, *request.size)
    file_format = cast("Literal['png', 'tif']", request.mask_format)
    labels = array_named(path, "labels")
    return [
        export_masks(
            labels,
            request.target,
            file_format=file_format,
            like=like,
            overwrite=request.overwrite,
        )
    ]


def _note_missing_scale(array: xr.DataArray, request: Request) -> None:
    """Say where a file will not say how large a pixel is."""
    import click

    from sigma_scale.export.scale import pixel_size

    if pixel_size(array) is None:
        click.echo(
            f"Note: {request.what} has no pixel size in micrometres, so {request.target.name} "
            "names none.",
            err=True,
        )


def _write_tiff(path: Location, request: Request) -> list[Path]:
    from sigma_scale.export import export_ome_tiff

    array = array_named(path, request.what)
    _note_missing_scale(array, request)
    return [export_ome_tiff(array, request.target, overwrite=request.overwrite)]


def _write_zarr(path: Location, request: Request) -> list[Path]:
    from sigma_scale.export import export_ome_zarr
    from sigma_scale.export.planes import is_label_map
    from sigma_scale.phases import proportions
    from sigma_scale.plot import phase_colours

    array = array_named(path, request.what)
    _note_missing_scale(array, request)
    if not is_label_map(array):
        return [export_ome_zarr(request.target, array, overwrite=request.overwrite)]
    if array.name != "labels":  # Regions: too many for colours and names.
        return [export_ome_zarr(request.target, labels=array, overwrite=request.overwrite)]
    phases = [int(label) for label in proportions(array).index if label >= 0]
    return [
        export_ome_zarr(
            request.target,
            labels=array,
            colours=phase_colours(phases),
            names={phase: f"Phase {phase}" for phase in phases},
            overwrite=request.overwrite,
        )
    ]


def _write_spectra(path: Location, request: Request) -> list[Path]:
    from sigma_scale import store
    from sigma_scale.export import export_spectra

    spectra = array_named(path, request.what)
    image = store.open_map(path)
    live_times = None
    if spectra.name == "counts" and image.metadata.live_time_s is not None:
        # The detector was live for the same time in each pixel.
        shares = array_named(path, "n_pixels").to_numpy() / array_named(path, "labels").size
        live_times = (image.metadata.live_time_s * shares).tolist()
    return export_spectra(
        spectra,
        request.target,
        metadata=image.metadata,
        live_times_s=live_times,
        overwrite=request.overwrite,
    )


def _write_table(path: Location, request: Request) -> list[Path]:
    from sigma_scale.export import export_table

    table = table_named(path, request.what)
    return [export_table(table, request.target, overwrite=request.overwrite)]


def _write_signal(path: Location, request: Request) -> list[Path]:
    from sigma_scale import store
    from sigma_scale.export import export_signal

    metadata = store.open_map(path).metadata
    array = array_named(path, request.what)
    return [export_signal(array, request.target, metadata=metadata, overwrite=request.overwrite)]


def _write_figure(path: Location, request: Request) -> list[Path]:
    return [write_figure(path, request.what, request.target, overwrite=request.overwrite)]


_WRITERS: dict[tuple[str, ...], Callable[[Location, Request], list[Path]]] = {
    (".ome.tif", ".ome.tiff"): _write_tiff,
    (".ome.zarr",): _write_zarr,
    (".msa", ".emsa"): _write_spectra,
    (".csv", ".parquet"): _write_table,
    (".hspy", ".zspy"): _write_signal,
    (".png", ".svg"): _write_figure,
}
