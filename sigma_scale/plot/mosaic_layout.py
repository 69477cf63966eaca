"""Picture of where the tiles of a mosaic lie and how well they fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sigma_scale.plot.figures import INK, MUTED, PAPER, dress_axes, fit_figure, new_figure

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from sigma_scale.mosaic import TileLayout

    Floats = NDArray[np.float64]

__all__ = ["plot_mosaic_layout"]

_SIDE = 6.4
_LEAST_SIDE = 2.0
_MARGIN = 0.015
_TILE = "#dcebf6"
_REJECTED = "#d55e00"
_MISSING = "#cc79a7"
_GAP = "#c9ced3"
_QUALITIES = "viridis"
_DARK = 0.6
"""Qualities below have colours on which white is read best."""
_INCHES_PER_LETTER = 0.075
_POINTS = 72.0
_LARGEST_TEXT, _SMALLEST_TEXT = 8.0, 4.0
_LETTER_ASPECT = 0.6
_TEXT_SHARE = 0.75
_LEAST_STRIP = 0.02
"""Width of an overlap in tiles that is drawn where tiles hardly overlap, or no more."""


class _Picture(NamedTuple):
    """Boxes in the layout's unit, and how large they will be on paper."""

    corners: Floats
    extents: Floats
    inches_per_unit: float


