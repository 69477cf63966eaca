"""
Net intensities of X-ray lines: what is left of a line's window above a linear background.

The background under a line is that of a window on either side of it, as eXSpy's
``get_lines_intensity(background_windows="auto")`` takes it.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale.engines import choose_engine
from sigma_scale.errors import ParameterError, SigmaScaleWarning
from sigma_scale.features.lines import channels_of_lines
from sigma_scale.spectra.window_sums import load_window_sums, window_sums
from sigma_scale.xray import DEFAULT_RESOLUTION_MN_KA_EV, fwhm_kev, line_energy

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.spectra.axis import EnergyAxis

__all__ = ["LineWindows", "background_windows", "line_windows", "net_line_intensity"]


@dataclass(frozen=True, slots=True)
class LineWindows:
    """
    Channels of a line and of its background.

    Parameters
    ----------
    line : str
        Name of the line.
    window : range
        Channels of the line.
    left, right : range
        Channels of the background windows; empty where they lie beyond the energy axis.
    """

    line: str
    window: range
    left: range
    right: range

    @property
    def scale(self) -> float:
        """Channels of the line per channel of background; NaN where there is none."""
        beside = len(self.left) + len(self.right)
        return len(self.window) / beside if beside else math.nan


def background_windows(
    lines: Sequence[str],
    *,
    resolution_mn_ka_ev: float = DEFAULT_RESOLUTION_MN_KA_EV,
    distance: tuple[float, float] = (2.0, 2.0),
    width: float = 1.0,
) -> NDArray[np.float64]:
    """
    Calculate two windows beside each X-ray line that hold background only.

    Parameters
    ----------
    lines : sequence of str
        X-ray lines such as ``"Fe_Ka"``.
    resolution_mn_ka_ev : float, default: 130.0
        FWHM of the Mn Ka peak in eV.
    distance : tuple of float, default: (2.0, 2.0)
        How far the left and the right window begin from the line, in units of its FWHM.
    width : float, default: 1.0
        Width of each window in units of the FWHM.

    Returns
    -------
    numpy.ndarray, shape (line, 4), float64
        Limits in keV of the left and of the right window.

    Raises
    ------
    UnknownLineError
        If a line is not in the table.
    ParameterError
        If the distances are no pair, one is negative, or the width is not positive.

    Notes
    -----
    As eXSpy's ``estimate_background_windows``. Where the windows of neighbouring lines overlap,
    both lines take the left window of the lower and the right window of the upper one, so the
    windows of a line depend on the other lines that are named.
    """
    if np.shape(distance) != (2,):
        raise ParameterError(
            f"The distance of background windows is a pair, left and right, got {distance!r}."
        )
    if not (min(distance) >= 0 and width > 0 and math.isfinite(sum(distance) + width)):
        raise ParameterError(
            "Background windows need distances of 0 or more and a positive width, in units of the "
            f"FWHM; got distance={distance}, width={width}."
        )
    left, right = distance
    steps = np.array([-left - width, -left, right, right + width])
    windows = np.empty((len(lines), 4))
    for row, name in enumerate(lines):
        energy = line_energy(name)
        windows[row] = energy + steps * fwhm_kev(energy, resolution_mn_ka_ev=resolution_mn_ka_ev)
    order = np.argsort(windows[:, 0])
    for lower, upper in pairwise(order):
        if windows[lower, 2] > windows[upper, 0]:
            merged = np.concatenate([windows[lower, :2], windows[upper, 2:]])
            windows[lower] = merged
            windows[upper] = merged
    return windows


def line_windows(
    lines: Sequence[str],
    axis: EnergyAxis,
    *,
    resolution_mn_ka_ev: float,
    window_width: float = 2.0,
    distance: tuple[float, float] = (2.0, 2.0),
    background_width: float = 1.0,
    first_channel: int = 0,
) -> list[LineWindows]:
    """
    Channels of lines and of the background windows beside them.

    Parameters
    ----------
    lines : sequence of str
        X-ray lines such as ``"Fe_Ka"``.
    axis : EnergyAxis
        Energies of the channels.
    resolution_mn_ka_ev : float
        FWHM of the Mn Ka peak in eV.
    window_width : float, default: 2.0
        Full width of each line's window in units of its FWHM.
    distance, background_width
        See :func:`background_windows`.
    first_channel : int, default: 0
        Channels below it were removed.

    Returns
    -------
    list of LineWindows
        One per line, in their order.

    Raises
    ------
    UnknownLineError
        If a line is not in the table.
    EnergyRangeError
        If a line's window lies outside the measured energies.
    ParameterError
        If there are no lines, or one is listed twice.

    Warns
    -----
    SigmaScaleWarning
        If both background windows of a line lie outside the measured energies.

    Notes
    -----
    A background window beyond the end of the axis is left out, where eXSpy stops; one narrower
    than a channel is the channel that it lies in, and counts as one, where eXSpy counts it as
    none.
    """
    windows = channels_of_lines(
        lines,
        axis,
        resolution_mn_ka_ev=resolution_mn_ka_ev,
        window_width=window_width,
        first_channel=first_channel,
    )
    sides = background_windows(
        lines, resolution_mn_ka_ev=resolution_mn_ka_ev, distance=distance, width=background_width
    )
    found = [
        LineWindows(
            name,
            window,
            _side(axis, limits[0], limits[1], first_channel),
            _side(axis, limits[2], limits[3], first_channel),
        )
        for name, window, limits in zip(lines, windows, sides.tolist(), strict=True)
    ]
    bare = [item.line for item in found if math.isnan(item.scale)]
    if bare:
        warnings.warn(
            f"No background is measured beside {', '.join(bare)}: both windows lie outside the "
            f"energies ({axis.low:.3f} to {axis.high:.3f} keV), so the net counts are NaN.",
            SigmaScaleWarning,
            stacklevel=3,
        )
    return found


def _side(axis: EnergyAxis, low: float, high: float, first_channel: int) -> range:
    """Channels of a background window, as far as they were measured."""
    start, stop = axis.channel(low), axis.channel(high)
    stop = max(stop, start + 1)  # narrower than a channel: the one it lies in
    return range(max(start, first_channel), max(min(stop, axis.size), first_channel, start))


def net_line_intensity(
    image: SpectrumImage,
    lines: Sequence[str],
    *,
    window_width: float = 2.0,
    distance: tuple[float, float] = (2.0, 2.0),
    background_width: float = 1.0,
    lazy: bool = True,
    engine: str = "cpu",
) -> xr.Dataset:
    """
    Sum each X-ray line and its background in one pass over the counts.

    Parameters
    ----------
    image : SpectrumImage, shape (y, x, energy)
        X-ray counts, seen through its processing.
    lines : sequence of str
        X-ray lines such as ``"Fe_Ka"``.
    window_width : float, default: 2.0
        Full width of each line's window in units of its FWHM.
    distance : tuple of float, default: (2.0, 2.0)
        How far the left and right background window begin from the line, in FWHM.
    background_width : float, default: 1.0
        Width of each background window in FWHM.
    lazy : bool, default: True
        False: make the sums at once; what follows from them stays cheap.
    engine : {"cpu", "gpu", "auto"}, default: "cpu"
        Where the sums are made.

    Returns
    -------
    xarray.Dataset, over (y, x, line)
        float64: ``gross``, counts in the window; ``background``, those expected of it without
        the line; ``net``, their difference, which may be negative; ``net_error``, its standard
        error. All lazy, from one set of sums, or shares of the total if the image is
        normalised.

    Raises
    ------
    UnknownLineError
        If a line is not in the table.
    EnergyRangeError
        If a line's window lies outside the measured energies.
    ParameterError
        If there are no lines, or one is listed twice.
    EngineUnavailableError
        If a GPU is asked for and can't be used.

    Warns
    -----
    SigmaScaleWarning
        If no background can be measured beside a line; its net counts are NaN.

    Notes
    -----
    With G counts in the window of n channels and S in the m channels of both side windows,
    net = G - S n / m, as eXSpy's, and error**2 = G + S (n / m)**2 after Poisson's law. A pixel
    without counts has the error 0: there the law's estimate knows no better, so take errors
    from sums over phases where counts are few. For shares, the total is taken as exact.
    """
    import dask.array as da
    import xarray as xr

    engine = choose_engine(engine, what="The pass over lines and backgrounds")
    steps = image.processing
    found = line_windows(
        lines,
        image.energy,
        resolution_mn_ka_ev=image.metadata.resolution_mn_ka_ev,
        window_width=window_width,
        distance=distance,
        background_width=background_width,
        first_channel=steps.zeroed_below,
    )
    ranges = [part for item in found for part in (item.window, item.left, item.right)]
    total_from = steps.counted_from
    work = (image.source, [*ranges, range(total_from, image.shape[2])], steps.bin_factors)
    if lazy:
        sums, _ = window_sums(*work, engine=engine)
    else:
        loaded, _ = load_window_sums(*work, engine=engine, description="Lines and backgrounds")
        sums = da.from_array(loaded, chunks=(512, 512, -1))
    scales = np.array([item.scale for item in found])
    recipe = {
        "function": "net_line_intensity",
        "lines": list(lines),
        "window_width_fwhm": window_width,
        "background_distance_fwhm": list(distance),
        "background_width_fwhm": background_width,
        "resolution_mn_ka_ev": image.metadata.resolution_mn_ka_ev,
        **steps.recipe(),
    }
    attrs = {"units": "share" if steps.normalised else "counts"}
    parts = {
        name: (
            ("y", "x", "line"),
            da.map_blocks(
                _part_of_sums,
                sums,
                name,
                scales,
                normalised=steps.normalised,
                chunks=(*sums.chunks[:2], (len(found),)),
                dtype=np.float64,
                meta=np.empty((0, 0, 0)),
            ),
            attrs,
        )
        for name in ("gross", "background", "net", "net_error")
    }
    coordinates = image.coordinates()
    return xr.Dataset(
        parts,
        coords={"y": coordinates["y"], "x": coordinates["x"], "line": list(lines)},
        attrs={"recipe": recipe, "instrument": image.metadata.instrument, **attrs},
    )


def _part_of_sums(
    sums: NDArray[Any], part: str, scales: NDArray[np.float64], *, normalised: bool
) -> NDArray[np.float64]:
    """Calculate one variable of :func:`net_line_intensity` from the sums of the windows."""
    gross = sums[:, :, 0:-1:3].astype(np.float64)
    beside = sums[:, :, 1:-1:3].astype(np.float64)
    beside += sums[:, :, 2::3]
    if part == "gross":
        values = gross
    elif part == "background":
        values = beside * scales
    elif part == "net":
        values = gross - beside * scales
    else:
        values = np.asarray(np.sqrt(gross + beside * scales**2))
    if not normalised:
        return values
    total = sums[:, :, -1:]
    shares = np.zeros_like(values)
    np.divide(values, total, out=shares, where=total > 0)
    return shares
