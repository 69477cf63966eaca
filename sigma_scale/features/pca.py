"""
Denoising by principal components of spectra, weighted for Poisson noise, block by block.

With the counts ``X`` (pixels by channels), ``g`` the total of each pixel and ``h`` that of each
channel, ``Y = G^-1/2 X H^-1/2`` has noise of about equal size everywhere [1]_. Of its covariance
``H^-1/2 (X^T G^-1 X) H^-1/2`` the leading eigenvectors ``V`` are kept. The denoised counts
``G^1/2 Y V V^T H^1/2 = X (H^-1/2 V) (V^T H^1/2)`` then are a function of each pixel alone: one pass
sums the covariance, and blocks are denoised when they are read.

References
----------
.. [1] M. R. Keenan, P. G. Kotula: Accounting for Poisson noise in the multivariate analysis of
   ToF-SIMS spectrum images. Surf. Interface Anal. 36, 203 (2004).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sigma_scale import compute
from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.features.dose import bin_dose_images
from sigma_scale.preprocess import rebin_image
from sigma_scale.spectra import EventBlock, Processing, SpectrumImage
from sigma_scale.spectra.binned import processed_region
from sigma_scale.spectra.passes import plan_regions

if TYPE_CHECKING:
    from collections.abc import Hashable

    import scipy.sparse as sp
    from numpy.typing import NDArray

    from sigma_scale.spectra import BlockSource, Scratch

__all__ = ["DenoisedSource", "denoise_pca"]

_FAN_IN = 4
"""Partial sums that are added by one task."""
_BLOCK_BYTES = 16 * 2**20
_EVENT_BYTES = 6
"""A denoised block has an event in every channel: a float and the gap before it."""
_DENSE_ROWS = 1024
"""Spectra that are dense at a time where the covariance is summed."""
_PIECE_PIXELS = 128
_SPARSE_PAYS = 250
"""A product of dense numbers takes about so much less time than one of sparse ones."""


class Moments(NamedTuple):
    """Sums over the pixels of a part of a map."""

    weighted: NDArray[np.float64]
    """X^T G^-1 X, shape (channels, channels)."""
    spectrum: NDArray[np.float64]
    """Sum spectrum, shape (channels,)."""


def denoise_pca(image: SpectrumImage, n_components: int = 10) -> SpectrumImage:
    """
    Keep the leading principal components of a map's spectra.

    The result equals HyperSpy's ``decomposition(normalize_poissonian_noise=True)`` and
    ``get_decomposition_model(n_components)``. One pass over the counts runs at once; blocks are
    denoised when they are read.

    Parameters
    ----------
    image : SpectrumImage, shape (y, x, energy)
        Counts, binned or not; the weights are those of counts, so it may not be normalised.
    n_components : int, default: 10
        Components to keep.

    Returns
    -------
    SpectrumImage, shape (y, x, energy), float32
        The (binned) map, its pixels counted from its own first one, with the channels that were
        removed still removed. Values may be slightly negative.

    Raises
    ------
    ParameterError
        If the image is normalised, or there can't be so many components.
    EmptyMapError
        If the map has no counts.
    MemoryLimitError
        If a matrix of channels by channels doesn't fit into memory.
    """
    if image.processing.normalised:
        raise ParameterError("Denoise an image before it is normalised, not after.")
    check_components(image, n_components)
    factors = image.processing.bin_factors
    left, right = _projection(_moments(image), n_components)
    images = dict(image.images)
    if image.navigation is not None:
        images["navigation"] = rebin_image(image.navigation, (factors[1], factors[0]))
    images |= bin_dose_images(image)
    return replace(
        image,
        source=DenoisedSource(image.source, factors, left, right),
        pixel_size=(image.pixel_size[0] * factors[0], image.pixel_size[1] * factors[1]),
        images=images,
        processing=Processing(zeroed_below=image.processing.zeroed_below),
    )


def check_components(image: SpectrumImage, n_components: int) -> None:
    """
    Refuse a number of components that can't be.

    Raises
    ------
    ParameterError
        If it isn't between 1 and the number of channels or pixels.
    """
    rows, columns, channels = image.shape
    most = min(rows * columns, channels)
    whole = isinstance(n_components, int) or np.issubdtype(type(n_components), np.integer)
    if not (whole and 1 <= n_components <= most):
        raise ParameterError(
            f"The number of components must be a whole number from 1 to {most} (channels and "
            f"pixels allow no more), not {n_components!r}."
        )


def _moments(image: SpectrumImage) -> Moments:
    from dask.delayed import delayed

    source, factors = image.source, image.processing.bin_factors
    n_channels = source.shape[2]
    # Matrices under way, those that wait to be added, and what the eigenvectors need.
    compute.check_memory(
        (2 * compute.local_workers() + 2 * _FAN_IN + 4) * n_channels**2 * 8,
        what=f"The covariance of {n_channels} channels",
        remedy="Use a map with fewer channels, or raise memory_limit.",
    )
    plan = plan_regions(source, factors)
    task = delayed(_region_moments, pure=True)
    parts: list[Any] = [task(source, plan.limits(i, j), factors) for i, j in np.ndindex(plan.shape)]
    add = delayed(_add, pure=True)
    while len(parts) > 1:
        parts = [add(parts[k : k + _FAN_IN]) for k in range(0, len(parts), _FAN_IN)]
    (sums,) = compute.run(parts[0], description="Covariance of the spectra")
    result: Moments = sums
    if not result.spectrum.any():
        raise EmptyMapError(f"The map {image.metadata.title!r} holds no counts.")
    return result


def _region_moments(
    source: BlockSource, limits: tuple[int, int, int, int], factors: tuple[int, int]
) -> Moments:
    """Sums over a region, a piece of some thousand pixels at a time."""
    n_channels = source.shape[2]
    weighted = np.zeros((n_channels, n_channels))
    spectrum = np.zeros(n_channels)
    plan = plan_regions(source, factors, limits=limits, target=_PIECE_PIXELS)
    for i, j in np.ndindex(plan.shape):
        counts = processed_region(source, plan.limits(i, j), Processing(bin_factors=factors))
        spectrum += counts.sum(axis=0)
        _add_weighted(counts, weighted)
    return Moments(weighted, spectrum)


def _add_weighted(counts: sp.csr_array, weighted: NDArray[np.float64]) -> None:
    """Add the counts' product with themselves, each spectrum divided by the root of its total."""
    import scipy.sparse as sp

    total = np.asarray(counts.sum(axis=1), dtype=np.float64)
    roots = np.sqrt(np.divide(1.0, total, out=np.zeros_like(total), where=total > 0))
    scaled = sp.csr_array(sp.diags_array(roots) @ counts)
    per_pixel = np.diff(scaled.indptr).astype(np.float64)
    if _SPARSE_PAYS * (per_pixel**2).sum() < per_pixel.size * weighted.size:
        product = (scaled.T @ scaled).tocoo()
        weighted[product.row, product.col] += product.data
        return
    for start in range(0, scaled.shape[0], _DENSE_ROWS):
        dense = scaled[start : start + _DENSE_ROWS].toarray()
        weighted += dense.T @ dense