def plot_mosaic_layout(
    layout: TileLayout,
    pairs: pd.DataFrame | None = None,
    *,
    unmatched: Collection[str] = (),
    title: str | None = None,
) -> Figure:
    """
    Draw the outlines and names of tiles, and how well they fit where they overlap.

    Parameters
    ----------
    layout : TileLayout
        The tiles.
    pairs : pandas.DataFrame, optional
        ``pairs`` of a :class:`~sigma_scale.mosaic.Registration`: the overlaps of those used are
        coloured by quality, with its number where there is room; those rejected are hatched.
    unmatched : collection of str, optional
        Tiles that fit to no other: outlined by dashes.
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
    picture = _Picture(corners, extents, float((drawn / (height, width)).min()))
    figure = new_figure(float(drawn[1]), float(drawn[0]))
    ax = figure.subplots()
    ax.add_patch(Rectangle((low[1], low[0]), width, height, facecolor=_GAP, edgecolor="none"))
    for hole in holes:
        ax.add_patch(
            Rectangle(
                (hole[1], hole[0]), hole[3], hole[2],
                facecolor=PAPER, edgecolor=_MISSING, hatch="///", lw=1.2,
            )
        )  # fmt: skip
    boxes = _rectangles(corners, extents)
    ax.add_collection(PatchCollection(boxes, facecolor=_TILE, edgecolor="none"))
    if pairs is not None and len(pairs):
        _draw_overlaps(ax, layout, picture, pairs)
    ax.add_collection(PatchCollection(boxes, facecolor="none", edgecolor=INK, linewidth=0.6))
    lost = [box for box, tile in zip(boxes, layout, strict=True) if tile.name in unmatched]
    ax.add_collection(
        PatchCollection(lost, facecolor="none", edgecolor=_REJECTED, linewidth=2.0, linestyle="--")
    )
    _draw_names(ax, layout, picture)
    margin = _MARGIN * max(height, width)
    ax.set_xlim(low[1] - margin, high[1] + margin)
    ax.set_ylim(high[0] + margin, low[0] - margin)
    ax.set_aspect("equal")
    ax.set_xlabel(f"x ({layout.unit})")
    ax.set_ylabel(f"y ({layout.unit})")
    dress_axes(ax)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    _draw_legend(ax, layout, pairs, missing=bool(holes), unmatched=bool(lost))
    if title:
        ax.set_title(title, loc="left", size=11, color=INK, pad=24, parse_math=False)
    fit_figure(ax, float(drawn[1]), float(drawn[0]))
    return figure


def _rectangles(corners: Floats, extents: Floats) -> list[Any]:
    from matplotlib.patches import Rectangle

    return [
        Rectangle((x, y), across, down)
        for (y, x), (down, across) in zip(corners, extents, strict=True)
    ]


def _missing(layout: TileLayout, corners: Floats, extents: Floats) -> list[Floats]:
    """Where tiles of empty cells would lie: y, x, height and width of each."""
    gaps = layout.missing
    if not gaps:
        return []
    known = [n for n, tile in enumerate(layout) if tile.row is not None and tile.column is not None]
    cells = np.array([(1, layout.tiles[n].row, layout.tiles[n].column) for n in known], float)
    plane = np.linalg.lstsq(cells, corners[known], rcond=None)[0]
    usual = np.median(extents, axis=0)
    return [np.concatenate([np.array([1.0, row, column]) @ plane, usual]) for row, column in gaps]


def _draw_overlaps(ax: Axes, layout: TileLayout, picture: _Picture, pairs: pd.DataFrame) -> None:
    from matplotlib.collections import PatchCollection

    number = {tile.name: n for n, tile in enumerate(layout)}
    a, b = ([number[name] for name in pairs[end]] for end in ("tile_a", "tile_b"))
    corners, ends = picture.corners, picture.corners + picture.extents
    low, high = np.maximum(corners[a], corners[b]), np.minimum(ends[a], ends[b])
    least = _LEAST_STRIP * np.minimum(picture.extents[a], picture.extents[b])
    sizes = np.maximum(high - low, least)
    strips = _rectangles((low + high - sizes) / 2, sizes)
    used = pairs["used"].to_numpy(bool)
    qualities = pairs["quality"].to_numpy(float)
    good = PatchCollection(
        [strip for strip, taken in zip(strips, used, strict=True) if taken],
        cmap=_QUALITIES, edgecolor="none",
    )  # fmt: skip
    good.set_array(qualities[used])
    good.set_clim(0.0, 1.0)
    ax.add_collection(good)
    ax.add_collection(
        PatchCollection(
            [strip for strip, taken in zip(strips, used, strict=True) if not taken],
            facecolor=PAPER, edgecolor=_REJECTED, hatch="xxxxx", linewidth=0.8,
        )
    )  # fmt: skip
    # All or none: a few numbers among many overlaps would look like marks.
    room = float(np.median(sizes.min(axis=1))) * picture.inches_per_unit * _POINTS
    for strip, quality, taken in zip(strips, qualities, used, strict=True):
        if taken and _TEXT_SHARE * room >= _SMALLEST_TEXT:
            _write_quality(ax, strip, quality, picture.inches_per_unit)
    bar = ax.figure.colorbar(good, cax=ax.inset_axes((1.03, 0.2, 0.03, 0.6)))
    bar.set_label("Quality of the overlap", size=9, color=INK)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)


def _write_quality(ax: Axes, strip: Any, quality: float, inches_per_unit: float) -> None:
    """Write a quality into its overlap, along it, if there is room."""
    down, across = strip.get_height() * inches_per_unit, strip.get_width() * inches_per_unit
    text = f"{quality:.2f}"
    size = _POINTS * min(
        _TEXT_SHARE * min(down, across), 0.5 * max(down, across) / (_LETTER_ASPECT * len(text))
    )
    if size >= _SMALLEST_TEXT:
        x, y = strip.get_center()
        ax.text(
            x, y, text, size=min(size, _LARGEST_TEXT), ha="center", va="center",
            rotation=90 if down > across else 0, color=PAPER if quality < _DARK else INK,
        )  # fmt: skip


def _draw_names(ax: Axes, layout: TileLayout, picture: _Picture) -> None:
    """Write names where they can be read: whole, else row and column, else none."""
    names = [tile.name for tile in layout]
    room = float(np.median(picture.extents[:, 1])) * picture.inches_per_unit / _INCHES_PER_LETTER
    if max(map(len, names)) > room and all(tile.row is not None for tile in layout):
        names = [f"{tile.row},{tile.column}" for tile in layout]
    longest = max(map(len, names))
    size = min(_LARGEST_TEXT, _LARGEST_TEXT * room / longest)
    if size < _SMALLEST_TEXT:
        return
    centres = picture.corners + picture.extents / 2
    for name, (y, x) in zip(names, centres, strict=True):
        ax.text(x, y, name, size=size, ha="center", va="center", color=INK, parse_math=False)


def _draw_legend(
    ax: Axes, layout: TileLayout, pairs: pd.DataFrame | None, *, missing: bool, unmatched: bool
) -> None:
    from matplotlib.patches import Patch

    from sigma_scale.mosaic.overview import covered_share

    entries: list[Any] = []
    if covered_share(layout) < 1:
        entries.append(Patch(facecolor=_GAP, label="Not covered"))
    if missing:
        entries.append(
            Patch(facecolor=PAPER, edgecolor=_MISSING, hatch="///", label="Missing tile")
        )
    if pairs is not None and not pairs["used"].all():
        entries.append(
            Patch(facecolor=PAPER, edgecolor=_REJECTED, hatch="xxxxx", label="Pair not used")
        )
    if unmatched:
        entries.append(
            Patch(facecolor="none", edgecolor=_REJECTED, ls="--", lw=2.0, label="Matches no other")
        )
    if entries:
        ax.legend(
            handles=entries, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(entries),
            fontsize=8, frameon=False, labelcolor=INK, borderaxespad=0.2, columnspacing=1.4,
        )  # fmt: skip
