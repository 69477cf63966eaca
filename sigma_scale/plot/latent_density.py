"""Pictures of a latent space with its density counted, or with the Gaussians fitted to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import EmptyMapError, ParameterError, ShapeMismatchError
from sigma_scale.plot.figures import INK, dress_axes, fit_figure, new_figure, root_figure

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["add_gaussians", "count_cells", "ellipse_of", "plot_density"]

_BATCH = 1 << 20
_POINTS = 2  # dimensions
_WIDTH, _HEIGHT = 5.0, 4.2


def plot_density(
    latent: npt.ArrayLike,
    *,
    bins: int = 50,
    cmap: str = "viridis_r",
    title: str | None = None,
) -> Figure:
    """
    Draw how many points of a latent space lie in each cell of a grid.

    Parameters
    ----------
    latent : array_like, shape (n, 2)
        Positions of the points; those with missing values are left out.
    bins : int, default: 50
        Cells along each side.
    cmap : str, default: "viridis_r"
        Colours, on a logarithmic scale; cells without points stay white.
    title : str, optional
        Written above.

    Returns
    -------
    matplotlib.figure.Figure
        The density with a colour bar.

    Raises
    ------
    ShapeMismatchError
        If the points are not two-dimensional.
    EmptyMapError
        If there is no point with finite coordinates.
    ParameterError
        If `bins` is not positive, or the colour map is unknown.
    """
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm

    points = np.asarray(latent)
    if points.ndim != _POINTS or points.shape[1] != _POINTS:
        raise ShapeMismatchError(
            f"A latent space to be drawn has the shape (n, 2), and this one {points.shape}."
        )
    if bins < 1:
        raise ParameterError(f"bins must be at least 1, and it is {bins}.")
    if cmap not in colormaps:
        raise ParameterError(f"cmap {cmap!r} is not a colour map of matplotlib; try 'viridis_r'.")
    counts, extent = count_cells(points, bins)
    ax = new_figure(_WIDTH + 1.2, _HEIGHT + 0.8).add_subplot()
    dress_axes(ax)
    picture = ax.imshow(
        np.ma.masked_equal(counts.T, 0), origin="lower", extent=extent, aspect="auto", cmap=cmap,
        norm=LogNorm(1, max(int(counts.max()), 2)), interpolation="nearest",
    )  # fmt: skip
    beside = ax.inset_axes((1.03, 0.0, 0.03, 1.0))
    bar = root_figure(ax).colorbar(picture, cax=beside)
    bar.set_label("Pixels per cell", size=9, color=INK)
    beside.tick_params(labelsize=8, colors=INK)
    ax.set_xlabel("Latent dimension 1")
    ax.set_ylabel("Latent dimension 2")
    if title:
        ax.set_title(title, size=11, color=INK, loc="left", parse_math=False)
    fit_figure(ax, _WIDTH, _HEIGHT)
    return root_figure(ax)


def count_cells(
    points: npt.NDArray[Any], bins: int
) -> tuple[npt.NDArray[np.float64], tuple[float, float, float, float]]:
    """
    Count the points in each cell of a grid, a bounded number of points at a time.

    Parameters
    ----------
    points : array, shape (n, 2)
        Positions; those with missing values are left out.
    bins : int
        Cells along each side.

    Returns
    -------
    counts : numpy.ndarray, shape (bins, bins)
        Points by the first and the second dimension.
    extent : tuple of float
        Lowest and highest first, then second coordinate of the grid.

    Raises
    ------
    EmptyMapError
        If there is no point with finite coordinates.
    """
    starts = range(0, len(points), _BATCH)
    finite = (_finite(points[start : start + _BATCH]) for start in starts)
    corners = [(part.min(axis=0), part.max(axis=0)) for part in finite if len(part)]
    if not corners:
        raise EmptyMapError("There is no point with finite coordinates to draw.")
    low = np.min([least for least, _ in corners], axis=0)
    high = np.max([most for _, most in corners], axis=0)
    # Where all points share a coordinate, any range around it will do.
    flat = high <= low
    low, high = np.where(flat, low - 0.5, low), np.where(flat, high + 0.5, high)
    counts = np.zeros((bins, bins))
    edges = [(float(low[0]), float(high[0])), (float(low[1]), float(high[1]))]
    for start in starts:
        part = _finite(points[start : start + _BATCH])
        counts += np.histogram2d(part[:, 0], part[:, 1], bins=bins, range=edges)[0]
    return counts, (*edges[0], *edges[1])


def _finite(points: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    part = np.asarray(points, dtype=np.float64)
    return part[np.isfinite(part).all(axis=1)]


def add_gaussians(
    ax: Axes, means: npt.ArrayLike, covariances: npt.ArrayLike, *, n_sigma: float = 2.0
) -> None:
    """
    Draw Gaussians as ellipses, without changing what the axes cover.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes of a latent space.
    means : array_like, shape (component, d)
        Centres; the first two dimensions are drawn.
    covariances : array_like, shape (component, d, d)
        Their covariances.
    n_sigma : float, default: 2.0
        Standard deviations from a centre to its ellipse.

    Raises
    ------
    ShapeMismatchError
        If there is not one covariance for each centre, or fewer than two dimensions.
    """
    from matplotlib.patches import Ellipse

    centres, spreads = np.asarray(means, np.float64), np.asarray(covariances, np.float64)
    if (
        centres.ndim != _POINTS
        or centres.shape[1] < _POINTS
        or spreads.shape != (*centres.shape, centres.shape[1])
    ):
        raise ShapeMismatchError(
            f"Gaussians to be drawn have centres of shape (component, d) and covariances of "
            f"(component, d, d) with d of 2 or more, not {centres.shape} and {spreads.shape}."
        )
    limits = ax.get_xlim(), ax.get_ylim()
    for centre, spread in zip(centres[:, :2], spreads[:, :2, :2], strict=True):
        x, y, width, height, angle = ellipse_of(centre, spread, n_sigma=n_sigma)
        ax.add_patch(
            Ellipse(
                (x, y), width, height, angle=angle,
                facecolor="none", edgecolor=INK, linewidth=0.8, alpha=0.7,
            )
        )  # fmt: skip
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])


def ellipse_of(
    mean: npt.NDArray[np.float64], covariance: npt.NDArray[np.float64], *, n_sigma: float = 2.0
) -> tuple[float, float, float, float, float]:
    """
    Find the ellipse that a Gaussian is drawn as.

    Parameters
    ----------
    mean : array, shape (d,)
        Centre; the first two dimensions count.
    covariance : array, shape (d, d)
        Its covariance.
    n_sigma : float, default: 2.0
        Standard deviations from the centre to the ellipse.

    Returns
    -------
    x, y, width, height, angle : float
        Centre, axes, and direction of the first axis in degrees: the axes are eigenvectors of the
        covariance.
    """
    variances, directions = np.linalg.eigh(covariance[:_POINTS, :_POINTS])
    width, height = 2 * n_sigma * np.sqrt(np.maximum(variances, 0.0))
    angle = float(np.degrees(np.arctan2(directions[1, 0], directions[0, 0])))
    return float(mean[0]), float(mean[1]), float(width), float(height), angle
