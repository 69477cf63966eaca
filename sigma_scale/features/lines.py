"""Intensities of X-ray lines, from one pass over the counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sigma_scale import xray
from sigma_scale.engines import choose_engine
from sigma_scale.errors import EnergyRangeError, ParameterError
from sigma_scale.spectra.window_sums import load_window_sums, window_sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.spectra import SpectrumImage
    from sigma_scale.spectra.axis import EnergyAxis

__all__ = ["channels_of_lines", "check_lines", "feature_pass", "line_channels", "line_intensity"]


def line_channels(
    image: SpectrumImage, lines: Sequence[str], *, window_width: float = 2.0
) -> list[range]:
    """
    Channels of the energy window around each X-ray line.

    Parameters
    ----------
    image : SpectrumImage
        Its energy axis and detector resolution are used.
    lines : sequence of str
        X-ray lines such as ``"Fe_Ka"``.
    window_width : float, default: 2.0
        Full width of each window in units of the line's FWHM.

    Returns
    -------
    list of range
        One per line, in their order.

    Raises
    ------
    UnknownLineError
        If a line is not in the table.
    EnergyRangeError
        If a window lies outside the measured energies, or was removed with the first peak.
    ParameterError
        If there are no lines, or one is listed twice.
    """
    return channels_of_lines(
        lines,
        image.energy,
        resolution_mn_ka_ev=image.metadata.resolution_mn_ka_ev,
        window_width=window_width,
        first_channel=image.processing.zeroed_below,
    )


def check_lines(lines: Sequence[str]) -> None:
    """
    Refuse a list of X-ray lines that fits no map.

    Parameters
    ----------
    lines : sequence of str
        X-ray lines such as ``"Fe_Ka"``.

    Raises
    ------
    UnknownLineError
        If a line is not in the table.
    ParameterError
        If there are no lines, or one is listed twice.
    """
    if isinstance(lines, str):
        raise ParameterError(f"Lines must be a list of names, such as [{lines!r}].")
    if len(lines) == 0:
        raise ParameterError("There are no X-ray lines. Name some, such as ['O_Ka', 'Si_Ka'].")
    twice = sorted({line for line in lines if list(lines).count(line) > 1})
    if twice:
        raise ParameterError(f"Each X-ray line can be listed only once; twice: {', '.join(twice)}.")
    for line in lines:
        xray.line(line)


def channels_of_lines(
    lines: Sequence[str],
    axis: EnergyAxis,
    *,
    resolution_mn_ka_ev: float,
    window_width: float = 2.0,
    first_channel: int = 0,
) -> list[range]:
    """
    Channels of the energy window around each X-ray line on an energy axis.

    Parameters
    ----------
    lines : sequence of str
        X-ray lines such as ``"Fe_Ka"``.
    axis : EnergyAxis
        Energies of the channels.
    resolution_mn_ka_ev : float
        FWHM of the Mn Ka peak in eV.
    window_width : float, default: 2.0
        Full width of each window in units of the line's FWHM.
    first_channel : int, default: 0
        Channels below it were removed.

    Returns
    -------
    list of range
        One per line, in their order.

    Raises
    ------
    UnknownLineError, EnergyRangeError, ParameterError
        See :func:`line_channels`.
    """
    check_lines(lines)
    windows = []
    for line in lines:
        low, high = xray.window_kev(
            line, resolution_mn_ka_ev=resolution_mn_ka_ev, window_width=window_width
        )
        channels = axis.window_channels(low, high, name=line)
        if channels.stop <= first_channel:
            raise EnergyRangeError(
                f"The window of {line} ({low:.3f} to {high:.3f} keV) lies below the energies that "
                "were kept. Leave the line out, or remove less of the first peak."
            )
        windows.append(range(max(channels.start, first_channel), channels.stop))
    return windows


def feature_pass(
    image: SpectrumImage,
    lines: Sequence[str],
    *,
    window_width: float = 2.0,
    lazy: bool = True,
    engine: str = "cpu",
) -> xr.Dataset:
    """
    Sum line windows, all channels and all pixels in one pass over the counts.

    Parameters
    ----------
    image : SpectrumImage, shape (y, x, energy)
        X-ray counts, seen through its processing.
    lines : sequence of str
        X-ray lines such as ``"Fe_Ka"``.
    window_width : float, default: 2.0
        Full width of each window in units of the line's FWHM.
    lazy : bool, default: True
        False: compute at once, which is quicker and takes less memory than computing later.
    engine : {"cpu", "gpu", "auto"}, default: "cpu"
        Where the sums are made. The processor unpacks the counts in any case, and adds them up
        in little more time than that, so a GPU has to be asked for here.

    Returns
    -------
    xarray.Dataset
        ``line_intensity`` (y, x, line): gross counts, background included, uint32 (uint64
        where that could overflow), or float32 shares of the total if the image is normalised.
        ``total`` (y, x): counts that each spectrum holds, or was divided by. ``sum_spectrum``
        (energy), uint64: counts of all pixels of the map.

    Raises
    ------
    UnknownLineError, EnergyRangeError, ParameterError
        See :func:`line_channels`.
    EngineUnavailableError
        If a GPU is asked for and can't be used.
    """
    import xarray as xr

    engine = choose_engine(engine, what="The feature pass")

    steps = image.processing
    windows = line_channels(image, lines, window_width=window_width)
    n_channels = image.shape[2]
    work = (image.source, [*windows, range(steps.counted_from, n_channels)], steps.bin_factors)
    sums: Any
    spectrum: Any
    if lazy:
        sums, spectrum = window_sums(*work, engine=engine)
    else:
        sums, spectrum = load_window_sums(*work, engine=engine, description="Feature pass")
    intensities, total = sums[:, :, :-1], sums[:, :, -1]
    if steps.normalised:
        intensities = _shares(sums)
    coordinates = image.coordinates()
    recipe = {
        "function": "line_intensity",
        "lines": list(lines),
        "window_width_fwhm": window_width,
        "resolution_mn_ka_ev": image.metadata.resolution_mn_ka_ev,
        **steps.recipe(),
    }
    units = {"units": "share" if steps.normalised else "counts"}
    kept = np.arange(n_channels) >= steps.zeroed_below
    return xr.Dataset(
        {
            "line_intensity": (("y", "x", "line"), intensities, {**units, "recipe": recipe}),
            "total": (("y", "x"), total, {"units": "counts"}),
            "sum_spectrum": (("energy",), spectrum * kept, {"units": "counts"}),
        },
        coords={**coordinates, "line": list(lines)},
    )


def _shares(sums: Any) -> Any:
    """Shares of the total, lazy where the sums are."""
    if isinstance(sums, np.ndarray):
        return _divide_by_last(sums)
    import dask.array as da

    chunks = (*sums.chunks[:2], (sums.shape[2] - 1,))
    meta = np.empty((0, 0, 0), np.float32)
    return da.map_blocks(_divide_by_last, sums, chunks=chunks, dtype=np.float32, meta=meta)


def _divide_by_last(sums: NDArray[Any]) -> NDArray[np.float32]:
    """Divide sums by the last of them, their total; nothing counted gives zeros."""
    total = sums[:, :, -1:]
    shares = np.zeros((*sums.shape[:2], sums.shape[2] - 1), dtype=np.float32)
    # Divided in float64 and rounded once; NumPy does so piece by piece, without a wide copy.
    np.divide(sums[:, :, :-1], total, out=shares, where=total > 0, casting="same_kind")
    return shares


def line_intensity(
    image: SpectrumImage, lines: Sequence[str], *, window_width: float = 2.0
) -> xr.DataArray:
    """
    Sum the counts in an energy window around each X-ray line.

    Parameters
    ----------
    image : SpectrumImage, shape (y, x, energy)
        X-ray counts, seen through its processing.
    lines : sequence of str
        X-ray lines such as ``"Fe_Ka"``.
    window_width : float, default: 2.0
        Full width of each window in units of the line's FWHM.

    Returns
    -------
    xarray.DataArray, shape (y, x, line)
        Lazy. Gross counts (background included), uint32 or uint64, or float32 shares of the
        total if the image is normalised.

    Raises
    ------
    UnknownLineError
        If a line is not in the table.
    EnergyRangeError
        If a window lies outside the measured energies.
    ParameterError
        If there are no lines, or one is listed twice.

    Notes
    -----
    Channel limits follow HyperSpy's rounding, so that the sums equal eXSpy's
    ``get_lines_intensity`` on an eager signal. The FWHM follows Fiori and Newbury; see
    :func:`sigma_scale.xray.fwhm_kev`.
    """
    return feature_pass(image, lines, window_width=window_width)["line_intensity"]
