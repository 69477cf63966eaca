"""The live view of a dataset: look up lines, choose features, and see maps and spectra."""

from __future__ import annotations

from functools import partial
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sigma_scale.errors import EmptyMapError
from sigma_scale.features.dose import count_measured, measured_pixels
from sigma_scale.features.navigation import NAVIGATOR
from sigma_scale.gui.charts import bar_chart
from sigma_scale.gui.dataset_maps import maps_of, placed_image
from sigma_scale.gui.dressing import Remark, figure_pane, small_table
from sigma_scale.gui.feature_choice import FeatureChoice
from sigma_scale.gui.layout import beside
from sigma_scale.gui.line_search import LineSearch
from sigma_scale.gui.map_figure import MapFigure, map_grid, value_map
from sigma_scale.gui.map_page import columns_of, linked_maps
from sigma_scale.gui.scheduling import LatestOnly, Scheduler
from sigma_scale.gui.spectrum_figure import SpectrumFigure
from sigma_scale.workflow.segmenter.selection import measured_only

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.gui.map_region import MapRegion
    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.workflow.datasets import SpectrumDataset
    from sigma_scale.workflow.image_dataset import ImageDataset

__all__ = ["DatasetPage"]

_LEFT, _SEARCH, _RIGHT, _MAP_HEIGHT = 448, 350, 770, 340
_SELECTION_COLOUR, _WHOLE_COLOUR = "#d55e00", "#0072b2"
_NAVIGATION, _SUM = "Navigation signal", "Sum spectrum"
_RAW, _BINNED = "Elemental maps (raw)", "Elemental maps (binned)"