def _add(parts: list[Moments]) -> Moments:
    return Moments(
        np.sum([part.weighted for part in parts], axis=0),
        np.sum([part.spectrum for part in parts], axis=0),
    )


def _projection(
    moments: Moments, n_components: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Matrices (channels, components) and (components, channels) that denoise a spectrum."""
    from scipy.linalg import eigh

    root = np.sqrt(np.maximum(moments.spectrum, 0.0))
    inverse = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
    covariance = moments.weighted * inverse[:, None] * inverse
    last = root.size - 1
    _, vectors = eigh(covariance, subset_by_index=[last + 1 - n_components, last])
    left, right = inverse[:, None] * vectors, vectors.T * root
    return left.astype(np.float32), right.astype(np.float32)


@dataclass(frozen=True, eq=False)
class DenoisedSource:
    """
    Counts of a (binned) map, projected on a few components when they are read.

    Parameters
    ----------
    source : BlockSource
        The counts as they were measured.
    bin_factors : tuple of int
        Pixels per bin in y and x.
    left : array, shape (channels, components), float32
        What counts are multiplied with first.
    right : array, shape (components, channels), float32
        What they are multiplied with then.
    """

    source: BlockSource
    bin_factors: tuple[int, int]
    left: NDArray[np.float32] = field(repr=False)
    right: NDArray[np.float32] = field(repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows and columns of bins, and channels."""
        rows, columns, channels = self.source.shape
        return rows // self.bin_factors[0], columns // self.bin_factors[1], channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the denoised counts."""
        return np.dtype(np.float32)

    @property
    def chunk_shape(self) -> tuple[int, int]:
        """Rows and columns of a block: as wide as the source's, as high as memory allows."""
        height, width = (
            max(1, side // factor)
            for side, factor in zip(self.source.chunk_shape, self.bin_factors, strict=True)
        )
        rows = _BLOCK_BYTES // (_EVENT_BYTES * min(width, self.shape[1]) * self.shape[2])
        return max(1, min(height, rows)), width

    def read_block(self, row: int, column: int, scratch: Scratch | None = None) -> EventBlock:  # noqa: ARG002
        """Denoised spectra of a block."""
        height, width = self.chunk_shape
        rows, columns, channels = self.shape
        top, bottom = row * height, min((row + 1) * height, rows)
        first, last = column * width, min((column + 1) * width, columns)
        factor_y, factor_x = self.bin_factors
        limits = (top * factor_y, bottom * factor_y, first * factor_x, last * factor_x)
        counts = processed_region(self.source, limits, Processing(bin_factors=self.bin_factors))
        denoised = (counts.astype(np.float32) @ self.left) @ self.right
        return EventBlock.from_dense(denoised.reshape(bottom - top, last - first, channels))

    def __dask_tokenize__(self) -> Hashable:
        from dask.base import normalize_token

        arrays = normalize_token([self.left, self.right])
        return ("DenoisedSource", self.source.__dask_tokenize__(), self.bin_factors, arrays)
