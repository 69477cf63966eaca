"""Results in a store, and the files that they can become."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from sigma_scale.errors import ParameterError, SourceNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import xarray as xr

__all__ = ["Request", "default_result", "export_result", "store_in"]

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
_MADE_OF_LABELS = ("proportions", "masks")


@dataclass(frozen=True)
class Request:
    """
    What the command is asked for.

    Parameters
    ----------
    what : str
        Name of a result, such as ``labels`` or ``phases/mean``; ``proportions`` and ``masks`` are
        made of the labels.
    target : pathlib.Path
        File or folder to write.
    overwrite : bool
        Replace an earlier export.
    size : tuple of int, optional
        Columns and rows of masks.
    mask_format : {"png", "tif"}
        Format of masks.
    """

    what: str
    target: Path
    overwrite: bool = False
    size: tuple[int, int] | None = None
    mask_format: str = "png"


def default_result(target: Path) -> str | None:
    """Result that a target's name asks for; None where it asks for counts."""
    name = target.name.lower()
    return next((what for ending, what in _BY_ENDING.items() if name.endswith(ending)), None)


def store_in(source: Path) -> Path:
    """
    Store at a path: itself, or the one in a folder of results.

    Raises
    ------
    SourceNotFoundError, ParameterError
        If there is none.
    """
    from sigma_scale import store

    for path in (source, source / "map.zarr"):
        if store.is_store(path):
            return path
    if not source.exists():
        raise SourceNotFoundError(f"There is no file or folder {source}.")
    raise ParameterError(
        f"{source} is no store and no folder of results, so it holds no results to export. Find "
        "phases with `sigma-scale run` first."
    )


