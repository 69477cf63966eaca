"""Pictures of label maps: which phase is where, and how much of it there is."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sigma_scale.errors import ParameterError, ShapeMismatchError
from sigma_scale.features.dose import MEASURED
from sigma_scale.plot.figures import INK, MUTED, fit_figure, new_figure, root_figure
from sigma_scale.plot.maps import dress_map
from sigma_scale.plot.palette import NOISE, NOISE_COLOUR, complete_colours
from sigma_scale.plot.scale_bar import add_scale_bar, map_frame
from sigma_scale.plot.thinning import as_blocks, thin

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "area_shares",
    "label_image",
    "legend_columns",
    "phase_legend",
    "phase_name",
    "plot_phase_map",
    "share_text",
]

_MAP_WIDTH, _MAP_HEIGHT = 7.2, 6.2
_ROW_INCHES = 0.21
_LEAST_LEGEND_INCHES = 3.0


def phase_name(label: int, names: Mapping[int, str] | None = None) -> str:
    """
    Return what a phase is called.

    Parameters
    ----------
    label : int
        Number of the phase; -1 is noise.
    names : mapping of int to str, optional
        Names given by the user, for some or all phases.

    Returns
    -------
    str
        The given name, else ``"Phase 3"`` or ``"Noise"``.
    """
    if names is not None and label in names:
        return str(names[label])
    return "Noise" if label == NOISE else f"Phase {label}"


def share_text(share: float) -> str:
    """
    Write a share of the area in percent, so that a rare phase is not rounded away.

    Parameters
    ----------
    share : float
        Between 0 and 1.

    Returns
    -------
    str
        One decimal from 1 % on, two below; ``"< 0.01 %"`` and ``"> 99.9 %"`` where rounding
        would say none or all.
    """
    percent = 100 * share
    if percent in {0, 100}:
        return f"{percent:.0f} %"
    if percent >= 99.95:  # noqa: PLR2004
        return "> 99.9 %"
    if percent < 0.005:  # noqa: PLR2004
        return "< 0.01 %"
    return f"{percent:.2f} %" if percent < 0.995 else f"{percent:.1f} %"  # noqa: PLR2004


def check_labels(labels: xr.DataArray) -> None:
    """Refuse an array that is not a label map."""
    if set(labels.dims) != {"y", "x"}:
        msg = f"A label map has the dimensions ('y', 'x'), and this array has {labels.dims}."
        raise ShapeMismatchError(msg)
    if labels.dtype.kind not in "iu":
        msg = f"Labels are integers (int32, -1 is noise), and this map is {labels.dtype}."
        raise ParameterError(msg)


def area_shares(labels: xr.DataArray) -> dict[int, float]:
    """
    Count the share of the area of each label.

    Parameters
    ----------
    labels : xarray.DataArray, shape (y, x), integers
        Label map, in memory or backed by dask; every pixel is counted, block by block. Where a
        coordinate ``measured`` (y, x) is false, noise is none, but a gap between measured pixels.

    Returns
    -------
    dict of int to float
        Shares of all pixels but gaps, noise included, by label in rising order; they sum to 1.

    Raises
    ------
    ShapeMismatchError, ParameterError
        If the array is not a label map.
    """
    from dask.base import compute
    from dask.delayed import delayed

    check_labels(labels)
    count = delayed(_count)
    blocks = as_blocks(labels.transpose("y", "x")).to_delayed().ravel()
    totals: Counter[int] = Counter()
    for found in compute(*(count(block) for block in blocks), scheduler=_scheduler(labels)):
        totals.update(found)
    totals[NOISE] -= _gaps(labels)
    n_pixels = max(totals.total(), 1)
    return {label: totals[label] / n_pixels for label in sorted(totals) if totals[label] > 0}


def _gaps(labels: xr.DataArray) -> int:
    if MEASURED not in labels.coords:
        return 0
    gaps = (labels < 0) & ~labels.coords[MEASURED].astype(bool)
    return int(gaps.sum())


def _scheduler(labels: xr.DataArray) -> str | None:
    """Keep arrays in memory off a cluster; lazy ones run wherever the user's dask runs."""
    return "threads" if labels.chunks is None else None


def _count(block: npt.NDArray[np.integer[Any]]) -> dict[int, int]:
    """Count the labels of a block."""
    values = np.ascontiguousarray(block).ravel()
    low, high = int(values.min()), int(values.max())
    if low < NOISE:
        msg = f"The label map holds {low}: phases are numbered from 0, and noise is -1."
        raise ParameterError(msg)
    if high - low > values.size:
        found, counts = np.unique(values, return_counts=True)
        return {int(v): int(n) for v, n in zip(found, counts, strict=True)}
    counts = np.bincount(values.astype(np.int64) - low)
    return {int(v) + low: int(counts[v]) for v in np.flatnonzero(counts)}


def label_image(
    labels: npt.NDArray[np.integer[Any]], colours: Mapping[int, str]
) -> npt.NDArray[np.uint8]:
    """
    Colour the pixels of a label map.

    Parameters
    ----------
    labels : ndarray of integers, shape (y, x)
        Labels; each must have a colour.
    colours : mapping of int to str
        ``"#rrggbb"`` by label.

    Returns
    -------
    ndarray, shape (y, x, 3), uint8
        Red, green and blue.
    """
    from matplotlib.colors import to_rgb

    known = np.array(sorted(colours), dtype=np.int64)
    table = np.array([to_rgb(colours[int(label)]) for label in known])
    pixels: npt.NDArray[np.uint8] = np.rint(table * 255).astype(np.uint8)
    return pixels[np.searchsorted(known, labels)]


