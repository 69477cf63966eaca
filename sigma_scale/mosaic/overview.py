"""What is known of a mosaic before it is made: size, gaps, and how well its tiles fit together."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.mosaic.layout import TileLayout
from sigma_scale.mosaic.placement import whole_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigma_scale.mosaic.registration import Registration

__all__ = ["covered_share", "describe_mosaic", "layout_of", "registration_summary", "summary_of"]

_NAMED = 8
_EXPLAINED = 3
"""Tiles left out whose reasons are told; those of others are in ``left_out``."""
_MILLION = 1e6


def layout_of(tiles: TileLayout | Registration) -> TileLayout:
    """
    Layout of tiles, registered or not.

    Parameters
    ----------
    tiles : TileLayout or Registration
        The tiles.

    Returns
    -------
    TileLayout
    """
    return tiles if isinstance(tiles, TileLayout) else tiles.layout


def covered_share(layout: TileLayout) -> float:
    """
    Share of the mosaic that tiles cover, 0 to 1, tiles at whole pixels.

    Parameters
    ----------
    layout : TileLayout
        The tiles.

    Returns
    -------
    float
    """
    starts, ends = _boxes(layout)
    # A raster of all edges is exact, and as large as the number of tiles, not of pixels.
    edges = [np.unique(np.concatenate([starts[:, axis], ends[:, axis]])) for axis in (0, 1)]
    first, last = (
        np.stack([np.searchsorted(edges[axis], ends_of[:, axis]) for axis in (0, 1)], axis=1)
        for ends_of in (starts, ends)
    )
    covered = np.zeros((len(edges[0]) - 1, len(edges[1]) - 1), dtype=bool)
    for (top, left), (bottom, right) in zip(first.tolist(), last.tolist(), strict=True):
        covered[top:bottom, left:right] = True
    heights, widths = (np.diff(edge).astype(np.float64) for edge in edges)
    return float(heights @ covered @ widths / (heights.sum() * widths.sum()))


def _boxes(layout: TileLayout) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last-plus-one row and column of each tile, rounded as compose() does it."""
    starts = whole_pixels(layout.offsets)
    return starts, starts + np.array([tile.shape for tile in layout], dtype=np.int64)


def registration_summary(registration: Registration) -> dict[str, Any]:
    """
    Figures of a registration.

    Parameters
    ----------
    registration : Registration
        The registration.

    Returns
    -------
    dict
        ``pairs``, ``used`` (numbers of overlaps), ``rms_residual_px`` (root mean square distance of
        those used from the solution; None if there are none) and ``unmatched`` (names), JSON types.
    """
    pairs = registration.pairs
    used = pairs["used"].to_numpy(bool)
    residuals = pairs["residual"].to_numpy(float)[used]
    return {
        "pairs": len(pairs),
        "used": int(used.sum()),
        "rms_residual_px": math.sqrt(np.mean(residuals**2)) if len(residuals) else None,
        "unmatched": list(registration.unmatched),
    }


def describe_mosaic(tiles: TileLayout | Registration) -> dict[str, str]:
    """
    Say in a few lines what a mosaic will be.

    Parameters
    ----------
    tiles : TileLayout or Registration
        The tiles.

    Returns
    -------
    dict of str to str
        Sentences by what they are about.
    """
    layout = layout_of(tiles)
    rows, columns = _boxes(layout)[1].max(axis=0).tolist()
    gap = 1.0 - covered_share(layout)
    # Less than a twentieth of a per cent is still said, since pixels without counts follow.
    gaps = "" if gap <= 0 else f", {gap:.1%} without a tile" if gap > 5e-4 else ", hardly a gap"  # noqa: PLR2004
    lines = {
        "Tiles": f"{len(layout):,} of {_sizes(layout)} pixels",
        "Map": f"{columns:,} x {rows:,} pixels ({rows * columns / _MILLION:.3g} million){gaps}",
    }
    if layout.missing:
        cells = [f"row {row}, column {column}" for row, column in layout.missing]
        lines["Missing"] = f"{_count(cells, 'cell', 'cells')} of the grid: {_listed(cells, '; ')}"
    if not isinstance(tiles, TileLayout):
        found = registration_summary(tiles)
        rms = found["rms_residual_px"]
        fit = "" if rms is None else f", {rms:.2f} pixels rms from the common solution"
        rejected = found["pairs"] - found["used"]
        lines["Overlaps"] = f"{found['used']} of {found['pairs']} pairs used{fit}"
        if rejected:
            lines["Overlaps"] += f"; {rejected} rejected"
        if found["unmatched"]:
            lines["Unmatched"] = f"{_listed(found['unmatched'])} (kept at the given places)"
    if layout.left_out:
        reasons = [f"{name} ({reason})" for name, reason in layout.left_out.items()]
        lines["Left out"] = _listed(reasons, "; ", most=_EXPLAINED)
    different = [finding.message for finding in layout.findings]
    if different:
        lines["Differences"] = _listed(different, " ")
    return lines


def summary_of(tiles: TileLayout | Registration) -> str:
    """
    Lines of :func:`describe_mosaic`, to be shown.

    Parameters
    ----------
    tiles : TileLayout or Registration
        The tiles.

    Returns
    -------
    str
    """
    lines = describe_mosaic(tiles)
    width = max(map(len, lines))
    text = (f"  {name:<{width}}  {said}" for name, said in lines.items())
    return "\n".join([f"<{type(tiles).__name__}>", *text])


def _sizes(layout: TileLayout) -> str:
    sizes = Counter(tile.shape for tile in layout).most_common()
    (rows, columns), _ = sizes[0]
    others = f" (and {len(sizes) - 1} other sizes)" if len(sizes) > 2 else ""  # noqa: PLR2004
    if len(sizes) == 2:  # noqa: PLR2004
        others = f" and {sizes[1][0][1]:,} x {sizes[1][0][0]:,}"
    return f"{columns:,} x {rows:,}{others}"


def _count(items: list[str], one: str, many: str) -> str:
    return f"{len(items)} {one if len(items) == 1 else many}"


def _listed(items: list[str], separator: str = ", ", *, most: int = _NAMED) -> str:
    more = f"{separator}and {len(items) - most} more" if len(items) > most else ""
    return separator.join(items[:most]) + more
