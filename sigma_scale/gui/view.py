"""What a view returns: figures that a notebook shows, with what is said about them."""

from __future__ import annotations

import base64
import re
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.plot.figures import render, save_figure

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from sigma_scale.plot import FigurePanel

__all__ = ["View"]

_SCREEN_DPI = 96


class View:
    """
    One or more figures, each under a title.

    A notebook shows a view that ends a cell: no pyplot is needed for it.

    Parameters
    ----------
    panels : mapping of str to FigurePanel
        Figures by their titles, in the order in which they are shown.

    Raises
    ------
    EmptyMapError
        If there is no figure.
    """

    def __init__(self, panels: Mapping[str, FigurePanel]) -> None:
        if not panels:
            raise EmptyMapError("There is nothing to show.")
        self._panels = MappingProxyType(dict(panels))

    @property
    def panels(self) -> Mapping[str, FigurePanel]:
        """Figures and their captions by title."""
        return self._panels

    @property
    def figures(self) -> dict[str, Figure]:
        """Matplotlib's figures by title."""
        return {title: panel.figure for title, panel in self._panels.items()}

    @property
    def figure(self) -> Figure:
        """
        The only figure.

        Raises
        ------
        ParameterError
            If there are several.
        """
        if len(self._panels) > 1:
            raise ParameterError(
                "The view has several figures; choose one from `figures`: "
                f"{', '.join(map(repr, self._panels))}."
            )
        return next(iter(self._panels.values())).figure

    def __repr__(self) -> str:
        return f"<View: {', '.join(self._panels)}>"

    def _repr_html_(self) -> str:
        """Pictures for a notebook; several can be folded away one by one."""
        pictures = {title: _picture(title, panel) for title, panel in self._panels.items()}
        if len(pictures) == 1:
            return "".join(pictures.values())
        return "".join(
            f"<details open><summary><b>{escape(title)}</b></summary>{picture}</details>"
            for title, picture in pictures.items()
        )

    def save(self, path: str | os.PathLike[str]) -> list[Path]:
        """
        Save the figures.

        Parameters
        ----------
        path : path-like
            File to write, ending in ``.png`` or ``.svg``. Where there are several figures, each
            one's title is added to the name.

        Returns
        -------
        list of pathlib.Path
            Files written.

        Raises
        ------
        ParameterError
            If the ending is another one.
        """
        target = Path(path)
        if len(self._panels) == 1:
            return [save_figure(self.figure, target)]
        return [
            save_figure(figure, target.with_name(f"{target.stem}_{_slug(title)}{target.suffix}"))
            for title, figure in self.figures.items()
        ]


def _picture(title: str, panel: FigurePanel) -> str:
    width = round(panel.figure.get_figwidth() * _SCREEN_DPI)
    data = base64.b64encode(render(panel.figure)).decode("ascii")
    said = panel.alt or panel.caption or title
    caption = f"<figcaption>{escape(panel.caption)}</figcaption>" if panel.caption else ""
    return (
        f'<figure style="margin:0 0 1em 0"><img alt="{escape(said)}" width="{width}" '
        f'style="max-width:100%;height:auto" src="data:image/png;base64,{data}"/>'
        f"{caption}</figure>"
    )


def _slug(title: str) -> str:
    return re.sub(r"\W+", "_", title.lower()).strip("_")
