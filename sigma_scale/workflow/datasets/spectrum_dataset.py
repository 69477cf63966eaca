"""SEMDataset and TEMDataset: maps with a spectrum in each pixel, as the tutorial holds them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from sigma_scale import compute, features, preprocess
from sigma_scale.features.pca import denoise_pca
from sigma_scale.workflow.datasets.calibrated_dataset import CalibratedDataset, number
from sigma_scale.workflow.datasets.cropped import filled_extent
from sigma_scale.workflow.datasets.sources import open_map, total_counts
from sigma_scale.workflow.datasets.steps import Steps, raw_view, view

if TYPE_CHECKING:
    import xarray as xr

    from sigma_scale.spectra import EnergyAxis, SpectrumImage

__all__ = ["SEMDataset", "SpectrumDataset", "TEMDataset"]

_BYTES_PER_VALUE = 24
"""Memory of a feature's value: intensity, normalised, and a step's working copies in float64."""


class SpectrumDataset(CalibratedDataset):
    """
    A map with a spectrum in each pixel.

    The counts are never changed: each method changes how they are seen. Methods can be called in
    any order and again; the last call of each counts. Only whether :meth:`remove_first_peak` or
    :meth:`peak_intensity_normalisation` was called first matters: normalised first, each spectrum
    is divided by a sum that includes the first peak. :meth:`reset` forgets the order.

    Of a mosaic, :meth:`normalisation` corrects the doses of its tiles first, and its gaps are NaN
    afterwards; :attr:`feature_maps` are counts as ever.

    Parameters
    ----------
    source : path, SpectrumImage, xarray.DataArray, HyperSpy signal or array-like
        The map: a file that :func:`sigma_scale.read` knows, a store, or what is in memory.
    nav_img : path, HyperSpy signal or array-like, optional, shape (y, x)
        Image on the map's grid in place of the file's.
    energy : EnergyAxis, optional
        Energies of the channels, for arrays of NumPy and dask.

    Raises
    ------
    ParameterError
        If the source holds no map, or one that is processed already.
    ShapeMismatchError
        If the navigation image is of another shape than the map.
    SourceNotFoundError, FileFormatError, NoSpectraError
        If a file isn't there or can't be read.
    """

    instrument: ClassVar[Literal["SEM", "TEM"]]

    REPLAYABLE: ClassVar[frozenset[str]] = CalibratedDataset.REPLAYABLE | {
        "peak_denoising_PCA",
        "peak_intensity_normalisation",
        "remove_first_peak",
    }

    def __init__(
        self, source: Any, nav_img: Any = None, *, energy: EnergyAxis | None = None
    ) -> None:
        super().__init__(open_map(source, nav_img, energy, self.instrument))
        self._total: xr.DataArray | None = None
        self._denoised: tuple[Any, SpectrumImage] | None = None

    @property
    def spectra_bin(self) -> SpectrumImage | None:
        """The map binned and processed; None before :meth:`rebin_signal`."""
        return None if self._steps.bin_size is None else self.processed

    @property
    def processed(self) -> SpectrumImage:
        """The map with all steps on its spectra, binned or not."""
        if "processed" not in self._cache:
            self._cache["processed"] = self._process(self._steps)
        image: SpectrumImage = self._cache["processed"]
        return image

    def _process(self, steps: Steps) -> SpectrumImage:
        spectra = raw_view(self._raw, steps)
        if steps.n_components is None:
            return view(spectra, steps)
        key = (steps.extent, steps.bin_size, steps.n_components)
        if self._denoised is None or self._denoised[0] != key:
            binned = view(spectra, replace(steps, peaks=()))
            self._denoised = (key, denoise_pca(binned, steps.n_components))
        image = replace(self._denoised[1], energy=spectra.energy, metadata=spectra.metadata)
        return view(image, replace(steps, bin_size=None))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the processed map."""
        rows, columns = self.spectra.shape[:2]
        factor_x, factor_y = self._steps.bin_size or (1, 1)
        return rows // factor_y, columns // factor_x

    @property
    def nav_img(self) -> xr.DataArray:
        """
        Image for navigation on the grid of the map as measured, shape (y, x).

        The one given or the file's; where there is none, the total counts of each pixel.
        """
        navigation = self.spectra.navigation
        if navigation is not None:
            return navigation
        rows, columns = self.spectra.shape[:2]
        return self._total_counts()[:rows, :columns]

    def _total_counts(self) -> xr.DataArray:
        if self._total is None:
            self._total = total_counts(self._raw)
        return self._total

    def remove_NaN(self) -> None:  # noqa: N802 -- the tutorial's name
        """
        Leave out the rows and columns at the map's end where nothing was acquired.

        Raises
        ------
        EmptyMapError
            If no pixel has counts.
        """
        filled = np.asarray(self._total_counts().data > 0)
        self._change(extent=filled_extent(filled))

    def rebin_signal(self, size: tuple[int, int] = (2, 2)) -> SpectrumImage:
        """
        Sum blocks of pixels of the map as measured; :attr:`nav_img_bin` likewise.

        Parameters
        ----------
        size : tuple of int, default: (2, 2)
            Columns and rows of a block (x, y).

        Returns
        -------
        SpectrumImage
            See :attr:`processed`; the other steps hold for the new bins too.

        Raises
        ------
        BinningError
            If the factors aren't positive integers or larger than the map; nothing changes then.
        """
        # Warns where rows or columns are left out.
        factor_y, factor_x = preprocess.rebin(self.spectra, size).processing.bin_factors
        self._change(bin_size=(factor_x, factor_y))
        return self.processed

    def peak_intensity_normalisation(self) -> SpectrumImage:
        """
        Divide each pixel's spectrum by its sum; an empty pixel gives zeros.

        Returns
        -------
        SpectrumImage
            See :attr:`processed`.
        """
        self._go_to(self._steps.with_spectra_normalised())
        return self.processed

    def remove_first_peak(self, end: float) -> SpectrumImage:
        """
        Set the channels below an energy to zero; the axis keeps its length.

        Parameters
        ----------
        end : float
            Lowest energy to keep, in keV.

        Returns
        -------
        SpectrumImage
            See :attr:`processed`.

        Raises
        ------
        EnergyRangeError
            If nothing would be left; nothing changes then.
        """
        self._go_to(self._steps.with_first_peak_removed(number(end, "The end of the peak")))
        return self.processed

    def peak_denoising_PCA(  # noqa: N802 -- the tutorial's name
        self, n_components_to_reconstruct: int = 10
    ) -> SpectrumImage:
        """
        Denoise the (binned) counts by principal components, weighted for Poisson noise.

        It comes after binning and before the other steps, whatever the order of the calls.

        Parameters
        ----------
        n_components_to_reconstruct : int, default: 10
            Components to keep.

        Returns
        -------
        SpectrumImage
            See :attr:`processed`.

        Raises
        ------
        ParameterError
            If there can't be so many components; nothing changes then.
        """
        steps = replace(self._steps, n_components=n_components_to_reconstruct)
        self._check(steps)
        image = self._process(steps)
        self._go_to(steps)
        self._cache["processed"] = image
        return image

    def _feature_maps(self, names: tuple[str, ...]) -> xr.DataArray:
        image = self.processed
        needed = math.prod(image.shape[:2]) * (len(names) + 2) * _BYTES_PER_VALUE
        lazy = needed > compute.memory_limit()
        return features.feature_pass(image, names, lazy=lazy)["line_intensity"]

    def _comparable(self, maps: xr.DataArray) -> xr.DataArray:
        return features.correct_dose(maps, self.processed)

    def _without_gaps(self, navigation: xr.DataArray) -> xr.DataArray:
        return features.mask_gaps(navigation, self.spectra)


