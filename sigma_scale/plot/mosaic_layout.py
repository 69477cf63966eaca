"""Picture of where the tiles of a mosaic lie and how well they fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.plot.figures import INK, MUTED, PAPER, dress_axes, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from sigma_scale.mosaic import TileLayout

__all__ = ["plot_mosaic_layout"]

_SIDE = 6.4
_ROOM = 1.2
_LEAST_SIDE = 2.0
_TILE = "#56b4e9"
_REJECTED = "#d55e00"
_MISSING = "#cc79a7"
_GAP = "#e6e6e6"
_QUALITIES = "viridis"
_INCHES_PER_LETTER = 0.075
_NEAR, _FAR = 0.66, 0.34
_LARGEST_TEXT, _SMALLEST_TEXT = 8.0, 4.0


def plot_mosaic_layout(
    layout: TileLayout, pairs: pd.DataFrame | None = None, *, title: str | None = None
) -> Figure:
    """
    Draw the outlines and names of tiles, and the pairs that were compared.

    Parameters
    ----------
    layout : TileLayout
        The tiles.
    pairs : pandas.DataFrame, optional
        ``pairs`` of a :class:`~sigma_scale.mosaic.Registration`: those used are drawn as lines
        between the tiles' centres, coloured by quality, those rejected dashed.
    title : str, optional
        Written above.

    Returns
    -------
    matplotlib.figure.Figure
        Grey is what no tile covers, hatched the cells of the grid that have no tile.
    """
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    size = np.array(layout.pixel_size)
    corners = (layout.offsets - 0.5) * size
    extents = np.array([tile.shape for tile in layout]) * size
    holes = _missing(layout, corners, extents)
    every = np.concatenate([corners, *(hole[None, :2] for hole in holes)])
    ends = np.concatenate([corners + extents, *(hole[None, :2] + hole[2:] for hole in holes)])
    low, high = every.min(axis=0), ends.max(axis=0)
    height, width = high - low
    drawn = np.maximum(np.array([height, width]) * _SIDE / max(height, width), _LEAST_SIDE)
    figure = new_figure(drawn[1] + _ROOM, drawn[0] + _ROOM)
    ax = figure.subplots()
    ax.add_patch(Rectangle((low[1], low[0]), width, height, facecolor=_GAP, edgecolor="none"))
    for y, x, down, across in holes:
        ax.add_patch(
            Rectangle(
                (x, y), across, down, facecolor=PAPER, edgecolor=_MISSING, hatch="///", lw=1.2
            )
        )
    boxes = [
        Rectangle((x, y), across, down)
        for (y, x), (down, across) in zip(corners, extents, strict=True)
    ]
    ax.add_collection(PatchCollection(boxes, facecolor=PAPER, edgecolor="none"))
    ax.add_collection(PatchCollection(boxes, facecolor=_TILE, edgecolor="none", alpha=0.25))
    ax.add_collection(PatchCollection(boxes, facecolor="none", edgecolor=INK, linewidth=0.6))
    centres = corners + extents / 2
    if pairs is not None and len(pairs):
        _draw_pairs(figure, ax, layout, centres, pairs)
    _draw_names(ax, layout, centres, extents * drawn.max() / max(height, width))
    ax.set_xlim(low[1], high[1])
    ax.set_ylim(high[0], low[0])
    ax.set_aspect("equal")
    ax.set_xlabel(f"x ({layout.unit})")
    ax.set_ylabel(f"y ({layout.unit})")
    dress_axes(ax)
    _draw_legend(ax, pairs, missing=bool(holes))
    if title:
        figure.suptitle(title, size=11, color=INK, x=0.01, ha="left", parse_math=False)
    return figure


def _missing(
    layout: TileLayout, corners: NDArray[np.float64], extents: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """Where tiles of empty cells would lie: y, x, height and width of each."""
    gaps = layout.missing
    if not gaps:
        return []
    known = [n for n, tile in enumerate(layout) if tile.row is not None and tile.column is not None]
    cells = np.array([(1, layout.tiles[n].row, layout.tiles[n].column) for n in known], float)
    plane = np.linalg.lstsq(cells, corners[known], rcond=None)[0]
    usual = np.median(extents, axis=0)
    return [np.concatenate([np.array([1.0, row, column]) @ plane, usual]) for row, column in gaps]


def _draw_pairs(
    figure: Figure, ax: Axes, layout: TileLayout, centres: NDArray[np.float64], pairs: pd.DataFrame
) -> None:
    from matplotlib.collections import LineCollection

    number = {tile.name: n for n, tile in enumerate(layout)}
    ends = np.array(
        [
            (centres[number[a], ::-1], centres[number[b], ::-1])
            for a, b in zip(pairs["tile_a"], pairs["tile_b"], strict=True)
        ]
    )
    # Not from centre to centre, so that the names stay readable.
    lines = np.stack(
        [_NEAR * ends[:, 0] + _FAR * ends[:, 1], _FAR * ends[:, 0] + _NEAR * ends[:, 1]]
    )
    lines = lines.transpose(1, 0, 2)
    used = pairs["used"].to_numpy(bool)
    good = LineCollection(list(lines[used]), cmap=_QUALITIES, linewidths=2.4, capstyle="round")
    good.set_array(pairs["quality"].to_numpy(float)[used])
    good.set_clim(0.0, 1.0)
    ax.add_collection(good)
    ax.add_collection(
        LineCollection(list(lines[~used]), colors=_REJECTED, linewidths=1.4, linestyles="dotted")
    )
    bar = figure.colorbar(good, ax=ax, shrink=0.6, pad=0.02)
    bar.set_label("Quality of the overlap", size=9, color=INK)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)


def _draw_names(
    ax: Axes, layout: TileLayout, centres: NDArray[np.float64], inches: NDArray[np.float64]
) -> None:
    """Write names where they can be read: whole, else row and column, else none."""
    names = [tile.name for tile in layout]
    room = float(np.median(inches[:, 1])) / _INCHES_PER_LETTER
    if max(map(len, names)) > room and all(tile.row is not None for tile in layout):
        names = [f"{tile.row},{tile.column}" for tile in layout]
    longest = max(map(len, names))
    size = min(_LARGEST_TEXT, _LARGEST_TEXT * room / longest)
    if size < _SMALLEST_TEXT:
        return
    for name, (y, x) in zip(names, centres, strict=True):
        ax.text(x, y, name, size=size, ha="center", va="center", color=INK, parse_math=False)


def _draw_legend(ax: Axes, pairs: pd.DataFrame | None, *, missing: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: list[Any] = [Patch(facecolor=_GAP, label="Not covered")]
    if missing:
        entries.append(
            Patch(facecolor=PAPER, edgecolor=_MISSING, hatch="///", label="Missing tile")
        )
    if pairs is not None and not pairs["used"].all():
        entries.append(Line2D([], [], color=_REJECTED, lw=1.4, ls=":", label="Pair not used"))
    ax.legend(
        handles=entries, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, fontsize=8,
        frameon=False, labelcolor=INK, borderaxespad=0.2,
    )  # fmt: skip
    ax.spines[["left", "bottom"]].set_color(MUTED)
