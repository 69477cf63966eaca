"""How far the images of two tiles are shifted against each other, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["PairShift", "measure_shift"]

_LEAST_SIDE = 4
_LEAST_SHARE = 0.25
"""Of the expected overlap, that two images must still have in common at a shift."""
_EDGE_SIGMA = 1.0
"""Pixels over which images are smoothed before their edges are compared."""
_PIXELS_PER_DRAW = 12.0
"""Smoothed pixels that are worth one independent pixel, about 4 pi times the squared sigma."""
_CONTROLS = (0.2, 0.4, 0.6, 0.8)
"""Parts of its length by which a strip is turned round to see how well chance matches."""
_APART = 8
"""Pixels about the place to which a turn carries the match itself, where it isn't chance."""
_FLAT = 1e-9
_UPSAMPLING = 20
_MOST_REFINED = 1.0
_FINEST = 0.25
"""Standard error in pixels that the sharpest match has."""
_MOST_RATIO = 100.0


class PairShift(NamedTuple):
    """Where one image lies in another."""

    dy: float
    dx: float
    """Row and column of the second image's first pixel in the first image."""
    quality: float
    """Normalised cross-correlation of the edges that they have in common there, 0 to 1."""
    peak_ratio: float
    """Evidence for this shift over the most that the same images give at places known wrong."""
    evidence: float
    """Log-likelihood ratio for this shift, over that of the search's best chance match."""
    covariance: tuple[float, float, float]
    """Variances in y and in x and covariance of the shift, in square pixels."""
    pixels: int
    """Pixels that they have in common."""


