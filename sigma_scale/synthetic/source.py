"""Blocks of counts and images of a synthetic map, each made when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from sigma_scale.spectra import EventBlock
from sigma_scale.synthetic.sampling import AliasTables, poisson_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import dask.array as da
    from numpy.typing import NDArray

    from sigma_scale.spectra.source import Scratch

__all__ = ["Grains", "PlacedPhases", "SyntheticSource", "grey_levels", "lazy_image"]

_IMAGE_CHUNK = 1024

_COUNTS, _GRAINS, _INCLUSIONS, _IMAGE = range(4)


def _key(seed: int, purpose: int) -> np.uint64:
    """Derive independent keys from one seed."""
    return np.uint64(np.random.SeedSequence([seed, purpose]).generate_state(1, np.uint64)[0])


def grey_levels(
    labels: NDArray[np.int32],
    origin: tuple[int, int],
    seed: int,
    level: NDArray[np.float64],
    noise: float,
) -> NDArray[np.uint16]:
    """Make an image of the phases of a window, with a seed's noise; see :meth:`Grains.image`."""
    from sigma_scale.synthetic.kernels import noisy_image

    image = np.empty(labels.shape, dtype=np.uint16)
    noisy_image(labels, origin, _key(seed, _IMAGE), level, noise, image)
    return image


class PlacedPhases(Protocol):
    """What a source needs to know of the phases: where they lie, and the seed of the counts."""

    @property
    def seed(self) -> int:
        """Seed, 0 or more."""

    def labels(self, origin: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.int32]:
        """Phases in a window of the map."""


