"""The report: one HTML file with everything in it, for reading, printing and keeping."""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import OutputExistsError, ParameterError, ShapeMismatchError
from sigma_scale.files import save_file
from sigma_scale.plot.figures import DPI, render

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from jinja2 import Template
    from matplotlib.figure import Figure

__all__ = ["FigurePanel", "ReportContent", "ReportTable", "Section", "write_report"]

_CSS_DPI = 96
_WIDE = 10
"""More columns than these are set smaller and closer."""
_PARAGRAPHS = re.compile(r"\n\s*\n")


@dataclass(frozen=True)
class FigurePanel:
    """
    A figure and what is said about it.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        Embedded as PNG of 150 pixels per inch; shown in its own size where there is room.
    caption : str
        Written below it.
    alt : str
        What it shows, for readers who can't see it; the caption where empty.
    """

    figure: Figure
    caption: str = ""
    alt: str = ""


@dataclass(frozen=True)
class ReportTable:
    """
    A table and what is said about it.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns and values; the index is left out unless it has a name.
    caption : str
        Written above it.
    chips : sequence of str
        A colour for each row, shown as a chip before its first value; none where empty.
    numeric : sequence of str
        Columns of texts that are set to the right, as numbers are. A second line in a text is
        shown smaller.
    faint : sequence of sequence of bool
        Cells that matter less, a row for each of the frame's; none where empty.
    """

    frame: pd.DataFrame
    caption: str = ""
    chips: Sequence[str] = ()
    numeric: Sequence[str] = ()
    faint: Sequence[Sequence[bool]] = ()


@dataclass(frozen=True)
class Section:
    """
    A part of the report.

    Attributes
    ----------
    heading : str
        Its heading.
    text : str
        Plain text; empty lines part paragraphs.
    figures : sequence of FigurePanel or matplotlib.figure.Figure
        Shown side by side where they fit.
    tables : sequence of ReportTable or pandas.DataFrame
        Shown after the figures.
    """

    heading: str
    text: str = ""
    figures: Sequence[FigurePanel | Figure] = ()
    tables: Sequence[ReportTable | pd.DataFrame] = ()


@dataclass(frozen=True)
class ReportContent:
    """
    All that a report says.

    Attributes
    ----------
    title, subtitle : str
        What the report is about, and the source (a file, a sample).
    facts : mapping of str to object
        Short facts at the head of the report, in their order.
    warnings : sequence of str
        What the reader must know before trusting the results.
    sections : sequence of Section
        The body.
    settings : str
        The recipe (YAML) that makes the results again.
    versions : mapping of str to str
        Versions of the software used.
    """

    title: str
    subtitle: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    sections: Sequence[Section] = ()
    settings: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Picture:
    """A figure made ready for the template."""

    source: str
    width: int
    height: int
    caption: str
    alt: str


@dataclass(frozen=True)
class _Cell:
    """A value made ready for the template."""

    text: str
    number: bool
    small: str = ""
    faint: bool = False

    @property
    def kind(self) -> str:
        """Classes of the style sheet."""
        return " ".join(name for name, on in (("n", self.number), ("faint", self.faint)) if on)


@dataclass(frozen=True)
class _Rows:
    """A table made ready for the template."""

    caption: str
    header: list[_Cell]
    rows: list[tuple[str, list[_Cell]]]


def write_report(
    path: str | os.PathLike[str], report: ReportContent, *, overwrite: bool = True
) -> Path:
    """
    Write a report as one self-contained HTML file.

    Parameters
    ----------
    path : path-like
        File to write; its folder is made where it is missing.
    report : ReportContent
        What it says. All text is escaped.
    overwrite : bool, default: True
        Replace a file that is already there.

    Returns
    -------
    pathlib.Path
        The file written. It asks for nothing from outside, holds no scripts, follows the
        reader's light or dark setting, and prints. It is there whole or not at all.

    Raises
    ------
    ParameterError
        If a chip is not a colour.
    ShapeMismatchError
        If a table has chips but not one for each row.
    OutputExistsError
        If the file is there and `overwrite` is False.
    """
    target = Path(path)
    if target.exists() and not overwrite:
        msg = f"The report {target} is already there; choose another name or allow overwriting."
        raise OutputExistsError(msg)
    sections = [
        {
            "heading": section.heading,
            "paragraphs": [p.strip() for p in _PARAGRAPHS.split(section.text) if p.strip()],
            "figures": [_picture(figure, section.heading) for figure in section.figures],
            "tables": [_rows(table) for table in section.tables],
        }
        for section in report.sections
    ]
    page = _template().render(
        report=report,
        facts=[(name, _cell(value).text) for name, value in report.facts.items()],
        sections=sections,
        wide=_WIDE,
    )
    return save_file(target, page.encode("utf-8"))


