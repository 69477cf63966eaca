"""How likely each pixel belongs to each cluster, after the edits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.clustering.labels import NOISE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sigma_scale.workflow.segmenter.clusters import PixelState
    from sigma_scale.workflow.segmenter.mixture import Components

__all__ = ["Memberships"]


@dataclass(frozen=True, eq=False)
class Memberships:
    """
    Probabilities as the method gave them, seen through the edits.

    A pixel that a user has moved belongs to its cluster with probability 1, or to none with 0
    if it was made noise. Of other pixels the probability of a cluster is the sum over those that
    were merged into it.

    Parameters
    ----------
    rows : array, shape (n, component)
        Latent coordinates.
    mixture : Components, optional
        Components of the mixture.
    strength : array, shape (n,), float32, optional
        Where there is no mixture: how strongly each pixel belongs to the cluster that the
        method put it in, 0 for noise.
    """

    rows: NDArray[Any]
    mixture: Components | None
    strength: NDArray[np.float32] | None

    def own(self, pixels: PixelState) -> NDArray[np.float32]:
        """Probability of each pixel for its own cluster, shape (n,); 0 for noise."""
        if self.strength is not None:
            found = np.where(pixels.edited, np.float32(1), self.strength)
        else:
            found = np.empty(pixels.labels.size, np.float32)
            for part, batch in self._batches(pixels):
                label = np.maximum(pixels.labels[part], 0)
                found[part] = np.take_along_axis(batch, label[:, np.newaxis], axis=1)[:, 0]
        found[pixels.labels == NOISE] = 0
        return found

    def of_cluster(self, pixels: PixelState, cluster: int) -> NDArray[np.float32]:
        """Probability of each pixel for one cluster, shape (n,)."""
        if self.strength is not None:
            own = self.own(pixels)
            own[pixels.labels != cluster] = 0
            return own
        found = np.empty(pixels.labels.size, np.float32)
        for part, batch in self._batches(pixels):
            found[part] = batch[:, cluster]
        return found

    def all_clusters(self, pixels: PixelState) -> NDArray[np.float32]:
        """Probability of each pixel for each cluster, shape (n, cluster)."""
        found = np.zeros((pixels.labels.size, pixels.n_clusters), np.float32)
        if self.strength is not None:
            inside = np.flatnonzero(pixels.labels >= 0)
            found[inside, pixels.labels[inside]] = self.own(pixels)[inside]
            return found
        for part, batch in self._batches(pixels):
            found[part] = batch
        return found

    def surer_than(self, pixels: PixelState, threshold: float) -> NDArray[np.int32]:
        """
        Cluster of each pixel that is more likely than a threshold, else -1.

        The threshold is at least 0.5, so that there is one such cluster at most.
        """
        if self.strength is not None:
            return np.where(self.own(pixels) > threshold, pixels.labels, np.int32(NOISE))
        found = np.full(pixels.labels.size, NOISE, np.int32)
        for part, batch in self._batches(pixels):
            best = batch.argmax(axis=1)
            sure = np.take_along_axis(batch, best[:, np.newaxis], axis=1)[:, 0] > threshold
            found[part] = np.where(sure, best, NOISE)
        return found

    def _batches(self, pixels: PixelState) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Rounded here, so that every question is answered with the same numbers."""
        if self.mixture is None:
            raise TypeError("A method without components has no batches.")
        for part, shares in self.mixture.responsibilities(self.rows):
            batch = np.zeros((len(shares), max(pixels.n_clusters, 1)))
            for component, cluster in enumerate(pixels.groups.tolist()):
                if cluster != NOISE:
                    batch[:, cluster] += shares[:, component]
            edited = np.flatnonzero(pixels.edited[part])
            labels = pixels.labels[part][edited]
            batch[edited] = 0
            batch[edited[labels >= 0], labels[labels >= 0]] = 1
            yield part, batch.astype(np.float32)
