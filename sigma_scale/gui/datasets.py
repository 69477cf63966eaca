"""Views of datasets: navigation image, sum spectrum, element maps and what steps do to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import features, plot, xray
from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.features.navigation import NAVIGATOR
from sigma_scale.gui.view import View
from sigma_scale.plot import FigurePanel
from sigma_scale.plot.distributions import plot_distributions
from sigma_scale.plot.line_labels import line_name
from sigma_scale.plot.rgb import plot_rgb_map
from sigma_scale.spectra import SpectrumImage
from sigma_scale.workflow import norm

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import xarray as xr

    from sigma_scale.workflow.datasets import SpectrumDataset
    from sigma_scale.workflow.image_dataset import ImageDataset
    from sigma_scale.workflow.norm import Step

__all__ = [
    "search_energy_peak",
    "view_dataset",
    "view_im_dataset",
    "view_intensity_maps",
    "view_pixel_distributions",
    "view_rgb",
]

_MAP_DIMENSIONS = 3
_MOST_CHANNELS = 3
_RAW, _BINNED, _NORMALISED = "raw", "binned", "normalised"
_MAPS = "Counts in the window of each line, background included; each map has its own contrast."
_IMAGES = "Intensity of each element; each map has its own contrast."


def search_energy_peak(energy: float = 1.4898, width: float = 0.2) -> pd.DataFrame:
    """
    List the X-ray lines near an energy.

    Parameters
    ----------
    energy : float, default: 1.4898
        Energy of a peak in keV.
    width : float, default: 0.2
        Width of the range around it, in keV.

    Returns
    -------
    pandas.DataFrame
        Columns ``line``, ``energy_kev``, ``distance_ev`` and ``weight`` (relative to the
        strongest line of the shell), the nearest first. Names in ``line`` can be put into a
        feature list.

    Raises
    ------
    ParameterError
        If the width is negative or a number isn't finite.
    """
    import pandas as pd

    found = xray.lines_near(energy, tolerance_kev=width / 2)
    return pd.DataFrame(
        {
            "line": [line.name for line in found],
            "energy_kev": [line.energy_kev for line in found],
            "distance_ev": [round(1000 * (line.energy_kev - energy), 1) for line in found],
            "weight": [line.weight for line in found],
        }
    )


def view_dataset(
    dataset: SpectrumDataset | ImageDataset,
    search_energy: bool = True,  # noqa: FBT001, FBT002 - the original's call
) -> View:
    """
    Show a dataset: its navigation image, its sum spectrum and the maps of its features.

    Parameters
    ----------
    dataset : SEMDataset, TEMDataset or ImageDataset
        What to show. After ``rebin_signal`` the maps of the bins are shown too.
    search_energy : bool, default: True
        Say below the sum spectrum which lines of further elements it suggests;
        :func:`search_energy_peak` lists the lines near an energy.

    Returns
    -------
    View
        "Navigation image", "Sum spectrum", "Elemental maps (raw)" and "Elemental maps (binned)",
        as far as there are such.
    """
    panels: dict[str, FigurePanel] = {}
    image = dataset.nav_img
    if image is not None:
        panels["Navigation image"] = FigurePanel(
            plot.plot_image(_placed(image, dataset)), "", "Navigation image"
        )
    spectra = dataset.spectra
    if spectra is not None:
        panels["Sum spectrum"] = _sum_spectrum(spectra, _lines(dataset), search=search_energy)
    if _lines(dataset):
        caption = _IMAGES if spectra is None else _MAPS
        panels["Elemental maps (raw)"] = FigurePanel(
            plot.plot_element_maps(_raw_maps(dataset)), caption
        )
        if any(step["method"] == "rebin_signal" for step in dataset.recipe()):
            panels["Elemental maps (binned)"] = FigurePanel(
                plot.plot_element_maps(dataset.feature_maps), caption
            )
    return View(panels)


def view_im_dataset(im: ImageDataset) -> View:
    """
    Show a dataset of images: its intensity image and its maps.

    Parameters
    ----------
    im : ImageDataset
        What to show.

    Returns
    -------
    View
        See :func:`view_dataset`.
    """
    return view_dataset(im)


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
    maps = _maps(dataset, data)
    chosen = _names(maps)[:_MOST_CHANNELS] if elements is None else list(elements)
    return View({"Red, green, blue": FigurePanel(plot_rgb_map(maps, chosen))})


def view_intensity_maps(spectra: Any, element_list: Sequence[str]) -> View:
    """
    Show feature maps side by side.

    Parameters
    ----------
    spectra : array, shape (y, x, feature), or SpectrumImage
        The maps, such as ``sem.normalised_elemental_data``: NumPy, dask or xarray; or spectra,
        whose lines are summed up first.
    element_list : sequence of str
        Names of the maps, such as ``sem.feature_list``; of spectra the lines to sum up.

    Returns
    -------
    View

    Raises
    ------
    ShapeMismatchError
        If there is not one name for each map.
    UnknownLineError
        If a line of spectra is not known.
    """
    import xarray as xr

    names = [str(name) for name in element_list]
    if isinstance(spectra, SpectrumImage):
        maps = features.line_intensity(spectra, names)
        return View({"Intensity maps": FigurePanel(plot.plot_element_maps(maps), _MAPS)})
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
    return View({"Intensity maps": FigurePanel(plot.plot_element_maps(maps))})


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
    maps = dataset.feature_maps
    known = _names(maps)
    chosen = known[0] if peak is None else peak
    if chosen not in known:
        raise ParameterError(f"There is no feature {chosen!r}; there are: {', '.join(known)}.")
    stages = {"before": maps.sel(line=chosen)}
    for step in steps:
        maps = norm.apply_steps(maps, [step])
        (name,) = norm.step_names([step])
        stages[f"+ {name.rpartition(':')[2].replace('_', ' ')}"] = maps.sel(line=chosen)
    figure = plot_distributions(stages, cmap=cmap, title=line_name(chosen))
    others = ", ".join(name for name in known if name != chosen)
    caption = f"Other features by peak=...: {others}." if others else ""
    return View({chosen: FigurePanel(figure, caption)})


def _sum_spectrum(spectra: SpectrumImage, lines: Sequence[str], *, search: bool) -> FigurePanel:
    beam = spectra.metadata.beam_energy_kev
    spectrum = spectra.sum_spectrum().compute()
    spectrum = spectrum.assign_attrs({"beam_energy_kev": beam} if beam else {})
    figure = plot.plot_sum_spectrum(spectrum, lines)
    if not search:
        return FigurePanel(figure, "", "Sum spectrum")
    found = xray.suggest_lines(spectrum.to_numpy(), spectra.energy.values, beam_energy_kev=beam)
    listed = {name.partition("_")[0] for name in lines}
    further = [name for name in found if name.partition("_")[0] not in listed]
    caption = f"Further lines that it suggests: {', '.join(further)}." if further else ""
    return FigurePanel(figure, caption, "Sum spectrum")


def _lines(dataset: SpectrumDataset | ImageDataset) -> list[str]:
    return [name for name in dataset.feature_list if name != NAVIGATOR]


def _names(maps: xr.DataArray) -> list[str]:
    return [str(name) for name in maps["line"].to_numpy()]


def _raw_maps(dataset: SpectrumDataset | ImageDataset) -> xr.DataArray:
    """Maps of the features before any step on the spectra or the maps."""
    spectra = dataset.spectra
    if spectra is not None:
        return features.line_intensity(spectra, _lines(dataset))
    maps: xr.DataArray = dataset.maps.maps  # type: ignore[union-attr]
    return maps.sel(line=_lines(dataset))


def _maps(dataset: SpectrumDataset | ImageDataset, data: str | None) -> xr.DataArray:
    if data not in {None, _RAW, _BINNED, _NORMALISED}:
        raise ParameterError(f"data is {_RAW!r}, {_BINNED!r} or {_NORMALISED!r}, and not {data!r}.")
    if data == _RAW:
        return _raw_maps(dataset)
    if data == _BINNED:
        return dataset.feature_maps
    try:
        return dataset.normalised_maps
    except ParameterError:
        if data == _NORMALISED:
            raise
        return dataset.feature_maps


def _placed(image: xr.DataArray, dataset: SpectrumDataset | ImageDataset) -> xr.DataArray:
    """Give the navigation image the coordinates of the map's pixels, for its scale bar."""
    spectra = dataset.spectra
    if spectra is None or image.shape != spectra.shape[:2]:
        return image
    coordinates = spectra.coordinates()
    return image.assign_coords({name: coordinates[name] for name in ("y", "x")})
