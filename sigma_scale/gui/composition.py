"""View of what clusters are made of: shares of three elements in a triangle."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import phases, plot
from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.gui.cluster_spectra import cluster_lines, cluster_titles
from sigma_scale.gui.view import View
from sigma_scale.plot import FigurePanel
from sigma_scale.plot.line_labels import line_name
from sigma_scale.plot.palette import complete_colours
from sigma_scale.plot.ternary import ternary_positions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from sigma_scale.workflow.segmenter import PixelSegmenter

__all__ = ["plot_ternary_composition"]

_TITLE = "Ternary composition"
_N_CORNERS = 3


def plot_ternary_composition(
    ps: PixelSegmenter | pd.DataFrame,
    elements: Sequence[str],
    k_factors: Mapping[str, float] | None = None,
) -> View:
    """
    Show the share of three elements in each cluster.

    Parameters
    ----------
    ps : PixelSegmenter or pandas.DataFrame
        The clusters, or a table with one row for each point and a column for each element, such
        as percentages that another program calculated.
    elements : sequence of three str
        Left, right and top corner: X-ray lines such as ``"Fe_Ka"``, or columns of the table.
    k_factors : mapping of str to float, optional
        Of a segmenter: k-factor of each line, for percentages by weight (Cliff and Lorimer). None:
        shares of the net counts, which are no composition.

    Returns
    -------
    View
        A triangle with a point for each cluster, negative amounts taken as 0.

    Raises
    ------
    ParameterError
        If there are not three elements, or one is not in the table.
    EmptyMapError
        If there is no cluster, or none with anything of the three.
    NoSpectraError, UnknownLineError, EnergyRangeError
        As for ``ps.cluster_lines`` and ``ps.quantify_clusters``.
    """
    import pandas as pd

    corners = [str(name) for name in elements]
    if isinstance(elements, str) or len(set(corners)) != _N_CORNERS:
        raise ParameterError(
            f"Three different elements are needed, such as ['Al_Ka', 'Si_Ka', 'Fe_Ka'], not "
            f"{elements!r}."
        )
    if isinstance(ps, pd.DataFrame):
        missing = [name for name in corners if name not in ps.columns]
        if missing:
            raise ParameterError(
                f"The table has no {', '.join(missing)}; it has: {', '.join(map(str, ps.columns))}."
            )
        table, caption = ps[corners], "Shares of the three."
        titles = {k: str(name) for k, name in enumerate(table.index)}
        colours = complete_colours(list(titles), None)
    else:
        table, caption = _of_clusters(ps, corners, k_factors)
        known = cluster_titles(ps)
        # Points are numbered by their rows, as those of a table are.
        numbers = [int(label) for label in table.index]
        titles = {k: known.get(label, "Noise") for k, label in enumerate(numbers)}
        palette = complete_colours(numbers, ps.cluster_colors)
        colours = {k: palette[label] for k, label in enumerate(numbers)}
    shown = np.isfinite(ternary_positions(table.to_numpy(np.float64))).all(axis=1)
    if not shown.any():
        raise EmptyMapError(f"There is nothing to draw: no point has any {', '.join(corners)}.")
    named = [line_name(name) for name in corners]

    def draw() -> FigurePanel:
        figure = plot.plot_ternary(
            table.to_numpy(np.float64), named, np.arange(len(table)), colours, names=titles
        )
        return FigurePanel(figure, caption, _TITLE)

    return View(
        {_TITLE: draw},
        tables={_TITLE: table.copy},
        live=partial(_page, table, named, titles, colours, caption),
    )


def _of_clusters(
    ps: PixelSegmenter, lines: Sequence[str], k_factors: Mapping[str, float] | None
) -> tuple[pd.DataFrame, str]:
    """Amounts of three lines or elements in each cluster, and what they are."""
    import pandas as pd

    # Peaks that are not fitted would be taken for background: all features take part.
    elements = {name.partition("_")[0] for name in lines}
    others = [n for n in cluster_lines(ps) if n.partition("_")[0] not in elements]
    fitted = ps.cluster_lines([*lines, *others]).sel(line=list(lines))
    if k_factors is None:
        found = fitted["net"].transpose("phase", "line")
        caption = "Shares of the net counts, which are no composition: give k_factors for one."
    else:
        found = phases.cliff_lorimer(fitted, k_factors)["composition"]
        found = found.transpose("phase", "element")
        caption = "Percent by weight, by the k-factors given, scaled to a sum of 100 %."
    index = pd.Index(found["phase"].to_numpy(), name="phase")
    return pd.DataFrame(found.to_numpy(), index=index, columns=list(lines)), caption


def _page(
    table: pd.DataFrame,
    corners: Sequence[str],
    titles: Mapping[int, str],
    colours: Mapping[int, str],
    caption: str,
) -> Any:
    """Triangle with shares on hovering, above the numbers."""
    import panel as pn

    from sigma_scale.gui.dressing import figure_pane, small_table
    from sigma_scale.gui.ternary_figure import ternary_figure

    figure = ternary_figure(table.to_numpy(np.float64), corners, titles, colours)
    return pn.Column(
        figure_pane(figure), pn.pane.Markdown(caption, margin=(0, 8)), small_table(table),
        margin=0, sizing_mode="stretch_width",
    )  # fmt: skip
