"""What a segmenter needs of a dataset: its pixels, features, spectra and identity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import (
    EmptyMapError,
    ParameterError,
    ShapeMismatchError,
    SigmaScaleError,
)
from sigma_scale.features import line_intensity, mark_measured
from sigma_scale.features.dose import MEASURED
from sigma_scale.features.navigation import NAVIGATOR

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dask.array as da
    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from sigma_scale.spectra import MapMetadata, SpectrumImage

__all__ = [
    "SegmentableDataset",
    "SegmentedMap",
    "feature_means",
    "features_of",
    "latent_rows",
    "without_gaps",
]

_MAP_DIMENSIONS = 3
_TABLE_DIMENSIONS = 2


class SegmentableDataset(Protocol):
    """A map whose pixels can be segmented: SEMDataset, TEMDataset or ImageDataset."""

    @property
    def processed(self) -> SpectrumImage | None:
        """Binned, normalised and cut spectra; None where there are only images."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the (binned) map."""

    @property
    def feature_list(self) -> list[str]:
        """Names of the features, in the order of their maps."""

    @property
    def normalised_elemental_data(self) -> Any:
        """Feature vector of each pixel, shape (y, x, feature)."""

    @property
    def nav_img(self) -> xr.DataArray | None:
        """Navigation image as measured."""

    @property
    def nav_img_bin(self) -> xr.DataArray | None:
        """Navigation image of the binned map."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SegmentedMap:
    """
    What a dataset was when a segmenter took it, whatever its later steps make of it.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns.
    feature_list : tuple of str
        Names of the features.
    image : SpectrumImage, optional
        Processed spectra; None where there are only images.
    metadata : MapMetadata, optional
        Of the spectra, or of the images where a dataset keeps them as ``maps``.
    measured : SpectrumImage, optional
        The (binned) counts as they were measured, where the processed ones are denoised.
    maps : xarray.DataArray, shape (y, x, line), optional
        Feature maps before normalisation, where there are only images.
    """

    shape: tuple[int, int]
    feature_list: tuple[str, ...]
    image: SpectrumImage | None
    metadata: MapMetadata | None
    measured: SpectrumImage | None = None
    maps: xr.DataArray | None = None

    @classmethod
    def of(cls, dataset: SegmentableDataset) -> Self:
        """Take what a dataset is now."""
        height, width = dataset.shape[:2]
        image = dataset.processed
        kept = getattr(dataset, "maps", None) if image is None else image
        return cls(
            shape=(int(height), int(width)),
            feature_list=tuple(dataset.feature_list),
            image=image,
            metadata=getattr(kept, "metadata", None),
            measured=_measured(dataset, image),
            maps=_maps(dataset) if image is None else None,
        )

    def coordinates(self) -> dict[str, Any]:
        """Coordinates of the (binned) pixels' centres, for xarray; empty where none are known."""
        if self.image is not None:
            found = self.image.coordinates()
        else:
            coords = {} if self.maps is None else self.maps.coords
            found = {str(name): values for name, values in coords.items()}
        return {name: found[name] for name in ("y", "x") if name in found}

    @cached_property
    def gaps(self) -> dict[str, Any]:
        """Coordinate that tells the gaps of a mosaic from noise; empty where there are none."""
        import xarray as xr

        if self.image is None:
            return {}
        pixels = xr.DataArray(np.broadcast_to(np.int32(0), self.shape), dims=("y", "x"))
        marked = mark_measured(pixels, self.image).coords
        return {MEASURED: (("y", "x"), marked[MEASURED].data)} if MEASURED in marked else {}

    @cached_property
    def gap_pixels(self) -> NDArray[np.bool_] | None:
        """Pixels in gaps, shape (y * x,); None where there are none."""
        if not self.gaps:
            return None
        found: NDArray[np.bool_] = ~np.asarray(self.gaps[MEASURED][1], np.bool_).ravel()
        return found

    def line_maps(self, lines: Sequence[str] | None = None) -> xr.DataArray | None:
        """
        Intensities of the (binned) map before normalisation of the features.

        Parameters
        ----------
        lines : sequence of str, optional
            X-ray lines; of a dataset of images some of its features. None: all features but the
            navigation image.

        Returns
        -------
        xarray.DataArray, shape (y, x, line), or None
            Gross counts, or shares where the spectra are normalised; lazy. None where there are
            no features.

        Raises
        ------
        ParameterError
            If there is no such map.
        UnknownLineError, EnergyRangeError
            If a line is not known or was not measured.
        """
        if lines is None:
            lines = [name for name in self.feature_list if name != NAVIGATOR]
        if not lines:
            return None
        if self.image is not None:
            return line_intensity(self.image, lines)
        there = [] if self.maps is None else [str(name) for name in self.maps["line"].values]
        unknown = [name for name in lines if name not in there]
        if unknown or self.maps is None:
            raise ParameterError(
                f"There is no map of {', '.join(unknown)}; there are: {', '.join(there) or 'none'}."
            )
        return self.maps.sel(line=list(lines))


