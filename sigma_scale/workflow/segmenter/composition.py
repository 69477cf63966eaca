"""What clusters are made of, as methods: elements, line intensities and compositions."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale import compute, phases
from sigma_scale.errors import ParameterError
from sigma_scale.features import net_line_intensity
from sigma_scale.features.navigation import NAVIGATOR
from sigma_scale.workflow.segmenter.profiles import ClusterProfiles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    import pandas as pd
    import xarray as xr

    from sigma_scale.phases import Standard

    KFactors = Mapping[str, float] | str | PathLike[str]

__all__ = ["ClusterCompositions"]


class ClusterCompositions(ClusterProfiles):
    """
    Clusters that have a composition.

    Lines are measured in the summed counts of a cluster's pixels, as they were before any
    normalisation, removal of the first peak, or denoising.
    """

    feature_list: list[str]

    def cluster_spectra(
        self, *, weighted: bool = False, threshold: float | None = None
    ) -> xr.Dataset:
        """
        Give summed and mean spectra of the clusters with their counting errors.

        Parameters
        ----------
        weighted : bool, default: False
            Let each pixel count with its probability for its cluster.
        threshold : float, optional
            Take only pixels whose probability for their cluster is higher.

        Returns
        -------
        xarray.Dataset
            See :func:`sigma_scale.phases.phase_spectra`.

        Raises
        ------
        NoSpectraError
            If the dataset has no spectra.
        EmptyMapError
            If there is no cluster.
        ParameterError
            If both are given, or the threshold is no probability.
        """
        if not weighted and threshold is None:
            return self._means()
        if weighted and threshold is not None:
            raise ParameterError("Choose one: weighted, or a threshold.")
        self._check_any()
        own = self._memberships.own(self._history.current.pixels)
        return phases.phase_spectra(
            self._spectra.image,
            self.label_map,
            probability=self._as_map(own, "probability"),
            threshold=threshold,
        )

    def cluster_lines(
        self, lines: Sequence[str] | None = None, *, overlaps: bool = True
    ) -> xr.Dataset:
        """
        Measure net X-ray lines in the clusters' summed counts.

        Parameters
        ----------
        lines : sequence of str, optional
            X-ray lines such as ``"Fe_Ka"``. None: the feature list.
        overlaps : bool, default: True
            Fit the peaks of all their elements, so that overlapping lines are told apart
            (:func:`sigma_scale.phases.fit_lines`). False: counts in a window less those of the
            windows beside it (:func:`sigma_scale.phases.net_lines`), as eXSpy does.

        Returns
        -------
        xarray.Dataset, over (phase, line)
            ``net``, ``net_error``, ``signal_to_noise``, ``detection_limit`` and more; see there.

        Raises
        ------
        NoSpectraError
            If the dataset has no spectra.
        EmptyMapError
            If there is no cluster.
        UnknownLineError, EnergyRangeError, ParameterError
            If a line is not known, was not measured, or can't be told from another one.
        """
        counts = self._counts()
        measure = phases.fit_lines if overlaps else phases.net_lines
        return measure(counts, self._lines(lines))

    def element_evidence(
        self,
        lines: Sequence[str] | None = None,
        *,
        min_significance: float = 3.0,
        min_share: float = 0.01,
    ) -> pd.DataFrame:
        """
        Decide for each cluster which elements are there, and show why.

        Parameters
        ----------
        lines : sequence of str, optional
            X-ray lines to look for. None: those that any cluster's spectrum suggests.
        min_significance : float, default: 3.0
            Standard errors that a line must rise above its background.
        min_share : float, default: 0.01
            Share that a line must have in the net counts of all lines, 0 to 1.

        Returns
        -------
        pandas.DataFrame
            One row per cluster (index ``phase``) and line; see
            :func:`sigma_scale.phases.element_evidence`.

        Raises
        ------
        NoSpectraError, EmptyMapError, UnknownLineError, EnergyRangeError
            See :meth:`cluster_lines`.
        """
        return phases.element_evidence(
            self._counts(), lines, min_significance=min_significance, min_share=min_share
        )

    def quantify_clusters(
        self,
        k_factors: KFactors,
        lines: Sequence[str] | None = None,
        *,
        unit: Literal["weight", "atomic"] = "weight",
        overlaps: bool = True,
        k_factor_errors: Mapping[str, float] | None = None,
    ) -> xr.Dataset:
        """
        Calculate the composition of each cluster by k-factors.

        Of a TEMDataset that is a quantification of thin samples, of a SEMDataset a relative
        measure only: the attribute ``statement`` says what the result is not.

        Parameters
        ----------
        k_factors : mapping of str to float, or path
            k-factor of each line, or a table that
            :func:`sigma_scale.phases.read_k_factors` reads.
        lines : sequence of str, optional
            One line per element. None: the feature list.
        unit : {"weight", "atomic"}, default: "weight"
            Percent by weight or of the atoms.
        overlaps : bool, default: True
            See :meth:`cluster_lines`.
        k_factor_errors : mapping of str to float, optional
            Standard errors of k-factors.

        Returns
        -------
        xarray.Dataset, over (phase, element)
            ``composition``, ``composition_error`` and ``detection_limit`` in percent; see
            :func:`sigma_scale.phases.cliff_lorimer`.

        Raises
        ------
        ParameterError
            If k-factors are missing (the lines are named), there are two lines of one element or
            fewer than two elements.
        NoSpectraError, EmptyMapError, UnknownLineError, EnergyRangeError
            See :meth:`cluster_lines`.
        SourceNotFoundError, FileFormatError
            If a table of k-factors can't be read.
        """
        return phases.cliff_lorimer(
            self.cluster_lines(lines, overlaps=overlaps),
            k_factors,
            unit=unit,
            k_factor_errors=k_factor_errors,
        )

    def cluster_quantification(
        self,
        cluster_num: int,
        elements: Sequence[str],
        k_factors: KFactors | Sequence[float],
        composition_units: Literal["weight", "atomic"] = "atomic",
        use_label: bool = True,  # noqa: FBT001, FBT002 - the original's call
        *,
        threshold: float = 0.8,
    ) -> pd.DataFrame:
        """
        Calculate the composition of each pixel of a cluster by k-factors.

        Parameters
        ----------
        cluster_num : int
            Number of the cluster.
        elements : sequence of str
            X-ray lines, one per element, such as ``["Fe_Ka", "O_Ka"]``.
        k_factors : sequence of float, mapping of str to float, or path
            Their k-factors, in the same order or by name.
        composition_units : {"atomic", "weight"}, default: "atomic"
            Percent of the atoms or by weight.
        use_label : bool, default: True
            Take the pixels with its label; else those whose probability exceeds the threshold.
        threshold : float, default: 0.8
            Probability from 0 to 1.

        Returns
        -------
        pandas.DataFrame
            One row per (binned) pixel of the cluster, with its ``y`` and ``x`` as the index; a
            column for each element, in percent. ``attrs["statement"]`` says what it is not.

        Raises
        ------
        NoSpectraError
            If the dataset has no spectra.
        EmptyMapError
            If there is no such pixel.
        ParameterError
            If there is no such cluster, or k-factors are missing (the lines are named).
        UnknownLineError, EnergyRangeError
            If a line is not known or was not measured.

        Notes
        -----
        From net counts above background windows; the original takes gross counts. Single pixels
        have few counts, so the percentages scatter, below 0 too. Their mean is not the composition
        of the cluster, which :meth:`quantify_clusters` gives from the sum of its counts.
        """
        import pandas as pd

        image = self._spectra.measured
        cluster, _, labels = self._selected(cluster_num, use_label=use_label, threshold=threshold)
        inside = (labels == cluster).reshape(self.height, self.width)
        found = phases.cliff_lorimer(
            net_line_intensity(image, elements),
            _by_line(elements, k_factors),
            unit=composition_units,
            instrument=image.metadata.instrument,
        )
        (values,) = compute.run(found["composition"].data, description="Quantifying pixels")
        rows, columns = np.nonzero(inside)
        table = pd.DataFrame(
            values[inside],
            index=pd.MultiIndex.from_arrays([rows, columns], names=["y", "x"]),
            columns=found.indexes["element"].tolist(),
        )
        table.attrs = {"statement": found.attrs["statement"], "units": found.attrs["units"]}
        return table

    def cluster_k_ratios(
        self,
        standards: Mapping[str, Standard],
        *,
        beam_current_na: float,
        live_time_s: float | None = None,
        lines: Sequence[str] | None = None,
        overlaps: bool = False,
    ) -> xr.Dataset:
        """
        Divide the clusters' line intensities per dose by those of standards.

        Parameters
        ----------
        standards : mapping of str to Standard
            Standard of each line.
        beam_current_na : float
            Beam current in nanoamperes.
        live_time_s : float, optional
            Live time of the whole map in seconds, of which a cluster has the share that it has in
            the pixels. None: what the file says.
        lines : sequence of str, optional
            One line per element. None: those of the standards.
        overlaps : bool, default: False
            See :meth:`cluster_lines`. Measure the standards alike;
            :meth:`Standard.from_spectrum <sigma_scale.phases.Standard.from_spectrum>` uses windows.

        Returns
        -------
        xarray.Dataset, over (phase, line)
            See :func:`sigma_scale.phases.k_ratios`.

        Raises
        ------
        ParameterError
            If the live time is not known, or standards are missing (the lines are named).
        NoSpectraError, EmptyMapError, UnknownLineError, EnergyRangeError
            See :meth:`cluster_lines`.
        """
        image = self._spectra.measured
        whole = image.metadata.live_time_s if live_time_s is None else live_time_s
        if whole is None:
            raise ParameterError("The file doesn't say the live time. Give live_time_s of the map.")
        means = self._means()
        pixels = np.prod(image.processing.bin_factors) * means["n_pixels"]
        share = pixels / np.prod(image.source.shape[:2])
        return phases.k_ratios(
            self.cluster_lines(list(standards) if lines is None else lines, overlaps=overlaps),
            standards,
            live_time_s=whole * share,
            beam_current_na=beam_current_na,
        )

    def _lines(self, lines: Sequence[str] | None) -> list[str]:
        """X-ray lines to measure."""
        if lines is not None:
            return list(lines)
        named = [name for name in self.feature_list if name != NAVIGATOR]
        if not named:
            raise ParameterError("The dataset has no feature list. Name the lines.")
        return named


def _by_line(lines: Sequence[str], k_factors: KFactors | Sequence[float]) -> KFactors:
    """k-factors by the names of lines, where they are only in their order."""
    if isinstance(k_factors, (str, PathLike, Mapping)):
        return k_factors
    if len(k_factors) != len(lines):
        raise ParameterError(
            f"There are {len(k_factors)} k-factors for {len(lines)} lines: {', '.join(lines)}. "
            "Give one for each, in their order."
        )
    return dict(zip(lines, k_factors, strict=True))
