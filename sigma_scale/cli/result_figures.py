"""Figures of the results in a store: one for a name, or a folder of those that tell the most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sigma_scale.cli.result_arrays import array_named, result_names
from sigma_scale.errors import ParameterError

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from sigma_scale.store import Location

__all__ = ["write_figure", "write_figures"]

_LIST = "figures.csv"
_COLUMNS = ["file", "result"]
_FIGURES = {
    "navigation": "images/navigation",
    "sum_spectrum": "sum_spectrum",
    "element_maps": "binned/line_intensity",
    "latent": "latent/latent",
    "phase_map": "phases/labels",
    "phase_spectra": "phases/mean",
}
"""Names of files as in the folder that `run` writes, and what they show."""


def _drawn(path: Location, what: str) -> Figure:
    from sigma_scale import plot

    array: Any = array_named(path, what)
    if "energy" in array.dims and array.ndim <= 2:  # noqa: PLR2004
        lines = _lines(path)
        if "phase" in array.dims:
            drawn = array["phase"].isin(_largest(path))
            return plot.plot_phase_spectra(array.isel(phase=drawn.to_numpy()), lines)
        return plot.plot_sum_spectrum(array, lines, log=True)
    if array.name == "labels":
        return plot.plot_phase_map(array, listed=_largest(path))
    if array.name == "latent" and array.sizes.get("component") == 2:  # noqa: PLR2004
        labels = array_named(path, "labels").to_numpy()
        return plot.plot_latent(array.to_numpy(), labels, listed=_largest(path))
    if set(array.dims) == {"y", "x"}:
        return plot.plot_image(array, title=array.attrs.get("long_name"))
    if {"y", "x"} < set(array.dims):
        return plot.plot_element_maps(array)
    raise ParameterError(
        f"There is no figure of {what} with the dimensions {array.dims}. Write a .csv."
    )


def _largest(path: Location) -> list[int]:
    """Phases that are named and drawn; of many the largest, as in a report."""
    from sigma_scale.phases import proportions
    from sigma_scale.workflow.figures import largest_phases

    return largest_phases(proportions(array_named(path, "labels")))


def _lines(path: Location) -> list[str]:
    """X-ray lines that were features, to be named in spectra."""
    name = _FIGURES["element_maps"]
    if name not in result_names(path):
        return []
    return [str(line) for line in array_named(path, name)["line"].to_numpy()]


def write_figure(path: Location, what: str, target: Path, *, overwrite: bool) -> Path:
    """Draw a result of a store to a .png or .svg file."""
    from sigma_scale.export.target import check_target, write_whole
    from sigma_scale.plot.figures import render

    check_target(target, overwrite=overwrite, replaceable=_is_figure)
    content = render(_drawn(path, what), file_format=target.suffix.lower().lstrip("."))

    def write(draft: Path) -> None:
        draft.write_bytes(content)

    return write_whole(target, write, is_export=_is_figure)


def _is_figure(path: Path) -> bool:
    from sigma_scale.export.target import starts_with

    return starts_with(path, b"\x89PNG", b"<?xml", b"<svg")


def write_figures(path: Location, folder: Path, *, ending: str, overwrite: bool) -> Path:
    """
    Draw the results of a store to a folder, with a table of what the figures show.

    Parameters
    ----------
    path : pathlib.Path
        The store.
    folder : pathlib.Path
        Folder to write.
    ending : {"png", "svg"}
        Format of the figures.
    overwrite : bool
        Replace an earlier folder of figures. Anything else is never replaced.

    Raises
    ------
    ParameterError
        If the store holds no labels.
    """
    from sigma_scale.export.target import check_target, is_listed_folder, write_whole
    from sigma_scale.plot import save_figure

    def is_export(there: Path) -> bool:
        return is_listed_folder(there, _LIST, _COLUMNS, {".png", ".svg"})

    check_target(folder, overwrite=overwrite, replaceable=is_export)
    array_named(path, "labels")  # Without phases there is little to draw.
    drawn = {name: what for name, what in _FIGURES.items() if what in result_names(path)}

    def write(draft: Path) -> None:
        import pandas as pd

        draft.mkdir()
        rows = []
        for name, what in drawn.items():
            save_figure(_drawn(path, what), draft / f"{name}.{ending}")
            rows.append((f"{name}.{ending}", what))
        pd.DataFrame(rows, columns=_COLUMNS).to_csv(draft / _LIST, index=False)

    return write_whole(folder, write, is_export=is_export)
