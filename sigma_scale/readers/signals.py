"""From the signals that RosettaSciIO reads to a spectrum image."""

from __future__ import annotations

import math
import re
import threading
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sigma_scale.compute import check_memory
from sigma_scale.errors import (
    EmptyMapError,
    FileFormatError,
    NoSpectraError,
    ParameterError,
)
from sigma_scale.files import size_of
from sigma_scale.readers.guard import check_plausible, decoding
from sigma_scale.readers.layout import Layout
from sigma_scale.readers.lazy_arrays import FileArraySource
from sigma_scale.spectra import EnergyAxis, MapMetadata, SourceFile, SpectrumImage
from sigma_scale.spectra.image import NAVIGATION
from sigma_scale.spectra.metadata import DEFAULT_RESOLUTION_EV

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    from sigma_scale.spectra import BlockSource

    Signal = dict[str, Any]

_units = threading.Lock()
"""pint makes its table of units when it is first used, and a second thread sees half of it."""

__all__ = [
    "choose_eds",
    "energy_axis_of",
    "get",
    "image_from_signals",
    "images_of",
    "load",
    "load_image",
    "map_layout",
    "metadata_of",
    "micrometres",
    "pixel_size_of",
    "title_of",
    "unused_name",
]


def load(
    file_reader: Callable[[str], list[Signal]], path: Path, *, format_name: str
) -> list[Signal]:
    """
    Call a reader of RosettaSciIO and turn what it raises into an error that names the file.

    Raises
    ------
    FileFormatError
        If the file can't be read.
    """
    with decoding(path, format_name):
        return list(file_reader(str(path)))


def choose_eds(path: Path, signals: Iterable[Signal], title: str | None = None) -> Signal:
    """
    Choose the EDS map among a file's signals: the one of a title, or the first.

    Maps come before line scans, and these before single spectra.

    Raises
    ------
    NoSpectraError
        If there is none.
    ParameterError
        If none has the title.
    """
    signals = list(signals)
    found = [signal for signal in signals if _is_eds(signal)]
    if not found:
        listing = "; ".join(_described(signal) for signal in signals) or "nothing"
        raise NoSpectraError(f"{path} holds no EDS map. It holds: {listing}.")
    if title is not None:
        found = [signal for signal in found if title_of(signal) == title]
        if not found:
            titles = ", ".join(repr(title_of(signal)) for signal in signals if _is_eds(signal))
            raise ParameterError(
                f"{path} holds no EDS map with the title {title!r}, only {titles}."
            )
    preferred = {3: 0, 2: 1, 1: 2}
    return min(found, key=lambda signal: preferred.get(len(np.shape(signal["data"])), 3))


def title_of(signal: Signal) -> str:
    """Title of a signal, or an empty string."""
    return str(get(signal, "General.title") or "")


def _is_eds(signal: Signal) -> bool:
    return str(get(signal, "Signal.signal_type") or "").startswith("EDS")


def _described(signal: Signal) -> str:
    return f"{title_of(signal) or 'untitled'} {tuple(np.shape(signal['data']))}"


def image_from_signals(
    path: Path,
    eds: Signal,
    signals: Iterable[Signal],
    *,
    format_name: str = "spectrum image",
    source: BlockSource | None = None,
) -> SpectrumImage:
    """
    Make a spectrum image of an EDS signal and the images beside it.

    Parameters
    ----------
    path : pathlib.Path
        File that they were read from.
    eds : dict
        The EDS signal as RosettaSciIO gives it: ``data``, ``axes``, ``metadata``. The data may
        be an array of NumPy or dask.
    signals : iterable of dict
        All signals of the file; those with two dimensions are images.
    format_name : str, optional
        For messages.
    source : BlockSource, optional
        Where the counts come from, if not the signal's data.

    Raises
    ------
    FileFormatError
        If the axes or the data make no sense.
    EmptyMapError
        If the map has no pixels.
    """
    try:
        layout, axes = map_layout(eds)
        if source is None:
            source = FileArraySource.of(path, format_name, eds["data"], layout)
        pixel_size, unit = pixel_size_of(axes)
        return SpectrumImage(
            source,
            energy_axis_of(axes[2], source.shape[2]),
            pixel_size=pixel_size,
            pixel_unit=unit,
            metadata=metadata_of(eds, title=path.stem, sources=(SourceFile.at(path),)),
            images=images_of(path, signals, source.shape[:2]),
        )
    except EmptyMapError as error:
        raise _naming(path, error, EmptyMapError) from error
    except (FileFormatError, ParameterError) as error:
        raise _naming(path, error, FileFormatError) from error


