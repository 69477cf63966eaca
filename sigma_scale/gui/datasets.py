"""Views of datasets: navigation image, sum spectrum, element maps, and lines by energy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sigma_scale import plot, xray
from sigma_scale.gui.dataset_maps import WINDOW_COUNTS, line_features, maps_of, placed_image
from sigma_scale.gui.map_tables import image_table, map_table
from sigma_scale.gui.view import View
from sigma_scale.plot import FigurePanel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    import pandas as pd
    import xarray as xr

    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.workflow.datasets import SpectrumDataset
    from sigma_scale.workflow.image_dataset import ImageDataset

__all__ = ["search_energy_peak", "view_dataset", "view_im_dataset"]

_IMAGE, _SUM = "Navigation image", "Sum spectrum"
_RAW, _BINNED = "Elemental maps (raw)", "Elemental maps (binned)"
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
        Offer to look up the lines near an energy, and say below the static sum spectrum which
        lines of further elements it suggests.

    Returns
    -------
    View
        "Navigation image", "Sum spectrum", "Elemental maps (raw)" and "Elemental maps (binned)",
        as far as there are such. Live, features are chosen by name or in a periodic table, and a
        click or a region drawn on a map shows its spectrum.
    """
    panels: dict[str, FigurePanel | Callable[[], FigurePanel]] = {}
    tables: dict[str, Callable[[], pd.DataFrame]] = {}
    if dataset.nav_img is not None:
        image = placed_image(dataset)
        panels[_IMAGE] = lambda: FigurePanel(plot.plot_image(image), "", _IMAGE)
        tables[_IMAGE] = partial(image_table, image)
    spectra, lines = dataset.spectra, line_features(dataset)
    if spectra is not None:
        panels[_SUM] = partial(_sum_spectrum, spectra, lines, search=search_energy)
        tables[_SUM] = partial(_sum_table, spectra)
    if lines:
        caption = _IMAGES if spectra is None else WINDOW_COUNTS
        shown = {_RAW: maps_of(dataset, "raw")}
        if any(step["method"] == "rebin_signal" for step in dataset.recipe()):
            shown[_BINNED] = maps_of(dataset, "binned")
        for title, maps in shown.items():
            panels[title] = partial(_map_panel, maps, caption)
            tables[title] = partial(map_table, maps)
    return View(panels, tables=tables, live=partial(_page, dataset, search_energy=search_energy))


def _page(dataset: SpectrumDataset | ImageDataset, *, search_energy: bool) -> Any:
    import panel as pn

    from sigma_scale.gui.dataset_page import DatasetPage

    return pn.panel(DatasetPage(dataset, search_energy))


def _map_panel(maps: xr.DataArray, caption: str) -> FigurePanel:
    return FigurePanel(plot.plot_element_maps(maps), caption)


def _sum_table(spectra: SpectrumImage) -> pd.DataFrame:
    """Counts of each channel, by its energy."""
    import pandas as pd

    spectrum = spectra.sum_spectrum().compute()
    index = pd.Index(spectrum["energy"].to_numpy(), name="energy_kev")
    return pd.DataFrame({"counts": spectrum.to_numpy()}, index=index)


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
