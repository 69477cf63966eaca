"""A live latent space: all points, coloured by cluster, with what is picked shown strongly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.gui.dressing import selection_tools
from sigma_scale.gui.picture_figure import PictureFigure
from sigma_scale.plot.latent_density import ellipse_of
from sigma_scale.plot.point_picture import PointPicture

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sigma_scale.gui.edit_session import EditSession
    from sigma_scale.gui.scheduling import Scheduler
    from sigma_scale.plot.viewport import Viewport

__all__ = ["LatentFigure", "density_figure"]

_LABELS = ("latent 1", "latent 2")
_TAP_REACH = 5
"""Screen pixels around a tap in which points are looked for."""


class LatentFigure:
    """
    Points of a latent space.

    Parameters
    ----------
    session : EditSession
        The clusters, and what is picked of them.
    scheduler : Scheduler
        Where rendering runs.
    size : tuple of int
        Width and height of the frame in screen pixels.
    failed : callable
        Takes what goes wrong.
    share : float, default: 1.0
        Share of the points that is drawn, above 0 and up to 1: a random choice, always the same.
    has_axes : bool, default: True
        Draw axes; what they say means little in most latent spaces.
    drawn : callable, optional
        Takes the corners, shape (corner, 2), of each lasso and box; None: nothing can be drawn.
    tapped : callable, optional
        Takes the place of each tap, and how far from it points are meant, in both coordinates.

    Attributes
    ----------
    picture : PictureFigure
        The picture, with its figure of Bokeh.
    """

    def __init__(
        self,
        session: EditSession,
        *,
        scheduler: Scheduler,
        size: tuple[int, int],
        failed: Callable[[Exception], None],
        share: float = 1.0,
        has_axes: bool = True,
        drawn: Callable[[NDArray[np.float64]], None] | None = None,
        tapped: Callable[[float, float, tuple[float, float]], None] | None = None,
    ) -> None:
        self._session, self._drawn, self._tapped = session, drawn, tapped
        latent = session.ps.latent
        self._chosen = None if share >= 1 else sample_rows(len(latent), share)
        points = latent if self._chosen is None else latent[self._chosen, :2]
        self._points = PointPicture(points)
        self.picture = PictureFigure(
            self._render, self._points.x_range, self._points.y_range, scheduler=scheduler,
            size=size, failed=failed, tools=selection_tools() if drawn else (),
            axis_labels=_LABELS if has_axes else None,
        )  # fmt: skip
        if drawn is not None:
            self._watch_selections()

    @property
    def figure(self) -> Any:
        """Figure of Bokeh."""
        return self.picture.figure

    def add_gaussians(self) -> None:
        """Draw the Gaussians of a mixture as they were fitted, two standard deviations wide."""
        mixture = self._session.ps.mixture
        if mixture is None:
            return
        shapes = [
            ellipse_of(*pair) for pair in zip(mixture.means, mixture.covariances, strict=True)
        ]
        x, y, width, height, angle = np.array(shapes).T
        self.figure.ellipse(
            x, y, width, height, angle=np.radians(angle), fill_color=None, line_color="#6b7785"
        )

    def _render(self, viewport: Viewport) -> NDArray[np.uint32]:
        session = self._session
        # One state: an edit between two questions would give labels without a colour.
        state = session.ps.state
        labels, colours = state.pixels.labels, state.colours_by_number()
        marked = session.marked(state)
        if self._chosen is not None:
            labels = labels[self._chosen]
            marked = None if marked is None else marked[self._chosen]
        return self._points.render(
            viewport, labels, colours, hidden=session.hidden, selected=marked
        )

    def _watch_selections(self) -> None:
        from bokeh.events import SelectionGeometry

        self.figure.on_event(SelectionGeometry, self._on_geometry)

    def _on_geometry(self, event: Any) -> None:
        if not event.final:
            return
        geometry = event.geometry
        if geometry["type"] == "point" and self._tapped is not None:
            view = self.picture.viewport
            reach = (
                _TAP_REACH * abs(view.x_range[1] - view.x_range[0]) / view.width,
                _TAP_REACH * abs(view.y_range[1] - view.y_range[0]) / view.height,
            )
            self._tapped(float(geometry["x"]), float(geometry["y"]), reach)
        elif geometry["type"] in {"poly", "rect"} and self._drawn is not None:
            self._drawn(corners_of(geometry))


def density_figure(
    latent: NDArray[Any],
    *,
    scheduler: Scheduler,
    size: tuple[int, int],
    failed: Callable[[Exception], None],
) -> PictureFigure:
    """
    Make a live figure of the density of points.

    Parameters
    ----------
    latent : array, shape (n, component)
        Latent coordinates, of which the first two are drawn.
    scheduler, size, failed
        See :class:`LatentFigure`.

    Returns
    -------
    PictureFigure
    """
    points = PointPicture(latent)
    return PictureFigure(
        lambda viewport: points.render(viewport, None, {}), points.x_range, points.y_range,
        scheduler=scheduler, size=size, failed=failed, axis_labels=_LABELS,
    )  # fmt: skip


def sample_rows(n: int, share: float) -> NDArray[np.intp]:
    """Choose a share of rows at random, always the same, at least one; in their order."""
    n_shown = max(1, round(share * n))
    return np.sort(np.random.default_rng(0).permutation(n)[:n_shown])


def corners_of(geometry: Any) -> NDArray[np.float64]:
    """
    Read the corners of a lasso or a box from an event of Bokeh.

    Parameters
    ----------
    geometry : mapping
        Of ``SelectionGeometry``, of the type "poly" or "rect".

    Returns
    -------
    numpy.ndarray, shape (corner, 2)
    """
    if geometry["type"] == "rect":
        x0, x1, y0, y1 = (float(geometry[name]) for name in ("x0", "x1", "y0", "y1"))
        return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    corners = np.column_stack([np.asarray(geometry[name], np.float64) for name in ("x", "y")])
    return corners[np.isfinite(corners).all(axis=1)]
