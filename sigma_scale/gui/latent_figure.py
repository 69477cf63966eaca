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

__all__ = ["LatentFigure", "around_ellipses", "density_figure", "ellipses_of", "grown"]

_LABELS = ("latent 1", "latent 2")
_TAP_REACH = 5
"""Screen pixels around a tap in which points are looked for."""
_RADII = (2, 1)
_FREE_SHARE = 0.25
"""Share of a frame that larger points may cover; more would run into each other."""
_MARGIN = 0.02


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
    with_gaussians : bool, default: False
        Draw the Gaussians of a mixture as they were fitted, two standard deviations wide.

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
        with_gaussians: bool = False,
    ) -> None:
        self._session, self._drawn, self._tapped = session, drawn, tapped
        latent = session.ps.latent
        self._chosen = None if share >= 1 else sample_rows(len(latent), share)
        points = latent if self._chosen is None else latent[self._chosen, :2]
        self._points = PointPicture(points)
        x_range, y_range = self._points.x_range, self._points.y_range
        mixture = session.ps.mixture if with_gaussians else None
        if mixture is not None:
            ellipses = ellipses_of(mixture)
            x_range, y_range = around_ellipses(ellipses, x_range, y_range)
        self.picture = PictureFigure(
            self._render, x_range, y_range, scheduler=scheduler,
            size=size, failed=failed, tools=selection_tools() if drawn else (),
            axis_labels=_LABELS if has_axes else None,
        )  # fmt: skip
        if mixture is not None:
            self._add_ellipses(ellipses)
        if drawn is not None:
            self._watch_selections()

    @property
    def figure(self) -> Any:
        """Figure of Bokeh."""
        return self.picture.figure

    def _add_ellipses(self, ellipses: NDArray[np.float64]) -> None:
        x, y, width, height, angle = ellipses.T
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
        return grown(
            self._points.render(viewport, labels, colours, hidden=session.hidden, selected=marked)
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
        lambda viewport: grown(points.render(viewport, None, {})), points.x_range, points.y_range,
        scheduler=scheduler, size=size, failed=failed, axis_labels=_LABELS,
    )  # fmt: skip


def grown(frame: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """
    Make points larger in a frame that has few of them.

    Parameters
    ----------
    frame : array, shape (height, width), uint32
        Packed RGBA, 0 where there is no point.

    Returns
    -------
    numpy.ndarray, shape (height, width), uint32
        Each point as a disc of five or three pixels, as far as there is room; the frame itself
        where points are many, or are discs already.
    """
    occupied = frame != 0
    n_occupied = int(np.count_nonzero(occupied))
    padded = np.pad(occupied, 1)
    beside = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    if not (occupied & ~beside).any():
        return frame
    for radius in _RADII:
        disc = _disc(radius)
        if n_occupied * len(disc) > _FREE_SHARE * frame.size:
            continue
        made, (height, width) = np.pad(frame, radius), frame.shape
        for row, column in disc:
            part = made[radius + row :, radius + column :][:height, :width]
            part[occupied & (part == 0)] = frame[occupied & (part == 0)]
        return np.ascontiguousarray(made[radius:-radius, radius:-radius])
    return frame


def _disc(radius: int) -> list[tuple[int, int]]:
    """Steps from the middle of a disc to all of its pixels, the nearest first."""
    steps = range(-radius, radius + 1)
    disc = [(row, column) for row in steps for column in steps]
    disc = [(row, column) for row, column in disc if row**2 + column**2 <= radius**2 + 1]
    return sorted(disc, key=lambda step: step[0] ** 2 + step[1] ** 2)


def ellipses_of(mixture: Any) -> NDArray[np.float64]:
    """
    Give the ellipses that the Gaussians of a mixture are drawn as.

    Parameters
    ----------
    mixture : FittedMixture
        With ``means`` and ``covariances``.

    Returns
    -------
    numpy.ndarray, shape (component, 5)
        Centre, width, height, and angle in degrees.
    """
    pairs = zip(mixture.means, mixture.covariances, strict=True)
    return np.array([ellipse_of(*pair) for pair in pairs])


def around_ellipses(
    ellipses: NDArray[np.float64], x_range: tuple[float, float], y_range: tuple[float, float]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """
    Widen ranges as far as whole ellipses need it.

    Parameters
    ----------
    ellipses : array, shape (ellipse, 5)
        See :func:`ellipses_of`.
    x_range, y_range : tuple of float
        What is shown anyway, lowest first.

    Returns
    -------
    x_range, y_range : tuple of float
    """
    x, y, width, height, degrees = ellipses.T
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    reach = np.hypot(width * cosine, height * sine) / 2, np.hypot(width * sine, height * cosine) / 2
    made = []
    for centre, half, (low, high) in zip((x, y), reach, (x_range, y_range), strict=True):
        least, most = float((centre - half).min()), float((centre + half).max())
        margin = _MARGIN * (max(most, high) - min(least, low))
        made.append((min(low, least - margin), max(high, most + margin)))
    return made[0], made[1]


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
