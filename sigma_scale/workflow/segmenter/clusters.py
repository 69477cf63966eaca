"""The clusters as they are after some edits: pixels, names and colours. Never changed in place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import count
from operator import index
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.clustering.labels import NOISE
from sigma_scale.errors import ParameterError
from sigma_scale.plot.palette import NOISE_COLOUR, phase_colour

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["ClusterState", "PixelState", "first_state", "free_colour", "renumbered"]


@dataclass(frozen=True, eq=False)
class PixelState:
    """
    Which pixels belong to which clusters.

    Parameters
    ----------
    labels : array, shape (n,), int32
        Cluster of each pixel; -1 is noise. Read-only.
    edited : array, shape (n,), bool
        Pixels that a user has put where they are: their probability there is 1. Read-only.
    groups : array, shape (component,), int32
        Cluster that each component of the fitted mixture belongs to; -1 none. Empty for methods
        without components.
    n_clusters : int
        Number of clusters, empty ones included.
    gaps : array, shape (n,), bool, optional
        Pixels of a mosaic that were not measured: their label is -1, but they are no noise.
        None where there are none. Read-only.
    """

    labels: NDArray[np.int32]
    edited: NDArray[np.bool_]
    groups: NDArray[np.int32]
    n_clusters: int
    gaps: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        for values in (self.labels, self.edited, self.groups, self.gaps):
            if values is not None:
                values.flags.writeable = False

    def sizes(self) -> NDArray[np.int64]:
        """Pixels of each cluster, shape (cluster,)."""
        from sigma_scale.workflow.segmenter.pixel_kernels import count_labels

        counts = np.zeros(self.n_clusters + 1, np.int64)
        count_labels(self.labels, counts)
        return counts[1:]

    @cached_property
    def n_measured(self) -> int:
        """Number of pixels that are not gaps."""
        n_gaps = 0 if self.gaps is None else int(np.count_nonzero(self.gaps))
        return int(self.labels.size) - n_gaps

    @property
    def n_noise(self) -> int:
        """Number of pixels of the noise."""
        return self.n_measured - int(self.sizes().sum())

    @property
    def nbytes(self) -> int:
        """Memory of the arrays in bytes."""
        return self.labels.nbytes + self.edited.nbytes + self.groups.nbytes


@dataclass(frozen=True, eq=False)
class ClusterState:
    """
    Clusters and how they are shown.

    Parameters
    ----------
    pixels : PixelState
        Which pixels belong to which clusters.
    colours : tuple of str
        ``"#rrggbb"`` of each cluster.
    names : tuple of (str or None)
        Names given to clusters.
    noise_colour : str
        Colour of the noise.
    """

    pixels: PixelState
    colours: tuple[str, ...]
    names: tuple[str | None, ...]
    noise_colour: str = NOISE_COLOUR

    def colours_by_number(self) -> dict[int, str]:
        """Colour of each cluster, and of the noise, -1, where there is any."""
        noise = {NOISE: self.noise_colour} if self.pixels.n_noise else {}
        return dict(enumerate(self.colours)) | noise

    def names_by_number(self) -> dict[int, str]:
        """Name of each cluster: the one it was given, or ``cluster_`` and its number."""
        return {k: f"cluster_{k}" if name is None else name for k, name in enumerate(self.names)}

    def checked(self, clusters: Iterable[object], *, noise: bool = False) -> list[int]:
        """
        Check numbers of clusters.

        Parameters
        ----------
        clusters : iterable of int
            Numbers; repeated ones count once.
        noise : bool, default: False
            Whether -1 is allowed.

        Raises
        ------
        ParameterError
            If one is not a whole number or there is no such cluster.
        """
        numbers = []
        for cluster in clusters:
            try:
                number = index(cluster)  # type: ignore[arg-type]
            except TypeError as error:
                raise ParameterError(
                    f"Clusters are given by their numbers, not by {cluster!r}."
                ) from error
            lowest = NOISE if noise else 0
            if isinstance(cluster, bool) or not lowest <= number < self.pixels.n_clusters:
                raise ParameterError(
                    f"There is no cluster {cluster!r}; {self._valid(noise=noise)}."
                )
            numbers.append(number)
        return list(dict.fromkeys(numbers))

    def _valid(self, *, noise: bool) -> str:
        n_clusters = self.pixels.n_clusters
        there_are = f"they go from 0 to {n_clusters - 1}" if n_clusters else "there is none at all"
        return f"{there_are}, and -1 is noise" if noise else there_are


def first_state(
    labels: NDArray[np.int32],
    n_clusters: int,
    n_components: int,
    gaps: NDArray[np.bool_] | None = None,
) -> ClusterState:
    """
    State before any edit.

    Parameters
    ----------
    labels : array, shape (n,), int32
        Labels as the method found them; a copy is kept.
    n_clusters : int
        Number of clusters.
    n_components : int
        Components of a mixture, each of them a cluster; 0 for other methods.
    gaps : array, shape (n,), bool, optional
        Pixels that were not measured; they belong to no cluster, whatever their label.
    """
    kept = np.array(labels, np.int32)
    if gaps is not None:
        kept[gaps] = NOISE
    pixels = PixelState(
        kept,
        np.zeros(len(labels), np.bool_),
        np.arange(n_components, dtype=np.int32),
        n_clusters,
        gaps,
    )
    colours = tuple(phase_colour(number) for number in range(n_clusters))
    return ClusterState(pixels, colours, (None,) * n_clusters)


def renumbered(state: ClusterState, new: Sequence[int]) -> ClusterState:
    """
    Give the clusters other numbers.

    Parameters
    ----------
    state : ClusterState
        State.
    new : sequence of int
        New number of each cluster, without gaps; several may become one, and -1 makes a cluster
        vanish. A new cluster takes name and colour of the lowest old one.
    """
    table = np.array([*new, NOISE], np.int32)  # noise looks up the last entry
    n_clusters = int(table.max()) + 1
    pixels = PixelState(
        table[state.pixels.labels],
        state.pixels.edited,
        table[state.pixels.groups],
        n_clusters,
        state.pixels.gaps,
    )
    first = [list(new).index(number) for number in range(n_clusters)]
    return ClusterState(
        pixels,
        tuple(state.colours[old] for old in first),
        tuple(state.names[old] for old in first),
        state.noise_colour,
    )


def free_colour(state: ClusterState) -> str:
    """First colour of the palette that no cluster has."""
    taken = {*state.colours, state.noise_colour}
    return next(colour for colour in map(phase_colour, count()) if colour not in taken)