def _measured(dataset: SegmentableDataset, image: SpectrumImage | None) -> SpectrumImage | None:
    """The (binned) counts as they were measured; None where the image is made of them."""
    raw = getattr(dataset, "spectra", None)
    if image is None or raw is None or image.source.dtype.kind in "iu":
        return None
    factors = (raw.shape[0] // image.shape[0], raw.shape[1] // image.shape[1])
    measured: SpectrumImage = raw.with_processing(bin_factors=factors)
    return measured


def _maps(dataset: SegmentableDataset) -> xr.DataArray | None:
    """Feature maps of a dataset of images as they are now, or None where there are none."""
    try:
        return getattr(dataset, "feature_maps", None)
    except SigmaScaleError:
        return None


def without_gaps(rows: NDArray[Any], gaps: NDArray[np.bool_] | None) -> NDArray[Any]:
    """
    Take the gaps of a mosaic out of a latent space.

    Parameters
    ----------
    rows : array, shape (n, component)
        Latent coordinates from :func:`latent_rows`.
    gaps : array, shape (n,), bool, or None
        Pixels that were not measured.

    Returns
    -------
    numpy.ndarray, shape (n, component)
        With NaN in gaps, read-only; the rows themselves where it is there already.

    Raises
    ------
    EmptyMapError
        If no other pixel has latent coordinates.
    """
    if gaps is None or np.isnan(rows[gaps]).all():
        return rows
    cleared = np.where(gaps[:, np.newaxis], rows.dtype.type(np.nan), rows)
    if np.isnan(cleared).any(axis=1).all():
        raise EmptyMapError("No pixel that was measured has latent coordinates.")
    cleared.flags.writeable = False
    return cleared


def latent_rows(latent: ArrayLike | xr.DataArray, shape: tuple[int, int]) -> NDArray[Any]:
    """
    Bring a latent space into one row per pixel of the map.

    Parameters
    ----------
    latent : array-like, shape (y * x, component) or (y, x, component)
        Latent coordinates; a DataArray, a dask array or any other array. It is read into memory.
    shape : tuple of int
        Rows and columns of the map.

    Returns
    -------
    numpy.ndarray, shape (y * x, component), float32 or float64
        Read-only. NaN marks pixels that take no part.

    Raises
    ------
    ShapeMismatchError
        If it has not one row for each pixel of the map.
    ParameterError
        If it is not a table of real numbers, or holds infinity.
    EmptyMapError
        If no pixel has latent coordinates.
    """
    height, width = shape
    dims = getattr(latent, "dims", None)
    if dims is not None and len(dims) == _MAP_DIMENSIONS and tuple(dims[:2]) != ("y", "x"):
        raise ParameterError(
            f"A latent map has the dimensions (y, x, component), got {tuple(dims)}."
        )
    values = np.asarray(latent)
    if values.ndim not in {_TABLE_DIMENSIONS, _MAP_DIMENSIONS} or values.dtype.kind not in "fiu":
        raise ParameterError(
            "The latent space must be numbers of shape (pixels, components) or (y, x, components), "
            f"got {values.dtype} of shape {values.shape}."
        )
    pixels = values.shape[:-1]
    if pixels not in {(height, width), (height * width,)}:
        raise ShapeMismatchError(
            f"The latent space has {' x '.join(map(str, pixels))} pixels, the dataset "
            f"{height} x {width} = {height * width}. Make it from the dataset as it is binned now."
        )
    if 0 in values.shape:
        raise EmptyMapError(f"The latent space has no components: its shape is {values.shape}.")
    dtype = np.float32 if values.dtype == np.float32 else np.float64
    rows = np.array(values.reshape(height * width, -1), dtype=dtype, order="C")
    if np.isinf(rows).any():
        raise ParameterError("The latent space contains infinity. Fill these pixels or set NaN.")
    if np.isnan(rows).any(axis=1).all():
        raise EmptyMapError("No pixel has latent coordinates: there is nothing to cluster.")
    rows.flags.writeable = False
    return rows


def features_of(dataset: SegmentableDataset) -> Any:
    """Feature maps of a dataset as they are now, or None where they are not made yet."""
    # Those of a store needn't be read before they are needed.
    stored = getattr(dataset, "stored_features", None)
    if stored is not None:
        return stored
    try:
        return dataset.normalised_elemental_data
    except SigmaScaleError:
        return None


def feature_means(features: Any, labels: NDArray[np.int32], n_clusters: int) -> NDArray[np.float64]:
    """
    Mean feature vector of each cluster.

    Parameters
    ----------
    features : array-like, shape (y, x, feature)
        Features of each pixel; lazy ones are read once, block by block. Pixels with NaN in a
        feature don't count for it.
    labels : array, shape (y * x,), int32
        Cluster of each pixel.
    n_clusters : int
        Number of clusters.

    Returns
    -------
    numpy.ndarray, shape (cluster, feature), float64
        NaN for clusters without pixels.

    Raises
    ------
    ShapeMismatchError
        If features and labels describe different pixels.
    """
    if features.ndim != _MAP_DIMENSIONS or features.shape[0] * features.shape[1] != labels.size:
        raise ShapeMismatchError(
            f"The features have the shape {tuple(features.shape)}, there are {labels.size} labels."
        )
    values = getattr(features, "data", features)  # what a DataArray holds
    shaped = labels.reshape(features.shape[:2])
    if hasattr(values, "dask"):
        sums, numbers = _lazy_sums(values, shaped, n_clusters)
    else:
        sums, numbers = _sums(np.asarray(features), shaped, n_clusters)
    means = np.full((n_clusters, features.shape[2]), np.nan)
    np.divide(sums, numbers, out=means, where=numbers > 0)
    return means


def _lazy_sums(
    features: da.Array, labels: NDArray[np.int32], n_clusters: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sums of all blocks from one computation: what the maps are made of is read only once."""
    from dask.delayed import delayed

    blocks = features.rechunk({2: -1}).to_delayed()[:, :, 0]
    rows = np.cumsum([0, *features.chunks[0]])
    columns = np.cumsum([0, *features.chunks[1]])
    task = delayed(_sums, pure=True)
    parts = compute.run(
        *(
            task(
                blocks[i, j],
                labels[rows[i] : rows[i + 1], columns[j] : columns[j + 1]],
                n_clusters,
            )
            for i, j in np.ndindex(blocks.shape)
        ),
        description="Averaging features",
    )
    return sum(part[0] for part in parts), sum(part[1] for part in parts)


def _sums(
    features: NDArray[Any], labels: NDArray[np.int32], n_clusters: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sum and number of the values per cluster and feature; feature by feature saves memory."""
    sums = np.zeros((n_clusters, features.shape[2]))
    numbers = np.zeros((n_clusters, features.shape[2]), np.int64)
    for column in range(features.shape[2]):
        values = features[:, :, column]
        counted = (labels >= 0) & ~np.isnan(values)
        clusters = labels[counted]
        sums[:, column] = np.bincount(clusters, values[counted], minlength=n_clusters)
        numbers[:, column] = np.bincount(clusters, minlength=n_clusters)
    return sums, numbers