def measure_shift(
    first: Floats, second: Floats, expected: tuple[float, float], search: float
) -> PairShift:
    """
    Measure the shift of two images that have a part in common.

    Parameters
    ----------
    first, second : numpy.ndarray, shape (any y, any x), float64
        The images, cut to about what they have in common. Gain and offset may differ.
    expected : tuple of float
        Row and column where the second one's first pixel is expected in the first.
    search : float
        How far from there it may be, in pixels.

    Returns
    -------
    PairShift
        ``quality`` is 0 where one of them is flat or too little is in common.

    Notes
    -----
    Edges (gradients of the smoothed images, as complex numbers [1]_) are compared: they are the
    same at any gain and offset, and nearly independent from pixel to pixel. Their normalised
    cross-correlation r over the n pixels that are in common at a shift [2]_ gives the
    log-likelihood ratio ``-n / 2 log(1 - r**2)`` against unrelated images; its peak is the shift in
    whole pixels, its width the covariance. Unlike the circular phase correlation it keeps its
    meaning where the shift is not small against the strip. Fractions of pixels come from the
    upsampled correlation of the common part [3]_.

    References
    ----------
    .. [1] Argyriou and Vlachos, IEEE Trans. Image Process. 15 (2006) 1747-1755.
    .. [2] Padfield, IEEE Trans. Image Process. 21 (2012) 2706-2718.
    .. [3] Guizar-Sicairos, Thurman and Fienup, Opt. Lett. 33 (2008) 156-158.
    """
    rows, columns = (_around(centre, search) for centre in expected)
    spread = search**2
    nothing = PairShift(*expected, 0.0, 0.0, -np.inf, (spread, spread, 0.0), 0)
    if min(*first.shape, *second.shape) < _LEAST_SIDE:
        return nothing
    first, second = _filled(first), _filled(second)
    if not (first.any() and second.any()):
        return nothing
    common = np.outer(
        _common(first.shape[0], second.shape[0], rows),
        _common(first.shape[1], second.shape[1], columns),
    )
    middle = common[len(rows) // 2, len(columns) // 2]
    common = np.where(common >= max(_LEAST_SIDE**2, _LEAST_SHARE * middle), common, 0)
    if not common.any():
        return nothing
    other = _edges(second)
    correlation = _Correlation(_edges(first), other.shape)
    values = correlation.with_image(other, rows, columns)
    gain = _gain(values, common)
    peak = np.unravel_index(np.argmax(gain), gain.shape)
    if gain[peak] <= 0:
        return nothing
    shift = int(rows[peak[0]]), int(columns[peak[1]])
    chance = _chance(correlation, other, rows, columns, common=common, shift=shift)
    fine = _fraction(first, second, shift)
    return PairShift(
        shift[0] + fine[0],
        shift[1] + fine[1],
        float(min(values[peak], 1.0)),
        float(min(gain[peak] / max(chance, _FLAT), _MOST_RATIO)),
        float(gain[peak] - np.log(np.count_nonzero(common))),
        _covariance(gain, rows - shift[0], columns - shift[1]),
        int(common[peak]),
    )


def _around(centre: float, search: float) -> NDArray[np.int64]:
    return np.arange(np.ceil(centre - search), np.floor(centre + search) + 1).astype(np.int64)


def _filled(image: Floats) -> Floats:
    """Return the image less its mean; what was not measured becomes the mean."""
    known = np.isfinite(image)
    if not known.any():
        return np.zeros_like(image)
    centred = np.where(known, image - image[known].mean(), 0.0)
    spread = np.abs(centred).max()
    scale = max(np.abs(image[known]).max(), np.finfo(np.float64).tiny)
    return centred / spread if spread > _FLAT * scale else np.zeros_like(image)


def _limits(length: int, other: int, shifts: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """First and last-plus-one place that are in common, in the first image, for each shift."""
    start = np.clip(shifts, 0, length)
    stop = np.clip(shifts + other, 0, length)
    return start, np.maximum(stop, start)


def _common(length: int, other: int, shifts: NDArray[np.int64]) -> NDArray[np.int64]:
    start, stop = _limits(length, other, shifts)
    both: NDArray[np.int64] = stop - start
    return np.where(both >= _LEAST_SIDE, both, 0)


class _Correlation:
    """Normalised cross-correlations of edges with those of one image, by shift in pixels."""

    def __init__(self, first: NDArray[np.complex128], other: tuple[int, ...]) -> None:
        from scipy import fft

        self._shape = first.shape
        self._size = tuple(
            fft.next_fast_len(a + b - 1) for a, b in zip(first.shape, other, strict=True)
        )
        self._transform = fft.fft2(first, self._size)
        self._area = _area(np.abs(first) ** 2)

    def with_image(
        self, second: NDArray[np.complex128], rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> Floats:
        from scipy import fft

        product = fft.ifft2(self._transform * fft.fft2(second, self._size).conj())
        # Shifts beyond both images stand for others in the circle; nothing is in common there.
        cross = product.real[np.ix_(rows % self._size[0], columns % self._size[1])]
        top, bottom = _limits(self._shape[0], second.shape[0], rows)
        left, right = _limits(self._shape[1], second.shape[1], columns)
        mine = _in_window(self._area, top, bottom, left, right)
        its = _in_window(
            _area(np.abs(second) ** 2), top - rows, bottom - rows, left - columns, right - columns
        )
        energy = np.sqrt(np.maximum(mine, 0) * np.maximum(its, 0))
        usable = energy > _FLAT * self._area[-1, -1]
        found: Floats = np.where(usable, cross / np.where(usable, energy, 1.0), 0.0)
        return found


def _edges(image: Floats) -> NDArray[np.complex128]:
    from scipy.ndimage import gaussian_filter

    across, along = (
        gaussian_filter(image, _EDGE_SIGMA, order=order, mode="nearest")
        for order in ((0, 1), (1, 0))
    )
    edges: NDArray[np.complex128] = across + 1j * along
    return edges


def _area(values: Floats) -> Floats:
    """Sums of all that lies above and to the left."""
    return np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))


def _in_window(
    area: Floats,
    top: NDArray[np.int64],
    bottom: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
) -> Floats:
    height, width = area.shape
    top, bottom = (np.clip(edge, 0, height - 1) for edge in (top, bottom))
    left, right = (np.clip(edge, 0, width - 1) for edge in (left, right))
    inside: Floats = (
        area[np.ix_(bottom, right)]
        - area[np.ix_(top, right)]
        - area[np.ix_(bottom, left)]
        + area[np.ix_(top, left)]
    )
    return inside


def _gain(values: Floats, common: NDArray[np.int64]) -> Floats:
    """Log-likelihood of what is in common, over that of unrelated images of the same pixels."""
    positive = np.clip(values, 0.0, 1.0 - _FLAT)
    per_pixel = -0.5 / _PIXELS_PER_DRAW * np.log1p(-(positive**2))
    return np.multiply(per_pixel, common, dtype=np.float64)


def _chance(
    correlation: _Correlation,
    other: NDArray[np.complex128],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    *,
    common: NDArray[np.int64],
    shift: tuple[int, int],
) -> float:
    """
    Most evidence that the second image gives when it is turned round along its longer side.

    A wide search can undo the turn and meet the match once more; if it is the true one, that place
    isn't wrong, so it is left out. All others are wrong.
    """
    axis = int(np.argmax(other.shape))
    length = other.shape[axis]
    places = (rows, columns)
    beside = np.abs(places[1 - axis] - shift[1 - axis]) <= _APART
    most = 0.0
    for part in _CONTROLS:
        turn = round(part * length)
        gain = _gain(correlation.with_image(np.roll(other, turn, axis), rows, columns), common)
        for carried in (shift[axis] - turn, shift[axis] - turn + length):
            along = np.abs(places[axis] - carried) <= _APART
            gain[np.ix_(*((beside, along) if axis else (along, beside)))] = 0.0
        most = max(most, float(gain.max()))
    return most


def _covariance(
    gain: Floats, dy: NDArray[np.int64], dx: NDArray[np.int64]
) -> tuple[float, float, float]:
    """Second moments about the peak of the probability that the log-likelihoods give."""
    likelihood = np.exp(gain - gain.max())
    share: Floats = likelihood / float(likelihood.sum())
    across, along = share.sum(axis=0), share.sum(axis=1)
    return (
        float(along @ dy**2 + _FINEST**2),
        float(across @ dx**2 + _FINEST**2),
        float(dy @ share @ dx),
    )


def _fraction(first: Floats, second: Floats, shift: tuple[int, int]) -> tuple[float, float]:
    """Return what is to be added to a shift of whole pixels."""
    from skimage.registration import phase_cross_correlation

    (top, bottom), (left, right) = (
        (int(edge) for edge in _limits(a, b, np.array(place)))
        for a, b, place in zip(first.shape, second.shape, shift, strict=True)
    )
    one = first[top:bottom, left:right]
    other = second[top - shift[0] : bottom - shift[0], left - shift[1] : right - shift[1]]
    window = np.outer(np.hanning(bottom - top + 2)[1:-1], np.hanning(right - left + 2)[1:-1])
    fine, _, _ = phase_cross_correlation(
        (one - one.mean()) * window,
        (other - other.mean()) * window,
        upsample_factor=_UPSAMPLING,
        normalization=None,
    )
    if np.abs(fine).max() > _MOST_REFINED:
        return 0.0, 0.0
    return float(fine[0]), float(fine[1])
