"""One picture of a tile's phases, from its counts alone and the same for all tiles."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from sigma_scale import compute
from sigma_scale.spectra import Scratch
from sigma_scale.spectra.passes import blocks_of_region
from sigma_scale.spectra.window_sums import ChannelGroups, region_window_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sigma_scale.mosaic.tile import Tile
    from sigma_scale.spectra import EnergyAxis, SpectrumImage

    Floats = NDArray[np.float64]

__all__ = ["Contrast", "ImageChoice", "choose_contrast", "shared_image"]

_BIN_KEV = 0.04
"""Width of energy bins: about a third of a peak."""
_LOW_KEV, _HIGH_KEV = 0.1, 12.0
"""Energies looked at; below is noise of the detector, above hardly a count."""
_SIDE = 128
"""Rows and columns of the parts of tiles that the contrast is chosen by."""
_TOGETHER = 4
"""Rows and columns of pixels that are one spectrum there."""
_PARTS = 16
_LEAST_SHARE = 1e-4
"""Of all counts, that bins have; others are hardly more than noise."""
_LEAST_BINS = 8
"""With counts, below which there is no spectrum to speak of, as in maps without an energy axis."""


@dataclass(frozen=True, eq=False)
class Contrast:
    """
    What a count of each energy adds to the brightness of its pixel.

    Parameters
    ----------
    weights : numpy.ndarray, shape (bin,), float64
        Of bins of 40 eV from 0.1 keV on; no count elsewhere adds anything.
    """

    weights: Floats

    def picture(self, image: SpectrumImage) -> NDArray[np.float32]:
        """
        Mean weight of each pixel's counts, drawn towards the map's mean where they are few.

        Parameters
        ----------
        image : SpectrumImage
            The map, of which a block at a time is held.

        Returns
        -------
        numpy.ndarray, shape (y, x), float32
            0 everywhere if there are no counts.
        """
        rows, columns, _ = image.source.shape
        of_channel = self._of_channels(image.energy)
        both = np.stack([of_channel, of_channel != 0], axis=1)
        weighted, counts = np.zeros((2, rows, columns), dtype=np.float32)
        for block, (y, x), _ in blocks_of_region(image.source, (0, rows, 0, columns), Scratch()):
            height, width = block.shape[:2]
            sums = (block.to_csr() @ both).reshape(height, width, 2)
            weighted[y : y + height, x : x + width] = sums[..., 0]
            counts[y : y + height, x : x + width] = sums[..., 1]
        usual = counts.mean(dtype=np.float64)
        if usual > 0:
            weighted += weighted.mean(dtype=np.float64)
            counts += usual
            weighted /= counts
        return weighted

    def _of_channels(self, energy: EnergyAxis) -> Floats:
        number = np.floor((energy.values - _LOW_KEV) / _BIN_KEV).astype(np.int64)
        known = (number >= 0) & (number < len(self.weights))
        return np.where(known, self.weights[np.where(known, number, 0)], 0.0)


ImageChoice: TypeAlias = "str | Contrast"
"""What tiles are compared by: the name of an image or line, or a contrast."""


def shared_image(tiles: Sequence[Tile], image: ImageChoice = "auto") -> ImageChoice:
    """
    Choose what all tiles are compared by.

    Parameters
    ----------
    tiles : sequence of Tile
        The tiles; up to sixteen are looked at.
    image : str or Contrast, default: "auto"
        What was asked for.

    Returns
    -------
    str or Contrast
        As it was asked for; for ``"auto"`` a contrast, if a tile that was looked at has no
        navigation image.

    Raises
    ------
    SigmaScaleError
        If a tile can't be read.
    """
    if image != "auto":
        return image
    some = _some(tiles)
    if all(tile.has_navigation() for tile in some):
        return image
    return choose_contrast(some)


def choose_contrast(tiles: Sequence[Tile]) -> ImageChoice:
    """
    Find the energies by whose counts the spectra of some tiles differ most.

    Parameters
    ----------
    tiles : sequence of Tile
        The tiles; the same ones in the same order give the same contrast.

    Returns
    -------
    Contrast or "total"
        First principal component of the spectra of some parts of the tiles, four by four pixels
        together, as shares of their counts and in units of their Poisson noise. ``"total"`` if
        there are no spectra to compare between 0.1 and 12 keV.

    Raises
    ------
    SigmaScaleError
        If a tile can't be read.
    """
    some = _some(tiles)
    each = -(-_PARTS // len(some))
    jobs = [(number, tile, each) for number, tile in enumerate(some)]
    found = dict(compute.stream(_spectra, jobs, description="Choosing a contrast"))
    spectra = np.concatenate([found[number] for number in range(len(some))])
    total = spectra.sum()
    share = spectra.sum(axis=0) / max(total, 1.0)
    used = share > _LEAST_SHARE
    if np.count_nonzero(used) < _LEAST_BINS:
        return "total"
    counts = spectra.sum(axis=1, keepdims=True)
    noise = np.sqrt(share[used])
    scaled = (spectra[:, used] - counts * share[used]) / (np.sqrt(np.maximum(counts, 1)) * noise)
    _, vectors = np.linalg.eigh(scaled.T @ scaled)
    weights = np.zeros(len(share))
    weights[used] = vectors[:, -1] / noise
    return Contrast(weights)


def _some(tiles: Sequence[Tile]) -> list[Tile]:
    """At most sixteen tiles from all over the layout."""
    places = np.unique(np.linspace(0, len(tiles) - 1, min(_PARTS, len(tiles))).round().astype(int))
    return [tiles[place] for place in places.tolist()]


def _spectra(job: tuple[int, Tile, int]) -> tuple[int, Floats]:
    """Spectra of some parts along a tile's diagonal, in bins of energy: (spectrum, bin)."""
    number, tile, parts = job
    image = tile.read()
    centres = image.energy.values
    n_bins = round((_HIGH_KEV - _LOW_KEV) / _BIN_KEV)
    edges = _LOW_KEV + _BIN_KEV * np.arange(n_bins + 1)
    starts = np.searchsorted(centres, edges).tolist()
    windows = [range(*ends) for ends in pairwise(starts)]
    groups = ChannelGroups.from_windows(windows, image.source.shape[2])
    limits = []
    for part in range(parts):
        at = (part + 0.5) / parts
        corner = [int(at * max(n - _SIDE, 0)) // _TOGETHER * _TOGETHER for n in image.shape[:2]]
        ends = [min(n, start + _SIDE) for n, start in zip(image.shape[:2], corner, strict=True)]
        limits.append((corner[0], ends[0], corner[1], ends[1]))
    found = [
        region_window_sums(image.source, limit, (_TOGETHER, _TOGETHER), groups).sums
        for limit in dict.fromkeys(limits)
    ]
    return number, np.concatenate([sums.reshape(-1, n_bins) for sums in found]).astype(np.float64)