@cache
def _template() -> Template:
    """Load the page's template, with all values escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sigma_scale.plot"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _picture(figure: FigurePanel | Figure, heading: str) -> _Picture:
    """Embed a figure."""
    panel = figure if isinstance(figure, FigurePanel) else FigurePanel(figure)
    content = base64.b64encode(render(panel.figure, dpi=DPI)).decode("ascii")
    width, height = (round(side * _CSS_DPI) for side in panel.figure.get_size_inches())
    return _Picture(
        source=f"data:image/png;base64,{content}",
        width=width,
        height=height,
        caption=panel.caption,
        alt=panel.alt or panel.caption or heading,
    )


def _rows(table: ReportTable | pd.DataFrame) -> _Rows:
    """Lay out a table as text."""
    from matplotlib.colors import is_color_like, to_hex

    given = table if isinstance(table, ReportTable) else ReportTable(table)
    frame = given.frame
    if frame.index.name is not None:
        frame = frame.reset_index()
    if given.chips and len(given.chips) != len(frame):
        msg = f"A table of {len(frame)} rows has {len(given.chips)} chips; give one for each row."
        raise ShapeMismatchError(msg)
    if given.faint and np.shape(given.faint) != given.frame.shape:
        msg = (
            f"A table of {given.frame.shape} cells says of {np.shape(given.faint)} whether they "
            "are faint; say it of each."
        )
        raise ShapeMismatchError(msg)
    for chip in given.chips:
        if not is_color_like(chip):
            msg = f"{chip!r} is not a colour; use a name or '#rrggbb', such as '#0072b2'."
            raise ParameterError(msg)
    right = [
        dtype.kind in "iufc" or name in given.numeric
        for name, dtype in zip(frame.columns, frame.dtypes, strict=True)
    ]
    header = [_Cell(str(name), number) for name, number in zip(frame.columns, right, strict=True)]
    chips = [to_hex(chip) for chip in given.chips] or [""] * len(frame)
    decimals = [_decimals(frame.iloc[:, k]) for k in range(frame.shape[1])]
    faint = np.zeros(frame.shape, dtype=bool)
    if given.faint:
        faint[:, frame.shape[1] - given.frame.shape[1] :] = given.faint
    texts = set(given.numeric)
    rows = []
    for chip, values, pale in zip(
        chips, frame.itertuples(index=False, name=None), faint, strict=True
    ):
        cells = [_cell(value, places) for value, places in zip(values, decimals, strict=True)]
        cells = [
            _split(cell, number=cell.number or name in texts, faint=bool(pale[k]))
            for k, (cell, name) in enumerate(zip(cells, frame.columns, strict=True))
        ]
        rows.append((chip, cells))
    return _Rows(given.caption, header, rows)


def _split(cell: _Cell, *, number: bool, faint: bool) -> _Cell:
    """Style a cell, and take the second line of its text apart."""
    text, _, small = cell.text.partition("\n")
    return _Cell(text, number, small, faint)


def _decimals(column: pd.Series[Any]) -> int | None:
    """Return how many decimals give the largest number of a column four digits."""
    if column.dtype.kind != "f":
        return None
    sizes = np.abs(column.to_numpy())
    sizes = sizes[np.isfinite(sizes)]
    largest = float(sizes.max()) if sizes.size else 0.0
    # Very large and very small columns are left to the general format.
    if not 1e-2 <= largest < 1e15:  # noqa: PLR2004
        return None
    return max(0, 3 - math.floor(math.log10(largest)))


def _cell(value: Any, decimals: int | None = None) -> _Cell:
    """
    Write a value: whole numbers in full, others with four digits, missing ones as a dash.

    A column's common number of decimals gives way where it would show a number as zero.
    """
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return _Cell("–", number=False)
    if isinstance(value, bool | np.bool_):
        return _Cell("yes" if value else "no", number=False)
    if isinstance(value, int | np.integer):
        return _Cell(f"{int(value):,}".replace("-", "−"), number=True)
    if isinstance(value, float | np.floating):
        number = float(value)
        if decimals is not None and (number == 0 or abs(number) >= 0.5 * 10.0**-decimals):
            text = f"{number:,.{decimals}f}"
        else:
            text = f"{number:,.0f}" if 1e4 <= abs(number) < 1e15 else f"{number:.4g}"  # noqa: PLR2004
        return _Cell(text.replace("-", "−"), number=True)
    if isinstance(value, list | tuple | set):
        return _Cell(", ".join(_cell(item).text for item in value), number=False)
    return _Cell(str(value), number=False)
