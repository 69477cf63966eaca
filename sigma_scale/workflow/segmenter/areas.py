"""Where clusters are and how much of the map they take, as methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sigma_scale import compute, phases
from sigma_scale.errors import ParameterError
from sigma_scale.workflow.segmenter.composition import ClusterCompositions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    import xarray as xr

__all__ = ["ClusterAreas"]

_STATS = ("area", "equivalent_diameter", "major_axis", "minor_axis")
_ORIGINAL_NAMES = {"major_axis": "major_axis_length", "minor_axis": "minor_axis_length"}
_FURTHER = ("perimeter", "aspect_ratio", "orientation_rad", "touches_border")
_KINDS = ("min", "mean", "max")


class ClusterAreas(ClusterCompositions):
    """Clusters that cover parts of the map; for datasets of images too."""

    def proportions(self, *, soft: bool = False) -> pd.DataFrame:
        """
        Give the share of the map that each cluster covers, with its counting error.

        Parameters
        ----------
        soft : bool, default: False
            Sum the probabilities of the pixels instead of counting their labels.

        Returns
        -------
        pandas.DataFrame
            One row per cluster, those without pixels too, noise (-1) last; see
            :func:`sigma_scale.phases.proportions` and
            :func:`sigma_scale.phases.soft_proportions`.

        Raises
        ------
        MemoryLimitError
            If the probabilities don't fit into memory.
        """
        pixels, names = self._history.current.pixels, self._history.current.names_by_number()
        if not soft or not pixels.n_clusters:
            clusters = range(pixels.n_clusters)
            return phases.proportions(self.label_map, names=names, phases=clusters)
        compute.check_memory(
            4 * pixels.labels.size * (pixels.n_clusters + 1),
            what=f"Probabilities of {pixels.labels.size} pixels and {pixels.n_clusters} clusters",
            remedy="Count labels (soft=False), merge clusters, or raise memory_limit.",
        )
        own = self.label_map.astype("float32").expand_dims(cluster=pixels.n_clusters, axis=2)
        shares = self._memberships.all_clusters(pixels).reshape(own.shape)
        return phases.soft_proportions(own.copy(data=shares), names=names)

    def contacts(self, *, noise: bool = False) -> xr.Dataset:
        """
        Measure the borders that clusters share.

        Parameters
        ----------
        noise : bool, default: False
            Whether noise counts as a cluster, -1.

        Returns
        -------
        xarray.Dataset, over (phase, neighbour)
            See :func:`sigma_scale.phases.phase_contacts`.

        Raises
        ------
        EmptyMapError
            If there is no cluster.
        """
        return phases.phase_contacts(self.label_map, noise=noise)

    def region_statistics(
        self, lines: Sequence[str] | None = None, *, connectivity: int = 2
    ) -> pd.DataFrame:
        """
        Measure the connected regions of all clusters.

        Parameters
        ----------
        lines : sequence of str, optional
            X-ray lines, or features of a dataset of images, whose least, mean and greatest
            intensity per region are wanted. None: the feature list. Intensities are those of the
            processed map, before the normalisation of features.
        connectivity : {2, 1}, default: 2
            2: pixels that share a corner belong together; 1: only those that share an edge.

        Returns
        -------
        pandas.DataFrame
            See :func:`sigma_scale.phases.region_statistics`.

        Raises
        ------
        EmptyMapError
            If there is no cluster.
        ParameterError, UnknownLineError, EnergyRangeError
            If a line is not known, was not measured, or there is no such map.
        """
        return phases.region_statistics(
            self.label_map, self._map.line_maps(lines), connectivity=connectivity
        )

    def grain_sizes(
        self,
        *,
        bins: str | int | Sequence[float] = "auto",
        exclude_border: bool = False,
    ) -> pd.DataFrame:
        """
        Histogram the equivalent diameters of the regions of each cluster.

        Parameters
        ----------
        bins, exclude_border
            See :func:`sigma_scale.phases.grain_sizes`.

        Returns
        -------
        pandas.DataFrame
            See :func:`sigma_scale.phases.grain_sizes`.

        Raises
        ------
        EmptyMapError
            If there is no cluster, or no region away from the map's edge.
        ParameterError
            If the bins can't work.
        """
        regions = phases.region_statistics(self.label_map)
        return phases.grain_sizes(regions, bins=bins, exclude_border=exclude_border)

    def phase_stats(
        self,
        cluster_num: int,
        element_peaks: Sequence[str] | None = None,
        binary_filter_args: Mapping[str, float] | None = None,
    ) -> pd.DataFrame:
        """
        Measure the connected regions of a cluster, with the original's names.

        Parameters
        ----------
        cluster_num : int
            Number of the cluster.
        element_peaks : sequence of str, optional
            X-ray lines, or features of a dataset of images. None: the feature list.
        binary_filter_args : mapping, optional
            ``{"threshold": 0.8}``: take the pixels whose probability for the cluster exceeds it.
            None or empty: those with its label.

        Returns
        -------
        pandas.DataFrame
            One row per region. ``area (um^2)``, ``equivalent_diameter (um)``,
            ``major_axis_length (um)``, ``minor_axis_length (um)`` (``px`` in place of ``um`` where
            the map has no scale); ``min_intensity_X``, ``mean_intensity_X`` and
            ``max_intensity_X`` for each line X; then ``perimeter (um)``, ``aspect_ratio``,
            ``orientation_rad`` and ``touches_border``. Unlike the original's, the values are not
            rounded to three decimals. See :meth:`region_statistics` for their definitions.

        Raises
        ------
        EmptyMapError
            If there is no such pixel.
        ParameterError
            If there is no such cluster, line or parameter.
        """
        given = dict(binary_filter_args or {})
        unknown = [str(name) for name in given if name != "threshold"]
        if unknown:
            raise ParameterError(
                f"binary_filter_args can't have {', '.join(unknown)}; it can have: threshold."
            )
        cluster, _, labels = self._selected(
            cluster_num, use_label=not given, threshold=given.get("threshold", 0.0)
        )
        lines = self._map.line_maps(element_peaks)
        found = phases.region_statistics(self._as_map(labels, "labels"), lines, phases=[cluster])
        units = {"um": "um", "px": "px", "um2": "um^2", "px2": "px^2"}
        columns = {}
        for name in found.columns:
            stem, _, unit = name.rpartition("_")
            if stem in {*_STATS, *_FURTHER} and unit in units:
                columns[name] = f"{_ORIGINAL_NAMES.get(stem, stem)} ({units[unit]})"
        names = [] if lines is None else [str(name) for name in lines.indexes["line"]]
        for name in names:
            columns |= {f"{name}_{kind}": f"{kind}_intensity_{name}" for kind in _KINDS}
        further = [name for name in found.columns if name.startswith(_FURTHER)]
        first = [name for name in columns if name not in further]
        return found[[*first, *further]].rename(columns=columns).reset_index(drop=True)
