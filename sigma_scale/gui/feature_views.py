"""Views of feature maps: three in one picture, side by side, and what steps do to them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import features, plot
from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.gui.dataset_maps import WINDOW_COUNTS, comparable_maps, map_names, maps_of
from sigma_scale.gui.map_tables import map_table
from sigma_scale.gui.view import View
from sigma_scale.plot import FigurePanel
from sigma_scale.plot.distributions import plot_distributions
from sigma_scale.plot.line_labels import line_name
from sigma_scale.plot.rgb import plot_rgb_map
from sigma_scale.spectra import SpectrumImage
from sigma_scale.workflow import norm
from sigma_scale.workflow.datasets.spectrum_dataset import SpectrumDataset
from sigma_scale.workflow.image_dataset import ImageDataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import xarray as xr

    from sigma_scale.workflow.norm import Step

__all__ = ["view_intensity_maps", "view_pixel_distributions", "view_rgb"]

_MAP_DIMENSIONS = 3
_MOST_CHANNELS = 3


def view_rgb(
    dataset: SpectrumDataset | ImageDataset,
    elements: Sequence[str] | None = None,
    data: str | None = None,
) -> View:
    """
    Show up to three features as one picture in red, green and blue.

    Parameters
    ----------
    dataset : SEMDataset, TEMDataset or ImageDataset
        What to show.
    elements : sequence of str, optional
        One to three features for red, green and blue; None: the first ones.
    data : {"raw", "binned", "normalised"}, optional
        Which maps; None: normalised ones if there are, else those of the bins.

    Returns
    -------
    View

    Raises
    ------
    ParameterError
        If there is no such feature, more than three are named, or there are no such maps.
    """
    maps = maps_of(dataset, data)
    known = map_names(maps)
    chosen = known[:_MOST_CHANNELS] if elements is None else list(elements)
    unknown = [name for name in chosen if name not in known]
    if unknown or not 1 <= len(chosen) <= _MOST_CHANNELS:
        raise ParameterError(
            f"A picture in red, green and blue needs one to three of the maps {', '.join(known)}; "
            f"got {chosen}."
        )
    return View(
        {"Red, green, blue": lambda: FigurePanel(plot_rgb_map(maps, chosen))},
        tables={"Red, green, blue": lambda: map_table(maps.sel(line=chosen))},
        live=partial(_rgb_page, maps, chosen),
    )


def _rgb_page(maps: xr.DataArray, chosen: Sequence[str]) -> Any:
    import panel as pn

    from sigma_scale.gui.rgb_page import RgbPage

    return pn.panel(RgbPage(lambda: maps, chosen, map_names(maps)))


def view_intensity_maps(spectra: Any, element_list: Sequence[str] | None = None) -> View:
    """
    Show feature maps side by side.

    Parameters
    ----------
    spectra : dataset, array of shape (y, x, feature), or SpectrumImage
        A dataset such as ``sem``, whose maps are normalised ones if there are, else those of the
        bins; or the maps, such as ``sem.normalised_elemental_data``: NumPy, dask or xarray, of
        which the last alone knows a scale; or spectra, whose lines are summed up first.
    element_list : sequence of str, optional
        Names of the maps, such as ``sem.feature_list``; of spectra the lines to sum up; of a
        dataset the features to show, None: all.

    Returns
    -------
    View

    Raises
    ------
    ParameterError
        If a dataset has no such feature, or maps have no names.
    ShapeMismatchError
        If there is not one name for each map.
    UnknownLineError
        If a line of spectra is not known.
    """
    import xarray as xr

    if isinstance(spectra, SpectrumDataset | ImageDataset):
        return _map_view(_chosen_maps(spectra, element_list), "")
    if element_list is None:
        raise ParameterError(
            "Maps need names: give element_list, or the dataset itself, such as "
            "view_intensity_maps(sem)."
        )
    names = [str(name) for name in element_list]
    if isinstance(spectra, SpectrumImage):
        return _map_view(features.line_intensity(spectra, names), WINDOW_COUNTS)
    values = getattr(spectra, "data", spectra) if isinstance(spectra, xr.DataArray) else spectra
    values = values if hasattr(values, "shape") else np.asarray(values)
    if len(values.shape) != _MAP_DIMENSIONS or values.shape[2] != len(names):
        raise ShapeMismatchError(
            f"There are {len(names)} names for maps of the shape {tuple(values.shape)}; the last "
            "of (y, x, feature) must be as many."
        )
    maps = xr.DataArray(values, dims=("y", "x", "line"), coords={"line": names})
    if isinstance(spectra, xr.DataArray):
        maps = maps.assign_coords({k: v for k, v in spectra.coords.items() if k in {"y", "x"}})
    return _map_view(maps, "")


def _chosen_maps(
    dataset: SpectrumDataset | ImageDataset, names: Sequence[str] | None
) -> xr.DataArray:
    maps = maps_of(dataset, None)
    known = map_names(maps)
    chosen = known if names is None else [str(name) for name in names]
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        what = f"no map of {unknown[0]!r}" if unknown else "nothing to show"
        raise ParameterError(f"There is {what}; there are maps of: {', '.join(known)}.")
    return maps.sel(line=chosen)


def _map_view(maps: xr.DataArray, caption: str) -> View:
    from sigma_scale.gui.map_page import map_page

    return View(
        {"Intensity maps": lambda: FigurePanel(plot.plot_element_maps(maps), caption)},
        tables={"Intensity maps": partial(map_table, maps)},
        live=partial(map_page, lambda: maps, map_names(maps)),
    )


def view_pixel_distributions(
    dataset: SpectrumDataset | ImageDataset,
    norm_list: Sequence[Step] = ("neighbour_averaging", "zscore", "softmax"),
    cmap: str = "viridis",
    peak: str | None = None,
) -> View:
    """
    Show what each step of a normalisation does to a feature; the dataset stays as it is.

    Parameters
    ----------
    dataset : SEMDataset, TEMDataset or ImageDataset
        What to show.
    norm_list : sequence of callable or str
        Steps as for ``dataset.normalisation``.
    cmap : str, default: "viridis"
        Colours of the maps.
    peak : str, optional
        A feature; None: the first.

    Returns
    -------
    View
        The feature's map before the first step and after each, with the distribution of its
        values.

    Raises
    ------
    ParameterError
        If a step or the feature is not known.
    """
    steps = norm.check_steps(norm_list)
    maps = comparable_maps(dataset)
    known = map_names(maps)
    chosen = known[0] if peak is None else peak
    if chosen not in known:
        raise ParameterError(f"There is no feature {chosen!r}; there are: {', '.join(known)}.")
    others = ", ".join(name for name in known if name != chosen)
    caption = f"Other features by peak=...: {others}." if others else ""
    return View(
        {
            chosen: lambda: FigurePanel(
                plot_distributions(stages_of(maps, steps, chosen), cmap=cmap,
                                   title=line_name(chosen)), caption,
            )
        },
        tables={chosen: lambda: _stage_table(stages_of(maps, steps, chosen))},
        live=partial(_distribution_page, maps, steps, chosen, cmap),
    )  # fmt: skip


def stages_of(maps: xr.DataArray, steps: Sequence[Step], chosen: str) -> dict[str, xr.DataArray]:
    """
    Give a feature's map before the first step of a normalisation, and after each.

    Parameters
    ----------
    maps : xarray.DataArray, shape (y, x, line)
        Maps of all features, since a step may need all.
    steps : sequence of callable or str
        Steps as for ``dataset.normalisation``.
    chosen : str
        The feature.

    Returns
    -------
    dict of str to xarray.DataArray, shape (y, x)
        By what was done.
    """
    stages = {"before": maps.sel(line=chosen)}
    for step in steps:
        maps = norm.apply_steps(maps, [step])
        (name,) = norm.step_names([step])
        stages[f"+ {name.rpartition(':')[2].replace('_', ' ')}"] = maps.sel(line=chosen)
    return stages


def _stage_table(stages: dict[str, xr.DataArray]) -> pd.DataFrame:
    """Values of each pixel at each stage."""
    import xarray as xr

    joined = xr.concat(list(stages.values()), dim="line", coords="minimal", compat="override")
    return map_table(joined.assign_coords(line=list(stages)))


def _distribution_page(maps: xr.DataArray, steps: Sequence[Step], chosen: str, cmap: str) -> Any:
    import panel as pn

    from sigma_scale.gui.distribution_page import DistributionPage

    page = DistributionPage(partial(stages_of, maps, steps), chosen, map_names(maps), cmap)
    return pn.panel(page)
