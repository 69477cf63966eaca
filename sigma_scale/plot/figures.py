"""Figures without pyplot: making, dressing and saving them."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from sigma_scale.errors import ParameterError
from sigma_scale.files import save_file

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "DPI",
    "INK",
    "MUTED",
    "PAPER",
    "dress_axes",
    "fit_figure",
    "new_figure",
    "note",
    "render",
    "root_figure",
    "save_figure",
]

DPI = 150
INK = "#1f2933"
MUTED = "#66727f"
PAPER = "#ffffff"
_FORMATS = ("png", "svg")
_PAD = 0.05


def new_figure(width: float, height: float) -> Figure:
    """
    Make an empty figure that keeps its parts apart by itself.

    Parameters
    ----------
    width, height : float
        Size in inches.

    Returns
    -------
    NotebookFigure
        White, with constrained layout and no tie to pyplot; a notebook shows it as a picture.
    """
    # Not above: what only saves figures need not load matplotlib.
    from sigma_scale.plot.notebook_figure import NotebookFigure

    return NotebookFigure(figsize=(width, height), dpi=DPI, facecolor=PAPER, layout="constrained")


def root_figure(ax: Axes) -> Figure:
    """Return the figure that holds an axes, also where it sits in a subfigure."""
    from matplotlib.figure import Figure

    parent = ax.figure
    while not isinstance(parent, Figure):
        parent = parent.figure
    return parent


def dress_axes(ax: Axes) -> None:
    """Give the axes of a graph quiet spines and small ticks."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.tick_params(labelsize=8, colors=INK, color=MUTED, length=3)
    ax.xaxis.label.set(size=9, color=INK)
    ax.yaxis.label.set(size=9, color=INK)


def note(ax: Axes, text: str) -> None:
    """Write a remark in the middle of an axes that has nothing else to show."""
    ax.text(
        0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", size=9, color=MUTED,
        bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 3},
    )  # fmt: skip


def render(figure: Figure, *, file_format: str = "png", dpi: float = DPI) -> bytes:
    """
    Return a figure as the bytes of a picture file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to draw.
    file_format : {"png", "svg"}, default: "png"
        Format of the picture.
    dpi : float, default: 150
        Pixels per inch of a PNG.

    Returns
    -------
    bytes
        The file's content; it holds no date, so equal figures give equal PNG files.
    """
    buffer = BytesIO()
    metadata = {"Date": None} if file_format == "svg" else {"Software": None}
    figure.savefig(buffer, format=file_format, dpi=dpi, metadata=metadata)
    return buffer.getvalue()


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """
    Save a figure as PNG (150 pixels per inch) or SVG.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to save.
    path : path-like
        File to write, ending in ``.png`` or ``.svg``; its folder is made where it is missing.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ParameterError
        If the file's ending is another one.
    StoreError
        If it can't be written, for example because its folder is read-only or the disk full.
    """
    target = Path(path)
    ending = target.suffix.lower().lstrip(".")
    if ending not in _FORMATS:
        msg = (
            f"Cannot save a figure as {target.name!r}: the ending says the format and must be "
            "'.png' or '.svg'."
        )
        raise ParameterError(msg)
    return save_file(target, render(figure, file_format=ending))


def fit_figure(ax: Axes, width: float, height: float) -> None:
    """
    Size a figure of one axes so that the axes gets a size and all that hangs on it has room.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        The only axes of its figure, complete with title, colour bar and legend.
    width, height : float
        Wanted size of the axes in inches.
    """
    figure = root_figure(ax)
    # Placed by hand: constrained layout doesn't settle with a fixed aspect beside a wide legend.
    figure.set_layout_engine("none")
    left = right = bottom = top = 0.5
    # Twice, since the line breaks of a title follow the width of the figure.
    for _ in range(2):
        across, along = left + width + right, bottom + height + top
        figure.set_size_inches(across, along)
        ax.set_position((left / across, bottom / along, width / across, height / along))
        figure.draw_without_rendering()
        inner, outer = ax.get_window_extent(), ax.get_tightbbox()
        if outer is None:
            return
        left, right = (inner.x0 - outer.x0) / figure.dpi, (outer.x1 - inner.x1) / figure.dpi
        bottom, top = (inner.y0 - outer.y0) / figure.dpi, (outer.y1 - inner.y1) / figure.dpi
        left, right, bottom, top = (side + _PAD for side in (left, right, bottom, top))
    across, along = left + width + right, bottom + height + top
    figure.set_size_inches(across, along)
    ax.set_position((left / across, bottom / along, width / across, height / along))
