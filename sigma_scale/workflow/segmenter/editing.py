"""Edits of a segmentation, as methods."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.errors import ParameterError
from sigma_scale.workflow.segmenter.selection import as_mask, encode_mask, inside_polygon

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from sigma_scale.workflow.segmenter.history import History

__all__ = ["EditableClusters"]


class EditableClusters:
    """
    Clusters that a user can change, each change a record in a log.

    An edit acts on all pixels of the map, or, if it fails, on none. Clusters are numbered from
    0 without gaps, so merging them moves the higher numbers down; names and colours move along.
    """

    _history: History
    height: int
    width: int
    latent: NDArray[Any]

    @property
    def edit_log(self) -> list[dict[str, Any]]:
        """Edits in effect, oldest first: plain values that :meth:`replay_edits` takes."""
        return deepcopy(self._history.records[: self._history.position])

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to undo."""
        return self._history.position > 0

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone edit."""
        return self._history.position < len(self._history.records)

    def merge_clusters(self, clusters: Sequence[int], *, name: str | None = None) -> int:
        """
        Make several clusters one.

        Its probability is the sum of theirs. It takes the lowest of their numbers, and that
        one's colour and name; the numbers above move down.

        Parameters
        ----------
        clusters : sequence of int
            At least two.
        name : str, optional
            Name of the new cluster.

        Returns
        -------
        int
            Its number.

        Raises
        ------
        ParameterError
            If there is no such cluster, there are fewer than two, or the name is taken.
        """
        listed = _as_list(clusters)
        self._history.add({"edit": "merge", "clusters": listed, "name": name})
        return int(min(listed))

    def create_cluster(
        self, pixels: ArrayLike, *, name: str | None = None, colour: str | None = None
    ) -> int:
        """
        Make a cluster of selected pixels, whatever they belonged to before.

        Their probability for it is 1.

        Parameters
        ----------
        pixels : array-like
            A mask, bool, of shape (y, x) or (y * x,), or numbers of pixels in row-major order.
        name : str, optional
            Name of the cluster.
        colour : str, optional
            Its colour; None: the first of the palette that is free.

        Returns
        -------
        int
            Number of the new cluster, the highest.

        Raises
        ------
        ShapeMismatchError
            If the mask is of another shape than the map.
        EmptyMapError
            If no pixel is selected.
        ParameterError
            If there are no such pixels, the colour is none, or the name is taken.
        """
        self._add_with_pixels(
            {"edit": "create", "name": name, "colour": colour}, as_mask(pixels, self._shape)
        )
        return self._history.current.pixels.n_clusters - 1

    def create_cluster_from_polygon(
        self, corners: ArrayLike, *, name: str | None = None, colour: str | None = None
    ) -> int:
        """
        Make a cluster of all pixels inside a polygon in the latent space.

        Parameters
        ----------
        corners : array-like, shape (corner, 2)
            Corners in the first two latent coordinates.
        name, colour
            As for :meth:`create_cluster`.

        Returns
        -------
        int
            Number of the new cluster, the highest.

        Raises
        ------
        EmptyMapError
            If no pixel lies inside.
        ParameterError
            If it is no polygon, the colour is none, or the name is taken.
        """
        mask = inside_polygon(self.latent, corners)
        outline = np.asarray(corners, np.float64).tolist()
        self._add_with_pixels(
            {"edit": "create", "name": name, "colour": colour, "polygon": outline}, mask
        )
        return self._history.current.pixels.n_clusters - 1

    def relabel_pixels(self, pixels: ArrayLike, cluster: int) -> None:
        """
        Put selected pixels into a cluster, or make them noise.

        Their probability for it is 1, and 0 for all others. A cluster that loses its last pixel
        stays, empty, until :meth:`drop_empty_clusters`.

        Parameters
        ----------
        pixels : array-like
            As for :meth:`create_cluster`.
        cluster : int
            Number of the cluster; -1 is noise.

        Raises
        ------
        ShapeMismatchError
            If a mask is of another shape than the map.
        EmptyMapError
            If no pixel is selected.
        ParameterError
            If there is no such pixel or cluster.
        """
        mask = as_mask(pixels, self._shape)
        self._add_with_pixels({"edit": "relabel", "cluster": cluster}, mask)

    def relabel_polygon(self, corners: ArrayLike, cluster: int) -> None:
        """
        Put all pixels inside a polygon in the latent space into a cluster, or make them noise.

        Parameters
        ----------
        corners : array-like, shape (corner, 2)
            Corners in the first two latent coordinates.
        cluster : int
            Number of the cluster; -1 is noise.

        Raises
        ------
        EmptyMapError
            If no pixel lies inside.
        ParameterError
            If it is no polygon or there is no such cluster.
        """
        mask = inside_polygon(self.latent, corners)
        outline = np.asarray(corners, np.float64).tolist()
        record = {"edit": "relabel", "cluster": cluster, "polygon": outline}
        self._add_with_pixels(record, mask)

    def recolour_clusters(self, clusters: int | Sequence[int], colour: str) -> None:
        """
        Give one or several clusters a colour.

        Parameters
        ----------
        clusters : int or sequence of int
            Numbers; -1 is noise.
        colour : str
            Name of a colour, or ``"#rrggbb"``.

        Raises
        ------
        ParameterError
            If there is no such cluster, or the colour is none.
        """
        listed = _as_list(clusters)
        self._history.add({"edit": "recolour", "clusters": listed, "colour": colour})

    def rename_cluster(self, cluster: int, name: str) -> None:
        """
        Give a cluster a name.

        Parameters
        ----------
        cluster : int
            Its number.
        name : str
            A name that no other cluster has.

        Raises
        ------
        ParameterError
            If there is no such cluster, or the name is empty or taken.
        """
        self._history.add({"edit": "rename", "cluster": cluster, "name": name})

    def drop_empty_clusters(self) -> None:
        """Remove clusters without pixels; the numbers above them move down."""
        self._history.add({"edit": "drop_empty"})

    def undo(self) -> None:
        """
        Take the last edit back.

        Raises
        ------
        ParameterError
            If there is none.
        """
        if not self.can_undo:
            raise ParameterError("There is no edit to undo.")
        self._history.go_to(self._history.position - 1)

    def redo(self) -> None:
        """
        Apply the edit again that was undone last.

        Raises
        ------
        ParameterError
            If there is none.
        """
        if not self.can_redo:
            raise ParameterError("There is no edit to redo.")
        self._history.go_to(self._history.position + 1)

    def reset(self) -> None:
        """Take all edits back; :meth:`redo` brings them back one by one."""
        self._history.go_to(0)

    def replay_edits(self, log: Sequence[Mapping[str, Any]]) -> None:
        """
        Apply the edits of a log, on top of those in effect; all of them or, if one fails, none.

        Parameters
        ----------
        log : sequence of mapping
            Edits as :attr:`edit_log` gives them.

        Raises
        ------
        ParameterError
            If one can't be applied; the message says which.
        """
        self._history.extend(log)

    @property
    def _shape(self) -> tuple[int, int]:
        return self.height, self.width

    def _add_with_pixels(self, record: dict[str, Any], mask: NDArray[np.bool_]) -> None:
        self._history.add({**record, "pixels": encode_mask(mask)}, mask)


def _as_list(clusters: object) -> list[Any]:
    if isinstance(clusters, int | np.integer):
        return [clusters]
    if isinstance(clusters, str) or not hasattr(clusters, "__iter__"):
        raise ParameterError(f"Clusters are given by their numbers, not by {clusters!r}.")
    return list(clusters)