class SEMDataset(SpectrumDataset):
    """
    A map of a scanning electron microscope.

    The counts are never changed: methods can be called in any order and again, and the last call of
    each counts.

    The feature list begins with the lines that the file names.

    Parameters
    ----------
    source : path, SpectrumImage, xarray.DataArray, HyperSpy signal or array-like
        The map: a file that :func:`sigma_scale.read` knows, a store, or what is in memory.
    nav_img : path, HyperSpy signal or array-like, optional, shape (y, x)
        Image on the map's grid in place of the file's.
    energy : EnergyAxis, optional
        Energies of the channels, for arrays of NumPy and dask.

    Raises
    ------
    ParameterError
        If the source holds no map, or one that is processed already.
    ShapeMismatchError
        If the navigation image is of another shape than the map.
    SourceNotFoundError, FileFormatError, NoSpectraError
        If a file isn't there or can't be read.

    Examples
    --------
    >>> from sigma_scale.synthetic import synthetic_map
    >>> sem = SEMDataset(synthetic_map((64, 64)).image)
    >>> binned = sem.rebin_signal(size=(2, 2))
    >>> sem.set_feature_list(["O_Ka", "Si_Ka"])
    >>> sem.normalisation(["neighbour_averaging", "zscore"]).shape
    (32, 32, 2)
    """

    instrument = "SEM"


class TEMDataset(SpectrumDataset):
    """
    A map of a (scanning) transmission electron microscope.

    The counts are never changed: methods can be called in any order and again, and the last call of
    each counts.

    The feature list begins with the lines that the file names, or else with each element's Ka.

    Parameters
    ----------
    source : path, SpectrumImage, xarray.DataArray, HyperSpy signal or array-like
        The map: a file that :func:`sigma_scale.read` knows, a store, or what is in memory.
    nav_img : path, HyperSpy signal or array-like, optional, shape (y, x)
        Image on the map's grid in place of the file's.
    energy : EnergyAxis, optional
        Energies of the channels, for arrays of NumPy and dask.

    Raises
    ------
    ParameterError
        If the source holds no map, or one that is processed already.
    ShapeMismatchError
        If the navigation image is of another shape than the map.
    SourceNotFoundError, FileFormatError, NoSpectraError
        If a file isn't there or can't be read.

    Examples
    --------
    >>> from sigma_scale.synthetic import synthetic_map
    >>> TEMDataset(synthetic_map((64, 64)).image).processed.metadata.instrument
    'TEM'
    """

    instrument = "TEM"