def _naming(path: Path, error: Exception, kind: type[Exception]) -> Exception:
    """Error whose message begins with the file."""
    message = str(error)
    return kind(message if message.startswith(str(path)) else f"{path}: {message}")


def map_layout(signal: Signal) -> tuple[Layout, list[dict[str, Any]]]:
    """
    Layout of a signal's data, and its axes in the order y, x, energy.

    Raises
    ------
    FileFormatError
        If it doesn't have one energy axis and up to two others.
    """
    axes = [dict(axis) for axis in signal["axes"]]
    shape = tuple(np.shape(signal["data"]))
    signal_axes = [i for i, axis in enumerate(axes) if not axis.get("navigate", i < len(axes) - 1)]
    if len(signal_axes) != 1 or len(shape) != len(axes) or len(shape) not in (1, 2, 3):
        raise FileFormatError(
            f"An EDS map has one energy axis and up to two others, not the shape {shape}."
        )
    axes.append(axes.pop(signal_axes[0]))
    layout = Layout.with_energy(signal_axes[0], len(shape))
    while len(axes) < 3:  # noqa: PLR2004
        axes.insert(0, {"scale": 1.0, "offset": 0.0, "units": "pixel"})
    return layout, axes


def energy_axis_of(axis: dict[str, Any], size: int) -> EnergyAxis:
    """
    Energy axis in keV from an axis of a signal, which is in keV unless it says eV.

    Raises
    ------
    FileFormatError
        If it is not uniform, or has another number of channels than the data.
    ParameterError
        If its scale or offset make no sense.
    """
    if "axis" in axis:
        values = np.asarray(axis["axis"], dtype=np.float64)
        steps = np.diff(values)
        if values.size < 2 or not np.allclose(steps, steps[0], rtol=1e-6):  # noqa: PLR2004
            raise FileFormatError("The energy axis is not uniform.")
        axis = {**axis, "scale": float(steps[0]), "offset": float(values[0]), "size": values.size}
    scale, offset = _number(axis.get("scale")), _number(axis.get("offset", 0.0))
    if scale is None or offset is None or int(axis.get("size", size)) != size:
        raise FileFormatError(f"The energy axis makes no sense: {axis}.")
    factor = {"ev": 1e-3, "kev": 1.0}.get(str(axis.get("units", "keV")).lower(), 1.0)
    return EnergyAxis(size, scale * factor, offset * factor)


def pixel_size_of(axes: list[dict[str, Any]]) -> tuple[tuple[float, float], str]:
    """Height and width of a pixel in micrometres, or in pixels where the file has no scale."""
    sizes = [micrometres(axis.get("scale", 1.0), axis.get("units")) for axis in axes[:2]]
    if any(size is None for size in sizes):
        return (1.0, 1.0), "pixel"
    return (float(sizes[0] or 0), float(sizes[1] or 0)), "µm"


def micrometres(length: Any, units: Any) -> float | None:
    """Length in micrometres; None if the units are not those of a length."""
    import pint

    name = str(units or "").strip().replace("μ", "µ")
    if name.lower() == "px":  # to pint, a px is a length: 1/96 inch
        return None
    try:
        with _units:
            size = abs(float(pint.Quantity(float(length), name).to("µm").magnitude))
    except (pint.PintError, ArithmeticError, AttributeError, ValueError, TypeError, SyntaxError):
        return None
    return size if size > 0 and math.isfinite(size) else None


