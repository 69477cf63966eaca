"""
What the first page would wait for, done before it is asked for.

Pages need libraries that take seconds to import, and kernels that are compiled, or loaded from
their cache, at their first use.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.workflow.background import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_background", "warm_up_clusters", "warm_up_first_view"]

_log = logging.getLogger(__name__)
_SIDE = 4
_LABELS = 2


def in_background(action: Callable[[], None]) -> threading.Thread:
    """
    Warm up in a thread.

    Parameters
    ----------
    action : callable
        What to do. What it raises is only logged: pages will say it.

    Returns
    -------
    threading.Thread
        Running already; it doesn't keep the process alive.
    """

    def run() -> None:
        outcome = Outcome()
        with outcome:
            action()
        if outcome.error is not None:
            _log.debug("Warming up has failed", exc_info=outcome.error)

    thread = threading.Thread(target=run, name="sigma-scale-warm-up", daemon=True)
    thread.start()
    return thread


def warm_up_first_view() -> None:
    """Make what the page's first tab shows, of a map of a few pixels."""
    from bokeh.document import Document

    from sigma_scale import gui
    from sigma_scale.spectra import ArraySource, EnergyAxis, SpectrumImage
    from sigma_scale.workflow.datasets import SEMDataset

    counts = np.ones((_SIDE, _SIDE, 64), dtype=np.uint8)
    dataset = SEMDataset(SpectrumImage(ArraySource(counts), EnergyAxis(64, 0.05)))
    gui.view_dataset(dataset).__panel__().get_root(Document())


def warm_up_clusters() -> None:
    """Draw a few points and labels, as the tabs of clusters do."""
    from sigma_scale.gui import editor  # noqa: F401 - imported ahead
    from sigma_scale.plot.map_picture import LabelPicture
    from sigma_scale.plot.palette import phase_colours
    from sigma_scale.plot.point_picture import PointPicture
    from sigma_scale.plot.viewport import Viewport

    labels = np.arange(_SIDE * _SIDE, dtype=np.int32) % _LABELS
    colours = phase_colours(range(_LABELS))
    points = PointPicture(np.random.default_rng(0).random((labels.size, 2), dtype=np.float32))
    view = Viewport(points.x_range, points.y_range, _SIDE, _SIDE)
    points.render(view, labels, colours)
    points.render(view, None, colours)
    picture = LabelPicture(labels.reshape(_SIDE, _SIDE))
    picture.render(Viewport(picture.x_range, picture.y_range, _SIDE, _SIDE), colours)
