"""Mean spectra of clusters as tables, each from one pass over the counts that is kept."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from sigma_scale.errors import EmptyMapError, NoSpectraError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.phases.nmf import Loss
    from sigma_scale.spectra import SpectrumImage

__all__ = ["BinaryMapProfile", "MapSpectra", "profile_table", "spectra_of", "unmixed_tables"]

_KEPT_PASSES = 4
_SEED = 0
_MAX_ITER = 200  # scikit-learn's own


class BinaryMapProfile(NamedTuple):
    """
    Where a cluster is, and its mean spectrum.

    Attributes
    ----------
    binary_map : numpy.ndarray, shape (y, x), uint8
        1 in the pixels that count.
    binary_map_indices : tuple of numpy.ndarray
        Rows and columns of these pixels.
    spectra_profile : pandas.DataFrame
        Columns ``energy`` in keV and ``intensity``, one row per channel.
    """

    binary_map: NDArray[np.uint8]
    binary_map_indices: tuple[NDArray[np.intp], NDArray[np.intp]]
    spectra_profile: pd.DataFrame


class MapSpectra:
    """
    Spectra of a map, averaged over labels, without reading the counts twice for the same ones.

    Parameters
    ----------
    image : SpectrumImage or None
        Processed spectra; None for a dataset that has only images.
    measured : SpectrumImage, optional
        The same pixels as they were measured. None: those whose counts the image is made of.
    """

    def __init__(self, image: SpectrumImage | None, measured: SpectrumImage | None = None) -> None:
        self._image = image
        self._measured = measured
        self._map_pass: tuple[xr.DataArray | None, NDArray[Any]] | None = None
        self._means: OrderedDict[Hashable, xr.Dataset] = OrderedDict()
        self._counted: tuple[Hashable, xr.DataArray] | None = None

    @property
    def image(self) -> SpectrumImage:
        """
        The spectra.

        Raises
        ------
        NoSpectraError
            If the dataset has none.
        """
        if self._image is None:
            raise NoSpectraError(
                "The dataset consists of images: it has no spectra. `mu` gives the mean features "
                "of its clusters."
            )
        return self._image

    @property
    def measured(self) -> SpectrumImage:
        """
        Binned counts as they were measured: not denoised, normalised or cut.

        Raises
        ------
        NoSpectraError
            If the dataset has no spectra.
        """
        image = self.image if self._measured is None else self._measured
        return image.with_processing(total_from=None, zeroed_below=0)

    def check(self) -> None:
        """
        Raise if there are no spectra.

        Raises
        ------
        NoSpectraError
            If the dataset has none.
        """
        _ = self.image

    def channel_sums(self) -> NDArray[Any]:
        """Counts per channel of the whole map as measured, shape (energy,)."""
        return self._passed()[1]

    def means(self, key: Hashable, labels: Callable[[], NDArray[np.int32]]) -> xr.Dataset:
        """
        Mean spectra per label.

        Parameters
        ----------
        key : hashable
            What tells these labels from others.
        labels : callable
            Gives the labels, shape (y * x,); called only for a key that is not known.

        Returns
        -------
        xarray.Dataset
            See :func:`sigma_scale.phases.phase_spectra`.

        Raises
        ------
        NoSpectraError
            If the dataset has no spectra.
        EmptyMapError
            If no pixel has a label.
        """
        import xarray as xr

        from sigma_scale.phases import phase_spectra

        image = self.image
        if key not in self._means:
            shaped = xr.DataArray(labels().reshape(image.shape[:2]), dims=("y", "x"))
            self._means[key] = phase_spectra(image, shaped, total=self._passed()[0])
            while len(self._means) > _KEPT_PASSES:
                self._means.popitem(last=False)
        self._means.move_to_end(key)
        return self._means[key]

    def counts(self, key: Hashable, labels: Callable[[], NDArray[np.int32]]) -> xr.DataArray:
        """
        Summed counts per label as they were measured, shape (phase, energy).

        Parameters
        ----------
        key, labels
            See :meth:`means`.

        Raises
        ------
        NoSpectraError, EmptyMapError
            See :meth:`means`.
        """
        import xarray as xr

        from sigma_scale.phases import phase_spectra

        if self._measured is None:
            return self.means(key, labels)["counts"]
        if self._counted is None or self._counted[0] != key:
            shaped = xr.DataArray(labels().reshape(self.image.shape[:2]), dims=("y", "x"))
            self._counted = key, phase_spectra(self.measured, shaped)["counts"]
        return self._counted[1]

    def kept(self, spectra: xr.DataArray) -> xr.DataArray:
        """Spectra (phase, energy) with zeros in the channels that were removed."""
        first = self.image.processing.zeroed_below
        channels = np.arange(spectra.sizes["energy"]) >= first
        return spectra.copy(data=spectra.to_numpy() * channels)

    def _passed(self) -> tuple[xr.DataArray | None, NDArray[Any]]:
        """Divisors of the spectra, where they are normalised, and counts per channel."""
        import xarray as xr

        from sigma_scale.spectra.window_sums import load_window_sums

        if self._map_pass is None:
            steps = self.image.processing
            first = steps.total_from
            windows = [] if first is None else [range(first, self.image.shape[2])]
            sums, spectrum = load_window_sums(
                self.image.source, windows, steps.bin_factors, description="Summing spectra"
            )
            total = xr.DataArray(sums[:, :, 0], dims=("y", "x")) if windows else None
            self._map_pass = total, spectrum
        return self._map_pass


def profile_table(means: xr.Dataset, *, normalised: bool) -> pd.DataFrame:
    """
    Table of mean spectra.

    Parameters
    ----------
    means : xarray.Dataset
        Mean spectra per cluster, as :meth:`MapSpectra.means` gives them.
    normalised : bool
        Divide each spectrum by its maximum; a spectrum without counts stays zero.

    Returns
    -------
    pandas.DataFrame, float64
        One row per channel, with its energy in keV; a column ``cluster_i`` for each cluster.
    """
    values = means["mean"].to_numpy()
    if normalised:
        maxima = values.max(axis=1, keepdims=True)
        values = np.divide(values, maxima, out=np.zeros_like(values), where=maxima > 0)
    return pd.DataFrame(
        values.T.copy(),
        index=pd.Index(means.indexes["energy"].to_numpy(), name="energy_kev"),
        columns=[f"cluster_{label}" for label in means["phase"].to_numpy().tolist()],
    )


def spectra_of(spectra: xr.DataArray, clusters: Sequence[int]) -> xr.DataArray:
    """
    Spectra of some clusters, in their order.

    Parameters
    ----------
    spectra : xarray.DataArray, shape (phase, energy)
        Spectra of the clusters that have pixels.
    clusters : sequence of int
        Clusters that are wanted.

    Raises
    ------
    EmptyMapError
        If a cluster has no pixels.
    """
    empty = [cluster for cluster in clusters if cluster not in spectra.indexes["phase"]]
    if empty:
        raise EmptyMapError(
            f"Cluster {', '.join(map(str, empty))} has no pixels and so no spectrum. Leave it out."
        )
    return spectra.sel(phase=list(clusters))


def unmixed_tables(
    spectra: xr.DataArray,
    clusters: Sequence[int],
    n_components: int | str,
    *,
    normalised: bool,
    method: str,
    method_args: Mapping[str, Any] | None,
    loss: Loss = "frobenius",
    initial: xr.DataArray | pd.DataFrame | Sequence[int] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """
    End-members of the spectra of some clusters.

    Parameters
    ----------
    spectra : xarray.DataArray, shape (phase, energy)
        Mean or summed spectra per cluster.
    clusters : sequence of int
        Clusters that count, in their order.
    n_components : int or "All"
        Number of end-members; "All": as many as clusters, or as the initial guess has.
    normalised, method_args, loss, initial
        See :func:`sigma_scale.phases.unmix`; without ``max_iter`` it is scikit-learn's 200, and
        without ``random_state`` the seed is 0.
    method : {"NMF"}
        Kind of factorisation.

    Returns
    -------
    weights, components : pandas.DataFrame

    Raises
    ------
    ParameterError
        If the method is another one, or a parameter can't work.
    EmptyMapError
        If a cluster has no pixels.
    """
    from sigma_scale.phases import unmix

    if method != "NMF":
        raise ParameterError(f"There is no unmixing method {method!r}; there is: NMF.")
    if isinstance(n_components, str):
        if n_components != "All":
            raise ParameterError(f"n_components is a number or 'All', not {n_components!r}.")
        n_components = len(clusters) if initial is None else _number_of(initial)
    if isinstance(n_components, bool) or not isinstance(n_components, int | np.integer):
        raise ParameterError(f"n_components is a number or 'All', not {n_components!r}.")
    return unmix(
        spectra_of(spectra, clusters),
        int(n_components),
        normalised=normalised,
        random_state=_SEED,
        method_args={"max_iter": _MAX_ITER} | dict(method_args or {}),
        loss=loss,
        initial=initial,
    )


def _number_of(initial: xr.DataArray | pd.DataFrame | Sequence[int]) -> int:
    """Number of end-members in an initial guess: columns of a table, else rows."""
    return initial.shape[1] if isinstance(initial, pd.DataFrame) else len(initial)