def legend_columns(n: int, height: float) -> int:
    """Return in how many columns a legend of n entries fits into a height in inches."""
    rows = max(int(max(height, _LEAST_LEGEND_INCHES) / _ROW_INCHES), 1)
    return math.ceil(n / rows)


def phase_legend(ax: Axes, entries: Sequence[tuple[str, str]], columns: int) -> None:
    """
    Put a legend to the right of an axes.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes that it belongs to.
    entries : sequence of (str, str)
        Text and colour, from top to bottom and then to the next column; "none" for a remark.
    columns : int
        Number of columns.
    """
    from matplotlib.patches import Patch

    handles = [
        Patch(
            facecolor=colour,
            edgecolor="none" if colour == "none" else MUTED,
            linewidth=0.4,
            label=_plain(text),
        )
        for text, colour in entries
    ]
    legend = ax.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), ncols=columns,
        frameon=False, fontsize=8.5, labelcolor=INK, handlelength=1.1, handleheight=1.1,
        labelspacing=0.45, columnspacing=1.2, borderaxespad=0, borderpad=0.1,
    )  # fmt: skip
    # A gap in inches, so that it is the same for maps of every size.
    from matplotlib.transforms import ScaledTranslation

    gap = ScaledTranslation(0.12, 0, root_figure(ax).dpi_scale_trans)
    legend.set_bbox_to_anchor((1.0, 1.0), transform=ax.transAxes + gap)


def _plain(text: str) -> str:
    """Keep a name from being read as mathematics or as a private label."""
    return text.replace("$", r"\$").lstrip("_") or text


def plot_phase_map(
    labels: xr.DataArray,
    *,
    names: Mapping[int, str] | None = None,
    colours: Mapping[int, str] | None = None,
    listed: Collection[int] | None = None,
    title: str | None = None,
    max_side: int = 2000,
    ax: Axes | None = None,
) -> Figure:
    """
    Draw a map of phases with a legend of names and areas.

    Parameters
    ----------
    labels : xarray.DataArray, shape (y, x), int32
        Number of each pixel's phase, -1 for noise; in memory or backed by dask. Noise where a
        coordinate ``measured`` (y, x) is false is a gap: it is not drawn and has no area.
    names : mapping of int to str, optional
        Names of some or all phases.
    colours : mapping of int to str, optional
        Colours of some or all phases; :func:`phase_colours` has the others.
    listed : collection of int, optional
        Phases that the legend names; a last line of it has the number and area of the others.
        None: all.
    title : str, optional
        Written above the map.
    max_side : int, default: 2000
        Larger maps are brought down to the most frequent label of each block of pixels. The
        areas in the legend are always counted over all pixels.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; a new figure where none is given.

    Returns
    -------
    matplotlib.figure.Figure
        The map, unsmoothed, with a scale bar; the legend stands to its right.

    Raises
    ------
    ShapeMismatchError
        If the array is not a map of dimensions y and x.
    EmptyMapError
        If it has no pixels.
    ParameterError
        If labels are not integers of at least -1, or a colour is none.
    """
    check_labels(labels)
    frame = map_frame(labels)
    shares = area_shares(labels)
    palette = complete_colours(list(shares), colours)
    small = thin(labels.transpose("y", "x"), max_side=max_side, method="mode")
    corner = map_frame(small)
    phases = [v for v in shares if v != NOISE and (listed is None or v in listed)]
    order = phases + ([NOISE] if NOISE in shares else [])
    entries = [
        (f"{phase_name(label, names)}  {share_text(shares[label])}", palette[label])
        for label in order
    ]
    others = [share for label, share in shares.items() if label not in order]
    if others:
        entries.append((f"and {len(others):,} more  {share_text(sum(others))}", "none"))
    width, height = frame.size_within(_MAP_WIDTH, _MAP_HEIGHT)
    columns = legend_columns(len(entries), height)
    own = ax is None
    if ax is None:
        ax = new_figure(width + 2.0, height + 0.8).add_subplot()
    ax.imshow(
        _picture(labels, small, palette, max_side),
        extent=(corner.left, corner.right, corner.bottom, corner.top),
        aspect="auto",
        interpolation="nearest",
    )
    dress_map(ax, frame, title)
    phase_legend(ax, entries, columns)
    add_scale_bar(ax, frame, height)
    if own:
        fit_figure(ax, width, height)
    return root_figure(ax)


def _picture(
    labels: xr.DataArray, small: xr.DataArray, palette: Mapping[int, str], max_side: int
) -> npt.NDArray[np.uint8]:
    """Colours of a label map brought down to a small one; gaps are transparent."""
    values = np.asarray(small.values)
    noise = {NOISE: NOISE_COLOUR} if (values == NOISE).any() else {}
    picture = label_image(values, {**noise, **palette})
    if MEASURED not in labels.coords:
        return picture
    measured = labels.coords[MEASURED].transpose("y", "x").astype(np.int8)
    known = np.asarray(thin(measured, max_side=max_side, method="mode").values) > 0
    shown = known | (values >= 0)
    return np.dstack([picture, np.where(shown, 255, 0).astype(np.uint8)])