def export_result(path: Path, request: Request) -> list[Path]:
    """
    Write a result of a store.

    Parameters
    ----------
    path : pathlib.Path
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
    from sigma_scale.export import export_masks

    if request.what == "masks":
        size = None if request.size is None else request.size[::-1]
        file_format = cast("Literal['png', 'tif']", request.mask_format)
        labels, folder = _found(path, "labels"), request.target
        return [
            export_masks(
                labels, folder, file_format=file_format, like=size, overwrite=request.overwrite
            )
        ]
    if request.size is not None:
        raise ParameterError(f"--size is for masks, not for {request.what}.")
    name = request.target.name.lower()
    for endings, write in _WRITERS.items():
        if name.endswith(endings):
            return write(path, request)
    known = ", ".join(ending for endings in _WRITERS for ending in endings)
    raise ParameterError(
        f"{request.what} can't be written to {request.target.name}: its name must end in {known}."
    )


def _results(path: Path) -> dict[str, xr.DataArray]:
    """All results of a store, by group and name."""
    import zarr

    from sigma_scale import store

    groups = sorted(name for name, _ in zarr.open_group(str(path), mode="r").groups())
    return {
        f"{group}/{name}": array
        for group in groups
        for name, array in store.open_result(path, group).data_vars.items()
    }


def _found(path: Path, what: str) -> xr.DataArray:
    """Result of a name, with or without its group."""
    results = _results(path)
    matching = [name for name in results if what in {name, name.partition("/")[2]}]
    if len(matching) == 1:
        return results[matching[0]]
    if matching:
        raise ParameterError(f"{what} may be {' or '.join(matching)}. Name one of them.")
    there = ", ".join(results) or "none; find phases with `sigma-scale run` first"
    raise ParameterError(f"{path} holds no result {what!r}. There are: {there}.")


def _note_missing_scale(array: xr.DataArray, request: Request) -> None:
    """Say where a file will not say how large a pixel is."""
    import click

    from sigma_scale.export.planes import pixel_size

    if pixel_size(array) is None:
        click.echo(
            f"Note: {request.what} has no pixel size in micrometres, so {request.target.name} "
            "names none.",
            err=True,
        )


def _is_labels(array: xr.DataArray) -> bool:
    return array.name == "labels"


def _write_tiff(path: Path, request: Request) -> list[Path]:
    from sigma_scale.export import export_ome_tiff

    array = _found(path, request.what)
    _note_missing_scale(array, request)
    return [
        export_ome_tiff(
            array, request.target, labels=_is_labels(array), overwrite=request.overwrite
        )
    ]


def _write_zarr(path: Path, request: Request) -> list[Path]:
    from sigma_scale.export import export_ome_zarr
    from sigma_scale.phases import proportions
    from sigma_scale.plot import phase_colours

    array = _found(path, request.what)
    _note_missing_scale(array, request)
    if not _is_labels(array):
        return [export_ome_zarr(request.target, array, overwrite=request.overwrite)]
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


def _write_spectra(path: Path, request: Request) -> list[Path]:
    from sigma_scale import store
    from sigma_scale.export import export_spectra

    spectra = _found(path, request.what)
    image = store.open_map(path)
    live_times = None
    if spectra.name == "counts" and image.metadata.live_time_s is not None:
        # The detector was live for the same time in each pixel.
        shares = _found(path, "n_pixels").to_numpy() / _found(path, "labels").size
        live_times = (image.metadata.live_time_s * shares).tolist()
    return export_spectra(
        spectra,
        request.target,
        metadata=image.metadata,
        live_times_s=live_times,
        overwrite=request.overwrite,
    )


def _write_table(path: Path, request: Request) -> list[Path]:
    from sigma_scale.export import export_table

    table = _table(path, request.what)
    return [export_table(table, request.target, overwrite=request.overwrite)]


def _table(path: Path, what: str) -> pd.DataFrame:
    if what in _MADE_OF_LABELS:
        from sigma_scale.phases import proportions

        return proportions(_found(path, "labels"))
    array = _found(path, what)
    if {"y", "x"} <= set(array.dims) or not 1 <= array.ndim <= 2:  # noqa: PLR2004
        raise ParameterError(
            f"{what} is a map of the dimensions {array.dims}, not a table. Write it to a name that "
            "ends in .ome.tif, .ome.zarr or .hspy."
        )
    upright = array.transpose("energy", ...) if "energy" in array.dims else array
    if upright.ndim == 1:
        return upright.to_series().rename(str(array.name)).to_frame()
    table: Any = upright.to_pandas()
    return cast("pd.DataFrame", table)


def _write_signal(path: Path, request: Request) -> list[Path]:
    from sigma_scale import store
    from sigma_scale.export import export_signal

    metadata = store.open_map(path).metadata
    array = _found(path, request.what)
    return [export_signal(array, request.target, metadata=metadata, overwrite=request.overwrite)]


def _write_figure(path: Path, request: Request) -> list[Path]:
    from sigma_scale import plot
    from sigma_scale.export.target import check_target

    array: Any = _found(path, request.what)
    if "energy" in array.dims:
        many = "phase" in array.dims
        figure = plot.plot_phase_spectra(array) if many else plot.plot_sum_spectrum(array)
    elif _is_labels(array):
        figure = plot.plot_phase_map(array)
    elif array.dims == ("y", "x"):
        figure = plot.plot_image(array)
    elif {"y", "x"} <= set(array.dims):
        figure = plot.plot_element_maps(array)
    else:
        raise ParameterError(
            f"There is no figure of {request.what} with the dimensions {array.dims}. Write a .csv."
        )
    check_target(request.target, overwrite=request.overwrite, replaceable=Path.is_file)
    return [plot.save_figure(figure, request.target)]


_WRITERS: dict[tuple[str, ...], Callable[[Path, Request], list[Path]]] = {
    (".ome.tif", ".ome.tiff"): _write_tiff,
    (".ome.zarr",): _write_zarr,
    (".msa", ".emsa"): _write_spectra,
    (".csv", ".parquet"): _write_table,
    (".hspy",): _write_signal,
    (".png", ".svg"): _write_figure,
}