class DatasetPage:
    """
    What :func:`~sigma_scale.gui.view_dataset` shows in one page or notebook.

    Parameters
    ----------
    dataset : SEMDataset, TEMDataset or ImageDataset
        What is shown; the feature list that is applied becomes its own.
    search_energy : bool, default: True
        Offer to look up lines by their energy, for datasets with spectra.

    Attributes
    ----------
    search : LineSearch or None
        The look-up.
    choice : FeatureChoice
        The feature list.
    tabs : panel.Tabs
        Maps and the sum spectrum; what a tab holds is made when it is first looked at.
    maps : dict of str to list of MapFigure
        Maps of the tabs that were made, by the tab's title.
    sum_figure : SpectrumFigure or None
        The sum spectrum, once its tab was looked at.
    region_figure : SpectrumFigure or None
        The spectrum of what was clicked or drawn last.
    selected : pandas.DataFrame or None
        Numbers of what was clicked or drawn last: a spectrum by energy, or means of features.
    remark : Remark
        What was selected, or what went wrong.
    """

    def __init__(
        self,
        dataset: SpectrumDataset | ImageDataset,
        search_energy: bool = True,  # noqa: FBT001, FBT002 - as the function that calls it
    ) -> None:
        import panel as pn

        self._dataset = dataset
        self._scheduler = Scheduler()
        self._latest = LatestOnly(self._scheduler)
        self.remark, self._status = Remark(), Remark()
        self.choice = FeatureChoice(dataset, self._on_features)
        has_spectra = dataset.spectra is not None
        self.search = LineSearch(self.choice.add) if search_energy and has_spectra else None
        self.maps: dict[str, list[MapFigure]] = {}
        self.sum_figure: SpectrumFigure | None = None
        self.region_figure: SpectrumFigure | None = None
        self.selected: pd.DataFrame | None = None
        self._whole: xr.DataArray | None = None
        self._n_whole = 1
        self._shown = pn.Column(margin=0)
        self._download = pn.widgets.FileDownload(
            callback=self._as_csv, filename="selection.csv", label="Selection as CSV",
            color="light", height=28, visible=False, margin=(2, 8),
        )  # fmt: skip
        self._makers = self._tab_makers()
        self._made: set[str] = set()
        self._holders = {title: pn.Column(margin=(6, 0)) for title in self._makers}
        self.tabs = pn.Tabs(
            *self._holders.items(),
            width=_RIGHT, margin=0,
        )  # fmt: skip
        self.tabs.param.watch(lambda _event: self._make_tab(), "active")
        self._make_tab()

    def __panel__(self) -> Any:
        """Look-up and features on the left, pictures on the right; in a notebook below them."""
        import panel as pn

        choosing = [
            pn.Column(
                _heading("Features"), self.choice,
                width=_LEFT, margin=0,
            )
        ]  # fmt: skip
        if self.search is not None:
            said = _heading("Lines near an energy")
            choosing.insert(0, pn.Column(said, self.search, width=_SEARCH, margin=0))
        pictures = pn.Column(
            self.tabs, self._status.pane, self.remark.pane, self._shown, self._download,
            width=_RIGHT, margin=0,
        )  # fmt: skip
        if self._scheduler.is_served:
            left = pn.Column(*choosing, width=_LEFT, margin=(0, 12, 0, 0))
            return pn.Row(left, pictures, margin=0)
        return pn.Column(beside(*choosing), pictures, margin=0)

    def _tab_makers(self) -> dict[str, Callable[[], None]]:
        makers: dict[str, Callable[[], None]] = {}
        if self._dataset.nav_img is not None:
            makers[_NAVIGATION] = self._make_navigation
        if self._dataset.spectra is not None:
            makers[_SUM] = self._make_sum
        makers[_RAW] = lambda: self._make_maps(_RAW, "raw")
        if self._factors() != (1, 1):
            makers[_BINNED] = lambda: self._make_maps(_BINNED, "binned")
        return makers

    def _factors(self) -> tuple[int, int]:
        """Rows and columns of a bin."""
        steps = [step for step in self._dataset.recipe() if step["method"] == "rebin_signal"]
        if not steps:
            return 1, 1
        columns, rows = steps[-1]["arguments"]["size"]
        return int(rows), int(columns)

    def _make_tab(self) -> None:
        title = list(self._makers)[self.tabs.active]
        if title not in self._made:
            self._made.add(title)
            self._makers[title]()

    def _fill(self, title: str, content: Any) -> None:
        self._holders[title].objects = [content]

    def _work(self, task: Callable[[], Any], done: Callable[[Any], None], said: str) -> None:
        """Do what reads the data off the event loop, and say so meanwhile."""
        self._status.say(said)

        def shown(result: Any) -> None:
            self._status.say("")
            done(result)

        self._scheduler.work(task, shown, self._status.fail)

    def _make_navigation(self) -> None:
        def show(image: xr.DataArray) -> None:
            made = self._map(image, cmap="gray", size=(_RIGHT - 90, _MAP_HEIGHT))
            self.maps[_NAVIGATION] = [made]
            self._fill(_NAVIGATION, map_grid([made], 1))

        self._work(lambda: placed_image(self._dataset).compute(), show, "Reading the image ...")

    def _make_sum(self) -> None:
        def show(spectrum: xr.DataArray) -> None:
            beam = self._dataset.spectra.metadata.beam_energy_kev  # type: ignore[union-attr]
            self.sum_figure = SpectrumFigure(
                spectrum["energy"].to_numpy(), {"Sum spectrum": spectrum.to_numpy()},
                lines=self._lines(), size=(_RIGHT - 90, _MAP_HEIGHT - 20), beam_energy_kev=beam,
            )  # fmt: skip
            self._fill(_SUM, self.sum_figure)

        self._work(self._whole_spectrum, show, "Summing the spectra ...")

    def _whole_spectrum(self) -> xr.DataArray:
        if self._whole is None:
            image: SpectrumImage = self._dataset.spectra  # type: ignore[assignment]
            self._n_whole = max(count_measured(image), 1)
            self._whole = image.sum_spectrum().compute()
        return self._whole

    def _make_maps(self, title: str, kind: str) -> None:
        if not self._lines():
            self.maps.pop(title, None)
            note = "There are no features: choose elements on the left and apply them."
            self._fill(title, _note(note))
            return

        def show(maps: xr.DataArray) -> None:
            self.maps[title] = made = linked_maps(
                maps, scheduler=self._scheduler, failed=self.remark.fail, width=_RIGHT,
                drawn=self._on_region,
            )  # fmt: skip
            self._fill(title, map_grid(made, columns_of(len(made), _RIGHT)))

        self._work(lambda: maps_of(self._dataset, kind).compute(), show, "Making the maps ...")

    def _map(self, image: xr.DataArray, **options: Any) -> MapFigure:
        return value_map(
            image, scheduler=self._scheduler, failed=self.remark.fail, drawn=self._on_region,
            **options,
        )  # fmt: skip

    def _lines(self) -> list[str]:
        return [name for name in self._dataset.feature_list if name != NAVIGATOR]

    def _on_features(self) -> None:
        """Show maps and names of the features that were applied."""
        for title, kind in ((_RAW, "raw"), (_BINNED, "binned")):
            if title in self._made:
                self._make_maps(title, kind)
        for figure in (self.sum_figure, self.region_figure):
            if figure is not None:
                self._scheduler.apply(partial(figure.set_lines, self._lines()))

    def _on_region(self, region: MapRegion) -> None:
        for made in self.maps.values():
            for one in made:
                one.outline(region if one.shape == region.shape else None)
        self.remark.say("Reading the selection ...")
        image = self._dataset.spectra
        if image is None:
            self._latest.work(
                lambda: self._means(region), lambda f: self._show_means(*f), self._region_failed
            )
        else:
            self._latest.work(
                lambda: self._spectrum(region), lambda f: self._show_spectrum(*f),
                self._region_failed,
            )  # fmt: skip

    def _region_failed(self, error: Exception) -> None:
        self._shown.objects = []
        self._download.visible = False
        self.selected = None
        self.remark.fail(error)

    def _spectrum(self, region: MapRegion) -> tuple[MapRegion, int, xr.DataArray]:
        """Sum the spectra of a region, as they were measured."""
        image: SpectrumImage = self._dataset.spectra  # type: ignore[assignment]
        mask = _checked(region.mask())
        if mask.shape != image.shape[:2]:
            mask = _unbinned(mask, self._factors(), image.shape[:2])
        measured = measured_pixels(image)
        if measured is not None:
            mask = measured_only(mask.ravel(), ~measured.to_numpy().ravel()).reshape(mask.shape)
        self._whole_spectrum()
        n_pixels = int(np.count_nonzero(mask))
        return region, n_pixels, image.region_spectrum(mask).compute()

    def _show_spectrum(self, region: MapRegion, n_pixels: int, spectrum: xr.DataArray) -> None:
        whole = self._whole_spectrum()
        counts = spectrum.to_numpy()
        self.selected = pd.DataFrame(
            {"energy_kev": spectrum["energy"].to_numpy(), "counts": counts,
             "counts_per_pixel": counts / n_pixels},
        ).set_index("energy_kev")  # fmt: skip
        self.region_figure = SpectrumFigure(
            spectrum["energy"].to_numpy(),
            {"Selection": counts / n_pixels, "Whole map": whole.to_numpy() / self._n_whole},
            colours={"Selection": _SELECTION_COLOUR, "Whole map": _WHOLE_COLOUR},
            lines=self._lines(), size=(_RIGHT - 90, 180), y_label="Counts per pixel",
            beam_energy_kev=self._dataset.spectra.metadata.beam_energy_kev,  # type: ignore[union-attr]
        )  # fmt: skip
        said = f"{_where(region)}: {_pixels(n_pixels)}, {int(counts.sum()):,} counts."
        self._show_selected(said, self.region_figure)

    def _means(self, region: MapRegion) -> tuple[MapRegion, int, pd.DataFrame]:
        """Mean of each feature in a region of a map without spectra."""
        mask = _checked(region.mask())
        is_processed = mask.shape == tuple(self._dataset.shape) and self._factors() != (1, 1)
        maps = maps_of(self._dataset, "binned" if is_processed else "raw").compute()
        # An image may lack rows and columns that were left out at the map's end.
        maps = maps[: mask.shape[0], : mask.shape[1]]
        values = maps.to_numpy()[mask].astype(np.float64)
        table = pd.DataFrame(
            {"mean": np.nanmean(values, axis=0), "least": np.nanmin(values, axis=0),
             "greatest": np.nanmax(values, axis=0)},
            index=pd.Index([str(name) for name in maps["line"].to_numpy()], name="feature"),
        )  # fmt: skip
        return region, int(np.count_nonzero(mask)), table

    def _show_means(self, region: MapRegion, n_pixels: int, table: pd.DataFrame) -> None:
        import panel as pn

        self.selected = table
        chart = bar_chart(list(table.index), table["mean"].tolist(), label="Mean", width=330)
        shown = pn.Row(figure_pane(chart), small_table(table), margin=0)
        self._show_selected(f"{_where(region)}: {_pixels(n_pixels)}.", shown)

    def _show_selected(self, said: str, content: Any) -> None:
        self.remark.say(said)
        self._shown.objects = [content]
        self._download.visible = True

    def _as_csv(self) -> StringIO:
        text = StringIO()
        if self.selected is not None:
            self.selected.to_csv(text)
        text.seek(0)
        return text


def _checked(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if not mask.any():
        raise EmptyMapError("No pixel's centre lies in the selection. Draw a larger one.")
    return mask


def _unbinned(
    mask: NDArray[np.bool_], factors: tuple[int, int], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Pixels of the map as measured that lie in the bins of a mask."""
    whole = np.zeros(shape, dtype=np.bool_)
    fine = np.repeat(np.repeat(mask, factors[0], axis=0), factors[1], axis=1)
    whole[: fine.shape[0], : fine.shape[1]] = fine
    return whole


def _where(region: MapRegion) -> str:
    if region.pixel is None:
        return "Selection"
    return f"Row {region.pixel[0]}, column {region.pixel[1]}"


def _pixels(number: int) -> str:
    return "1 pixel" if number == 1 else f"{number:,} pixels"


def _heading(text: str) -> Any:
    import panel as pn

    return pn.pane.Markdown(
        f"#### {text}", margin=(2, 8, 0, 8), stylesheets=["h4 { margin: 2px 0; }"]
    )


def _note(text: str) -> Any:
    import panel as pn

    return pn.pane.Markdown(text, margin=(20, 8))
