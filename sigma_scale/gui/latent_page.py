"""Layouts of live views that are looked at: a latent space, or the map of the phases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sigma_scale.gui.cluster_table import ClusterTable
from sigma_scale.gui.dressing import Remark
from sigma_scale.gui.edit_session import EditSession
from sigma_scale.gui.latent_figure import LatentFigure, density_figure
from sigma_scale.gui.layout import beside, room
from sigma_scale.gui.phase_map_figure import PhaseMapFigure
from sigma_scale.gui.scheduling import Scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sigma_scale.workflow.segmenter import PixelSegmenter

__all__ = ["framed", "latent_page", "phase_map_page"]

_BESIDE_TABLE = 450
"""Width of a figure that leaves room for the table in a notebook."""


def framed(make: Callable[..., Any]) -> Any:
    """
    Lay out one picture with a line for what goes wrong.

    Parameters
    ----------
    make : callable
        Makes what has a ``figure``; called with ``scheduler`` and ``failed``.

    Returns
    -------
    panel.viewable.Viewable
    """
    import panel as pn

    remark = Remark()
    made = make(scheduler=Scheduler(), failed=remark.fail)
    return pn.Column(remark.pane, pn.pane.Bokeh(made.figure))


def latent_page(
    ps: PixelSegmenter,
    *,
    size: tuple[int, int],
    in_colour: bool,
    elements: Mapping[int, str] | None = None,
) -> Any:
    """
    Lay out a latent space with its clusters, or its density, and the Gaussians of a mixture.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    size : tuple of int
        Width and height of the frame in screen pixels.
    in_colour : bool
        Show the clusters; else the density.
    elements : mapping of int to str, optional
        What clusters contain, shown beside their names.

    Returns
    -------
    panel.viewable.Viewable
    """
    import panel as pn

    remark, scheduler, session = Remark(), Scheduler(), EditSession(ps)
    if in_colour:
        size = room(size[0], _BESIDE_TABLE), size[1]
        shown = LatentFigure(
            session, scheduler=scheduler, size=size, failed=remark.fail, with_gaussians=True
        )
        figure = shown.figure
        side = [_table(session, [shown], scheduler, remark, elements)]
    else:
        figure = density_figure(
            ps.latent, scheduler=scheduler, size=size, failed=remark.fail
        ).figure
        side = []
    return pn.Column(remark.pane, beside(pn.pane.Bokeh(figure), *side))


def phase_map_page(
    ps: PixelSegmenter,
    *,
    size: tuple[int, int],
    opacity: float,
    stacked: bool = False,
    elements: Mapping[int, str] | None = None,
) -> Any:
    """
    Lay out the map of the phases, with a slider for their opacity over the navigation image.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    size : tuple of int
        Box in screen pixels that the map has to fit into.
    opacity : float
        Opacity of the phases at first, 0 to 1.
    stacked : bool, default: False
        Put the table below the map, not beside it; the map's size stays, whatever the window's.
    elements : mapping of int to str, optional
        What clusters contain, shown beside their names.

    Returns
    -------
    panel.viewable.Viewable
    """
    import panel as pn

    remark, scheduler, session = Remark(), Scheduler(), EditSession(ps)
    width = room(size[0]) if stacked else room(size[0], _BESIDE_TABLE)
    size = width, size[1]
    shown = PhaseMapFigure(
        session, scheduler=scheduler, size=size, failed=remark.fail, opacity=opacity,
        follows_window=not stacked,
    )  # fmt: skip
    controls = []
    if shown.has_image:
        slider = pn.widgets.FloatSlider(
            label="Opacity over the navigation image", start=0.0, end=1.0, step=0.05,
            value=opacity, width=260,
        )  # fmt: skip

        def change(event: Any) -> None:
            shown.opacity = event.new
            shown.picture.refresh()

        slider.param.watch(change, "value")
        controls = [slider]
    table = _table(session, [shown], scheduler, remark, elements)
    figure = pn.pane.Bokeh(shown.figure)
    parts = (figure, table) if stacked else (beside(figure, table),)
    return pn.Column(remark.pane, *controls, *parts)


def _table(
    session: EditSession,
    shown: Sequence[Any],
    scheduler: Scheduler,
    remark: Remark,
    elements: Mapping[int, str] | None,
) -> Any:
    """Table of the clusters, in which those to be seen strongly are ticked."""

    def refresh(_result: None = None) -> None:
        for one in shown:
            one.picture.refresh()

    def pick(clusters: Sequence[int]) -> None:
        scheduler.work(lambda: session.pick_clusters(clusters), refresh, remark.fail)

    made = ClusterTable(session.ps.state, picked=pick, renamed=None, elements=elements)
    return made.widget
