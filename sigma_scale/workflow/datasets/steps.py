"""What was asked of a dataset: its state as plain values, and what these make of a map."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sigma_scale import preprocess
from sigma_scale.errors import SigmaScaleWarning
from sigma_scale.features.pca import check_components
from sigma_scale.workflow.datasets.cropped import crop
from sigma_scale.workflow.norm import step_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sigma_scale.calibration import Calibration
    from sigma_scale.spectra import EnergyAxis, SpectrumImage
    from sigma_scale.workflow.norm import Step

__all__ = ["UNITS", "Steps", "check", "energy_axis", "raw_view", "recipe", "view"]

UNITS = {"keV": 1.0, "eV": 1e-3}
"""Units that an energy axis can be given in, in keV."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """
    State of a dataset: what it shows is worked out from this and the raw map alone.

    So steps can be called in any order and again; the last call of each counts. Only the order of
    the first calls of the normalisation and the removal of the first peak means something.

    Parameters
    ----------
    features : tuple of str
        Feature list, without the navigation image.
    lines : tuple of str, optional
        X-ray lines in place of those that the file names.
    axis : EnergyAxis, optional
        Energy axis to start from; None: the file's.
    scale, offset : float, optional
        Width of a channel and energy of channel 0 in place of the axis' own, in ``unit``.
    unit : str
        Unit of ``scale`` and ``offset``.
    calibration : Calibration, optional
        Correction of the axis.
    extent : tuple of int, optional
        Rows and columns to keep.
    bin_size : tuple of int, optional
        Columns and rows of a bin.
    n_components : int, optional
        Principal components to keep.
    peaks : tuple of float or None
        Steps on the spectra in their order: None normalises, an energy in keV is the end of the
        first peak.
    normalisation : tuple of str or callable, optional
        Steps on the feature maps; None: not asked for yet.
    navigator : tuple of str or callable, optional
        Steps on the navigation image as a feature; None: it is none.
    """

    features: tuple[str, ...] = ()
    lines: tuple[str, ...] | None = None
    axis: EnergyAxis | None = None
    scale: float | None = None
    offset: float | None = None
    unit: str = "keV"
    calibration: Calibration | None = None
    extent: tuple[int, int] | None = None
    bin_size: tuple[int, int] | None = None
    n_components: int | None = None
    peaks: tuple[float | None, ...] = ()
    normalisation: tuple[Step, ...] | None = None
    navigator: tuple[Step, ...] | None = None

    def with_first_peak_removed(self, end: float) -> Steps:
        """Same steps with this end of the first peak, in the place of an earlier one."""
        if any(peak is not None for peak in self.peaks):
            return replace(self, peaks=tuple(p if p is None else end for p in self.peaks))
        return replace(self, peaks=(*self.peaks, end))

    def with_spectra_normalised(self) -> Steps:
        """Same steps with the normalisation, in its earlier place if there was one."""
        return self if None in self.peaks else replace(self, peaks=(*self.peaks, None))


def energy_axis(raw: EnergyAxis, steps: Steps) -> EnergyAxis:
    """
    Energy axis that the steps make of a file's.

    Parameters
    ----------
    raw : EnergyAxis
        The file's.
    steps : Steps
        The steps.

    Raises
    ------
    ParameterError
        If the width of a channel isn't positive, or a number isn't finite.
    """
    axis, unit = steps.axis or raw, UNITS[steps.unit]
    if steps.scale is not None:
        axis = replace(axis, scale_kev=steps.scale * unit)
    if steps.offset is not None:
        axis = replace(axis, offset_kev=steps.offset * unit)
    if steps.calibration is not None:
        axis = axis.calibrated(steps.calibration.gain, steps.calibration.shift_kev)
    return axis


def raw_view(raw: SpectrumImage, steps: Steps) -> SpectrumImage:
    """
    Give a map the energy axis, the lines and the extent that were asked for; counts as measured.

    Raises
    ------
    ParameterError
        If the energy axis makes no sense.
    """
    image = raw if steps.extent is None else crop(raw, steps.extent)
    metadata = image.metadata
    if steps.lines is not None:
        elements = tuple(dict.fromkeys(name.partition("_")[0] for name in steps.lines))
        metadata = replace(metadata, lines=steps.lines, elements=elements)
    return replace(image, energy=energy_axis(raw.energy, steps), metadata=metadata)


def view(spectra: SpectrumImage, steps: Steps) -> SpectrumImage:
    """
    See a map through binning, normalisation and the removal of the first peak.

    Raises
    ------
    BinningError, EnergyRangeError
        See :mod:`sigma_scale.preprocess`.
    """
    image = spectra
    with warnings.catch_warnings():
        # What binning leaves out was said when it was asked for.
        warnings.simplefilter("ignore", SigmaScaleWarning)
        if steps.bin_size is not None:
            image = preprocess.rebin(image, steps.bin_size)
    for end in steps.peaks:
        normalising = end is None
        image = (
            preprocess.normalise(image)
            if normalising
            else preprocess.remove_first_peak(image, float(end or 0.0))
        )
    return image


def check(raw: SpectrumImage, steps: Steps) -> None:
    """
    Refuse steps that can't work for a map, before anything is read.

    Raises
    ------
    ParameterError
        If they can't.
    """
    image = view(raw_view(raw, steps), steps)
    if steps.n_components is not None:
        check_components(image, steps.n_components)


def recipe(steps: Steps, changed_axis: EnergyAxis | None = None) -> list[dict[str, Any]]:
    """
    Methods to call, in an order that gives the same state again.

    Parameters
    ----------
    steps : Steps
        The steps.
    changed_axis : EnergyAxis, optional
        Energy axis, where it isn't that of the file.

    Returns
    -------
    list of dict
        ``"method"`` and ``"arguments"``, JSON types only.
    """
    return [
        {"method": method, "arguments": arguments}
        for method, arguments in _calls(steps, changed_axis)
    ]


def _calls(steps: Steps, axis: EnergyAxis | None) -> Iterator[tuple[str, dict[str, Any]]]:
    if axis is not None:
        yield "set_axes_unit", {"unit": "keV"}
        yield "set_axes_scale", {"scale": axis.scale_kev}
        yield "set_axes_offset", {"offset": axis.offset_kev}
    if steps.extent is not None:
        yield "remove_NaN", {}
    if steps.lines is not None:
        yield "set_xray_lines", {"xray_lines": list(steps.lines)}
    yield "set_feature_list", {"feature_list": list(steps.features)}
    if steps.bin_size is not None:
        yield "rebin_signal", {"size": list(steps.bin_size)}
    if steps.n_components is not None:
        yield "peak_denoising_PCA", {"n_components_to_reconstruct": steps.n_components}
    for end in steps.peaks:
        if end is None:
            yield "peak_intensity_normalisation", {}
        else:
            yield "remove_first_peak", {"end": end}
    if steps.normalisation is not None:
        yield "normalisation", {"norm_list": step_names(steps.normalisation)}
    if steps.navigator is not None:
        yield "get_feature_maps_with_nav_img", {"normalisation": step_names(steps.navigator)}
