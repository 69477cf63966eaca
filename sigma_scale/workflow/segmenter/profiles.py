"""Spectra of clusters, as methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.clustering.labels import NOISE
from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.workflow.segmenter.spectra import (
    BinaryMapProfile,
    profile_table,
    spectra_of,
    unmixed_tables,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.phases.nmf import Loss
    from sigma_scale.workflow.segmenter.dataset import SegmentedMap
    from sigma_scale.workflow.segmenter.history import History
    from sigma_scale.workflow.segmenter.probabilities import Memberships
    from sigma_scale.workflow.segmenter.spectra import MapSpectra

__all__ = ["ClusterProfiles"]

_ONLY_ONE = 0.5  # at most one cluster of a pixel is more likely than this


class ClusterProfiles:
    """Clusters that have spectra: means over their pixels of the dataset's processed spectra."""

    _history: History
    _map: SegmentedMap
    _memberships: Memberships
    _spectra: MapSpectra
    height: int
    width: int
    recipe: dict[str, Any]

    @property
    def label_map(self) -> xr.DataArray:
        """
        Labels as a map, shape (y, x), int32.

        In the gaps of a mosaic, where the coordinate ``measured`` is false, they are -1 as noise.
        """
        labels = self._as_map(self._history.current.pixels.labels, "labels")
        return labels.assign_coords(self._map.gaps)

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
        BinaryMapProfile
            Of the tutorial's three: map of these pixels, their rows and columns, and the mean of
            the processed spectra.

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
        cluster, key, labels = self._selected(cluster_num, use_label=use_label, threshold=threshold)
        binary = (labels == cluster).reshape(self.height, self.width)
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
        *,
        loss: Loss = "frobenius",
        initial: xr.DataArray | pd.DataFrame | Sequence[int] | None = None,
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
        loss : {"frobenius", "kullback-leibler"}, default: "frobenius"
            What is made small: the sum of squares, or the Kullback-Leibler divergence, which is
            right for counts. With it and ``normalised=False`` the clusters' summed counts are
            unmixed, without the channels that were removed, not their mean spectra.
        initial : array, table or sequence of int, optional
            Where to begin: end-member spectra (phase, energy), a table of components as this
            method gives it, or clusters whose spectra to take. "All" components are then as many.

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
            If there is no such cluster, the method or loss is another one, NMF has no parameter of
            a name given, or there are fewer clusters than components.
        ShapeMismatchError
            If the initial guess has another number of components or channels.
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
        counted = loss == "kullback-leibler" and not normalised
        spectra = self._spectra.kept(self._counts()) if counted else means["mean"]
        return unmixed_tables(
            spectra,
            clusters,
            n_components,
            normalised=normalised,
            method=method,
            method_args=method_args,
            loss=loss,
            initial=initial,
        )

    def unmix_pixels(
        self,
        end_members: xr.DataArray | pd.DataFrame | Sequence[int],
        *,
        method: str = "least_squares",
        left_out: Sequence[tuple[float, float]] = (),
        shares: bool = False,
        lazy: bool = True,
    ) -> xr.Dataset:
        """
        Write the spectrum of every pixel as a sum of end-members: maps of their abundance.

        Parameters
        ----------
        end_members : table, array or sequence of int
            Components that :meth:`get_unmixed_spectra_profile` gives, any spectra (phase, energy)
            that are not negative, or clusters whose mean spectra to take.
        method : {"least_squares", "poisson"}, default: "least_squares"
            The latter is better for few counts and slower.
        left_out : sequence of (float, float), optional
            Energy ranges in keV that don't count.
        shares : bool, default: False
            Divide the amounts of each pixel by their sum.
        lazy : bool, default: True
            False: compute at once.

        Returns
        -------
        xarray.Dataset
            ``abundance`` (y, x, phase), ``residual`` (y, x) and ``end_member`` (phase, energy);
            see :func:`sigma_scale.phases.unmix_pixels`.

        Raises
        ------
        NoSpectraError
            If the dataset has no spectra.
        EmptyMapError
            If a cluster named has no pixels.
        ParameterError, ShapeMismatchError, EnergyRangeError, MemoryLimitError
            See :func:`sigma_scale.phases.unmix_pixels`.
        """
        from sigma_scale import phases

        self._spectra.check()
        if isinstance(end_members, Sequence):
            clusters = self._history.current.checked(end_members)
            members: Any = spectra_of(self._means()["mean"], clusters)
        else:
            members = end_members
        return phases.unmix_pixels(
            self._spectra.image,
            members,
            method=method,
            left_out=left_out,
            shares=shares,
            lazy=lazy,
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

    def _counts(self) -> xr.DataArray:
        """Summed counts of each cluster, as they were measured."""
        pixels = self._history.current.pixels
        self._check_any()
        return self._spectra.counts((pixels, "labels"), lambda: pixels.labels)

    def _as_map(self, values: NDArray[Any], name: str) -> xr.DataArray:
        """Values of the pixels as a map with its coordinates."""
        import xarray as xr

        return xr.DataArray(
            values.reshape(self.height, self.width),
            dims=("y", "x"),
            coords=self._map.coordinates(),
            name=name,
            attrs={"recipe": self.recipe},
        )

    def _selected(
        self, cluster_num: int, *, use_label: bool, threshold: float
    ) -> tuple[int, tuple[object, ...], NDArray[np.int32]]:
        """Number of a cluster, and labels that hold its pixels with their key."""
        (cluster,) = self._history.current.checked([cluster_num])
        if not 0 <= threshold < 1:
            raise ParameterError(f"threshold is a probability below 1, not {threshold}.")
        key, labels = self._labels_for(cluster, use_label=use_label, threshold=float(threshold))
        if not (labels == cluster).any():
            raise EmptyMapError(
                f"Cluster {cluster} has no pixels."
                if use_label
                else f"No pixel belongs to cluster {cluster} with a probability above "
                f"{threshold}. Lower the threshold, or set use_label=True."
            )
        return cluster, key, labels

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