def metadata_of(signal: Signal, *, title: str, sources: tuple[SourceFile, ...] = ()) -> MapMetadata:
    """
    Metadata in HyperSpy's terms as ours.

    Parameters
    ----------
    signal : dict
        With ``metadata``.
    title : str
        Used where the sample has no name.
    sources : tuple of SourceFile
        Files that the signal was read from.
    """
    instrument: Literal["SEM", "TEM"] = "SEM"
    signal_type = str(get(signal, "Signal.signal_type"))
    if "TEM" in signal_type or get(signal, "Acquisition_instrument.TEM") is not None:
        instrument = "TEM"
    base = f"Acquisition_instrument.{instrument}"
    detector = f"{base}.Detector.EDS"
    name = str(get(signal, "Sample.name") or "").strip()
    return MapMetadata(
        title=title if name in ("", "Undefined", "Map data") else name,
        instrument=instrument,
        # eXSpy writes the one for TEM with a space at the end of its name.
        beam_energy_kev=_number(get(signal, f"{base}.beam_energy"))
        or _number(get(signal, f"{base}.beam_energy ")),
        resolution_mn_ka_ev=_number(get(signal, f"{detector}.energy_resolution_MnKa"))
        or DEFAULT_RESOLUTION_EV,
        live_time_s=_number(get(signal, f"{detector}.live_time")),
        real_time_s=_number(get(signal, f"{detector}.real_time")),
        elevation_deg=_number(get(signal, f"{detector}.elevation_angle")),
        azimuth_deg=_number(get(signal, f"{detector}.azimuth_angle")),
        stage_x_mm=_number(get(signal, f"{base}.Stage.x")),
        stage_y_mm=_number(get(signal, f"{base}.Stage.y")),
        stage_z_mm=_number(get(signal, f"{base}.Stage.z")),
        stage_tilt_deg=_number(get(signal, f"{base}.Stage.tilt_alpha")),
        stage_rotation_deg=_number(get(signal, f"{base}.Stage.rotation")),
        elements=_strings(get(signal, "Sample.elements")),
        lines=_strings(get(signal, "Sample.xray_lines")),
        sources=sources,
    )


def images_of(
    path: Path, signals: Iterable[Signal], map_shape: tuple[int, ...]
) -> dict[str, xr.DataArray]:
    """
    Images by their titles; the first of the map's size is the navigation image.

    Raises
    ------
    FileFormatError
        If an image can't be read.
    MemoryLimitError
        If one would take more memory than there may be.
    """
    import xarray as xr

    images: dict[str, xr.DataArray] = {}
    for signal in signals:
        data = signal["data"]
        if len(data.shape) != 2 or data.dtype.kind not in "iuf" or 0 in data.shape:  # noqa: PLR2004
            continue
        if not all(_is_spatial(axis) for axis in signal.get("axes", ())):
            continue
        title = title_of(signal) or "image"
        image = xr.DataArray(load_image(path, data), dims=("y", "x"), attrs={"long_name": title})
        if data.shape == map_shape and NAVIGATION not in images:
            images[NAVIGATION] = image
        else:
            images[unused_name(title, images)] = image
    return images


def load_image(path: Path, data: Any) -> NDArray[Any]:
    """
    Load an image, lazy or not, into memory.

    Raises
    ------
    FileFormatError
        If it can't be read.
    MemoryLimitError
        If it would take more memory than there may be.
    """
    if isinstance(data, np.ndarray) and not isinstance(data, np.memmap):
        return data
    size = math.prod(data.shape) * np.dtype(data.dtype).itemsize
    check_plausible(path, size, size_of(path))
    check_memory(size, what=f"An image in {path}", remedy="Raise memory_limit.")
    with decoding(path, "readable"):
        part = data[()] if not hasattr(data, "compute") else data.compute(scheduler="synchronous")
        return np.array(part)


def _is_spatial(axis: dict[str, Any]) -> bool:
    """Whether an axis can be one of an image: line scans have two dimensions too."""
    return str(axis.get("units") or "").lower() not in ("ev", "kev")


def unused_name(title: str, taken: Iterable[str]) -> str:
    """Identifier for an image, made of its title, that no other image has."""
    base = re.sub(r"\W+", "_", title).strip("_") or "image"
    name, number = base, 2
    while name in {*taken, "counts", "total", "sum_spectrum", "x", "y", "energy"}:
        name, number = f"{base}_{number}", number + 1
    return name


def get(signal: Signal, key: str) -> Any:
    """Entry of a signal's metadata such as ``"General.title"``; None if there is none."""
    node: Any = signal.get("metadata", {})
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return None
        node = node[part]
    return node


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _strings(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(item) for item in value) if value is not None else ()
