"""View of how many clusters a latent space needs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sigma_scale.gui.dressing import figure_pane
from sigma_scale.gui.view import View
from sigma_scale.plot import FigurePanel
from sigma_scale.plot.criterion import plot_criterion
from sigma_scale.workflow.segmenter import PixelSegmenter

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pandas as pd

__all__ = ["view_bic"]


def view_bic(
    latent: npt.ArrayLike,
    n_components: int = 20,
    model: str = "BayesianGaussianMixture",
    model_args: Mapping[str, Any] | None = None,
) -> View:
    """
    Show how well mixtures of several numbers of components describe a latent space.

    Parameters
    ----------
    latent : array-like, shape (n, component) or (y, x, component)
        Latent coordinates.
    n_components : int, default: 20
        Numbers from 1 to it are tried.
    model : {"BayesianGaussianMixture", "GaussianMixture"}
        Kind of mixture.
    model_args : mapping, optional
        Its parameters, without ``n_components``. None: the seed 6.

    Returns
    -------
    View
        The Bayesian information criterion: the lower the better.
    """
    import pandas as pd

    values = PixelSegmenter.bic(latent, n_components, model, model_args)
    numbers = list(range(1, len(values) + 1))
    table = pd.DataFrame({"bic": values}, index=pd.Index(numbers, name="n_components"))
    return View(
        {"BIC": lambda: FigurePanel(plot_criterion(numbers, values, title=model))},
        tables={"BIC": table.copy},
        live=partial(_page, table, model),
    )


def _page(table: pd.DataFrame, model: str) -> Any:
    import panel as pn

    from sigma_scale.gui.charts import curve_chart

    chart = curve_chart(table, label="Number of components", value_label="BIC")
    chart.title.text = model
    return pn.Column(figure_pane(chart), margin=0)
