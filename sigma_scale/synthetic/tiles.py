"""Tiles of one synthetic map as a stage scan would give them, with their true positions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import ParameterError
from sigma_scale.spectra.image import NAVIGATION
from sigma_scale.synthetic.maps import GREY_NOISE, GREY_PER_Z, SyntheticMap, synthetic_map
from sigma_scale.synthetic.sampling import poisson_tables
from sigma_scale.synthetic.source import Grains, SyntheticSource, grey_levels, lazy_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sigma_scale.spectra import SpectrumImage

__all__ = ["SyntheticTiles", "synthetic_tiles"]

_MOST_OVERLAP = 0.9
_ALLOWANCE = 8.0
"""Pixels between the map's first row and the first tile's expected one, besides the jitter."""
_UM_PER_MM = 1e3


@dataclass(frozen=True, slots=True)
class ShiftedGrains:
    """
    Grains seen from a tile, whose counts and noise are its own.

    Parameters
    ----------
    grains : Grains
        Of the whole map.
    corner : tuple of float
        Row and column in the map of the tile's first pixel; fractions of pixels are allowed.
    seed : int
        Seed of the tile's counts and noise.
    """

    grains: Grains
    corner: tuple[float, float]
    seed: int

    def labels(self, origin: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.int32]:
        """Phases in a window of the tile; see :meth:`Grains.labels`."""
        return self.grains.labels((origin[0] + self.corner[0], origin[1] + self.corner[1]), shape)

    def image(
        self,
        origin: tuple[int, int],
        shape: tuple[int, int],
        level: NDArray[np.float64],
        noise: float,
    ) -> NDArray[np.uint16]:
        """Image of a window of the tile; see :meth:`Grains.image`."""
        return grey_levels(self.labels(origin, shape), origin, self.seed, level, noise)


@dataclass(frozen=True, eq=False)
class SyntheticTiles:
    """
    Tiles and the truth behind them.

    Attributes
    ----------
    images : dict of str to SpectrumImage
        Tiles by their names, ``"tile_{row}_{column}"``, row by row. The stage position in their
        metadata is that of the tile's centre as it was asked for, y upwards.
    whole : SyntheticMap
        Map that the tiles lie in.
    cells : numpy.ndarray, shape (tile, 2), int64
        Row and column of each tile in the grid.
    nominal : numpy.ndarray, shape (tile, 2), float64
        Row and column in the map where each tile's first pixel was to be.
    positions : numpy.ndarray, shape (tile, 2), float64
        Row and column in the map where it is.
    doses : numpy.ndarray, shape (tile,), float64
        Each tile's counts relative to those of the map.
    """

    images: dict[str, SpectrumImage]
    whole: SyntheticMap
    cells: NDArray[np.int64]
    nominal: NDArray[np.float64]
    positions: NDArray[np.float64]
    doses: NDArray[np.float64]


def synthetic_tiles(
    grid: tuple[int, int] = (10, 10),
    tile_shape: tuple[int, int] = (128, 128),
    *,
    overlap: float = 0.1,
    jitter: float = 3.0,
    dose: float = 0.1,
    whole_pixels: bool = False,
    seed: int = 0,
    **details: Any,
) -> SyntheticTiles:
    """
    Cut one synthetic map into overlapping tiles, as a stage that misses its marks would.

    Where two tiles overlap they see the same grains, but each has its own counts and its own
    noise. Nothing is drawn before it is read.

    Parameters
    ----------
    grid : tuple of int, default: (10, 10)
        Rows and columns of tiles.
    tile_shape : tuple of int, default: (128, 128)
        Rows and columns of pixels of a tile.
    overlap : float, default: 0.1
        Share of a tile that it has in common with the next, 0 to 0.9.
    jitter : float, default: 3.0
        Standard deviation of the stage's error in pixels, in y and in x (normal distribution).
    dose : float, default: 0.1
        Standard deviation of the tiles' doses relative to the map's (log-normal distribution). The
        grey levels of their images follow the dose.
    whole_pixels : bool, default: False
        Round the true positions to whole pixels.
    seed : int, default: 0
        Seed of everything random, 0 or more.
    **details
        Further parameters of :func:`synthetic_map`.

    Returns
    -------
    SyntheticTiles

    Raises
    ------
    ParameterError
        If a parameter cannot work.
    """
    if np.shape(grid) != (2,) or min(grid) < 1:
        raise ParameterError(f"grid must be (rows, columns) of tiles, both positive; got {grid}.")
    for name, value, high in (
        ("overlap", overlap, _MOST_OVERLAP),
        ("jitter", jitter, 1e6),
        ("dose", dose, 1.0),
    ):
        if not 0.0 <= value <= high:
            raise ParameterError(f"{name} must lie between 0 and {high:g}; got {value}.")
    rng = np.random.default_rng([seed, 1])
    cells = np.stack([axis.ravel() for axis in np.indices(grid)], axis=1)
    errors = jitter * rng.standard_normal(cells.shape)
    doses = np.exp(dose * rng.standard_normal(len(cells)))
    margin = math.ceil(-errors.min(initial=0.0) + _ALLOWANCE)
    nominal = np.round(cells * (1.0 - overlap) * np.array(tile_shape)) + margin
    positions = np.round(nominal + errors) if whole_pixels else nominal + errors
    size = np.ceil(positions.max(axis=0)).astype(int) + tile_shape + 1
    whole = synthetic_map((int(size[0]), int(size[1])), seed=seed, **details)
    images = {
        f"tile_{cell[0]}_{cell[1]}": _tile(
            whole, tile_shape, wanted, true, dose=float(relative), seeds=[seed, 2, number]
        )
        for number, (cell, wanted, true, relative) in enumerate(
            zip(cells, nominal, positions, doses, strict=True)
        )
    }
    return SyntheticTiles(images, whole, cells, nominal, positions, doses)


def _tile(
    whole: SyntheticMap,
    shape: tuple[int, int],
    nominal: NDArray[np.float64],
    position: NDArray[np.float64],
    *,
    dose: float,
    seeds: list[int],
) -> SpectrumImage:
    import xarray as xr

    source = whole.image.source
    if not isinstance(source, SyntheticSource) or not isinstance(source.grains, Grains):
        raise TypeError("Tiles are cut from a map that synthetic_map made.")
    own_seed = int(np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0] >> np.uint64(1))
    grains = ShiftedGrains(source.grains, (float(position[0]), float(position[1])), own_seed)
    totals, lowest, highest = poisson_tables(dose * whole.spectra.values.sum(axis=1))
    # The distribution of a photon's channel is the map's, only the number of photons differs.
    own = replace(
        source,
        shape=(*shape, source.shape[2]),
        grains=grains,
        totals=totals,
        lowest_total=lowest,
        highest_total=highest,
        token=f"{source.token}-{dose!r}",
    )
    level = dose * GREY_PER_Z * np.array([m.mean_atomic_number for m in whole.minerals])
    pixel = whole.image.pixel_size
    coords = {
        name: (name, np.arange(size) * step, {"units": "µm"})
        for name, size, step in zip(("y", "x"), shape, pixel, strict=True)
    }
    navigation = xr.DataArray(
        lazy_image(partial(grains.image, level=level, noise=GREY_NOISE), shape, np.uint16),
        dims=("y", "x"),
        coords=coords,
        name=NAVIGATION,
        attrs={"long_name": "backscattered electrons"},
    )
    centre = [
        (wanted + (size - 1) / 2) * step / _UM_PER_MM
        for wanted, size, step in zip(nominal, shape, pixel, strict=True)
    ]
    share = shape[0] * shape[1] / (whole.image.shape[0] * whole.image.shape[1])
    metadata = replace(
        whole.image.metadata,
        title="synthetic tile",
        live_time_s=(whole.image.metadata.live_time_s or 0.0) * share * dose,
        stage_x_mm=float(centre[1]),
        stage_y_mm=-float(centre[0]),
    )
    return replace(whole.image, source=own, metadata=metadata, images={NAVIGATION: navigation})
