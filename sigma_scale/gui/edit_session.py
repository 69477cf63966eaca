"""What a user has picked among clusters and pixels, and edits of it. Knows nothing of pages."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from sigma_scale.clustering.labels import NOISE
from sigma_scale.errors import ConflictError, EmptyMapError, ParameterError
from sigma_scale.workflow.segmenter.selection import as_mask, inside_polygon, measured_only

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from sigma_scale.workflow.segmenter import PixelSegmenter
    from sigma_scale.workflow.segmenter.clusters import ClusterState, PixelState

__all__ = ["Edit", "EditSession"]

_Result = TypeVar("_Result")


class Edit(Protocol):
    """What carries out an edit, such as :meth:`Project.edit` does, which also saves it."""

    def __call__(self, action: Callable[[PixelSegmenter], _Result]) -> _Result:
        """Call the action with the segmenter and give its result."""


class EditSession:
    """
    Picked clusters or pixels of a segmenter, and edits of them.

    Either clusters are picked or pixels. Every edit acts on all pixels of the map; where it
    fails, nothing has changed. An edit ends what was picked, since clusters may have new numbers;
    clusters that were picked are followed through edits of others, or let go of.

    Parameters
    ----------
    ps : PixelSegmenter
        The clusters.
    edit : callable, optional
        What carries out edits; None: they act on the segmenter alone.

    Attributes
    ----------
    pixels : array, shape (y * x,), bool, or None
        Pixels that are picked; none of them in a gap of a mosaic.
    include_noise : bool
        Whether pixels of the noise are shown, and picked with others.
    """

    def __init__(self, ps: PixelSegmenter, edit: Edit | None = None) -> None:
        self.ps = ps
        # Clusters picked, and the pixels that they had then: their numbers mean nothing else.
        self._picked: tuple[tuple[int, ...], PixelState] = (), ps.state.pixels
        self.pixels: NDArray[np.bool_] | None = None
        self.include_noise = True
        self._corners: NDArray[np.float64] | None = None
        self._marked: tuple[PixelState, list[int], NDArray[np.bool_]] | None = None
        self._lock = threading.RLock()
        self._edit: Edit = edit or self._edit_here

    def _edit_here(self, action: Callable[[PixelSegmenter], _Result]) -> _Result:
        with self._lock:
            return action(self.ps)

    @property
    def clusters(self) -> tuple[int, ...]:
        """Clusters that are picked; -1 is noise."""
        return self._picked[0]

    @property
    def hidden(self) -> frozenset[int]:
        """Labels that are not shown."""
        return frozenset() if self.include_noise else frozenset({NOISE})

    @property
    def n_pixels(self) -> int:
        """Number of pixels that are picked."""
        return 0 if self.pixels is None else int(np.count_nonzero(self.pixels))

    def marked(self, state: ClusterState) -> NDArray[np.bool_] | None:
        """
        Give the pixels to be shown strongly.

        Parameters
        ----------
        state : ClusterState
            The clusters that are shown.

        Returns
        -------
        numpy.ndarray, shape (y * x,), bool, or None
            Those picked, or those of the clusters picked; None where nothing is picked.
        """
        if self.pixels is not None:
            return self.pixels
        # While an edit of someone else is shown, clusters that were picked may be gone.
        picked = _found_again(*self._picked, state.pixels)
        if not picked:
            return None
        # Kept for the frames to come, of the map and of the latent space.
        kept = self._marked
        if kept is None or kept[0] is not state.pixels or kept[1] != picked:
            # One place more for noise, which looks up the last entry.
            is_picked = np.zeros(state.pixels.n_clusters + 1, dtype=np.bool_)
            is_picked[picked] = True
            marked = is_picked[state.pixels.labels]
            if state.pixels.gaps is not None:
                marked &= ~state.pixels.gaps
            self._marked = kept = state.pixels, picked, marked
        return kept[2]

    def clear(self) -> None:
        """Pick nothing."""
        self._picked = (), self.ps.state.pixels
        self.pixels = self._corners = None

    def forget_gone(self) -> None:
        """
        Let go of picked clusters that someone else has changed, and give the others new numbers.

        A cluster is the same as long as it has the same pixels.
        """
        pixels = self.ps.state.pixels
        self._picked = tuple(_found_again(*self._picked, pixels)), pixels

    def pick_clusters(self, clusters: Sequence[int]) -> None:
        """
        Pick clusters.

        Parameters
        ----------
        clusters : sequence of int
            Their numbers; -1 is noise.

        Raises
        ------
        ParameterError
            If there is no such cluster.
        """
        listed = tuple(dict.fromkeys(int(cluster) for cluster in clusters))
        pixels = self.ps.state.pixels
        unknown = [k for k in listed if not NOISE <= k < pixels.n_clusters]
        if unknown:
            raise ParameterError(
                f"There is no cluster {unknown[0]} any more. Pick one of those in the table."
            )
        self.clear()
        self._picked = listed, pixels

    def pick_polygon(self, corners: ArrayLike) -> None:
        """
        Pick the pixels inside a polygon in the latent space.

        Parameters
        ----------
        corners : array-like, shape (corner, 2)
            First two latent coordinates. Where the outline crosses itself, the even-odd rule holds.

        Raises
        ------
        EmptyMapError
            If no pixel lies inside, or only noise where that is left out.
        ParameterError
            If it is no polygon.
        """
        mask = inside_polygon(self.ps.latent, corners)
        kept = self._without_noise(mask)
        self.clear()
        self.pixels = kept
        # Written into the log of edits where it says all.
        self._corners = np.asarray(corners, np.float64) if kept is mask else None

    def pick_pixels(self, pixels: ArrayLike) -> None:
        """
        Pick pixels of the map.

        Parameters
        ----------
        pixels : array-like
            A mask, bool, of shape (y, x) or (y * x,), or numbers of pixels.

        Raises
        ------
        EmptyMapError
            If there is none, only noise where that is left out, or nothing was measured there.
        ShapeMismatchError
            If a mask is of another shape than the map.
        """
        given = as_mask(pixels, (self.ps.height, self.ps.width))
        mask = self._without_noise(measured_only(given, self.ps.state.pixels.gaps))
        self.clear()
        self.pixels = mask

    def pick_near(self, x: float, y: float, reach: tuple[float, float]) -> None:
        """
        Pick the cluster that most points near a place in the latent space belong to.

        Parameters
        ----------
        x, y : float
            The place.
        reach : tuple of float
            How far to look, in both coordinates.

        Raises
        ------
        EmptyMapError
            If there is no point.
        """
        latent = self.ps.latent
        near = np.flatnonzero(np.abs(latent[:, 0] - x) <= reach[0])
        near = near[np.abs(latent[near, 1] - y) <= reach[1]]
        labels = self.ps.labels[near]
        labels = labels[~np.isin(labels, list(self.hidden))]
        if not labels.size:
            raise EmptyMapError("There is no point here.")
        values, counts = np.unique(labels, return_counts=True)
        self.pick_clusters([int(values[counts.argmax()])])

    def pick_cluster_of(self, row: int, column: int) -> None:
        """Pick the cluster of one pixel of the map; EmptyMapError if it was not measured."""
        pixels, number = self.ps.state.pixels, row * self.ps.width + column
        measured_only(np.arange(pixels.labels.size) == number, pixels.gaps)
        self.pick_clusters([int(pixels.labels[number])])

    def create(self, name: str | None = None, colour: str | None = None) -> int:
        """
        Make a cluster of the pixels picked, and pick it.

        Returns
        -------
        int
            Its number.

        Raises
        ------
        EmptyMapError
            If no pixels are picked.
        ParameterError
            If the name is taken.
        """
        pixels, corners = self._picked_pixels(), self._corners
        if corners is None:
            made = self._change(lambda ps: ps.create_cluster(pixels, name=name, colour=colour))
        else:
            made = self._change(
                lambda ps: ps.create_cluster_from_polygon(corners, name=name, colour=colour)
            )
        self.pick_clusters([made])
        return made

    def move(self, cluster: int) -> None:
        """
        Put the pixels picked into a cluster, or make them noise, -1.

        Raises
        ------
        EmptyMapError
            If no pixels are picked.
        ParameterError
            If there is no such cluster.
        """
        pixels, corners = self._picked_pixels(), self._corners
        if corners is None:
            self._change(lambda ps: ps.relabel_pixels(pixels, cluster))
        else:
            self._change(lambda ps: ps.relabel_polygon(corners, cluster))
        self.pick_clusters([cluster])

    def merge(self, name: str | None = None) -> int:
        """
        Make the clusters picked one, and pick it.

        Returns
        -------
        int
            Its number, the lowest of theirs.

        Raises
        ------
        ParameterError
            If fewer than two are picked, one of them is noise, or the name is taken.
        ConflictError
            If someone else has changed one of them since it was picked.
        """
        picked = self._picked
        if len(picked[0]) < 2:  # noqa: PLR2004 - a merger takes two
            raise ParameterError("Pick at least two clusters to merge, in the table or by a tap.")
        merged = self._change(lambda ps: ps.merge_clusters(_still_there(*picked, ps), name=name))
        self.pick_clusters([merged])
        return merged

    def recolour(self, colour: str) -> None:
        """
        Give the clusters picked a colour.

        Raises
        ------
        ParameterError
            If none is picked, or the colour is none.
        ConflictError
            If someone else has changed one of them since it was picked.
        """
        picked = self._picked
        if not picked[0]:
            raise ParameterError("Pick the clusters to recolour, in the table or by a tap.")
        self._change(lambda ps: ps.recolour_clusters(_still_there(*picked, ps), colour))

    def rename(self, cluster: int, name: str) -> None:
        """
        Give a cluster a name.

        Raises
        ------
        ParameterError
            If there is no such cluster, or the name is empty or taken.
        """
        self._change(lambda ps: ps.rename_cluster(cluster, name))

    def undo(self) -> None:
        """Take the last edit back."""
        self._step(lambda ps: ps.undo())

    def redo(self) -> None:
        """Apply the edit again that was undone last."""
        self._step(lambda ps: ps.redo())

    def reset(self) -> None:
        """Take all edits back."""
        self._step(lambda ps: ps.reset())

    def _step(self, action: Callable[[PixelSegmenter], Any]) -> None:
        self._change(action)
        self.clear()

    def _change(self, action: Callable[[PixelSegmenter], _Result]) -> _Result:
        """Edit the clusters that are shown, and no others that have taken their place."""

        def checked(ps: PixelSegmenter) -> _Result:
            if ps is not self.ps:
                raise ConflictError(
                    "The clusters have been made anew meanwhile, and nothing was changed. Look at "
                    "the new ones, and edit again if it is still needed."
                )
            return action(ps)

        return self._edit(checked)

    def _picked_pixels(self) -> NDArray[np.bool_]:
        if self.pixels is None:
            raise EmptyMapError("Draw around points, or on the map, to pick pixels first.")
        return self.pixels

    def _without_noise(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if self.include_noise:
            return mask
        is_cluster = self.ps.labels != NOISE
        if bool(is_cluster[mask].all()):
            return mask
        kept: NDArray[np.bool_] = mask & is_cluster
        if not kept.any():
            raise EmptyMapError("There is only noise inside. Include the noise to pick it.")
        return kept


def _found_again(clusters: Sequence[int], before: PixelState, now: PixelState) -> list[int]:
    """Numbers that clusters have now; those that don't have the same pixels are left out."""
    if before is now:
        return list(clusters)
    found = []
    for cluster in clusters:
        pixels = before.labels == cluster
        number = int(now.labels[pixels.argmax()])
        # One without pixels has nothing to be known by.
        if pixels.any() and np.array_equal(now.labels == number, pixels):
            found.append(number)
    return found


def _still_there(clusters: Sequence[int], before: PixelState, ps: PixelSegmenter) -> list[int]:
    found = _found_again(clusters, before, ps.state.pixels)
    if len(found) < len(clusters):
        raise ConflictError(
            "Someone else has changed clusters that you had picked, and nothing was changed. Look "
            "at the clusters as they are now, and pick again."
        )
    return found
