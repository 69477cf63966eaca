"""What is needed of a fitted HDBSCAN to place pixels, in memory or in files that workers share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import gen_batches

from sigma_scale.clustering.density.kd_tree import axes_of
from sigma_scale.clustering.density.placing_kernels import place_rows
from sigma_scale.errors import StoreError
from sigma_scale.latent.rows import finite_rows, in_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DensityPlacer", "StoredPlacer"]

_PIECE_ROWS = 4096  # that a thread assigns at a time
_SAMPLES = "min_samples"


@dataclass(frozen=True, eq=False, kw_only=True)
class DensityPlacer:
    """
    The arrays of a fitted HDBSCAN that rows are placed with.

    Parameters
    ----------
    points, lower, upper, starts : array
        See :class:`~sigma_scale.clustering.density.kd_tree.KDTree`.
    cores, node_cores : array
        See :func:`~sigma_scale.clustering.density.kd_tree.core_distances`.
    heights : array
        See :class:`~sigma_scale.clustering.density.hierarchy.Dendrogram`.
    owners, leaving, parents, births, labels, peaks : array
        See :class:`~sigma_scale.clustering.density.hierarchy.Cut`.
    min_samples : int
        Neighbours that densities were measured with.
    """

    points: NDArray[Any]
    lower: NDArray[Any]
    upper: NDArray[Any]
    starts: NDArray[np.int64]
    cores: NDArray[np.float64]
    node_cores: NDArray[np.float64]
    heights: NDArray[np.float64]
    owners: NDArray[Any]
    leaving: NDArray[Any]
    parents: NDArray[Any]
    births: NDArray[np.float64]
    labels: NDArray[np.int32]
    peaks: NDArray[np.float64]
    min_samples: int

    def __call__(
        self, rows: NDArray[Any], *, threads: int = 1
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """
        Place rows.

        Parameters
        ----------
        rows : numpy.ndarray, shape (n, n_features)
            Latent coordinates.
        threads : int, default: 1
            Threads to use.

        Returns
        -------
        labels : numpy.ndarray, shape (n,), int32
        probabilities : numpy.ndarray, shape (n,), float32

        Raises
        ------
        ParameterError
            If a value is NaN or infinite.
        """
        wide = finite_rows(rows, name="latent coordinates", dtype=np.float64)
        labels = np.empty(len(wide), np.int32)
        probabilities = np.empty(len(wide), np.float32)
        arrays = [getattr(self, name) for name in _ARRAYS]
        axes: Any = axes_of(self.points.shape[1])
        place: Any = place_rows

        def place_piece(piece: slice) -> None:
            place(*arrays, self.min_samples, wide[piece], labels[piece], probabilities[piece], axes)

        in_threads(place_piece, gen_batches(len(wide), _PIECE_ROWS), threads)
        return labels, probabilities

    def save(self, folder: Path) -> None:
        """
        Write each array to a file of a new folder.

        Parameters
        ----------
        folder : pathlib.Path
            Must not be there.
        """
        folder.mkdir(parents=True)
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
        np.save(folder / f"{_SAMPLES}.npy", np.int64(self.min_samples), allow_pickle=False)


_ARRAYS = tuple(field.name for field in fields(DensityPlacer) if field.name != _SAMPLES)
"""In the order in which the kernel takes them."""


@dataclass(frozen=True)
class StoredPlacer:
    """
    A placer that is read where it is used: only its path travels to workers.

    The files are mapped into memory, so that the processes of a machine share one copy.

    Parameters
    ----------
    folder : str
        Folder that :meth:`DensityPlacer.save` wrote; every worker has to see it.
    """

    folder: str

    def __call__(self, rows: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """
        Place rows; see :class:`DensityPlacer`.

        Raises
        ------
        StoreError
            If the files can't be read.
        """
        return _opened(self.folder)(rows)


@lru_cache(maxsize=1)
def _opened(folder: str) -> DensityPlacer:
    try:
        # Copied on write, and nobody writes: kernels are compiled for arrays that are writeable.
        arrays: dict[str, Any] = {
            name: np.asarray(np.load(Path(folder, f"{name}.npy"), mmap_mode="c"))
            for name in _ARRAYS
        }
        n_samples = int(np.load(Path(folder, f"{_SAMPLES}.npy")))
    except (OSError, ValueError) as error:
        raise StoreError(f"The clusters kept in {folder} can't be read: {error}") from error
    return DensityPlacer(**arrays, min_samples=n_samples)
