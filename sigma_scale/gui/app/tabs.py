"""What each tab of the page shows of a map: a form, where a step has one, and views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import panel as pn

from sigma_scale import gui
from sigma_scale.gui.app.choices import ViewChoice, hint
from sigma_scale.gui.app.forms import ClustersForm, FeaturesForm, LatentForm, UnmixingForm
from sigma_scale.gui.app.run_tables import read_tables
from sigma_scale.gui.app.saved_edits import SavedEdits
from sigma_scale.gui.editor import LatentEditor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sigma_scale.gui.app.page import Page
    from sigma_scale.gui.app.workspace import OpenMap

__all__ = ["TABS", "Tab"]


@dataclass(frozen=True)
class Tab:
    """
    A tab of the page.

    Parameters
    ----------
    name : str
        Its title.
    build : callable
        Makes its content from the map and the page.
    shows : frozenset of str
        Events after which the content is no longer true.
    """

    name: str
    build: Callable[[OpenMap, Page], Any]
    shows: frozenset[str]


def data_tab(opened: OpenMap, page: Page) -> Any:
    """Show the map as it was measured."""
    dataset = opened.project.dataset
    return _views({"Dataset": lambda: gui.view_dataset(dataset)}, page)


def features_tab(opened: OpenMap, page: Page) -> Any:
    """Measure features, and show their maps and what normalisation did to them."""
    project = opened.project

    def press() -> None:
        settings = form.settings()
        opened.start("Measuring features", lambda: project.measure_features(settings))

    form = FeaturesForm(project.settings, page.guarded(press))
    maps = project.maps
    if maps is None:
        return _beside(form.layout, hint("No features yet. Choose X-ray lines and measure them."))
    names = [str(name) for name in maps["line"].to_numpy()]
    steps = project.settings.normalisation
    views: dict[str, Callable[[], Any]] = {
        "Maps": lambda: gui.view_intensity_maps(maps, names),
        "Distributions": lambda: gui.view_pixel_distributions(project.dataset, norm_list=steps),
    }
    return _beside(form.layout, _views(views, page))


def latent_tab(opened: OpenMap, page: Page) -> Any:
    """Embed the features, and show where in the latent space the pixels are."""
    project = opened.project

    def press() -> None:
        settings = form.settings()
        opened.start("Embedding", lambda: project.embed(settings))

    form = LatentForm(project.settings, page.guarded(press))
    latent = project.latent
    if latent is None:
        needed = "Measure features first." if project.maps is None else "Press Embed."
        return _beside(form.layout, hint(f"No latent space yet. {needed}"))
    views: dict[str, Callable[[], Any]] = {"Density": lambda: gui.show_projection(latent)}
    segmenter = project.segmenter
    if segmenter is not None:
        elements = read_tables(project).elements
        views["Clusters"] = lambda: gui.view_latent_space(segmenter, elements=elements)
    return _beside(form.layout, _views(views, page))


def clusters_tab(opened: OpenMap, page: Page) -> Any:
    """Make clusters, and edit them in the latent space, on the map and in a table."""
    project = opened.project

    def press() -> None:
        settings = form.settings()
        opened.start("Clustering", lambda: project.cluster(settings))

    form = ClustersForm(project.settings, page.guarded(press))
    segmenter = project.segmenter
    if segmenter is None:
        needed = "Make a latent space first." if project.latent is None else "Press Cluster."
        return _beside(form.layout, hint(f"No clusters yet. {needed}"))
    edits = SavedEdits(project, page.show_unsaved)
    editor = LatentEditor(segmenter, edit=edits, elements=read_tables(project).elements)

    def follow() -> None:
        edits.seen = project.revision
        editor.refresh()

    page.on_edits(follow)
    return _beside(form.layout, pn.Column(editor.layout, sizing_mode="stretch_both", scroll=True))


def phases_tab(opened: OpenMap, page: Page) -> Any:
    """Show where the phases are, their spectra and their shares."""
    segmenter = opened.project.segmenter
    if segmenter is None:
        return hint("No phases yet. Make clusters first, in the tab Clusters.")
    elements = read_tables(opened.project).elements
    views: dict[str, Callable[[], Any]] = {
        "Phase map": lambda: gui.view_phase_map(segmenter, elements=elements),
        "Each phase": lambda: gui.show_cluster_distribution(segmenter),
        "Shares of the area": lambda: gui.show_cluster_proportions(segmenter),
    }
    if segmenter.dataset.processed is not None:
        views["Spectra"] = lambda: gui.view_clusters_sum_spectra(segmenter)
    return _views(views, page)


def unmixing_tab(opened: OpenMap, page: Page) -> Any:
    """Unmix the spectra of the clusters, and show the end-members and where they are."""
    project = opened.project
    segmenter = project.segmenter
    n_clusters = 0 if segmenter is None else segmenter.n_components

    def press() -> None:
        arguments = form.arguments()
        opened.start("Unmixing", lambda: project.unmix(**arguments))

    form = UnmixingForm(project.settings, n_clusters, page.guarded(press))
    if segmenter is None:
        return _beside(form.layout, hint("Nothing to unmix yet. Make clusters first."))
    unmixing, of_run = project.unmixing, read_tables(project).unmixing
    if unmixing is None and of_run is None:
        return _beside(form.layout, hint("No end-members yet. Press Unmix."))
    weights, components = unmixing or of_run  # type: ignore[misc]
    views: dict[str, Callable[[], Any]] = {
        "End-members": lambda: gui.show_unmixed_weights_and_components(
            segmenter, weights, components
        ),
        "Abundance": lambda: gui.show_abundance_map(segmenter, weights, components),
    }
    content = _views(views, page)
    if unmixing is None:
        said = pn.pane.HTML(_OF_RUN, margin=(6, 10), sizing_mode="stretch_width")
        content = pn.Column(said, content, sizing_mode="stretch_both")
    return _beside(form.layout, content)


_OF_RUN = '<p class="hint">As the run of this folder of results found them.</p>'
_STEPS = frozenset({"features", "latent", "clusters"})

TABS = (
    Tab("Data", data_tab, frozenset({"features"})),
    Tab("Features", features_tab, frozenset({"features"})),
    Tab("Latent", latent_tab, _STEPS | {"edits"}),
    Tab("Clusters", clusters_tab, _STEPS),  # its editor follows edits by itself
    Tab("Phases", phases_tab, _STEPS | {"edits"}),
    Tab("Unmixing", unmixing_tab, _STEPS | {"edits", "unmixing"}),
)


def _views(views: Mapping[str, Callable[[], Any]], page: Page) -> Any:
    return ViewChoice(views, page.scheduler, page.show_error).layout


def _beside(form: Any, content: Any) -> Any:
    return pn.Row(form, content, sizing_mode="stretch_both")
