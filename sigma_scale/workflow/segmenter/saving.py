"""Saving and loading a segmentation, as methods."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.clustering.labels import NOISE
from sigma_scale.errors import ParameterError, StoreError
from sigma_scale.workflow.segmenter.clusters import first_state
from sigma_scale.workflow.segmenter.history import History
from sigma_scale.workflow.segmenter.identity import check_identity, identity_of
from sigma_scale.workflow.segmenter.probabilities import Memberships
from sigma_scale.workflow.segmenter.state import SavedState, read_state, write_state

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from sigma_scale.workflow.segmenter.dataset import SegmentedMap
    from sigma_scale.workflow.segmenter.spectra import MapSpectra

__all__ = ["SavableClusters"]


class SavableClusters:
    """Clusters that can be put into a file, and taken from one, with all their edits."""

    _history: History
    _memberships: Memberships
    _spectra: MapSpectra
    _derived: Any
    _map: SegmentedMap
    height: int
    width: int
    latent: NDArray[Any]
    method: str
    method_args: dict[str, Any]
    model: Any
    bic_list: list[float]
    recipe: dict[str, Any]

    def save_state(self, path: str | Path) -> Path:
        """
        Save the segmentation into one file: a zarr group in a zip archive.

        It holds labels, probabilities, latent space, colours, the method and its parameters, the
        log of edits with those undone, and what tells the map from others. xarray opens it with
        ``xarray.open_zarr(zarr.storage.ZipStore(path), consolidated=False)``.

        Parameters
        ----------
        path : path
            The file, such as ``"phases.zarr.zip"``. A saved segmentation that is there is
            replaced, in one step.

        Returns
        -------
        pathlib.Path
            The file written.

        Raises
        ------
        OutputExistsError
            If something else is there.
        StoreError
            If it can't be written.
        """
        history = self._history
        current = history.current
        document = {
            "method": self.method,
            "method_args": _plain(self.method_args),
            "bic_list": self.bic_list,
            "n_clusters": history.first.pixels.n_clusters,
            "log": history.records,
            "position": history.position,
            "colours": {
                str(number): colour for number, colour in current.colours_by_number().items()
            },
            "names": {str(number): name for number, name in current.names_by_number().items()},
            "identity": identity_of(self._map, self._spectra.channel_sums),
            "recipe": _plain(self.recipe),
        }
        state = SavedState(
            latent=self.latent,
            initial_labels=history.first.pixels.labels,
            labels=current.pixels.labels,
            probability=self._memberships.own(current.pixels),
            strength=self._memberships.strength,
            mixture=self._memberships.mixture,
            document=document,
        )
        return write_state(path, state, (self.height, self.width))

    def load_state(self, path: str | Path) -> None:
        """
        Take over a saved segmentation of the same map, in place of the present one.

        Parameters
        ----------
        path : path
            File that :meth:`save_state` wrote.

        Raises
        ------
        SourceNotFoundError
            If there is no such file.
        StoreError
            If it is no saved segmentation, is damaged, or is of another map. Pickle files are
            refused: nothing in a file is ever run.
        ShapeMismatchError
            If it is of a map of another shape.
        """
        # Nothing of this object changes before all of the file is known to be good.
        state = read_state(path, (self.height, self.width))
        document = state.document
        try:
            check_identity(document["identity"], self._map, self._spectra.channel_sums)
            history = _replayed(state, self._map.gap_pixels)
        except StoreError:  # another map, or one whose counts are damaged
            raise
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"{path} can't be used: {error}") from error
        self.latent = state.latent
        self.method = document["method"]
        self.method_args = document["method_args"]
        self.model = None
        self.bic_list = document["bic_list"]
        self.recipe = document["recipe"]
        self._memberships = Memberships(state.latent, state.mixture, state.strength)
        self._history = history
        self._derived = None


def _replayed(state: SavedState, gaps: NDArray[np.bool_] | None) -> History:
    document = state.document
    n_clusters = document["n_clusters"]
    labels = state.initial_labels
    if not NOISE <= labels.min() <= labels.max() < n_clusters <= labels.size:
        raise ParameterError("its labels are not those of its clusters")
    n_gaussians = 0 if state.mixture is None else len(state.mixture)
    if n_gaussians not in {0, n_clusters}:
        raise ParameterError("its mixture has another number of clusters")
    first = first_state(labels, n_clusters, n_gaussians, gaps)
    history = History(first, document["log"], document["position"])
    if not np.array_equal(history.current.pixels.labels, state.labels):
        raise ParameterError("its edits don't lead to its labels")
    return history


def _plain(value: Any) -> Any:
    """Value as JSON has it; what JSON has not, as text."""
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return repr(value)
    return value
