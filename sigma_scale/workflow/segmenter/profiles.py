"""Spectra of clusters, as methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.clustering.labels import NOISE
from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.workflow.segmenter.spectra import (
    BinaryMapProfile,
    profile_table,
    unmixed_tables,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.workflow.segmenter.history import History
    from sigma_scale.workflow.segmenter.probabilities import Memberships
    from sigma_scale.workflow.segmenter.spectra import MapSpectra

__all__ = ["ClusterProfiles"]

_ONLY_ONE = 0.5  # at most one cluster of a pixel is more likely than this


class ClusterProfiles:
    """Clusters that have spectra: means over their pixels of the dataset's processed spectra."""

    _history: History
    _memberships: Memberships
    _spectra: MapSpectra
    height: int
    width: int

    def get_binary_map_spectra_profile(
        self,
        cluster_num: int = 1,
        use_label: bool = False,  # noqa: FBT001, FBT002 - the original's call
        threshold: float = 0.8,
    ) -> BinaryMapProfile:
        """
        Give the pixels of a cluster and their mean spectrum.

        Parameters
        ----------
        cluster_num : int, default: 1
            Number of the cluster.
        use_label : bool, default: False
            Take the pixels with its label; else those whose probability for it exceeds the
            threshold.
        threshold : float, default: 0.8
            Probability from 0 to 1.

        Returns
        -------
        binary_map : numpy.ndarray, shape (y, x), uint8
            1 in these pixels.
        binary_map_indices : tuple of numpy.ndarray
            Their rows and columns.
        spectra_profile : pandas.DataFrame
            Columns ``energy`` in keV and ``intensity``, one row per channel: mean of the
            processed spectra.

        Raises
        ------
        NoSpectraError
            If the dataset has no spectra.
        ParameterError
            If there is no such cluster, or the threshold is no probability.
        EmptyMapError
            If there is no such pixel.
        """
        import pandas as pd

        self._check_any()
        (cluster,) = self._history.current.checked([cluster_num])
        if not 0 <= threshold < 1:
            raise ParameterError(f"threshold is a probability below 1, not {threshold}.")
        key, labels = self._labels_for(cluster, use_label=use_label, threshold=float(threshold))
        binary = (labels == cluster).reshape(self.height, self.width)
        if not binary.any():
            raise EmptyMapError(
                f"Cluster {cluster} has no pixels."
                if use_label
                else f"No pixel belongs to cluster {cluster} with a probability above "
                f"{threshold}. Lower the threshold, or set use_label=True."
            )
        mean = self._spectra.means(key, lambda: labels)["mean"].sel(phase=cluster)
        energy = mean.indexes["energy"].to_numpy()
        table = pd.DataFrame({"energy": energy, "intensity": mean.to_numpy()})
        rows, columns = np.nonzero(binary)
        return BinaryMapProfile(binary.astype(np.uint8), (rows, columns), table)

    def get_all_spectra_profile(
        self,
        normalised: bool = True,  # noqa: FBT001, FBT002 - the original's call
    ) -> pd.DataFrame:
        """
        Give the mean spectrum of each cluster.

        Parameters
        ----------
        normalised : bool, default: True
            Divide each spectrum by its maximum.

        Returns
        -------
        pandas.DataFrame, float64
            One row per channel, with its energy in keV; a column ``cluster_i`` for each cluster
            that has pixels.

        Raises
        ------
        NoSpectraError
            If the dataset has no spectra.
        EmptyMapError
            If there is no cluster: all pixels are noise.
        """
        return profile_table(self._means(), normalised=normalised)

    def get_unmixed_spectra_profile(
        self,
        clusters_to_be_calculated: str | Sequence[int] = "All",
        n_components: int | str = "All",
        normalised: bool = True,  # noqa: FBT001, FBT002 - the original's call
        method: str = "NMF",
        method_args: Mapping[str, Any] | None = None,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """
        Write the clusters' spectra as sums of a few non-negative end-member spectra.

        Parameters
        ----------
        clusters_to_be_calculated : "All" or sequence of int, default: "All"
            Clusters that count; "All": those that have pixels.
        n_components : "All" or int, default: "All"
            Number of end-members; "All": as many as clusters.
        normalised : bool, default: True
            Divide each spectrum by its maximum first.
        method : {"NMF"}
            Kind of factorisation.
        method_args : mapping, optional
            Parameters of :class:`sklearn.decomposition.NMF`. A seed that is not given is 0.

        Returns
        -------
        weights : pandas.DataFrame
            Rows ``cluster_i``, columns ``w_j``.
        components : pandas.DataFrame
            One row per channel, with its energy in keV; columns ``cpnt_j``.

        Raises
        ------
        NoSpectraError
            If the dataset has no spectra.
        EmptyMapError
            If there is no cluster, or a cluster named has no pixels.
        ParameterError
            If there is no such cluster, the method is another one, NMF has no parameter of a
            name given, or there are fewer clusters than components.
        """
        means = self._means()
        if isinstance(clusters_to_be_calculated, str):
            if clusters_to_be_calculated != "All":
                raise ParameterError(
                    "clusters_to_be_calculated is 'All' or a list of numbers, not "
                    f"{clusters_to_be_calculated!r}."
                )
            clusters = means["phase"].to_numpy().tolist()
        else:
            clusters = self._history.current.checked(clusters_to_be_calculated)
        if not clusters:
            raise ParameterError("clusters_to_be_calculated names no cluster.")
        return unmixed_tables(
            means,
            clusters,
            n_components,
            normalised=normalised,
            method=method,
            method_args=method_args,
        )

    def _check_any(self) -> None:
        """Raise where there are no spectra, or no cluster."""
        self._spectra.check()
        if not (self._history.current.pixels.labels >= 0).any():
            raise EmptyMapError(
                "There is no cluster: all pixels are noise. Segment with other parameters, or "
                "create a cluster."
            )

    def _means(self) -> xr.Dataset:
        pixels = self._history.current.pixels
        self._check_any()
        return self._spectra.means((pixels, "labels"), lambda: pixels.labels)

    def _labels_for(
        self, cluster: int, *, use_label: bool, threshold: float
    ) -> tuple[tuple[object, ...], NDArray[np.int32]]:
        """Labels that hold a cluster's pixels, and those of others where that costs nothing."""
        pixels = self._history.current.pixels
        if use_label:
            return (pixels, "labels"), pixels.labels
        if threshold >= _ONLY_ONE:
            return (pixels, threshold), self._memberships.surer_than(pixels, threshold)
        sure = self._memberships.of_cluster(pixels, cluster) > threshold
        return (pixels, threshold, cluster), np.where(sure, cluster, NOISE).astype(np.int32)
