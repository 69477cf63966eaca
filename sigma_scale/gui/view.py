"""What a view returns: something a notebook and a page show, with figures and data to save."""

from __future__ import annotations

import base64
import re
import zipfile
from functools import partial
from html import escape
from io import BytesIO, StringIO
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.files import save_file
from sigma_scale.plot.figures import render, save_figure

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Mapping

    import pandas as pd
    from matplotlib.figure import Figure

    from sigma_scale.plot import FigurePanel

__all__ = ["View"]

_SCREEN_DPI = 96


class View:
    """
    One or more figures, each under a title, with the numbers they show.

    A notebook shows a view that ends a cell; ``panel.panel(view)`` puts it into a page.

    Parameters
    ----------
    panels : mapping of str to (FigurePanel or callable)
        Figures by their titles, in the order in which they are shown. Callables make theirs
        when it is asked for.
    tables : mapping of str to callable, optional
        What makes the data of the figures, as tables, by title.
    live : callable, optional
        Makes what is shown in the place of the figures where there is somebody to answer: a
        layout of Panel. Each page gets one of its own.
    aids : collection of str, optional
        Titles of figures that only help to use the others; they are shown and never saved.

    Raises
    ------
    EmptyMapError
        If there is no figure.
    """

    def __init__(
        self,
        panels: Mapping[str, FigurePanel | Callable[[], FigurePanel]],
        *,
        tables: Mapping[str, Callable[[], pd.DataFrame]] | None = None,
        live: Callable[[], Any] | None = None,
        aids: Collection[str] = (),
    ) -> None:
        if not panels:
            raise EmptyMapError("There is nothing to show.")
        self._panels = dict(panels)
        self._tables = dict(tables or {})
        self._live = live
        self._pictures = [title for title in self._panels if title not in aids]

    @property
    def makers(self) -> dict[str, FigurePanel | Callable[[], FigurePanel]]:
        """Figures, or what makes them, by title: for views that contain this one."""
        return dict(self._panels)

    @property
    def panels(self) -> Mapping[str, FigurePanel]:
        """Figures and their captions by title."""
        return MappingProxyType({title: self._panel(title) for title in self._panels})

    def _panel(self, title: str) -> FigurePanel:
        panel = self._panels[title]
        if callable(panel):
            self._panels[title] = panel = panel()
        return panel

    @property
    def figures(self) -> dict[str, Figure]:
        """Matplotlib's figures by title."""
        return {title: panel.figure for title, panel in self.panels.items()}

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
        return next(iter(self.figures.values()))

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Data of the figures, by title."""
        return {title: make() for title, make in self._tables.items()}

    def __repr__(self) -> str:
        return f"<View: {', '.join(self._panels)}>"

    def __panel__(self) -> Any:
        """Layout for a page: live where the view can be, with buttons that save it."""
        from sigma_scale.gui.layout import pictures, with_save_buttons

        content = pictures(self) if self._live is None else self._live()
        return with_save_buttons(content, self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        """Live in a notebook where ``panel.extension()`` was called; else its pictures."""
        import sys

        panel = sys.modules.get("panel")
        if self._live is not None and panel is not None and panel.extension._loaded:  # noqa: SLF001
            return panel.panel(self)._repr_mimebundle_(include, exclude)
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _repr_html_(self) -> str:
        """Pictures for a notebook; several can be folded away one by one."""
        shown = {title: picture(title, panel) for title, panel in self.panels.items()}
        if len(shown) == 1:
            return "".join(shown.values())
        return "".join(
            f"<details open><summary><b>{escape(title)}</b></summary>{html}</details>"
            for title, html in shown.items()
        )

    def save(self, path: str | os.PathLike[str]) -> list[Path]:
        """
        Save the figures.

        Parameters
        ----------
        path : path-like
            File to write, ending in ``.png`` or ``.svg``. Where there are several pictures, each
            one's title is added to the name; a sheet of colours to choose from is none.

        Returns
        -------
        list of pathlib.Path
            Files written.

        Raises
        ------
        ParameterError
            If the ending is another one.
        StoreError
            If a file can't be written, for example because its folder is read-only or the disk
            full.
        """
        files = self._named(path, self._pictures)
        return [save_figure(self._panel(title).figure, file) for title, file in files.items()]

    def save_data(self, path: str | os.PathLike[str]) -> list[Path]:
        """
        Save the numbers that the view shows.

        Parameters
        ----------
        path : path-like
            File to write, ending in ``.csv``. Where there are several tables, each one's title is
            added to the name.

        Returns
        -------
        list of pathlib.Path
            Files written.

        Raises
        ------
        ParameterError
            If the ending is another one, or the view shows pictures alone.
        StoreError
            If a file can't be written, for example because its folder is read-only or the disk
            full.
        """
        if Path(path).suffix.lower() != ".csv":
            raise ParameterError(f"Data are saved as .csv, not as {Path(path).name!r}.")
        if not self._tables:
            raise ParameterError(f"{self!r} has no data but its figures: use save().")
        targets = self._named(path, list(self._tables))
        for title, target in targets.items():
            save_file(target, self._encoded("csv", title))
        return list(targets.values())

    def downloads(self) -> dict[str, tuple[str, Callable[[], BytesIO]]]:
        """
        Give what can be saved from a page, made in memory when it is asked for.

        Returns
        -------
        dict of str to tuple
            By "PNG", "SVG" and, where there are data, "CSV": the file's name and what makes its
            content. Several figures or tables come in one zip archive.
        """
        made: dict[str, tuple[str, Callable[[], BytesIO]]] = {}
        for kind, titles in (
            ("png", self._pictures),
            ("svg", self._pictures),
            ("csv", self._tables),
        ):
            if titles:
                files = self._named(f"{self._stem()}.{kind}", list(titles))
                (first, *others) = [file.name for file in files.values()]
                name = f"{self._stem()}_{kind}.zip" if others else first
                made[kind.upper()] = (name, partial(self._content, kind, files))
        return made

    def _content(self, kind: str, files: Mapping[str, Path]) -> BytesIO:
        contents = {file.name: self._encoded(kind, title) for title, file in files.items()}
        if len(contents) == 1:
            return BytesIO(next(iter(contents.values())))
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        packed.seek(0)
        return packed

    def _encoded(self, kind: str, title: str) -> bytes:
        if kind == "csv":
            return self._csv(title).encode("utf-8")
        return render(self._panel(title).figure, file_format=kind)

    def _csv(self, title: str) -> str:
        text = StringIO()
        self._tables[title]().to_csv(text)
        return text.getvalue()

    def _stem(self) -> str:
        return _slug(self._pictures[0]) if len(self._pictures) == 1 else "view"

    @staticmethod
    def _named(path: str | os.PathLike[str], titles: list[str]) -> dict[str, Path]:
        """File of each title: the path itself where there is only one."""
        target = Path(path)
        if len(titles) == 1:
            return {titles[0]: target}
        return {
            title: target.with_name(f"{target.stem}_{_slug(title)}{target.suffix}")
            for title in titles
        }


def picture(title: str, panel: FigurePanel) -> str:
    """A figure with its caption as HTML, the picture in it."""
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
