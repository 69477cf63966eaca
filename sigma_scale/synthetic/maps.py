"""Maps of any size with known phases."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sigma_scale.errors import EmptyMapError, ParameterError
from sigma_scale.spectra import EnergyAxis, MapMetadata, SpectrumImage
from sigma_scale.synthetic.expected import analytical_lines, expected_spectra
from sigma_scale.synthetic.minerals import DEFAULT_MINERALS, ZIRCON, Mineral
from sigma_scale.synthetic.source import Grains, SyntheticSource, lazy_image
from sigma_scale.xray import atomic_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["GREY_NOISE", "GREY_PER_Z", "SyntheticMap", "synthetic_map"]

_BLOCK_PIXELS = 128
_RARE_RADIUS = 6.0
_MOST_RARE = 0.5
_MOST_COUNTS = 60_000.0
_MOST_CHANNELS = 65_535
GREY_PER_Z = 1000.0
GREY_NOISE = 800.0
_OFFSET_WITH_ZERO_PEAK_KEV = -0.2
_LIVE_TIME_PER_PIXEL_S = 1e-3


@dataclass(frozen=True, eq=False)
class SyntheticMap:
    """
    A map and the truth behind it.

    Attributes
    ----------
    image : SpectrumImage, shape (y, x, energy)
        Counts, with the backscattered-electron image as ``images["navigation"]``.
    labels : xarray.DataArray, shape (y, x), int32, lazy
        True phase of each pixel, an index into ``phases``.
    phases : tuple of str
        Names of the phases; the rare one, if any, is the last.
    spectra : xarray.DataArray, shape (phase, energy), float64
        Expected counts per pixel of each phase.
    minerals : tuple of Mineral
        Compositions of the phases.
    """

    image: SpectrumImage
    labels: xr.DataArray
    phases: tuple[str, ...]
    spectra: xr.DataArray
    minerals: tuple[Mineral, ...]


def synthetic_map(
    shape: tuple[int, int] = (1024, 1024),
    *,
    channels: int = 1024,
    scale_kev: float = 0.01,
    offset_kev: float | None = None,
    counts_per_pixel: float = 60.0,
    grain_size: float = 40.0,
    rare_share: float = 0.0005,
    zero_peak: bool = False,
    minerals: Sequence[Mineral] = DEFAULT_MINERALS,
    rare_mineral: Mineral = ZIRCON,
    beam_energy_kev: float = 20.0,
    resolution_mn_ka_ev: float = 130.0,
    continuum_share: float = 0.4,
    pixel_size_um: float = 1.0,
    seed: int = 0,
) -> SyntheticMap:
    """
    Describe a map of mineral grains whose blocks are drawn when they are read.

    A pixel's phase, counts and grey level depend only on the parameters, the seed and the pixel's
    place. So nothing is held in memory, blocks can be read in any order from any thread or
    process, and a larger map begins with the smaller one.

    Parameters
    ----------
    shape : tuple of int, default: (1024, 1024)
        Rows and columns.
    channels : int, default: 1024
        Number of energy channels, at least 2.
    scale_kev : float, default: 0.01
        Width of a channel in keV.
    offset_kev : float, optional
        Energy at the centre of channel 0 in keV; 0 if not given, -0.2 with ``zero_peak``.
    counts_per_pixel : float, default: 60.0
        Expected counts of a pixel, averaged over ``minerals`` in equal shares. Minerals of higher
        mean atomic number have somewhat more.
    grain_size : float, default: 40.0
        Mean distance of the grains' centres in pixels.
    rare_share : float, default: 0.0005
        Expected share of the area that inclusions of ``rare_mineral`` cover, 0 to 0.5; 0 leaves the
        phase out. Inclusions are discs of 6 pixels radius, one in each square whose side makes
        the share right (476 pixels by default): a smaller map may hold none.
    zero_peak : bool, default: False
        Give a quarter of the counts to a peak at 0 keV, as some detectors do.
    minerals : sequence of Mineral, default: ten minerals of common rocks
        Phases that fill the grains with equal probability.
    rare_mineral : Mineral, default: zircon
        Phase of the inclusions.
    beam_energy_kev : float, default: 20.0
        Energy of the electrons in keV.
    resolution_mn_ka_ev : float, default: 130.0
        Detector resolution (FWHM) at Mn Ka in eV.
    continuum_share : float, default: 0.4
        Share of continuum in the counts (without the zero peak).
    pixel_size_um : float, default: 1.0
        Side of a pixel in micrometres.
    seed : int, default: 0
        Seed of everything random, 0 or more.

    Returns
    -------
    SyntheticMap
        The map, its true labels and expected spectra.

    Raises
    ------
    EmptyMapError
        If the map has no rows or columns.
    ParameterError
        If a parameter cannot work.
    UnknownLineError
        If a mineral holds an element that is not in the X-ray table.

    Notes
    -----
    Peaks are Gaussian with the detector's width, counts are Poisson. Line intensities are of the
    right order (see :mod:`sigma_scale.synthetic.expected`) but no substitute for a physical
    simulation. The grey level of the image is proportional to the mean atomic number, with
    Gaussian noise.
    """
    rows, columns = _checked_shape(shape)
    if offset_kev is None:
        offset_kev = _OFFSET_WITH_ZERO_PEAK_KEV if zero_peak else 0.0
    for name, value, low, high in (
        ("channels", channels, 2, _MOST_CHANNELS),
        ("counts_per_pixel", counts_per_pixel, 1e-3, _MOST_COUNTS),
        ("grain_size", grain_size, 1.0, 1e6),
        ("rare_share", rare_share, 0.0, _MOST_RARE),
        ("continuum_share", continuum_share, 0.0, 1.0),
        ("beam_energy_kev", beam_energy_kev, 0.5, 1000.0),
        ("pixel_size_um", pixel_size_um, 1e-6, 1e6),
        ("seed", seed, 0, 2**63 - 1),
    ):
        if not low <= value <= high:
            raise ParameterError(f"{name} must lie between {low:g} and {high:g}; got {value}.")
    present = (*minerals, rare_mineral) if rare_share > 0 else tuple(minerals)
    names = tuple(mineral.name for mineral in present)
    if not minerals or len(set(names)) < len(names):
        raise ParameterError(
            "A synthetic map needs at least one mineral, and each its own name; "
            f"got {', '.join(names) or 'none'}."
        )
    axis = EnergyAxis(size=channels, scale_kev=scale_kev, offset_kev=offset_kev)
    if axis.high <= 0 or axis.low >= beam_energy_kev:
        raise ParameterError(
            f"The energy axis ({axis.low:g} to {axis.high:g} keV) holds no X-rays of a beam of "
            f"{beam_energy_kev:g} keV."
        )
    expected = expected_spectra(
        present,
        axis.values,
        counts_per_pixel=counts_per_pixel,
        reference=len(minerals),
        beam_energy_kev=beam_energy_kev,
        resolution_mn_ka_ev=resolution_mn_ka_ev,
        continuum_share=continuum_share,
        zero_peak=zero_peak,
    )
    spacing = _RARE_RADIUS * math.sqrt(math.pi / rare_share) if rare_share > 0 else 0.0
    grains = Grains(int(seed), len(minerals), float(grain_size), spacing, _RARE_RADIUS)
    source = SyntheticSource.from_spectra(
        (rows, columns), grains, expected, (_BLOCK_PIXELS, _BLOCK_PIXELS)
    )
    return _assemble(
        source,
        grains,
        axis,
        expected,
        present,
        pixel_size_um=pixel_size_um,
        beam_energy_kev=beam_energy_kev,
        resolution_mn_ka_ev=resolution_mn_ka_ev,
    )


def _checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    if len(shape) != 2:  # noqa: PLR2004
        raise ParameterError(f"shape must be (rows, columns); got {shape}.")
    rows, columns = (int(size) for size in shape)
    if rows < 1 or columns < 1:
        raise EmptyMapError(f"A synthetic map needs rows and columns; got shape {shape}.")
    return rows, columns


def _assemble(
    source: SyntheticSource,
    grains: Grains,
    axis: EnergyAxis,
    expected: NDArray[np.float64],
    minerals: tuple[Mineral, ...],
    *,
    pixel_size_um: float,
    beam_energy_kev: float,
    resolution_mn_ka_ev: float,
) -> SyntheticMap:
    """Put labels, image and metadata around the source of counts."""
    import xarray as xr

    shape = source.shape[:2]
    names = tuple(mineral.name for mineral in minerals)
    level = GREY_PER_Z * np.array([mineral.mean_atomic_number for mineral in minerals])
    elements = {symbol for mineral in minerals for symbol in mineral.atoms}
    metadata = MapMetadata(
        title="synthetic minerals",
        instrument="SEM",
        beam_energy_kev=beam_energy_kev,
        resolution_mn_ka_ev=resolution_mn_ka_ev,
        live_time_s=_LIVE_TIME_PER_PIXEL_S * shape[0] * shape[1],
        elevation_deg=35.0,
        elements=tuple(sorted(elements, key=atomic_number)),
        lines=analytical_lines(minerals, axis.values, beam_energy_kev),
    )
    coords = {
        name: (name, np.arange(size) * pixel_size_um, {"units": "µm"})
        for name, size in zip(("y", "x"), shape, strict=True)
    }

    navigation = xr.DataArray(
        lazy_image(partial(grains.image, level=level, noise=GREY_NOISE), shape, np.uint16),
        dims=("y", "x"),
        coords=coords,
        name="navigation",
        attrs={"long_name": "backscattered electrons"},
    )
    labels = xr.DataArray(
        lazy_image(grains.labels, shape, np.int32),
        dims=("y", "x"),
        coords=coords,
        name="labels",
        attrs={"phases": list(names)},
    )
    image = SpectrumImage(
        source=source,
        energy=axis,
        pixel_size=(pixel_size_um, pixel_size_um),
        pixel_unit="µm",
        metadata=metadata,
        images={"navigation": navigation},
    )
    spectra = xr.DataArray(
        expected,
        dims=("phase", "energy"),
        coords={"phase": list(names), "energy": ("energy", axis.values, {"units": "keV"})},
        name="spectra",
        attrs={"units": "counts"},
    )
    return SyntheticMap(image, labels, names, spectra, minerals)