@dataclass(frozen=True, slots=True)
class Grains:
    """
    Where the phases lie: a function of the pixel's place alone.

    Parameters
    ----------
    seed : int
        Seed, 0 or more.
    n_phases : int
        Number of phases that fill the grains with equal probability.
    grain_size : float
        Distance of the grains' centres in pixels.
    rare_spacing : float
        Side of the squares that hold one inclusion each, in pixels; 0 for none.
    rare_radius : float
        Radius of the inclusions in pixels.
    """

    seed: int
    n_phases: int
    grain_size: float
    rare_spacing: float
    rare_radius: float

    def labels(self, origin: tuple[float, float], shape: tuple[int, int]) -> NDArray[np.int32]:
        """
        Look up the phases in a window of the map.

        Parameters
        ----------
        origin : tuple of float
            Row and column of the first pixel; it may lie between the map's pixels.
        shape : tuple of int
            Rows and columns.

        Returns
        -------
        numpy.ndarray, shape (rows, columns), int32
            Phase numbers; inclusions have the number ``n_phases``.
        """
        from sigma_scale.synthetic.kernels import label_pixels

        labels = np.empty(shape, dtype=np.int32)
        label_pixels(
            labels,
            origin,
            _key(self.seed, _GRAINS),
            float(self.grain_size),
            self.n_phases,
            _key(self.seed, _INCLUSIONS),
            float(self.rare_spacing),
            float(self.rare_radius),
        )
        return labels

    def image(
        self,
        origin: tuple[int, int],
        shape: tuple[int, int],
        level: NDArray[np.float64],
        noise: float,
    ) -> NDArray[np.uint16]:
        """
        Make an image of a window of the map.

        Parameters
        ----------
        origin, shape : tuple of int
            First pixel and size of the window.
        level : numpy.ndarray, shape (phase,), float64
            Mean grey level of each phase.
        noise : float
            Standard deviation of the grey levels.

        Returns
        -------
        numpy.ndarray, shape (rows, columns), uint16
            Grey levels.
        """
        return grey_levels(self.labels(origin, shape), origin, self.seed, level, noise)


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticSource:
    """
    Poisson counts of known phases, drawn block by block.

    Parameters
    ----------
    shape : tuple of int
        Rows, columns and channels.
    grains : PlacedPhases
        Where the phases lie, and the seed of the counts.
    channels : AliasTables
        Distribution of a photon's channel, per phase.
    totals : AliasTables
        Distribution of a pixel's photons less ``lowest_total``, per phase.
    lowest_total, highest_total : int
        Fewest and most photons of a pixel.
    token : str
        Hash of the expected spectra, for Dask's names.
    chunk_shape : tuple of int
        Rows and columns of a block; the counts do not depend on it.
    """

    shape: tuple[int, int, int]
    grains: PlacedPhases
    channels: AliasTables
    totals: AliasTables
    lowest_total: int
    highest_total: int
    token: str
    chunk_shape: tuple[int, int]

    @classmethod
    def from_spectra(
        cls,
        shape: tuple[int, int],
        grains: PlacedPhases,
        spectra: NDArray[np.float64],
        chunk_shape: tuple[int, int],
    ) -> SyntheticSource:
        """
        Prepare the tables.

        Parameters
        ----------
        shape : tuple of int
            Rows and columns.
        grains : PlacedPhases
            Where the phases lie, and the seed of the counts.
        spectra : numpy.ndarray, shape (phase, channel), float64
            Expected counts per channel of a pixel of each phase.
        chunk_shape : tuple of int
            Rows and columns of a block.
        """
        from dask.base import tokenize

        totals, lowest, highest = poisson_tables(spectra.sum(axis=1))
        return cls(
            shape=(*shape, spectra.shape[1]),
            grains=grains,
            channels=AliasTables.from_weights(spectra),
            totals=totals,
            lowest_total=lowest,
            highest_total=highest,
            token=tokenize(spectra),
            chunk_shape=chunk_shape,
        )

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the counts: 16 bits, or 32 where a pixel could have more photons than fit."""
        return np.dtype(np.uint16 if self.highest_total <= np.iinfo(np.uint16).max else np.uint32)

    def read_block(self, row: int, column: int, scratch: Scratch | None = None) -> EventBlock:  # noqa: ARG002
        """
        Draw the counts of a block.

        Parameters
        ----------
        row, column : int
            Number of the block from the top and from the left.
        scratch : Scratch, optional
            Not used: the block has memory of its own.

        Returns
        -------
        EventBlock
            Events of the block, clipped to the map.
        """
        from sigma_scale.synthetic.kernels import draw_events, draw_totals

        height, width = self.chunk_shape
        origin = (row * height, column * width)
        shape = (min(height, self.shape[0] - origin[0]), min(width, self.shape[1] - origin[1]))
        labels = self.grains.labels(origin, shape)
        key = _key(self.grains.seed, _COUNTS)
        totals = np.empty(shape, dtype=np.uint32)
        table = self.totals
        photons = draw_totals(
            labels, origin, key, table.threshold, table.other, self.lowest_total, totals
        )
        per_pixel = np.empty(labels.size, dtype=np.uint32)
        gap_low = np.empty(photons, dtype=np.uint8)
        gap_high = np.empty(photons, dtype=np.uint8)
        counts = np.empty(photons, dtype=self.dtype)
        table = self.channels
        n_events = draw_events(
            labels,
            origin,
            key,
            table.threshold,
            table.other,
            totals,
            per_pixel,
            gap_low,
            gap_high,
            counts,
        )
        narrow = np.min_scalar_type(int(per_pixel.max(initial=0)))
        return EventBlock(
            shape=(*shape, self.shape[2]),
            per_pixel=per_pixel.astype(narrow),
            gap_low=gap_low[:n_events].copy(),
            gap_high=gap_high[:n_events].copy(),
            counts=counts[:n_events].copy(),
        )

    def __dask_tokenize__(self) -> Hashable:
        return ("SyntheticSource", self.shape, self.grains, self.token, self.chunk_shape)


def lazy_image(
    make: Callable[..., NDArray[Any]], shape: tuple[int, int], dtype: type[np.generic]
) -> da.Array:
    """
    Wrap a function of windows as a lazy image.

    Parameters
    ----------
    make : callable
        Called as ``make(origin, shape)``; must be picklable.
    shape : tuple of int
        Rows and columns of the image.
    dtype : type
        Type of the pixels.

    Returns
    -------
    dask.array.Array, shape (rows, columns)
        The image in chunks of at most 1024 x 1024 pixels.
    """
    import dask.array as da
    from dask.base import tokenize

    image: da.Array = da.map_blocks(
        _window,
        make,
        chunks=da.core.normalize_chunks((_IMAGE_CHUNK, _IMAGE_CHUNK), shape, dtype=dtype),
        dtype=dtype,
        meta=np.empty((0, 0), dtype=dtype),
        name=f"synthetic-{tokenize(make, shape, dtype)}",
    )
    return image


def _window(
    make: Callable[..., NDArray[Any]], block_info: dict[None, dict[str, Any]]
) -> NDArray[Any]:
    (top, bottom), (left, right) = block_info[None]["array-location"]
    return make((top, left), (bottom - top, right - left))
